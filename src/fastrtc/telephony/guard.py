"""Who may call, once a secret is configured: what Twilio signed, what has the key or a ticket.

A webhook that was admitted hands out a ticket, which admits the call's WebSocket. Tickets are
signed, not remembered: any worker honours another's.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import secrets
import time
from collections.abc import Callable, Mapping
from typing import Final

from starlette.requests import HTTPConnection

from fastrtc.telephony.addresses import Address, spellings
from fastrtc.telephony.signers import SIGNERS, Webhook

__all__ = ["KEY_VARIABLE", "TICKET", "TelephoneGuard"]

KEY_VARIABLE: Final = "FASTRTC_PHONE_KEY"
KEY: Final = "key"
TICKET: Final = "ticket"
"""How the URL's query and Twilio's parameters name them."""
TICKET_S: Final = 120.0
"""How long a ticket is good: providers connect as soon as they have read the answer."""
PURPOSE: Final = b"fastrtc telephone ticket "
OWN_SECRET: Final = secrets.token_hex(32)
"""Signs tickets where the environment has only public keys: this process' alone."""


class TelephoneGuard:
    """The secrets of the environment, and what follows from them.

    Args:
        environment: read anew each time. Without ``FASTRTC_PHONE_KEY`` and the variables of
            ``signers.py`` everybody may call.
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
    def _secret(self) -> str:
        known = [KEY_VARIABLE, *(s.variable for s in SIGNERS.values() if s.is_secret)]
        for variable in known:
            if value := self._environment.get(variable):
                return value
        return OWN_SECRET if any(map(self.can_check, SIGNERS)) else ""

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
        if self.is_open or self.has_secret(websocket.query_params):
            return True
        query = websocket.url.query
        return any(
            self.signed("twilio", Webhook(websocket.headers, url))
            for address in spellings(websocket.scope, websocket.headers)
            for url in handshake_urls(address, query)
        )

    def can_check(self, provider: str) -> bool:
        """Whether the environment has what this provider signs with."""
        signer = SIGNERS.get(provider)
        return signer is not None and bool(self._environment.get(signer.variable))

    def signed(self, provider: str, webhook: Webhook) -> bool:
        """Whether a provider signed a request, by the variable that it is known by.

        Raises:
            FeatureUnavailable: a package is missing.
            ValueError: the variable's value is no key.
        """
        signer = SIGNERS[provider]
        value = self._environment.get(signer.variable, "")
        if not value or signer.header.lower() not in webhook.headers:
            return False
        return signer.signed(value, webhook._replace(now_s=self._now_s()))

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
