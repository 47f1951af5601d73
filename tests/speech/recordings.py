"""Recorded speech, and how much of what was said a recogniser understood."""

from __future__ import annotations

import re
import wave
from pathlib import Path

import numpy as np
import numpy.typing as npt

DATA = Path(__file__).resolve().parents[1] / "data"
RATE_HZ = 16_000


def recording(name: str) -> npt.NDArray[np.int16]:
    """A file of tests/data: int16 of shape (n,) at 16 kHz."""
    with wave.open(str(DATA / name)) as file:
        assert file.getframerate() == RATE_HZ
        return np.frombuffer(file.readframes(file.getnframes()), np.int16)


def words(text: str) -> list[str]:
    """In lower case, without punctuation."""
    return re.findall(r"[a-z']+", text.lower().replace("-", " "))
