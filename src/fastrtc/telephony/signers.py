"""Which provider signs with what, and where in a webhook its signature stands. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final, NamedTuple

from fastrtc.telephony.signature import (
    plivo_signed,
    telnyx_signed,
    twilio_signed,
    vonage_signed,
)

__all__ = ["SIGNERS", "Signer", "Webhook"]


class Webhook(NamedTuple):
    """What a signature may be about.

    Attributes:
        headers: case-insensitive, or with lower-case names.
        url: as the provider knows it.
        body: as it came.
        form: its fields.
        now_s: seconds since 1970.
    """

    headers: Mapping[str, str]
    url: str
    body: bytes = b""
    form: Iterable[tuple[str, str]] = ()
    now_s: float = 0.0

    def header(self, name: str) -> str:
        """The header of this name; "" without one."""
        return self.headers.get(name, "")


class Signer(NamedTuple):
    """How one provider signs.

    Attributes:
        variable: of the environment, with the secret or the public key.
        header: that brings the signature.
        is_secret: whether the variable's value is; a public key is not.
        signed: ``signed(value, webhook)`` tells whether the provider signed it.
        needs_body: whether the body is signed as it came.
    """

    variable: str
    header: str
    is_secret: bool
    needs_body: bool
    signed: Callable[[str, Webhook], bool]


def _twilio(token: str, webhook: Webhook) -> bool:
    return twilio_signed(webhook.header("x-twilio-signature"), token, webhook.url, webhook.form)


def _plivo(token: str, webhook: Webhook) -> bool:
    return plivo_signed(
        webhook.header("x-plivo-signature-v3"),
        token,
        webhook.url,
        webhook.header("x-plivo-signature-v3-nonce"),
        webhook.form,
    )


def _telnyx(public_key: str, webhook: Webhook) -> bool:
    return telnyx_signed(
        webhook.header("telnyx-signature-ed25519"),
        public_key,
        webhook.header("telnyx-timestamp"),
        webhook.body,
        webhook.now_s,
    )


def _vonage(secret: str, webhook: Webhook) -> bool:
    return vonage_signed(webhook.header("authorization"), secret, webhook.body, webhook.now_s)


SIGNERS: Final[dict[str, Signer]] = {
    "twilio": Signer("TWILIO_AUTH_TOKEN", "X-Twilio-Signature", True, False, _twilio),
    "plivo": Signer("PLIVO_AUTH_TOKEN", "X-Plivo-Signature-V3", True, False, _plivo),
    "telnyx": Signer("TELNYX_PUBLIC_KEY", "telnyx-signature-ed25519", False, True, _telnyx),
    "vonage": Signer("VONAGE_SIGNATURE_SECRET", "Authorization", True, True, _vonage),
}
