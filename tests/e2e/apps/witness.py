"""An app that echoes, and tells over HTTP what its handlers and its media plane went through.

``GET /witness/{webrtc_id}`` answers with a :class:`Testimony` as JSON. A handler sends each text
message it gets back with "heard: " before it. ``WITNESS_RTC_CONFIGURATION`` is the
``server_rtc_configuration`` as JSON; with ``WITNESS_ASKS=1`` it is given by a callable that counts.
"""

import asyncio
import json
import os
import time
from typing import Any, TypedDict, cast

from fastapi import FastAPI
from fastapi.responses import HTMLResponse

from fastrtc import AsyncStreamHandler, Stream
from fastrtc.session.session import Session


class Life(TypedDict):
    """What one handler object saw."""

    samples: int
    texts: list[str]
    starts: int
    shutdowns: int
    state: str
    close_reason: str
    stats: dict[str, Any]


class Testimony(TypedDict):
    """The handlers a connection has had, oldest first, at ``at_s`` of the server's clock."""

    at_s: float
    handlers: list[Life]
    asked: int
    sessions: int


class Witness(AsyncStreamHandler):
    """Echo that keeps count."""

    def __init__(self) -> None:
        super().__init__(input_sample_rate=48000, output_sample_rate=48000)
        self.heard: asyncio.Queue[tuple[int, Any]] = asyncio.Queue()
        self.texts: list[str] = []
        self.samples = self.starts = self.shutdowns = 0

    def copy(self) -> "Witness":
        return Witness()

    async def start_up(self) -> None:
        self.starts += 1
        witnesses.setdefault(self.session.id, []).append(self)

    async def receive(self, frame: tuple[int, Any]) -> None:
        self.samples += frame[1].shape[1]
        self.heard.put_nowait(frame)

    async def emit(self) -> Any:
        return await self.heard.get()

    async def on_message(self, text: str) -> None:
        self.texts.append(text)
        if text.startswith("stall for "):
            time.sleep(float(text.removeprefix("stall for ")))  # noqa: ASYNC251 - the event loop
        await self.send_message(f"heard: {text}")

    async def shutdown(self) -> None:
        self.shutdowns += 1

    def life(self) -> Life:
        """Its part of the testimony."""
        session = cast(Session, self.session)
        return {
            "samples": self.samples,
            "texts": self.texts,
            "starts": self.starts,
            "shutdowns": self.shutdowns,
            "state": session.state,
            "close_reason": session.close_reason,
            "stats": dict(session.stats),
        }


witnesses: dict[str, list[Witness]] = {}
configuration = json.loads(os.environ.get("WITNESS_RTC_CONFIGURATION", "null"))
asked = 0


async def ask() -> Any:
    """The configuration, for one connection."""
    global asked
    asked += 1
    return configuration


stream = Stream(
    Witness(),
    modality="audio",
    mode="send-receive",
    concurrency_limit=10,
    server_rtc_configuration=ask if os.environ.get("WITNESS_ASKS") else configuration,
)
app = FastAPI()
stream.mount(app)


@app.get("/")
async def page() -> HTMLResponse:
    """An empty page, for browsers that need an origin."""
    return HTMLResponse("<!doctype html><title>witness</title>")


@app.get("/witness/{webrtc_id}", response_model=None)
async def witness(webrtc_id: str) -> Testimony:
    """What happened to a connection so far."""
    return {
        "at_s": time.monotonic(),
        "handlers": [handler.life() for handler in witnesses.get(webrtc_id, [])],
        "asked": asked,
        "sessions": len(stream.sessions),
    }
