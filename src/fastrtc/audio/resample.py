"""Whole recordings at another sample rate; for streams see ``audio.rates``."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from fastrtc.audio.convert import audio_to_float32, audio_to_int16
from fastrtc.audio.rates import Resampler

__all__ = ["resample"]


def resample(samples: npt.NDArray[Any], from_hz: int, to_hz: int) -> npt.NDArray[np.float32]:
    """All of a recording at another rate, without the delay that a stream has.

    Args:
        samples: mono, int16 or float32 in [-1, 1], shape ``(n,)``.
        from_hz: its rate, 4000 to 384000.
        to_hz: the rate asked for.

    Returns:
        float32 of shape ``(round(n * to_hz / from_hz),)``.

    Raises:
        ValueError: a rate is out of range.

    Example::

        resample(np.zeros(44100, np.int16), 44100, 16000).shape  # (16000,)
    """
    if from_hz == to_hz:
        return audio_to_float32(samples)
    stream = Resampler(from_hz, to_hz)
    delay = round(stream.delay_s * to_hz)
    out = np.concatenate((stream.push(audio_to_int16(samples)), stream.flush()))
    wanted = round(len(samples) * to_hz / from_hz)
    return audio_to_float32(out[delay : delay + wanted])
