"""Recorded speech, and what other implementations made of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from wavs import read_wav

DATA = Path(__file__).parent / "data"
RATE_HZ = 16_000

Samples = npt.NDArray[np.int16]


def clip(name: str) -> Samples:
    """A recording of ``tests/data``: int16 mono at 16 kHz."""
    samples, rate_hz = read_wav(DATA / f"{name}.wav")
    assert rate_hz == RATE_HZ
    return samples


def silence(duration_s: float) -> Samples:
    """Digital silence."""
    return np.zeros(round(duration_s * RATE_HZ), np.int16)


def reference(name: str) -> Any:
    """What another implementation computed; ``tests/data/README.md`` says which."""
    return json.loads((DATA / f"{name}-reference.json").read_text())
