"""An app whose handler says back what it hears, at once. Runs on FastRTC 0.0.34 too.

``ECHO_RATE_HZ`` sets the handler's rate, ``ECHO_LAYOUT=stereo`` its layout, ``ECHO_SYNC=1`` makes
it a sync StreamHandler, ``ECHO_LIMIT`` is the concurrency limit.
"""

import asyncio
import os
import queue
from typing import Any

from fastapi import FastAPI

from fastrtc import AsyncStreamHandler, Stream, StreamHandler

RATE_HZ = int(os.environ.get("ECHO_RATE_HZ", "48000"))
LAYOUT: Any = os.environ.get("ECHO_LAYOUT", "mono")
OPTIONS: dict[str, Any] = {
    "expected_layout": LAYOUT,
    "input_sample_rate": RATE_HZ,
    "output_sample_rate": RATE_HZ,
}


def reply(frame: tuple[int, Any]) -> Any:
    """The frame as a handler returns it: stereo comes interleaved and goes as two rows."""
    rate_hz, samples = frame
    if LAYOUT == "stereo":
        return rate_hz, samples.reshape(-1, 2).T, "stereo"
    return rate_hz, samples


class Echo(AsyncStreamHandler):
    """Echo without a thread."""

    def __init__(self) -> None:
        super().__init__(**OPTIONS)
        self.heard: asyncio.Queue[tuple[int, Any]] = asyncio.Queue()

    async def receive(self, frame: tuple[int, Any]) -> None:
        self.heard.put_nowait(frame)

    async def emit(self) -> Any:
        return reply(await self.heard.get())

    def copy(self) -> "Echo":
        return Echo()


class SyncEcho(StreamHandler):
    """Echo whose emit blocks a thread, as the original's documentation shows it."""

    def __init__(self) -> None:
        super().__init__(**OPTIONS)
        self.heard: queue.Queue[tuple[int, Any]] = queue.Queue()

    def receive(self, frame: tuple[int, Any]) -> None:
        self.heard.put(frame)

    def emit(self) -> Any:
        return reply(self.heard.get())

    def copy(self) -> "SyncEcho":
        return SyncEcho()


stream = Stream(
    SyncEcho() if os.environ.get("ECHO_SYNC") else Echo(),
    modality="audio",
    mode="send-receive",
    concurrency_limit=int(os.environ.get("ECHO_LIMIT", "1000")),
)
app = FastAPI()
stream.mount(app)
