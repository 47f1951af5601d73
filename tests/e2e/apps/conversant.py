"""What a page of one's own may need: inputs, outputs, and a long reply that can be stopped.

Texts say what to do: "talk" replies with a tone of ten seconds, "stop" interrupts it and tells how
much was heard, "ask" asks for the inputs and gives them back as an output. ``CONVERSANT_LIMIT`` is
the concurrency limit, ``CONVERSANT_TIME_LIMIT_S`` the time limit, ``CONVERSANT_STUN`` a STUN server
for pages.
"""

import asyncio
import json
import os
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
from fastapi import FastAPI
from fastapi.responses import HTMLResponse, StreamingResponse
from pydantic import BaseModel

from fastrtc import AdditionalOutputs, AsyncStreamHandler, Stream

RATE_HZ = 16_000
TONE_S = 10


class Conversant(AsyncStreamHandler):
    """Does what it is told."""

    def __init__(self) -> None:
        super().__init__(input_sample_rate=RATE_HZ, output_sample_rate=RATE_HZ)
        self.replies: asyncio.Queue[Any] = asyncio.Queue()

    async def receive(self, frame: tuple[int, Any]) -> None:
        pass

    async def emit(self) -> Any:
        return await self.replies.get()

    async def on_message(self, text: str) -> None:
        if text == "talk":
            tone = np.sin(2 * np.pi * 440 * np.arange(TONE_S * RATE_HZ) / RATE_HZ)
            self.replies.put_nowait((RATE_HZ, (tone * 12_000).astype(np.int16)))
        elif text == "stop":
            played_s = self.played_s
            self.clear_queue()
            await self.send_message(json.dumps({"played_s": played_s}))
        elif text == "ask":
            await self.wait_for_args()
            self.replies.put_nowait(AdditionalOutputs(list(self.latest_args[1:])))


class Inputs(BaseModel):
    """What the page posts."""

    webrtc_id: str
    word: str


stun = os.environ.get("CONVERSANT_STUN")
limit_s = os.environ.get("CONVERSANT_TIME_LIMIT_S")
stream = Stream(
    Conversant(),
    modality="audio",
    concurrency_limit=int(os.environ.get("CONVERSANT_LIMIT", "10")),
    time_limit=None if limit_s is None else float(limit_s),
    rtc_configuration={"iceServers": [{"urls": stun}]} if stun else None,
)
app = FastAPI()
stream.mount(app)


@app.get("/")
def page() -> HTMLResponse:
    """Somewhere to be."""
    return HTMLResponse("<!doctype html><title>nothing</title>")


@app.post("/input_hook")
def input_hook(inputs: Inputs) -> None:
    stream.set_input(inputs.webrtc_id, inputs.word)


@app.get("/updates")
def updates(webrtc_id: str) -> StreamingResponse:
    async def events() -> AsyncIterator[str]:
        async for output in stream.output_stream(webrtc_id):
            yield f"data: {json.dumps(output.args[0])}\r\n\r\n"

    return StreamingResponse(events(), media_type="text/event-stream")


@app.get("/sessions")
def sessions() -> list[dict[str, str]]:
    return [{"id": one.id, "transport": one.transport or ""} for one in stream.sessions]
