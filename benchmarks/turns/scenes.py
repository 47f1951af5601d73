"""What is said to every contender: recorded speech with pauses and made noise, at 48 kHz.

A scene begins with a second of nothing and a little more for each phase offset, so that frames,
windows and chunks fall differently on the same words. Its turns are known from the recordings.
"""

from __future__ import annotations

import wave
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

DATA: Final = Path(__file__).resolve().parents[2] / "tests" / "data"
CLIPS: Final = ("austen-0870", "austen-0880", "austen-0930", "go-forward")
CLIP_HZ: Final = 16_000
RATE_HZ: Final = 48_000
FRAME_S: Final = 0.02
LEAD_S: Final = 1.0
TAIL_S: Final = 4.0
PHASES_S: Final = 0.6
"""Offsets spread over this: FastRTC listens in chunks of 0.6 s."""
EDGE: Final = 10 ** (-20 / 20)
"""Speech begins and ends where 10 ms of a clip are this loud beside its loudest 10 ms: above the
rooms' noise, which lies 25 to 40 dB below."""
MARGIN_S: Final = 0.1
"""What a scene keeps of the room before and after a clip's speech."""
ONE_TURN_S: Final = (0.2, 0.4)
"""Pauses that a speaker makes within a turn."""
TWO_TURNS_S: Final = (1.0, 2.0, 3.0)


@dataclass(frozen=True)
class Scene:
    """One recording.

    Attributes:
        condition: what the tables group by.
        samples: int16 at 48 kHz.
        length_s: of the recording.
        turns: where each turn's speech begins and ends, in seconds.
    """

    condition: str
    samples: Any
    length_s: float
    turns: list[tuple[float, float]]


def clip(name: str) -> tuple[Any, float, float]:
    """A recording at 48 kHz as float, and where its speech begins and ends."""
    with wave.open(str(DATA / f"{name}.wav")) as file:
        samples = np.frombuffer(file.readframes(-1), np.int16).astype(np.float64)
    frames = samples[: len(samples) // 160 * 160].reshape(-1, 160)
    loud = np.sqrt((frames**2).mean(axis=1))
    (speech,) = np.nonzero(loud > loud.max() * EDGE)
    spectrum = np.fft.rfft(samples)
    longer = np.zeros(3 * (len(samples) // 2) + 1, complex)
    longer[: len(spectrum)] = spectrum[: len(longer)]
    at_48 = np.fft.irfft(longer, 3 * len(samples)) * 3
    return at_48, int(speech[0]) / 100, int(speech[-1] + 1) / 100


def scenes(offsets: int, quick: bool) -> Iterator[Scene]:
    """All scenes; the same ones each time."""
    random = np.random.default_rng(2026)
    names = CLIPS[1:] if quick else CLIPS
    for number in range(offsets):
        lead_s = LEAD_S + number * PHASES_S / offsets
        for name in names:
            yield scene("single", [name], 0.0, lead_s, None, random)
            for snr_db in (20, 10, 5):
                yield scene(f"noise {snr_db} dB", [name], 0.0, lead_s, snr_db, random)
        for pause_s in (*ONE_TURN_S, *TWO_TURNS_S):
            pair = ["austen-0880", "austen-0930"]
            yield scene(f"pause {pause_s:g} s", pair, pause_s, lead_s, None, random)


def scene(
    condition: str,
    names: list[str],
    pause_s: float,
    lead_s: float,
    snr_db: float | None,
    random: Any,
) -> Scene:
    """Clips one after the other, with ``pause_s`` between the speech of one and of the next."""
    parts = [np.zeros(round(lead_s * RATE_HZ))]
    turns: list[tuple[float, float]] = []
    at_s = lead_s
    for name in names:
        samples, start_s, end_s = clip(name)
        begin_s = max(0.0, start_s - MARGIN_S)
        samples = samples[round(begin_s * RATE_HZ) : round((end_s + MARGIN_S) * RATE_HZ)]
        if turns:
            gap_s = turns[-1][1] + pause_s - at_s - (start_s - begin_s)
            parts.append(np.zeros(max(0, round(gap_s * RATE_HZ))))
            at_s += len(parts[-1]) / RATE_HZ
        turns.append((at_s + start_s - begin_s, at_s + end_s - begin_s))
        parts.append(samples)
        at_s += len(samples) / RATE_HZ
    parts.append(np.zeros(round(TAIL_S * RATE_HZ)))
    sound = np.concatenate(parts)
    if snr_db is not None:
        spoken = np.concatenate(parts[1:-1])
        level = np.sqrt((spoken**2).mean()) / 10 ** (snr_db / 20)
        sound += level * pink(len(sound), random)
    # A last bit of noise everywhere, so that any piece of a scene can be found in it.
    sound += random.integers(-2, 3, len(sound))
    if pause_s in ONE_TURN_S:
        turns = [(turns[0][0], turns[-1][1])]
    samples = np.clip(np.rint(sound), -32768, 32767).astype(np.int16)
    return Scene(condition, samples, len(samples) / RATE_HZ, turns)


def pink(length: int, random: Any) -> Any:
    """Noise with as much power in each octave, as of fans and streets; RMS 1."""
    spectrum = np.fft.rfft(random.normal(0, 1, length))
    spectrum[1:] /= np.sqrt(np.arange(1, len(spectrum)))
    spectrum[0] = 0
    noise = np.fft.irfft(spectrum, length)
    return noise / np.sqrt((noise**2).mean())


def place(scene: Any, heard: Any) -> tuple[int, int]:
    """Where in the scene a piece of it is, in samples; (0, 0) for one that is nowhere."""
    found = scene.tobytes().find(heard[:2000].tobytes())
    while found % 2 and found >= 0:
        found = scene.tobytes().find(heard[:2000].tobytes(), found + 1)
    return (found // 2, found // 2 + len(heard)) if found >= 0 and len(heard) else (0, 0)
