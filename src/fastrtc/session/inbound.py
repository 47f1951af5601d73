"""Audio that waits for the handler: bounded, the oldest dropped and counted.

A queue for one reader on one event loop; knows nothing of handlers.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any, Final

import numpy as np

from fastrtc.types import AudioInput

__all__ = ["INBOUND_BOUND_S", "InboundAudio"]

INBOUND_BOUND_S: Final = 5.0
"""Audio that waits for a slow handler; beyond it the oldest is dropped."""
STALL_S: Final = 1.5
"""More than this waits only for a handler, or an event loop, that stalled..."""
STALL_KEPT_S: Final = 10.0
"""...which is known for so long: until an echo has caught up."""
INT16: Final = np.dtype(np.int16)


class InboundAudio:
    """What a client said and its handler has not taken yet.

    Args:
        loop: where the reader waits.
        channels: of the interleaved samples.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, channels: int) -> None:
        self._loop = loop
        self._channels = channels
        self._frames: deque[tuple[Any, int]] = deque()
        self._bytes = 0
        self._stall_bytes = 0
        self._stall_s = 0.0
        self._stall_kept_until_s = 0.0
        self._waiter: asyncio.Future[None] | None = None
        self.is_open = True
        self.received = 0
        self.dropped = 0

    def __bool__(self) -> bool:
        return bool(self._frames)

    def put(self, samples: Any, rate_hz: int) -> None:
        """Takes a frame: int16 in a writable buffer, interleaved."""
        if not self.is_open:
            return
        self.received += 1
        self._frames.append((samples, rate_hz))
        self._bytes += len(samples)
        if self._bytes > self._stall_bytes:
            self._note_stall(rate_hz)
        waiter = self._waiter
        if waiter is not None:
            self._waiter = None
            if not waiter.done():
                waiter.set_result(None)

    async def wait(self) -> None:
        """Returns once there is something to take; after :meth:`close` never."""
        # Not once only: what woke us may have been dropped again by a close.
        while not self._frames:
            self._waiter = waiter = self._loop.create_future()
            await waiter

    def take(self) -> AudioInput:
        """The oldest frame, as handlers get it."""
        samples, rate_hz = self._frames.popleft()
        self._bytes -= len(samples)
        return rate_hz, np.frombuffer(samples, INT16).reshape(1, -1)

    def take_all(self) -> list[AudioInput]:
        """All frames, oldest first."""
        return [self.take() for _ in range(len(self._frames))]

    def close(self) -> None:
        """Takes nothing any more and drops what waits."""
        self.is_open = False
        self._frames.clear()
        self._bytes = 0

    @property
    def stall_s(self) -> float:
        """Seconds of audio that a stalled handler was given at once lately; 0 if none stalled."""
        return self._stall_s if self._loop.time() < self._stall_kept_until_s else 0.0

    def _note_stall(self, rate_hz: int) -> None:
        bytes_a_second = rate_hz * self._channels * 2
        self._stall_bytes = int(STALL_S * bytes_a_second)
        if self._bytes <= self._stall_bytes:
            return
        while self._bytes > INBOUND_BOUND_S * bytes_a_second and len(self._frames) > 1:
            samples, _ = self._frames.popleft()
            self._bytes -= len(samples)
            self.dropped += 1
        self._stall_s = max(self.stall_s, self._bytes / bytes_a_second)
        self._stall_kept_until_s = self._loop.time() + STALL_KEPT_S
