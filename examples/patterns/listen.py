"""Sound that only goes out: a tone as high as the client wishes. ``uvicorn listen:app``."""

import numpy as np
from fastapi import FastAPI
from pydantic import BaseModel, Field

from fastrtc import Stream

RATE_HZ = 24000


def play(pitch_hz=440.0):
    """Called once for each client; what it yields is heard, in chunks of any length."""
    angle = 2 * np.pi * pitch_hz * np.arange(RATE_HZ) / RATE_HZ
    for _ in range(5):
        yield RATE_HZ, (0.2 * np.sin(angle)).astype(np.float32)


stream = Stream(play, modality="audio", mode="receive", concurrency_limit=10)
app = FastAPI()
stream.mount(app)


class Wish(BaseModel):
    """What a page posts before it connects."""

    webrtc_id: str
    pitch_hz: float = Field(ge=50, le=4000)


@app.post("/input_hook")
def input_hook(wish: Wish) -> None:
    """The handler's call is given it."""
    stream.set_input(wish.webrtc_id, wish.pitch_hz)
