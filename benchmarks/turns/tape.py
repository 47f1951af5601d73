"""What a browser's microphone plays in ``chromium.py``, and where it is in a recording. Pure.

A tape is scenes (``scenes.py``) one after the other. It begins with a stillness in which the
browser connects; after each scene the reply plays on until the next one speaks into it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from turns.scenes import RATE_HZ, TAIL_S, scene

STILL_S: Final = 5.0
LISTEN_S: Final = 3.7
"""After a scene's speech: pipecat gives a turn that it finds incomplete 3 s of silence."""
LEAD_S: Final = 0.2
NOISE_LEAD_S: Final = 0.6
PHASES_S: Final = 0.6
REACH_S: Final = 2.0
"""How far a recording may have drifted since the turn before: a busy browser loses some."""
EDGE_S: Final = 1.0
"""How much of a turn is looked for, at its beginning and at its end."""
ALIKE: Final = 0.6
"""The least correlation of that with where it is found."""


@dataclass(frozen=True)
class Turn:
    """Something that is said: where its speech begins and ends on the tape, in seconds."""

    condition: str
    start_s: float
    end_s: float


@dataclass(frozen=True)
class Tape:
    """int16 at 48 kHz, and what is said on it."""

    samples: Any
    turns: list[Turn]

    @property
    def length_s(self) -> float:
        """Of the whole."""
        return len(self.samples) / RATE_HZ

    def until_s(self, number: int) -> float:
        """When a turn's replies have to have come: where the next one begins."""
        later = self.turns[number + 1 :]
        return later[0].start_s if later else self.length_s


AUSTEN: Final = "austen-0880"
OTHER: Final = "austen-0930"
METERS: Final = "go-forward"
LONG: Final = "austen-0870"
Part = tuple[tuple[str, ...], float, int | None]
"""Clips, the pause between them, the noise in dB below them."""

TAPES: Final[list[list[Part]]] = [
    [
        ((AUSTEN,), 0, None),
        ((METERS,), 0, None),
        ((OTHER,), 0, None),
        ((AUSTEN,), 0, 20),
        ((AUSTEN, OTHER), 0.4, None),
    ],
    [
        ((METERS,), 0, None),
        ((OTHER,), 0, 10),
        ((LONG,), 0, 5),
        ((AUSTEN, METERS), 1, None),
        ((METERS, OTHER), 2, None),
    ],
    [
        ((METERS,), 0, 20),
        ((AUSTEN,), 0, 10),
        ((AUSTEN, OTHER), 0.2, None),
        ((METERS,), 0, 5),
        ((METERS, AUSTEN), 3, None),
    ],
]
QUICK: Final[list[list[Part]]] = [
    [
        ((AUSTEN,), 0, None),
        ((OTHER,), 0, 10),
        ((METERS, AUSTEN), 2, None),
    ]
]


def tapes(quick: bool) -> list[Tape]:
    """The same ones each time; each short enough for one recording."""
    random = np.random.default_rng(2026)
    return [_tape(parts, random) for parts in (QUICK if quick else TAPES)]


def _tape(parts: Sequence[Part], random: Any) -> Tape:
    pieces = [random.integers(-2, 3, round(STILL_S * RATE_HZ)).astype(np.int16)]
    turns: list[Turn] = []
    at_s = STILL_S
    for clips, pause_s, snr_db in parts:
        lead_s = (LEAD_S if snr_db is None else NOISE_LEAD_S) + random.uniform(0, PHASES_S)
        condition = (
            f"noise {snr_db} dB" if snr_db else f"pause {pause_s:g} s" if pause_s else "alone"
        )
        said = scene(condition, list(clips), pause_s, lead_s, snr_db, random)
        kept = len(said.samples) - round((TAIL_S - LISTEN_S) * RATE_HZ)
        pieces.append(said.samples[:kept])
        turns += [Turn(condition, at_s + start_s, at_s + end_s) for start_s, end_s in said.turns]
        at_s += kept / RATE_HZ
    return Tape(np.concatenate(pieces), turns)


def places(tape: Tape, recording: Any) -> list[tuple[float, float] | None]:
    """Where each turn's speech begins and ends in a recording of the tape, in seconds; None for a
    turn that is not in it, because the machine was too busy to record it.

    Both are looked for by themselves: a busy browser drops a little in between.

    Args:
        tape: what was played.
        recording: of shape ``(n,)`` at 48 kHz; it may have begun later than the tape.
    """
    found: list[tuple[float, float] | None] = []
    offset_s = -STILL_S / 2
    reach_s = STILL_S / 2 + REACH_S
    for turn in tape.turns:
        edges = []
        for first_s in (turn.start_s, turn.end_s - EDGE_S):
            begin = max(0, round((first_s + offset_s - reach_s) * RATE_HZ))
            end = round((first_s + EDGE_S + offset_s + reach_s) * RATE_HZ)
            pattern = tape.samples[round(first_s * RATE_HZ) :][: round(EDGE_S * RATE_HZ)]
            at, likeness = find(pattern, recording[begin:end])
            if likeness < ALIKE:
                break
            edges.append((begin + at) / RATE_HZ)
            offset_s, reach_s = edges[-1] - first_s, REACH_S
        found.append((edges[0], edges[1] + EDGE_S) if len(edges) == 2 else None)
    return found


def find(pattern: Any, sound: Any) -> tuple[int, float]:
    """Where a pattern fits best, and the normalised correlation there."""
    pattern, sound = pattern.astype(np.float64), sound.astype(np.float64)
    places = len(sound) - len(pattern) + 1
    if places < 1:
        return 0, 0.0
    size = 1 << (len(pattern) + len(sound)).bit_length()
    product = np.fft.irfft(np.fft.rfft(sound, size) * np.conj(np.fft.rfft(pattern, size)), size)
    squares = np.concatenate(([0.0], np.cumsum(sound**2)))
    energy = squares[len(pattern) :] - squares[: len(squares) - len(pattern)]
    likeness = product[:places] / np.sqrt(np.maximum(energy, 1.0) * (pattern**2).sum())
    at = int(np.argmax(likeness))
    return at, float(likeness[at])
