"""Recorded speech as arrays."""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np
import numpy.typing as npt


def read_wav(path: Path) -> tuple[npt.NDArray[np.int16], int]:
    """The samples of a mono 16-bit file, and its rate."""
    with wave.open(str(path), "rb") as file:
        assert file.getnchannels() == 1
        assert file.getsampwidth() == 2
        samples = np.frombuffer(file.readframes(file.getnframes()), np.int16)
        return samples.copy(), file.getframerate()
