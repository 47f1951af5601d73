"""Is what came back what was sent, and when? Arrays in, numbers out; no browser, no clock.

Sounds are float64 arrays of shape (n,) in [-1, 1] at 48 kHz unless a name says otherwise.
"""

import wave
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

Sound = npt.NDArray[np.float64]
RATE_HZ = 48000
DATA = Path(__file__).resolve().parents[1] / "data"
WINDOW = RATE_HZ // 10
"""Windows that are compared: 100 ms, about a syllable."""
STEP = RATE_HZ // 1000
"""How finely delays are told apart while a recording is followed: 1 ms."""
WANDER_STEPS = 300
"""How far a browser's jitter buffer may have moved a window from where the whole fits best."""
STRETCH_STEPS = 15
"""What a jitter buffer moves from one window to the next by stretching time, unheard."""
JUMP_COST = 0.25
"""What a greater move must gain in correlation. Two (there and back) cost more than chance brings a
window, so a window that was lost does not find itself elsewhere."""
VOICE_HZ = (300.0, 3400.0)
"""What is compared: below it, Opus encoders shift phases (they cut off rumble), above it they code
noise as noise, and at an 8 kHz handler nothing is left."""
ACTIVE = 0.01
"""Windows of the original below this level (RMS) are pauses and not compared."""


def speech(name: str, rate_hz: int = RATE_HZ) -> Sound:
    """A recording of ``tests/data`` at the rate asked for, with 0.3 s of silence around it."""
    with wave.open(str(DATA / name), "rb") as file:
        samples = np.frombuffer(file.readframes(file.getnframes()), np.int16) / 32768
        silence = np.zeros(file.getframerate() * 3 // 10)
        return resample(np.concatenate([silence, samples, silence]), file.getframerate(), rate_hz)


def without_pauses(sound: Sound) -> Sound:
    """Its windows that are no pause, one after the other."""
    whole = sound[: len(sound) // WINDOW * WINDOW].reshape(-1, WINDOW)
    return np.concatenate([window for window in whole if _rms(window) >= ACTIVE])


def resample(sound: Sound, from_hz: int, to_hz: int) -> Sound:
    """The same sound at another rate, by an ideal filter over the whole of it."""
    count = round(len(sound) * to_hz / from_hz)
    spectrum = np.fft.rfft(sound)
    kept = np.zeros(count // 2 + 1, complex)
    shared = min(len(kept), len(spectrum))
    kept[:shared] = spectrum[:shared]
    return np.fft.irfft(kept, count) * (count / len(sound))


def to_int16(sound: Sound) -> npt.NDArray[np.int16]:
    """For a microphone file."""
    return np.clip(np.round(sound * 32768), -32768, 32767).astype(np.int16)


def to_sound(samples: npt.NDArray[np.int16]) -> Sound:
    """From a recording."""
    return samples.astype(np.float64) / 32768


@dataclass(frozen=True)
class Fidelity:
    """How much of the original is in a recording."""

    at: int
    """Where the original begins in the recording, in samples."""
    correlation: float
    """Normalised correlation of the whole, aligned at one place: time stretching lowers it."""
    windows: npt.NDArray[np.float64]
    """Normalised correlation of each window that is not a pause, its delay followed."""
    level: npt.NDArray[np.float64]
    """Level of each of those windows as a share of the original's, at its softest 20 ms."""

    @property
    def median(self) -> float:
        """The typical window's correlation."""
        return float(np.median(self.windows))

    @property
    def dropouts(self) -> int:
        """Windows that have a hole of 20 ms or more, or are mostly something else."""
        return int(np.sum((self.windows < 0.5) | (self.level < 0.15)))

    def __str__(self) -> str:
        low = np.sort(self.windows)[:3].round(2)
        return (
            f"correlation {self.correlation:.3f}, median window {self.median:.3f}, "
            f"{self.dropouts} dropouts in {len(self.windows)} windows, lowest {low}, "
            f"softest {self.level.min():.2f}"
        )


def compare(original: Sound, heard: Sound) -> Fidelity:
    """Finds the original in the recording and compares their voice band window by window.

    Raises:
        ValueError: the recording is shorter than the original.
    """
    if len(heard) < len(original):
        raise ValueError(f"{len(heard)} samples were recorded, the original has {len(original)}")
    original, heard = _voice_band(original), _voice_band(heard)
    at, correlation = _find(original, heard)
    starts = [
        start
        for start in range(0, len(original) - WINDOW + 1, WINDOW)
        if _rms(original[start : start + WINDOW]) >= ACTIVE
    ]
    reach = WANDER_STEPS * STEP
    heard = np.concatenate([np.zeros(reach), heard, np.zeros(reach + STEP)])
    similarities = []
    for start in starts:
        near = heard[at + start : at + start + WINDOW + 2 * reach + STEP - 1]
        found = _similarity(original[start : start + WINDOW], near)
        similarities.append(found.reshape(-1, STEP))
    delays = _follow(np.array([similarity.max(axis=1) for similarity in similarities]))
    windows, levels = [], []
    for start, similarity, delay in zip(starts, similarities, delays, strict=True):
        begin = at + start + delay * STEP + int(np.argmax(similarity[delay]))
        windows.append(min(float(similarity[delay].max()), 1.0))
        levels.append(_softest(original[start : start + WINDOW], heard[begin : begin + WINDOW]))
    return Fidelity(at, correlation, np.array(windows), np.array(levels))


def _follow(similarity: Sound) -> list[int]:
    """The course of delays through (windows, delays) with the most similarity along it."""
    count = similarity.shape[1]
    best = similarity[0]
    came_from = []
    for row in similarity[1:]:
        padded = np.pad(best, STRETCH_STEPS, constant_values=-np.inf)
        near = np.lib.stride_tricks.sliding_window_view(padded, 2 * STRETCH_STEPS + 1)
        stretched_from = np.arange(count) + np.argmax(near, axis=1) - STRETCH_STEPS
        jumped_from = int(np.argmax(best))
        jumps = best[jumped_from] - JUMP_COST > best[stretched_from]
        came_from.append(np.where(jumps, jumped_from, stretched_from))
        best = row + np.where(jumps, best[jumped_from] - JUMP_COST, best[stretched_from])
    course = [int(np.argmax(best))]
    for origins in reversed(came_from):
        course.append(int(origins[course[-1]]))
    return course[::-1]


def _voice_band(sound: Sound) -> Sound:
    spectrum = np.fft.rfft(sound)
    frequency_hz = np.fft.rfftfreq(len(sound), 1 / RATE_HZ)
    spectrum[(frequency_hz < VOICE_HZ[0]) | (frequency_hz > VOICE_HZ[1])] = 0
    return np.fft.irfft(spectrum, len(sound))


def longest_silence_ms(sound: Sound, below: float = 1e-4) -> float:
    """The longest stretch in which no sample reaches a level, for tones that never pause."""
    loud = np.flatnonzero(np.abs(sound) >= below)
    edges = np.concatenate([[-1], loud, [len(sound)]])
    return float(np.max(np.diff(edges)) - 1) * 1000 / RATE_HZ


def _find(pattern: Sound, sound: Sound) -> tuple[int, float]:
    """Where a pattern fits best, and the normalised correlation there."""
    similarity = _similarity(pattern, sound)
    best = int(np.argmax(similarity))
    return best, min(float(similarity[best]), 1.0)


def _similarity(pattern: Sound, sound: Sound) -> Sound:
    """Normalised correlation of a pattern with each place of a sound where all of it fits."""
    size = len(pattern) + len(sound)
    product = np.fft.irfft(np.fft.rfft(sound, size) * np.conj(np.fft.rfft(pattern, size)), size)[
        : len(sound) - len(pattern) + 1
    ]
    squares = np.concatenate([[0.0], np.cumsum(sound**2)])
    energy = squares[len(pattern) :] - squares[: len(squares) - len(pattern)]
    floor = 1e-6 * len(pattern)
    return product / np.sqrt(np.maximum(energy, floor) * np.sum(pattern**2))


def _softest(original: Sound, found: Sound) -> float:
    """The lowest level of ``found``, as a share, among the 20 ms in which the original sounds."""
    block = RATE_HZ // 50
    return min(
        _rms(found[at : at + block]) / _rms(original[at : at + block])
        for at in range(0, len(original) - block + 1, block // 2)
        if _rms(original[at : at + block]) > ACTIVE / 2
    )


def _rms(sound: Sound) -> float:
    return float(np.sqrt(np.mean(sound**2)))


MARK_S = 0.03
MARK_GAP_S = 0.73
"""Between marks; no multiple of 10 or 20 ms, so that they fall on all phases of a frame."""


def marks(seconds: float) -> Sound:
    """Short rising chirps over a faint noise, to measure how late they come back."""
    noise = np.random.default_rng(1).normal(0, 0.001, round(seconds * RATE_HZ))
    chirp = _chirp()
    gap = round(MARK_GAP_S * RATE_HZ) + 77
    for start in range(gap // 2, len(noise) - gap // 2, gap):
        noise[start : start + len(chirp)] += chirp
    return noise


def delays_ms(sent: Sound, heard: Sound, longest_s: float = 0.7) -> list[float]:
    """For each mark in ``sent`` how much later ``heard`` has it, both on one clock."""
    chirp = _chirp()
    delays = []
    start = 0
    while start + len(chirp) + round(longest_s * RATE_HZ) < len(sent):
        chunk = sent[start : start + round(0.2 * RATE_HZ)]
        at, similarity = _find(chirp, chunk)
        if similarity < 0.7:
            start += round(0.1 * RATE_HZ)
            continue
        begin = start + at
        there, similarity = _find(chirp, heard[begin : begin + round(longest_s * RATE_HZ)])
        if similarity > 0.5:
            delays.append(there * 1000 / RATE_HZ)
        start = begin + round(0.3 * RATE_HZ)
    return delays


def _chirp() -> Sound:
    time_s = np.arange(round(MARK_S * RATE_HZ)) / RATE_HZ
    sweep = np.sin(2 * np.pi * (800 * time_s + (3000 - 800) / (2 * MARK_S) * time_s**2))
    return 0.5 * np.hanning(len(time_s)) * sweep
