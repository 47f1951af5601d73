"""A film of 640x480 at 30 pictures a second, for many; CHANNEL_SHARED=1 makes it once for all."""

import os
from collections.abc import Iterator
from typing import Any

import numpy as np
from fastapi import FastAPI

from fastrtc import Stream

HEIGHT, WIDTH = 480, 640
RNG = np.random.default_rng(7)
SCENE = RNG.integers(0, 256, (HEIGHT // 8, WIDTH // 4, 3), np.uint8).repeat(8, 0).repeat(8, 1)


def film() -> Iterator[Any]:
    """A camera that pans over coarse blocks: about what an encoder spends on a talking head."""
    step = 0
    while True:
        yield np.roll(SCENE, -step, axis=1)[:, :WIDTH]
        step += 1


stream = Stream(
    film,
    modality="video",
    mode="receive",
    concurrency_limit=None,
    shared=os.environ.get("CHANNEL_SHARED") == "1",
)
app = FastAPI()
stream.mount(app)
