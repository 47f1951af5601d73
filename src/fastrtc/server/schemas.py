"""The bodies of signalling requests. Validation only; meaning is given to them in offers.py."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self, TypeAlias

from pydantic import AfterValidator, BaseModel, Field, model_validator

__all__ = ["Body"]


def _refuse_half_characters(text: str) -> str:
    """JSON can spell half of a surrogate pair ("\\ud800"), which no encoding can carry on."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"character {error.start} is half of a surrogate pair") from None
    return text


def _refuse_unprintable(text: str) -> str:
    """Ids stand in logs, where a line break would begin a line of the client's own."""
    if not text.isprintable():
        raise ValueError("an id consists of characters that can be printed")
    return text


Text: TypeAlias = Annotated[str, AfterValidator(_refuse_half_characters)]


class Body(BaseModel):
    """``POST {path}/webrtc/offer``: an offer, a trickled candidate, or a goodbye.

    Attributes:
        sdp: the session description, for type "offer"; for "bye" the client's own, whose DTLS
            fingerprint shows that it may end the connection.
        candidate: an ``RTCIceCandidateInit``, for type "ice-candidate"; null or one with empty
            text means that there are no more.
        webrtc_id: the client's own name for the connection.
    """

    sdp: Text | None = None
    candidate: dict[str, Any] | None = None
    type: Literal["offer", "ice-candidate", "bye"]
    webrtc_id: Annotated[Text, AfterValidator(_refuse_unprintable)] = Field(
        min_length=1, max_length=256
    )

    @model_validator(mode="after")
    def _offer_has_sdp(self) -> Self:
        if self.type != "ice-candidate" and self.sdp is None:
            raise ValueError(f"type {self.type!r} needs an sdp")
        return self
