"""The WebSocket doors of one stream: who may come in, by which protocol."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection
from typing import Any, Final, Protocol
from urllib.parse import urlsplit

from fastapi import HTTPException, WebSocket
from fastapi.responses import JSONResponse

from fastrtc.errors import OfferRefused, UnsupportedMedia
from fastrtc.server.auth import authorise
from fastrtc.session.factory import SessionFactory
from fastrtc.transports.reader import refuse_socket, serve_socket
from fastrtc.types import Modality
from fastrtc.wire.browser import BrowserWire
from fastrtc.wire.events import Wire
from fastrtc.wire.providers import wire_of

__all__ = ["SocketDoors"]

logger = logging.getLogger("fastrtc")

FORBIDDEN: Final = 403
DEFAULT_PORTS: Final = {"http": ":80", "https": ":443"}


class Guard(Protocol):
    """Knows who may call: ``telephony/guard.py``."""

    def vouches_for(self, websocket: WebSocket) -> bool:
        """Whether the handshake tells that its sender may."""

    def honours(self, ticket: str) -> bool:
        """Whether this, in a stream's first message, tells it."""


class SocketDoors:
    """``WS {path}/websocket/offer`` and ``WS {path}/telephone/handler``.

    Args:
        factory: makes the sessions.
        authorize: the stream's hook.
        guard: of the telephone.
        modality: what the stream carries.
        refusal: why this stream takes no WebSockets at all; None when it does.
        allowed_origins: pages that may connect, such as "https://a.com"; None for any. Clients
            that send no Origin are no browsers and are not asked for one.

    Raises:
        ValueError: one of ``allowed_origins`` is no origin.
    """

    def __init__(
        self,
        factory: SessionFactory,
        authorize: Callable[[Any], Any] | None,
        guard: Guard,
        modality: Modality = "audio",
        refusal: OfferRefused | None = None,
        allowed_origins: Collection[str] | None = None,
    ) -> None:
        self._allowed_origins = (
            None if allowed_origins is None else frozenset(map(_origin, allowed_origins))
        )
        self._factory = factory
        self._authorize = authorize
        self._guard = guard
        self._modality: Modality = modality
        self._refusal = refusal

    async def websocket(self, websocket: WebSocket) -> None:
        """Serves a page or an app until it has gone."""
        handler = self._factory.prototype
        rates = handler.input_sample_rate, handler.output_sample_rate
        wire = BrowserWire(*rates, self._modality)
        await self._serve(websocket, wire)

    async def telephone(self, websocket: WebSocket) -> None:
        """Serves a call until it has ended."""
        provider = websocket.query_params.get("provider")
        try:
            wire = None if provider is None else wire_of(provider)
        except ValueError as error:
            await _deny(websocket, HTTPException(400, str(error)))
            return
        vouched = self._guard.vouches_for(websocket)
        await self._serve(websocket, wire, None if vouched else self._guard.honours)

    async def _serve(
        self,
        websocket: WebSocket,
        wire: Wire | None,
        honours: Callable[[str], bool] | None = None,
    ) -> None:
        try:
            self._check_origin(websocket)
            principal = await authorise(self._authorize, websocket)
        except HTTPException as error:
            await _deny(websocket, error)
            return
        await websocket.accept()
        is_page = wire is not None and wire.kind == "websocket"
        refusal = self._refusal
        if refusal is None and self._modality != "audio" and not is_page:
            refusal = UnsupportedMedia(f"calls carry audio only, this stream is {self._modality!r}")
        if refusal is not None:
            await refuse_socket(websocket, refusal, tell=is_page)
            return
        await serve_socket(websocket, self._factory, wire, principal=principal, honours=honours)

    def _check_origin(self, websocket: WebSocket) -> None:
        origin = websocket.headers.get("origin")
        allowed = self._allowed_origins
        if allowed is not None and origin is not None and origin not in allowed:
            raise HTTPException(403, f"pages of {origin} may not connect to this stream")


def _origin(text: str) -> str:
    """An origin as browsers spell it (RFC 6454, section 6.2): lower case, no default port."""
    parts = urlsplit(text.strip().lower())
    if text == "null":
        return text
    if not parts.scheme or not parts.netloc or parts.path.strip("/") or parts.query:
        raise ValueError(
            f"allowed_origins has {text!r}; an origin is 'https://host' or 'https://host:port', "
            "and None allows any"
        )
    host = parts.netloc.removesuffix(DEFAULT_PORTS.get(parts.scheme, "/"))
    return f"{parts.scheme}://{host}"


async def _deny(websocket: WebSocket, error: HTTPException) -> None:
    """Answers the handshake with an HTTP status, where the server can; else with 403."""
    logger.info("WebSocket refused: %d %s", error.status_code, error.detail)
    extensions = websocket.scope.get("extensions", {})
    # A plain 403 is for close(): uvicorn 0.54 logs an error with each other response (its pull
    # request 3138), which strangers could have it do all day.
    if error.status_code != FORBIDDEN and "websocket.http.response" in extensions:
        answer = JSONResponse({"detail": error.detail}, error.status_code, headers=error.headers)
        await websocket.send_denial_response(answer)
    else:
        await websocket.close(1008, str(error.detail)[:100])
