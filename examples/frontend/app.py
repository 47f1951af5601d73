"""A frontend of one's own: ``uvicorn --app-dir examples/frontend app:app``.

A voice comes back as an echo whose loudness the page's slider sets, and the page shows how loud it
was. Four parts: a handler, the stream's routes, two routes of the application's own for inputs and
outputs, and ``index.html``, which imports the browser client that the stream serves.
"""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
from fastapi import FastAPI
from fastapi.responses import HTMLResponse, StreamingResponse
from pydantic import BaseModel, Field

from fastrtc import AdditionalOutputs, Stream

HERE = Path(__file__).parent


def echo(audio, loudness=1.0):
    """Called with each frame that was heard and with what ``set_input`` was given last."""
    rate_hz, samples = audio
    louder = np.clip(samples * loudness, -32768, 32767).astype(np.int16)
    return (rate_hz, louder), AdditionalOutputs(int(np.abs(louder).max(initial=0)))


stream = Stream(echo, modality="audio", mode="send-receive", concurrency_limit=20)
app = FastAPI(title="A frontend of one's own")
stream.mount(app)


class Inputs(BaseModel):
    """What the page's slider says."""

    webrtc_id: str
    loudness: float = Field(ge=0, le=2)


@app.post("/input_hook")
def input_hook(inputs: Inputs) -> None:
    """The handler's next call sees it."""
    stream.set_input(inputs.webrtc_id, inputs.loudness)


@app.get("/updates")
def updates(webrtc_id: str) -> StreamingResponse:
    """What the handler gave as outputs, the loudest of ten each, as server-sent events."""

    async def events() -> AsyncIterator[str]:
        peaks: list[int] = []
        async for output in stream.output_stream(webrtc_id):
            peaks.append(output.args[0])
            if len(peaks) == 10:
                yield f"data: {json.dumps({'peak': max(peaks)})}\n\n"
                peaks.clear()

    return StreamingResponse(events(), media_type="text/event-stream")


@app.get("/")
def serve_frontend() -> HTMLResponse:
    """The page."""
    return HTMLResponse((HERE / "index.html").read_text())
