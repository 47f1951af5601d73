"""A real uvicorn server in a thread, and a client of its WebSockets."""

from __future__ import annotations

import asyncio
import base64
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import uvicorn
from fastapi import FastAPI
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from fastrtc import Stream
from fastrtc.audio.g711 import mulaw_decode, mulaw_encode

START_S = 10.0


@contextmanager
def served(*streams: Stream, app: FastAPI | None = None, **options: Any) -> Iterator[str]:
    """``host:port`` of a server with these streams mounted; it ends with the block."""
    app = FastAPI() if app is None else app
    for stream in streams:
        stream.mount(app)
    config = uvicorn.Config(app, host="127.0.0.1", port=0, log_level="error", **options)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    started = threading.Event()
    for _ in range(round(START_S / 0.01)):
        if server.started:
            break
        started.wait(0.01)
    assert server.started, "uvicorn did not start"
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(START_S)
        assert not thread.is_alive(), "uvicorn did not end"


class Talker:
    """A client of ``/websocket/offer``: sends as documented, keeps what comes.

    Args:
        host: as :func:`served` gives it.
        path: of the door.
        start: more keys for the start message.
        rate_hz: of the audio, both ways.
        id_: websocket_id; None to send no start.
    """

    def __init__(
        self,
        host: str,
        path: str = "/websocket/offer",
        *,
        start: dict[str, Any] | None = None,
        rate_hz: int = 24_000,
        id_: str | None = "me",
    ) -> None:
        self.url = f"ws://{host}{path}"
        self.start = start or {}
        self.rate_hz = rate_hz
        self.id = id_
        self.messages: list[dict[str, Any]] = []
        self.payloads: list[bytes] = []
        self.arrivals: list[float] = []
        self.close_code: int | None = None
        self.close_reason = ""
        self.socket: ClientConnection
        self._news = asyncio.Event()

    async def __aenter__(self) -> Self:
        self.socket = await connect(self.url, max_size=None)
        if self.id is not None:
            await self.send({"event": "start", "websocket_id": self.id, **self.start})
        self._reading = asyncio.ensure_future(self._read())
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.socket.close()
        await self._reading

    async def send(self, message: dict[str, Any] | str | bytes) -> None:
        await self.socket.send(json.dumps(message) if isinstance(message, dict) else message)

    async def say(self, samples: npt.NDArray[np.int16], *, pace: float = 1.0) -> None:
        """Sends 20 ms each 20 ms divided by ``pace``."""
        loop = asyncio.get_running_loop()
        begun = loop.time()
        frame = self.rate_hz // 50
        for number, first in enumerate(range(0, len(samples), frame)):
            await self.send(self.media(samples[first : first + frame]))
            await asyncio.sleep(max(0.0, begun + (number + 1) * 0.02 / pace - loop.time()))

    def media(self, samples: npt.NDArray[np.int16]) -> dict[str, Any] | bytes:
        if self.start.get("format") == "pcm16":
            return samples.tobytes()
        payload = mulaw_encode(samples)
        if self.start.get("format") == "mulaw":
            return payload
        return {"event": "media", "media": {"payload": base64.b64encode(payload).decode()}}

    def heard(self) -> npt.NDArray[np.int16]:
        joined = b"".join(self.payloads)
        if self.start.get("format") == "pcm16":
            return np.frombuffer(joined, "<i2")
        return mulaw_decode(joined)

    async def wait_for(self, event: str, timeout_s: float = 15.0) -> dict[str, Any]:
        """The next message with this ``event`` or ``type``; it is taken from the list."""
        async with asyncio.timeout(timeout_s):
            while True:
                for message in self.messages:
                    if event in (message.get("event"), message.get("type"), message.get("status")):
                        self.messages.remove(message)
                        return message
                self._news.clear()
                await self._news.wait()

    async def wait_closed(self, timeout_s: float = 15.0) -> tuple[int | None, str]:
        async with asyncio.timeout(timeout_s):
            while self.close_code is None:
                self._news.clear()
                await self._news.wait()
        return self.close_code, self.close_reason

    async def _read(self) -> None:
        try:
            async for raw in self.socket:
                self._take(raw)
                self._news.set()
        except ConnectionClosed:
            pass
        self.close_code = self.socket.close_code
        self.close_reason = self.socket.close_reason or ""
        self._news.set()

    def _take(self, raw: str | bytes) -> None:
        now = asyncio.get_running_loop().time()
        if isinstance(raw, bytes):
            self.payloads.append(raw)
            self.arrivals.append(now)
            return
        message = json.loads(raw)
        if message.get("event") == "media":
            self.payloads.append(base64.b64decode(message["media"]["payload"]))
            self.arrivals.append(now)
        else:
            self.messages.append(message)
