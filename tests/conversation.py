"""Real speech for conversations in virtual time: clips, pauses, and where speech begins and ends.

Speech is measured by its energy, which no code under test knows of.
"""

from __future__ import annotations

import asyncio
import wave
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from fastrtc import Stream, get_current_context
from fastrtc.handlers.reply_on_pause import ReplyOnPause
from fastrtc.testing import MemoryClient

DATA = Path(__file__).parent / "data"
RATE_HZ = 16_000
Samples: TypeAlias = npt.NDArray[np.int16]

SOUND: Samples = (np.sin(np.arange(2400) / 4) * 9000).astype(np.int16)
"""0.1 s at 24 kHz."""


def clip(name: str) -> Samples:
    """A clip of tests/data at 16 kHz, cut to where its speech is."""
    with wave.open(str(DATA / f"{name}.wav")) as file:
        samples = np.frombuffer(file.readframes(file.getnframes()), np.int16)
    frames = samples[: len(samples) // 160 * 160].reshape(-1, 160).astype(float)
    loud = np.flatnonzero(np.sqrt((frames**2).mean(axis=1)) > 300)
    return samples[loud[0] * 160 : (loud[-1] + 1) * 160]


def silence(duration_s: float) -> Samples:
    return np.zeros(round(duration_s * RATE_HZ), np.int16)


def stream(fn: Any, **options: Any) -> Stream:
    handler = ReplyOnPause(fn, **{"input_sample_rate": RATE_HZ, **options})
    return Stream(handler, modality="audio")


def logs(client: MemoryClient) -> list[str]:
    return [message["data"] for message in client.messages if message["type"] == "log"]


def errors(client: MemoryClient) -> list[str]:
    return [message["message"] for message in client.messages if message["type"] == "error"]


def contains(heard: Samples, said: Samples) -> bool:
    """Whether ``said`` stands in ``heard``, sample for sample."""
    return heard.tobytes().find(said.tobytes()) >= 0


def take_time(duration_s: float) -> None:
    """Lasts ``duration_s`` on the loop's clock; for what a session calls in a thread."""
    session = get_current_context().session
    assert session is not None
    asyncio.run_coroutine_threadsafe(asyncio.sleep(duration_s), session.loop).result()


class Talk:
    """A reply function that notes its turns: says ``chunks`` times 0.1 s."""

    def __init__(self, chunks: int = 20) -> None:
        self.chunks = chunks
        self.turns: list[Samples] = []
        self.begun = 0
        self.closed = 0

    def sync(self, audio: Any) -> Any:
        self._note(audio)
        try:
            for _ in range(self.chunks):
                yield 24000, SOUND
        finally:
            self.closed += 1

    async def asynchronous(self, audio: Any) -> Any:
        self._note(audio)
        try:
            for _ in range(self.chunks):
                yield 24000, SOUND
        finally:
            self.closed += 1

    def _note(self, audio: Any) -> None:
        rate_hz, samples = audio
        assert rate_hz == RATE_HZ
        assert samples.dtype == np.int16
        assert samples.shape[0] == 1
        self.turns.append(samples[0])
        self.begun += 1

    @property
    def said(self) -> Samples:
        """Everything the function was given, joined."""
        return np.concatenate([np.zeros(0, np.int16), *self.turns])
