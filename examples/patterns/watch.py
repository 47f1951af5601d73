"""Pictures that only go out: a colour that wanders. ``uvicorn watch:app``."""

from itertools import count

import numpy as np
from fastapi import FastAPI

from fastrtc import Stream


def paint():
    """Called once for each client; what it yields is shown."""
    for step in count():
        yield np.full((240, 320, 3), (step % 256, 80, 160), np.uint8)


stream = Stream(paint, modality="video", mode="receive", concurrency_limit=10)
app = FastAPI()
stream.mount(app)
