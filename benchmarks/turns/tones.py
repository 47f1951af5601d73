"""What bots answer in ``chromium.py``: tones that tell one reply from the next. Pure.

Reply after reply has the next of a few pitches, so that a reply which follows another without a
pause is found, and one that goes on over the user is known for what it is.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Final

import numpy as np

PITCHES_HZ: Final = (600, 1000, 1400, 1800, 2200)
"""All whole periods in 10 ms, over which they are told apart."""
OUT_HZ: Final = 24_000
PIECE_S: Final = 0.1
REPLY_S: Final = 12.0
"""Outlasts the next turn, so that only an interruption ends it."""
AUDIBLE: Final = 0.02
"""A twelfth of a tone's amplitude."""
BLOCK_S: Final = 0.002
HOLE_S: Final = 0.1
"""A shorter silence is a lost packet."""
SHORTEST_S: Final = 0.05


@dataclass(frozen=True)
class Tone:
    """One reply as a client hears it.

    Attributes:
        pitch: its number among ``PITCHES_HZ``.
        start_s: its first sound.
        end_s: its last, or where the next reply's first is.
    """

    pitch: int
    start_s: float
    end_s: float


def piece(number: int) -> Any:
    """0.1 s of the reply with this number: int16 of shape ``(n,)`` at ``OUT_HZ``."""
    time_s = np.arange(round(PIECE_S * OUT_HZ)) / OUT_HZ
    pitch_hz = PITCHES_HZ[number % len(PITCHES_HZ)]
    return (8000 * np.sin(2 * np.pi * pitch_hz * time_s)).astype(np.int16)


def reply(number: int) -> Iterator[Any]:
    """All pieces of a reply."""
    for _ in range(round(REPLY_S / PIECE_S)):
        yield piece(number)


def tones(track: Any, rate_hz: int) -> list[Tone]:
    """The replies in a recording.

    Args:
        track: float of shape ``(n,)`` in [-1, 1].
        rate_hz: its rate, a multiple of 500.
    """
    block = round(BLOCK_S * rate_hz)
    blocks = np.abs(track[: len(track) // block * block].reshape(-1, block)).max(axis=1)
    loud = np.flatnonzero(blocks > AUDIBLE)
    if not len(loud):
        return []
    pitches = _pitches(track, rate_hz, block)
    breaks = np.flatnonzero(np.diff(loud) > HOLE_S / BLOCK_S)
    firsts = loud[np.concatenate(([0], breaks + 1))]
    lasts = loud[np.concatenate((breaks, [len(loud) - 1]))] + 1
    found = []
    for first, last in zip(firsts.tolist(), lasts.tolist(), strict=True):
        found += _split(pitches[first:last], first)
    return found


def _split(pitches: Any, first: int) -> list[Tone]:
    """One stretch of sound, cut where its pitch changes; cracks where it does are no tones."""
    runs, at = [], 0
    for pitch, group in groupby(pitches.tolist()):
        length = len(list(group))
        if length >= SHORTEST_S / BLOCK_S:
            runs.append((pitch, at, at + length))
        at += length
    joined: list[tuple[int, int, int]] = []
    for pitch, begin, end in runs:
        if joined and joined[-1][0] == pitch:
            joined[-1] = (pitch, joined[-1][1], end)
        else:
            joined.append((pitch, begin, end))
    if joined:
        joined[0] = (joined[0][0], 0, joined[0][2])
        joined[-1] = (joined[-1][0], joined[-1][1], len(pitches))
    return [
        Tone(pitch, (first + begin) * BLOCK_S, (first + end) * BLOCK_S)
        for pitch, begin, end in joined
    ]


def _pitches(track: Any, rate_hz: int, block: int) -> Any:
    """The strongest pitch around each block, over 10 ms."""
    half = rate_hz // 200
    padded = np.concatenate((np.zeros(half), track, np.zeros(half + block)))
    time_s = np.arange(len(padded)) / rate_hz
    starts = np.arange(0, len(track) // block * block, block) + block // 2
    strengths = []
    for pitch_hz in PITCHES_HZ:
        summed = np.cumsum(padded * np.exp(-2j * np.pi * pitch_hz * time_s))
        strengths.append(np.abs(summed[starts + 2 * half] - summed[starts]))
    return np.argmax(strengths, axis=0)
