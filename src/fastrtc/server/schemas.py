"""The bodies of signalling requests. Validation only; meaning is given to them in offers.py."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import BaseModel, Field, model_validator

__all__ = ["Body"]


class Body(BaseModel):
    """``POST {path}/webrtc/offer``: an offer, or a trickled candidate.

    Attributes:
        sdp: the session description, for type "offer".
        candidate: an ``RTCIceCandidateInit``, for type "ice-candidate"; null or one with empty
            text means that there are no more.
        webrtc_id: the client's own name for the connection.
    """

    sdp: str | None = None
    candidate: dict[str, Any] | None = None
    type: Literal["offer", "ice-candidate"]
    webrtc_id: str = Field(min_length=1, max_length=256)

    @model_validator(mode="after")
    def _offer_has_sdp(self) -> Self:
        if self.type == "offer" and self.sdp is None:
            raise ValueError("an offer needs an sdp")
        return self
