"""An app whose handler shows pictures again, in the way that ``MIRROR`` names.

"flip" is the first example of the user's document, "slow" takes 200 ms for each picture of a call
named "slow", "source" generates them, "both" says and shows what it hears and sees, "clap" beeps
while it flashes. ``/stats`` is what the sessions count.
"""

import asyncio
import os
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
from fastapi import FastAPI

from fastrtc import (
    AsyncAudioVideoStreamHandler,
    Stream,
    get_current_context,
    wait_for_item,
)

WAY = os.environ.get("MIRROR", "flip")
BITS, STRIP = 16, 32
CLAP_EVERY_S, CLAP_S = 1.0, 0.1
RATE_HZ, FPS = 24_000, 30


def flip(image: Any) -> Any:
    """Upside down."""
    return np.flip(image, axis=0)


def slow(image: Any) -> Any:
    """The same picture, for some 200 ms later."""
    if get_current_context().webrtc_id == "slow":
        time.sleep(0.2)
    return image


def source() -> Iterator[Any]:
    """Pictures with their numbers, as the page's own camera writes them."""
    number = 0
    while True:
        picture = np.full((480, 640, 3), 100, np.uint8)
        for bit in range(BITS):
            block = 640 // BITS
            level = 255 * (number >> (BITS - 1 - bit) & 1)
            picture[:STRIP, bit * block : (bit + 1) * block] = level
        yield picture
        number += 1


class Both(AsyncAudioVideoStreamHandler):
    """Sound and pictures come back."""

    def __init__(self) -> None:
        super().__init__(input_sample_rate=48_000, output_sample_rate=48_000)
        self.pictures: asyncio.Queue[Any] = asyncio.Queue()
        self.sounds: asyncio.Queue[Any] = asyncio.Queue()

    async def video_receive(self, frame: Any) -> None:
        self.pictures.put_nowait(frame)

    async def video_emit(self) -> Any:
        return await wait_for_item(self.pictures)

    async def receive(self, frame: Any) -> None:
        self.sounds.put_nowait(frame)

    async def emit(self) -> Any:
        return await wait_for_item(self.sounds)


class Clap(AsyncAudioVideoStreamHandler):
    """Each second a white picture and a beep at once, both of 0.1 s."""

    def __init__(self) -> None:
        super().__init__(output_sample_rate=RATE_HZ, fps=FPS)
        self.shown = self.said = 0

    async def video_receive(self, frame: Any) -> None:
        """Nobody sends any."""

    async def receive(self, frame: Any) -> None:
        """Nobody sends any."""

    async def video_emit(self) -> Any:
        claps = self.shown / FPS % CLAP_EVERY_S < CLAP_S
        self.shown += 1
        return np.full((480, 640, 3), 255 if claps else 0, np.uint8)

    async def emit(self) -> Any:
        times_s = (self.said + np.arange(RATE_HZ // 50)) / RATE_HZ
        self.said += len(times_s)
        tone = 0.5 * np.sin(2 * np.pi * 1000 * times_s)
        return RATE_HZ, np.where(times_s % CLAP_EVERY_S < CLAP_S, tone, 0).astype(np.float32)


HANDLERS: dict[str, Any] = {
    "flip": lambda: Stream(flip, modality="video", concurrency_limit=10),
    "slow": lambda: Stream(slow, modality="video", concurrency_limit=10),
    "source": lambda: Stream(source, modality="video", mode="receive", concurrency_limit=10),
    "both": lambda: Stream(Both(), modality="audio-video", concurrency_limit=10),
    "clap": lambda: Stream(Clap(), modality="audio-video", mode="receive", concurrency_limit=10),
}
stream = HANDLERS[WAY]()
app = FastAPI()
stream.mount(app)


@app.get("/stats")
async def stats() -> dict[str, Any]:
    """What each session counts, by id."""
    return {session.id: session.stats for session in stream.sessions}
