"""G.711: mu-law and A-law, a byte for each 16-bit sample, by table.

ITU-T Recommendation G.711 (11/88). Arrays in, bytes out and back; no rates, no framing.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

__all__ = ["alaw_decode", "alaw_encode", "mulaw_decode", "mulaw_encode"]

Samples = npt.NDArray[np.int16]
Codes = npt.NDArray[np.uint8]

MULAW_BIAS: Final = 132
MULAW_CLIP: Final = 32_635
"""The largest magnitude whose biased value has 15 bits."""


def _mulaw_to_linear() -> Samples:
    code = ~np.arange(256, dtype=np.uint8)
    segment, step = (code >> 4) & 7, (code & 15).astype(np.int32)
    magnitude = (((step << 3) + MULAW_BIAS) << segment) - MULAW_BIAS
    return np.where(code & 0x80, -magnitude, magnitude).astype(np.int16)


def _linear_to_mulaw() -> Codes:
    sample = np.arange(65_536, dtype=np.uint16).view(np.int16).astype(np.int32)
    biased = np.minimum(np.abs(sample), MULAW_CLIP) + MULAW_BIAS
    segment = np.frexp(biased)[1] - 8
    code = (segment << 4) | ((biased >> (segment + 3)) & 15)
    inverted: Codes = ~np.where(sample < 0, code | 0x80, code).astype(np.uint8)
    return inverted


def _alaw_to_linear() -> Samples:
    code = np.arange(256, dtype=np.uint8) ^ 0x55
    segment, step = (code >> 4) & 7, (code & 15).astype(np.int32)
    magnitude = np.where(
        segment == 0, (step << 4) + 8, ((step << 4) + 0x108) << (np.maximum(segment, 1) - 1)
    )
    return np.where(code & 0x80, magnitude, -magnitude).astype(np.int16)


def _linear_to_alaw() -> Codes:
    sample = np.arange(65_536, dtype=np.uint16).view(np.int16).astype(np.int32)
    # A-law has no code for 0: -1 lies in the first negative step, as 0 does in the first positive.
    magnitude = np.where(sample < 0, ~sample, sample) >> 4
    segment = np.maximum(np.frexp(magnitude)[1] - 4, 0)
    code = (segment << 4) | ((magnitude >> np.maximum(segment - 1, 0)) & 15)
    marked: Codes = np.where(sample < 0, code, code | 0x80).astype(np.uint8) ^ 0x55
    return marked


_FROM_MULAW: Final = _mulaw_to_linear()
_TO_MULAW: Final = _linear_to_mulaw()
_FROM_ALAW: Final = _alaw_to_linear()
_TO_ALAW: Final = _linear_to_alaw()


def mulaw_encode(samples: Samples) -> bytes:
    """int16 samples as mu-law, one byte each.

    Example::

        mulaw_encode(np.zeros(160, np.int16))  # 160 times 0xFF
    """
    return _TO_MULAW[np.ascontiguousarray(samples).view(np.uint16)].tobytes()


def mulaw_decode(codes: bytes | bytearray | memoryview) -> Samples:
    """Mu-law bytes as int16 samples, in an array of their own."""
    return _FROM_MULAW[np.frombuffer(codes, np.uint8)]


def alaw_encode(samples: Samples) -> bytes:
    """int16 samples as A-law, one byte each."""
    return _TO_ALAW[np.ascontiguousarray(samples).view(np.uint16)].tobytes()


def alaw_decode(codes: bytes | bytearray | memoryview) -> Samples:
    """A-law bytes as int16 samples, in an array of their own."""
    return _FROM_ALAW[np.frombuffer(codes, np.uint8)]
