"""The log-mel spectrogram that Whisper's encoder takes (Radford et al. 2022, section 2.2).

80 mel bands (Slaney's scale and area) of frames of 25 ms every 10 ms at 16 kHz; the logarithm is
cut 8 decades below the loudest and brought near [-1, 1]. Pure numpy.
"""

from __future__ import annotations

from functools import cache
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

__all__ = ["log_mel"]

RATE_HZ: Final = 16_000
FRAME: Final = 400
HOP: Final = 160
BANDS: Final = 80
QUIETEST: Final = 1e-10
ROWS: Final = 15
"""Frames that are multiplied at once: with more, OpenBLAS would wake threads of its own."""

Floats: TypeAlias = npt.NDArray[np.floating[Any]]


def log_mel(samples: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """The spectrogram of a recording.

    Args:
        samples: mono at 16 kHz, float32 of shape ``(n,)``, at least 201 samples.

    Returns:
        float32 of shape ``(80, n // 160)``.

    Example::

        log_mel(np.zeros(128000, np.float32)).shape  # (80, 800)
    """
    padded = np.pad(samples, FRAME // 2, mode="reflect")
    frames = np.lib.stride_tricks.sliding_window_view(padded, FRAME)[::HOP][: len(samples) // HOP]
    window, bands = _window(), _bands()
    spectrum = np.fft.rfft(frames * window)
    power = (spectrum.real**2 + spectrum.imag**2).astype(np.float32)
    mel = np.empty((len(power), BANDS), np.float32)
    for first in range(0, len(power), ROWS):
        np.dot(power[first : first + ROWS], bands, out=mel[first : first + ROWS])
    decades = np.log10(np.maximum(mel, QUIETEST, out=mel), out=mel)
    np.maximum(decades, decades.max() - 8, out=decades)
    scaled: npt.NDArray[np.float32] = np.ascontiguousarray(((decades + 4) / 4).T)
    return scaled


@cache
def _window() -> npt.NDArray[np.float32]:
    """Hann's, periodic."""
    turns = np.arange(FRAME) / FRAME
    return (0.5 - 0.5 * np.cos(2 * np.pi * turns)).astype(np.float32)


@cache
def _bands() -> npt.NDArray[np.float32]:
    """The weight of each frequency in each band, ``(201, 80)``: triangles of equal area."""
    frequencies_hz = np.arange(FRAME // 2 + 1) * (RATE_HZ / FRAME)
    corners_hz = _mel_to_hz(np.linspace(0, _hz_to_mel(RATE_HZ / 2), BANDS + 2))
    weights = [
        np.interp(frequencies_hz, corners, (0, 1, 0)) * (2 / (corners[2] - corners[0]))
        for corners in np.lib.stride_tricks.sliding_window_view(corners_hz, 3)
    ]
    return np.ascontiguousarray(np.stack(weights, axis=1), np.float32)


LINEAR_HZ: Final = 1000.0
"""Slaney's scale is linear up to here, 15 mels, and logarithmic above."""
LINEAR_MELS: Final = 15.0
MELS_PER_E: Final = 27 / np.log(6.4)


def _hz_to_mel(hz: float) -> float:
    return float(LINEAR_MELS + MELS_PER_E * np.log(hz / LINEAR_HZ))


def _mel_to_hz(mels: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    hz: npt.NDArray[np.float64] = np.where(
        mels < LINEAR_MELS,
        mels * (LINEAR_HZ / LINEAR_MELS),
        LINEAR_HZ * np.exp((mels - LINEAR_MELS) / MELS_PER_E),
    )
    return hz
