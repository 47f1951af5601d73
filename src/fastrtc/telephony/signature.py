"""How providers sign their webhooks, so that nobody else can send them. Pure.

Twilio: https://www.twilio.com/docs/usage/security#validating-requests
Plivo, V3: https://www.plivo.com/docs/voice/concepts/signature-validation
Telnyx: https://developers.telnyx.com/development/api-fundamentals/webhooks/receiving-webhooks
Vonage: https://developer.vonage.com/en/getting-started/concepts/webhooks#decoding-signed-webhooks
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from collections.abc import Iterable
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

from fastrtc.errors import FeatureUnavailable

__all__ = [
    "REPLAY_WINDOW_S",
    "plivo_signature",
    "plivo_signed",
    "telnyx_signed",
    "twilio_signature",
    "twilio_signed",
    "vonage_signed",
]

REPLAY_WINDOW_S: Final = 300.0
"""How far a signed time may be from ours, where a provider signs one."""


def twilio_signature(token: str, url: str, parameters: Iterable[tuple[str, str]] = ()) -> str:
    """What ``X-Twilio-Signature`` has to be.

    Args:
        token: the account's auth token.
        url: the whole URL as it is configured at Twilio, with its query.
        parameters: of the form in the request's body.
    """
    text = url + "".join(name + value for name, value in sorted(set(parameters)))
    digest = hmac.new(token.encode(), text.encode(), hashlib.sha1).digest()
    return base64.b64encode(digest).decode("ascii")


def twilio_signed(
    signature: str, token: str, url: str, parameters: Iterable[tuple[str, str]] = ()
) -> bool:
    """Whether Twilio signed this request. It signs with or without the scheme's own port."""
    parameters = list(parameters)
    scheme, _, rest = url.partition("://")
    host, slash, path = rest.partition("/")
    port = ":443" if scheme in ("https", "wss") else ":80"
    bare = host.removesuffix(port)
    spellings = [f"{scheme}://{name}{slash}{path}" for name in {host, bare, bare + port}]
    return any(
        hmac.compare_digest(
            twilio_signature(token, spelling, parameters).encode(), signature.encode()
        )
        for spelling in spellings
    )


def plivo_signature(
    token: str, url: str, nonce: str, parameters: Iterable[tuple[str, str]] = ()
) -> str:
    """What ``X-Plivo-Signature-V3`` has to hold.

    Args:
        token: the account's auth token.
        url: the whole URL as it is configured at Plivo, with its query.
        nonce: of ``X-Plivo-Signature-V3-Nonce``.
        parameters: of the form in the body; none for GET.
    """
    parts = urlsplit(url)
    query = "&".join(
        f"{name}={value}" for name, value in sorted(parse_qsl(parts.query, keep_blank_values=True))
    )
    form = "".join(name + value for name, value in sorted(parameters))
    text = f"{parts.scheme}://{parts.netloc}{parts.path}"
    if query or form:
        text += "?" + query
    if query and form:
        text += "."
    signed = f"{text}{form}.{nonce}".encode(errors="replace")
    digest = hmac.new(token.encode(), signed, hashlib.sha256).digest()
    return base64.b64encode(digest).decode("ascii")


def plivo_signed(
    signatures: str, token: str, url: str, nonce: str, parameters: Iterable[tuple[str, str]] = ()
) -> bool:
    """Whether Plivo signed this request; it sends a signature for each of the account's tokens."""
    expected = plivo_signature(token, url, nonce, parameters).encode()
    return any(
        hmac.compare_digest(expected, signature.strip().encode(errors="replace"))
        for signature in signatures.split(",")
    )


def telnyx_signed(
    signature: str, public_key: str, timestamp: str, body: bytes, now_s: float
) -> bool:
    """Whether Telnyx signed this request within the last five minutes.

    Args:
        signature: of ``telnyx-signature-ed25519``, in base64.
        public_key: the account's, in base64, as Telnyx shows it.
        timestamp: of ``telnyx-timestamp``, seconds since 1970.
        body: as it came.
        now_s: seconds since 1970.

    Raises:
        FeatureUnavailable: the package cryptography is not installed.
        ValueError: the public key is none.
    """
    try:
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    except ImportError:
        raise FeatureUnavailable(
            "Telnyx' signatures need the package cryptography: pip install 'fastrtc[phone]'"
        ) from None
    try:
        key = Ed25519PublicKey.from_public_bytes(base64.b64decode(public_key, validate=True))
    except ValueError as error:
        raise ValueError(f"{public_key[:60]!r} is no public key of Telnyx: {error}") from None
    if not timestamp.isascii() or not timestamp.isdecimal() or len(timestamp) > 15:
        return False
    if abs(now_s - int(timestamp)) > REPLAY_WINDOW_S:
        return False
    try:
        key.verify(base64.b64decode(signature, validate=True), timestamp.encode() + b"|" + body)
    except (InvalidSignature, ValueError):
        return False
    return True


def vonage_signed(authorization: str, secret: str, body: bytes, now_s: float) -> bool:
    """Whether Vonage signed this request within the last five minutes.

    Args:
        authorization: the header, ``Bearer`` and a JWT (RFC 7519) signed with HS256.
        secret: the account's signature secret.
        body: as it came; when there is one, the token has its SHA-256.
        now_s: seconds since 1970.
    """
    scheme, _, token = authorization.partition(" ")
    signed, _, signature = token.strip().rpartition(".")
    expected = hmac.new(secret.encode(), signed.encode(errors="replace"), hashlib.sha256).digest()
    if scheme.lower() != "bearer" or not hmac.compare_digest(_from_base64url(signature), expected):
        return False
    head, _, claims = signed.partition(".")
    known = _json_object(claims)
    issued_s = known.get("iat")
    if _json_object(head).get("alg") != "HS256" or not isinstance(issued_s, (int, float)):
        return False
    payload_hash = known.get("payload_hash")
    is_whole = not body or payload_hash == hashlib.sha256(body).hexdigest()
    return is_whole and abs(now_s - issued_s) <= REPLAY_WINDOW_S


def _from_base64url(text: str) -> bytes:
    """b"" for what is none."""
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return b""


def _json_object(part: str) -> dict[str, Any]:
    """A part of a JWT; {} for what is none."""
    try:
        value = json.loads(_from_base64url(part))
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}
