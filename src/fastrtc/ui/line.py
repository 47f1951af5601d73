"""The server's end of one component: answers what its visitors' browsers ask.

Gradio's server functions carry the questions, so that they take whatever way the page took: a
share tunnel, a proxy's prefix, a FastAPI application that it is mounted in. Draws nothing.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import AsyncIterator, Callable
from typing import Any, Final

from fastapi import HTTPException
from pydantic import ValidationError
from starlette.requests import HTTPConnection, Request
from starlette.responses import JSONResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from fastrtc.handlers.outputs import AdditionalOutputs
from fastrtc.server.auth import authorise
from fastrtc.server.core import Core
from fastrtc.server.lifespan import leave_at_signal
from fastrtc.server.offers import resolve
from fastrtc.server.routes import answer_offer, read_body
from fastrtc.server.schemas import Body
from fastrtc.session.registry import Registry
from fastrtc.session.transport import Stats
from fastrtc.transports.reader import refuse_socket, serve_socket
from fastrtc.types import WebRTCData
from fastrtc.ui.closing import leave_at_close
from fastrtc.wire.browser import BrowserWire

__all__ = ["Line", "id_of"]

logger = logging.getLogger("fastrtc")

SHOWN_STATS: Final = ("frames_dropped", "video_frames_dropped", "video_age_ms")
"""What the visitor's details panel shows of the server's own counters."""
NO_HANDLER: Final = "this component has no handler: call .stream(fn, ...) on it"


class Line:
    """What all copies of a component share; Gradio copies it for a visitor with ``gr.update``.

    Args:
        rtc_configuration: for browsers, see :class:`fastrtc.Stream`.
        core: of the stream that made the component; None until ``.stream()`` was called.
    """

    def __init__(self, rtc_configuration: Any, core: Core | None = None) -> None:
        self.rtc_configuration = rtc_configuration
        self.core = core
        self._socket_key = secrets.token_urlsafe(16)
        self.is_streams = core is not None

    @property
    def ready_core(self) -> Core:
        """The core.

        Raises:
            ValueError: there is none yet.
        """
        if self.core is None:
            raise ValueError(NO_HANDLER)
        return self.core

    @property
    def registry(self) -> Registry:
        """The sessions; none before there is a core."""
        return Registry(None) if self.core is None else self.core.factory.registry

    async def offer(self, body: Any, request: Request | None) -> dict[str, Any]:
        """Answers an offer or takes a candidate; a failure is a body too, for Gradio loses others.

        Args:
            body: of the form of :class:`Body`.
            request: what ``authorize`` is asked about.
        """
        if self.core is None:
            return _failed("no_handler", NO_HANDLER)
        try:
            principal = await authorise(self.core.authorize, request)
            leave_at_signal(self.core.factory)
            leave_at_close(_app_of(request), self.core.factory)
            _, answer = await answer_offer(self.core.offers, Body.model_validate(body), principal)
        except HTTPException as refusal:
            return _failed("unauthorized", str(refusal.detail))
        except ValidationError as error:
            details = error.errors(include_url=False, include_context=False, include_input=False)
            return _failed("invalid_offer", "; ".join(detail["msg"] for detail in details))
        except Exception:
            logger.exception("an offer could not be answered")
            return _failed("server_error", "the server failed; its log says why")
        return answer

    async def configuration(self) -> dict[str, Any]:
        """The browser's ``RTCConfiguration``; a callable is asked for each call."""
        try:
            return await resolve(self.rtc_configuration) or {}
        except Exception:
            logger.exception("rtc_configuration could not be had")
            return _failed("server_error", "the server has no TURN servers; its log says why")

    def socket(self, request: Request | None) -> str:
        """The way that does not lead through Gradio; "" where there is none.

        At this path, below the page's, is a WebSocket for browsers that no WebRTC reaches, and
        goodbyes are taken by POST, which a page may still send when it is left. The path is told
        only to those who may see the page: nobody guesses it.
        """
        app = _app_of(request)
        if self.core is None or app is None:
            return ""
        path = f"fastrtc/{self._socket_key}"
        routes = app.router.routes
        if not any(getattr(route, "path", None) == f"/{path}" for route in routes):
            routes.insert(0, WebSocketRoute(f"/{path}", self._serve_socket))
            routes.insert(0, Route(f"/{path}", self._take_goodbye, methods=["POST"]))
        return path

    async def _take_goodbye(self, request: Request) -> JSONResponse:
        body = await read_body(request)
        if body.type != "bye":
            raise HTTPException(400, f"only goodbyes are taken here, received {body.type!r}")
        return JSONResponse(await self.offer(body, request))

    async def _serve_socket(self, websocket: WebSocket) -> None:
        core = self.ready_core
        try:
            principal = await authorise(core.authorize, websocket)
        except HTTPException:
            await websocket.close(1008, "not authorized")
            return
        await websocket.accept()
        if core.socket_refusal is not None:
            await refuse_socket(websocket, core.socket_refusal, tell=True)
            return
        leave_at_signal(core.factory)
        leave_at_close(_app_of(websocket), core.factory)
        handler = core.factory.prototype
        wire = BrowserWire(handler.input_sample_rate, handler.output_sample_rate, core.modality)
        await serve_socket(websocket, core.factory, wire, principal=principal)

    async def statistics(self, webrtc_id: Any, request: Request | None) -> Stats:
        """Our side's share of what the details panel shows; nothing for an unknown id."""
        session = self.registry.get(webrtc_id) if isinstance(webrtc_id, str) else None
        if session is None or self.core is None:
            return {}
        try:
            await authorise(self.core.authorize, request)
        except HTTPException:
            return {}
        stats = session.stats
        return {name: stats[name] for name in SHOWN_STATS if name in stats}

    def set_input(self, webrtc_id: str, *inputs: Any) -> None:
        """Gives a client's handler its inputs; the next call sees them. From any thread."""
        self.ready_core.factory.set_input(webrtc_id, list(inputs))

    def take_inputs(self, value: Any, *inputs: Any) -> None:
        """What the page's components hold, for the visitor whose component has ``value``."""
        webrtc_id = id_of(value)
        if webrtc_id is not None:
            has_textbox = isinstance(value, WebRTCData)
            leading = [WebRTCData(webrtc_id)] if has_textbox else []
            self.set_input(webrtc_id, *leading, *inputs)

    def submit(self, value: Any, *inputs: Any) -> None:
        """As :meth:`take_inputs`, with what was typed, and the reply begins."""
        webrtc_id = id_of(value)
        if webrtc_id is None:
            return
        leading = [value] if isinstance(value, WebRTCData) else []
        self.set_input(webrtc_id, *leading, *inputs)
        session = self.ready_core.factory.registry.get(webrtc_id)
        trigger: Callable[[], None] | None = getattr(
            None if session is None else session.handler, "trigger_response", None
        )
        if session is not None and trigger is not None:
            session.loop.call_soon_threadsafe(trigger)

    def fail(self, webrtc_id: str, reason: str) -> None:
        """Ends a client's session, if it has one. From any thread."""
        session = self.registry.get(webrtc_id)
        if session is not None:
            session.loop.call_soon_threadsafe(session.fail, reason)

    async def outputs(self, webrtc_id: str) -> AsyncIterator[AdditionalOutputs]:
        """The ``AdditionalOutputs`` of a client's handler, until its session ends."""
        async for outputs in self.ready_core.factory.outbox.read(webrtc_id):
            yield outputs


def id_of(value: Any) -> str | None:
    """The ``webrtc_id`` in a component's value; None before the visitor's first call."""
    if isinstance(value, WebRTCData):
        return value.webrtc_id or None
    return value if isinstance(value, str) and value else None


def _app_of(connection: HTTPConnection | None) -> Any:
    """The application that answers: Gradio's."""
    return None if connection is None else connection.scope.get("app")


def _failed(error: str, reason: str) -> dict[str, Any]:
    return {"status": "failed", "meta": {"error": error, "reason": reason}}
