"""Keeps what a user said until it is known whose turn it belongs to.

Pure: arrays in, arrays out, places in seconds since the first sample.
"""

from __future__ import annotations

from collections import deque
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

__all__ = ["Pieces", "Samples", "TurnAudio", "joined", "mono", "newest"]

Samples: TypeAlias = npt.NDArray[np.int16]
Pieces: TypeAlias = list[Samples]
"""Audio in the pieces that it came in: joining minutes of it takes time, which a thread has."""


class TurnAudio:
    """The newest audio of one user, as far back as it is still needed.

    Args:
        rate_hz: frames per second.
        channels: of the interleaved samples.
    """

    def __init__(self, rate_hz: int, channels: int) -> None:
        self.rate_hz = rate_hz
        self.channels = channels
        self._pieces: deque[Samples] = deque()
        self._first = 0
        self._end = 0

    @property
    def end_s(self) -> float:
        """Where the newest sample ends."""
        return self._end / self.rate_hz

    @property
    def start_s(self) -> float:
        """Where the oldest sample that is kept begins."""
        return self._first / self.rate_hz

    def push(self, samples: Samples) -> None:
        """Takes the next samples: int16 of shape ``(n,)``."""
        self._pieces.append(samples)
        self._end += len(samples) // self.channels

    def forget_before(self, place_s: float) -> None:
        """What lies before is not needed any more; whole pieces go."""
        place = place_s * self.rate_hz
        while self._pieces:
            length = len(self._pieces[0]) // self.channels
            if self._first + length > place:
                return
            self._pieces.popleft()
            self._first += length

    def between(self, start_s: float, end_s: float) -> Pieces:
        """What was said between two places, as far as it is kept; nothing is copied."""
        start = max(round(start_s * self.rate_hz), self._first)
        end = min(round(end_s * self.rate_hz), self._end)
        parts, place = [], self._first
        for piece in self._pieces:
            length = len(piece) // self.channels
            if place >= end:
                break
            if place + length > start:
                begin, stop = max(start - place, 0), min(end - place, length)
                parts.append(piece[begin * self.channels : stop * self.channels])
            place += length
        return parts

    def as_heard(self, mixed: Samples, later: int) -> Samples:
        """The audio whose mono mix is ``mixed``, in all its channels.

        Args:
            mixed: the newest audio but for ``later`` samples. If it is something else, each channel
                gets the same.
            later: of one channel.
        """
        if self.channels == 1:
            return mixed
        end = self._end - later
        newest = joined(self.between((end - len(mixed)) / self.rate_hz, end / self.rate_hz))
        if np.array_equal(mono(newest, self.channels), mixed):
            return newest
        return np.repeat(mixed, self.channels)


def joined(pieces: Pieces) -> Samples:
    """A copy of the pieces in one: int16 of shape ``(n,)``."""
    return np.concatenate(pieces) if pieces else np.zeros(0, np.int16)


def newest(pieces: Pieces, samples: int) -> Pieces:
    """The last pieces that hold no more than so many samples; at least one."""
    length = sum(map(len, pieces))
    for number, piece in enumerate(pieces):
        if length <= samples or number == len(pieces) - 1:
            return pieces[number:]
        length -= len(piece)
    return []


def mono(samples: Samples, channels: int) -> Samples:
    """Interleaved samples of shape ``(n,)`` mixed down to one channel."""
    if channels == 1:
        return samples
    columns = samples.reshape(-1, channels)
    # In integers, which is several times as fast as mean().
    total = columns[:, 0].astype(np.int32)
    for channel in range(1, channels):
        total += columns[:, channel]
    return (total // channels).astype(np.int16)
