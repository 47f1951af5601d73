"""A real WebSocket server on the running loop, for sessions that a test makes itself."""

from __future__ import annotations

import asyncio
import socket

import uvicorn
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket

from fastrtc.session.session import Session
from fastrtc.transports.reader import _Reader, _serve
from fastrtc.wire.events import Wire


class Hall:
    """A real server on the running loop, whose sessions are made before their clients come."""

    def __init__(self) -> None:
        self.guests: list[tuple[Session, Wire]] = []
        self.joined = asyncio.Event()
        self.url = ""

    async def __aenter__(self) -> Hall:
        app = Starlette(routes=[WebSocketRoute("/", self._serve)])
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"ws://127.0.0.1:{self._listener.getsockname()[1]}/"
        config = uvicorn.Config(app, log_level="error", lifespan="off")
        self._server = uvicorn.Server(config)
        self._serving = asyncio.ensure_future(self._server.serve([self._listener]))
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.should_exit = True
        await self._serving
        self._listener.close()

    async def _serve(self, websocket: WebSocket) -> None:
        session, wire = self.guests.pop()
        await websocket.accept()
        reader = _Reader(websocket, wire)
        await reader.wait_for_start()
        asyncio.get_running_loop().call_soon(self.joined.set)
        await _serve(websocket, reader, session)
