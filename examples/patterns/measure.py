"""Sound that only comes in, and what is made of it: a level meter. ``uvicorn measure:app``."""

import numpy as np
from fastapi import FastAPI
from fastapi.responses import StreamingResponse

from fastrtc import AdditionalOutputs, Stream


def measure(frame):
    """Called with each 20 ms; returns nothing to play, and an output."""
    _, samples = frame
    return None, AdditionalOutputs(int(np.abs(samples).max()))


stream = Stream(measure, modality="audio", mode="send", concurrency_limit=10)
app = FastAPI()
stream.mount(app)


@app.get("/updates")
def updates(webrtc_id: str) -> StreamingResponse:
    """One client's outputs as server-sent events, until its call ends."""

    async def events():
        async for output in stream.output_stream(webrtc_id):
            yield f"data: {output.args[0]}\n\n"

    return StreamingResponse(events(), media_type="text/event-stream")
