"""A microphone for aiortc clients: what was said, else silence, in real time."""

from __future__ import annotations

import asyncio
import fractions
from typing import Any

import aiortc
import av
import numpy as np

RATE_HZ = 24_000
FRAME = RATE_HZ // 50


def tone(duration_s: float) -> np.ndarray[Any, np.dtype[np.int16]]:
    """440 Hz, int16 at 24 kHz."""
    times = np.arange(round(duration_s * RATE_HZ)) / RATE_HZ
    return (np.sin(2 * np.pi * 440 * times) * 8000).astype(np.int16)


class Microphone(aiortc.MediaStreamTrack):  # type: ignore[misc]
    """Frames of 20 ms; set ``said`` to int16 mono at 24 kHz to say something."""

    kind = "audio"

    def __init__(self) -> None:
        super().__init__()
        self.said = np.zeros(0, np.int16)
        self._sent = 0
        self._start_s: float | None = None

    async def recv(self) -> Any:
        loop = asyncio.get_running_loop()
        if self._start_s is None:
            self._start_s = loop.time()
        await asyncio.sleep(self._start_s + self._sent / RATE_HZ - loop.time())
        samples = np.zeros(FRAME, np.int16)
        words, self.said = self.said[:FRAME], self.said[FRAME:]
        samples[: len(words)] = words
        frame = av.AudioFrame.from_ndarray(samples.reshape(1, -1), format="s16", layout="mono")
        frame.sample_rate = RATE_HZ
        frame.pts = self._sent
        frame.time_base = fractions.Fraction(1, RATE_HZ)
        self._sent += FRAME
        return frame
