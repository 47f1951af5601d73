"""Twilio's signature of a webhook. Pure.

https://www.twilio.com/docs/usage/security#validating-requests
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Iterable

__all__ = ["twilio_signature", "twilio_signed"]


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
