"""Streams of mono audio from one sample rate to another, in the media plane's resampler."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["Resampler"]

Samples = npt.NDArray[np.int16]


class Resampler:
    """One stream of int16 mono; pieces of any length, joined without seams.

    20 ms in give 20 ms out when both rates are multiples of 50 Hz. The filter delays by
    :attr:`delay_s`, at most 5 ms for the usual rates; equal rates pass through.

    Args:
        from_hz: rate of what comes in, 4000 to 384000.
        to_hz: rate of what goes out.

    Raises:
        ValueError: a rate is out of range.

    Example::

        Resampler(8000, 16000).push(np.zeros(160, np.int16))  # 320 samples
    """

    def __init__(self, from_hz: int, to_hz: int) -> None:
        self.from_hz = from_hz
        self.to_hz = to_hz
        self._inner = None
        if from_hz != to_hz:
            from fastrtc._core import Resampler as Inner

            self._inner = Inner(from_hz, to_hz)

    @property
    def delay_s(self) -> float:
        """Seconds by which what comes out is late."""
        return 0.0 if self._inner is None else self._inner.delay_s

    def push(self, samples: Samples) -> Samples:
        """The samples that are ready once these are taken in."""
        if self._inner is None:
            return samples
        return np.frombuffer(self._inner.push(np.ascontiguousarray(samples)), np.int16)

    def flush(self) -> Samples:
        """What is still inside. The next :meth:`push` begins a new stream."""
        if self._inner is None:
            return np.zeros(0, np.int16)
        return np.frombuffer(self._inner.flush(), np.int16)
