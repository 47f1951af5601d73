"""Who may call, once a secret is configured: what Twilio signed, what has the key or a ticket.

A webhook that was admitted hands out a ticket, which admits the call's WebSocket. Tickets are
signed, not remembered: any worker honours another's.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from starlette.requests import HTTPConnection

from fastrtc.telephony.addresses import Address, spellings
from fastrtc.telephony.signature import twilio_signed

__all__ = ["AUTH_TOKEN_VARIABLE", "KEY_VARIABLE", "TICKET", "TelephoneGuard"]

AUTH_TOKEN_VARIABLE: Final = "TWILIO_AUTH_TOKEN"
KEY_VARIABLE: Final = "FASTRTC_PHONE_KEY"
KEY: Final = "key"
TICKET: Final = "ticket"
"""How the URL's query and Twilio's parameters name them."""
TICKET_S: Final = 120.0
"""How long a ticket is good: providers connect as soon as they have read the answer."""
PURPOSE: Final = b"fastrtc telephone ticket "


class TelephoneGuard:
    """The secrets of the environment, and what follows from them.

    Args:
        environment: read anew each time. Without ``TWILIO_AUTH_TOKEN`` and ``FASTRTC_PHONE_KEY``
            everybody may call.
        now_s: seconds since 1970.
    """

    def __init__(
        self, environment: Mapping[str, str] = os.environ, now_s: Callable[[], float] = time.time
    ) -> None:
        self._environment = environment
        self._now_s = now_s
        self._stands_down = False

    def stand_down(self) -> None:
        """From now on everybody may call: the calls come by a service with secrets of its own."""
        self._stands_down = True

    @property
    def is_open(self) -> bool:
        """Whether everybody may call."""
        return self._stands_down or not self._secret

    @property
    def token(self) -> str:
        """Twilio's auth token, with which it signs."""
        return self._environment.get(AUTH_TOKEN_VARIABLE, "")

    @property
    def _secret(self) -> str:
        return self._environment.get(KEY_VARIABLE, "") or self.token

    def ticket(self, valid_s: float = TICKET_S) -> str:
        """What admits one call's WebSocket for a while; "" where everybody may call."""
        if self.is_open:
            return ""
        expiry = f"{round(self._now_s() + valid_s):x}"
        return f"{expiry}.{self._sign(expiry)}"

    def honours(self, ticket: str) -> bool:
        """Whether it is one of ours, and still good."""
        if self.is_open:
            return True
        expiry, _, signature = ticket.partition(".")
        return _same(signature, self._sign(expiry)) and self._now_s() <= int(expiry, 16)

    def has_secret(self, query: Mapping[str, str]) -> bool:
        """Whether a URL's query has the key, or a ticket."""
        key = self._environment.get(KEY_VARIABLE, "")
        has_key = bool(key) and _same(query.get(KEY, ""), key)
        return has_key or self.honours(query.get(TICKET, ""))

    def vouches_for(self, websocket: HTTPConnection) -> bool:
        """Whether a handshake tells who sent it; else its first message has to have a ticket."""
        return (
            self.is_open
            or self.has_secret(websocket.query_params)
            or bool(self.signed(websocket, handshake_urls))
        )

    def signed(
        self,
        request: HTTPConnection,
        urls: Callable[[Address, str], Iterable[str]],
        form: Iterable[tuple[str, str]] = (),
    ) -> list[Address]:
        """The addresses under which Twilio signed a request; none when it did not.

        Args:
            request: the webhook or the handshake.
            urls: how Twilio may have spelt an address with this query.
            form: the fields of the body.
        """
        signature = request.headers.get("x-twilio-signature", "")
        if not signature or not self.token:
            return []
        form, query = list(form), request.url.query
        return [
            address
            for address in spellings(request.scope, request.headers)
            if any(twilio_signed(signature, self.token, url, form) for url in urls(address, query))
        ]

    def _sign(self, expiry: str) -> str:
        digest = hmac.new(
            self._secret.encode(), PURPOSE + expiry.encode(errors="replace"), hashlib.sha256
        )
        return base64.urlsafe_b64encode(digest.digest()).decode("ascii").rstrip("=")


def handshake_urls(address: Address, query: str) -> list[str]:
    """How Twilio may spell a WebSocket's address, of which its documentation has no example."""
    web = address.http(query)
    socket = "ws" + web.removeprefix("http")
    return [socket, socket + "/", web, web + "/"]


def _same(received: str, secret: str) -> bool:
    return hmac.compare_digest(received.encode(errors="replace"), secret.encode())
