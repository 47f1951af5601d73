"""The first example of the user's document, on the loopback address. Runs on FastRTC 0.0.34 too.

``FLIP_LIMIT`` is the concurrency limit.
"""

import os
from typing import Any

import numpy as np
from fastapi import FastAPI, Request

from apps.loopback import stay_on_loopback
from fastrtc import Stream
from fastrtc.stream import Body

stay_on_loopback()


def flip(image: Any) -> Any:
    """Upside down."""
    return np.flip(image, axis=0)


stream = Stream(
    flip,
    modality="video",
    mode="send-receive",
    concurrency_limit=int(os.environ.get("FLIP_LIMIT", "100")),
)
app = FastAPI()
stream.mount(app)


@app.post("/begin")
async def begin(request: Request) -> Any:
    """An offer, and an input: the original calls no video handler before it was given one."""
    body = Body(**await request.json())
    answer = await stream.offer(body)
    stream.set_input(body.webrtc_id, None)
    return answer
