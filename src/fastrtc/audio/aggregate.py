"""Raw PCM bytes, in pieces of any length, as arrays of whole samples. Pure."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator
from typing import Final

import numpy as np
import numpy.typing as npt

__all__ = ["aggregate_bytes_to_16bit", "async_aggregate_bytes_to_16bit"]

Samples = npt.NDArray[np.int16]

SAMPLE_BYTES: Final = 2


class _Aggregator:
    """Keeps the half of a sample that a piece ended with until the next piece brings the rest."""

    def __init__(self) -> None:
        self._half = b""

    def push(self, piece: bytes) -> Samples | None:
        """The whole samples so far, shape ``(1, n)``, or None when there is not one."""
        joined = self._half + piece
        whole = len(joined) - len(joined) % SAMPLE_BYTES
        self._half = joined[whole:]
        return np.frombuffer(joined[:whole], "<i2").reshape(1, -1) if whole else None


def aggregate_bytes_to_16bit(chunks_iterator: Iterable[bytes]) -> Iterator[Samples]:
    """Samples from a stream of bytes, as an HTTP response gives them.

    Args:
        chunks_iterator: 16-bit little-endian PCM in pieces of any length; a sample that is cut in
            two is joined again. A single byte left at the very end is half a sample and dropped.

    Yields:
        int16 of shape ``(1, n)``, n at least 1, as soon as its bytes are there.

    Example::

        for samples in aggregate_bytes_to_16bit(response.iter_bytes()):
            yield (24000, samples)
    """
    aggregator = _Aggregator()
    for piece in chunks_iterator:
        samples = aggregator.push(piece)
        if samples is not None:
            yield samples


async def async_aggregate_bytes_to_16bit(
    chunks_iterator: AsyncIterable[bytes],
) -> AsyncIterator[Samples]:
    """The same as :func:`aggregate_bytes_to_16bit` for an async iterator.

    Example::

        async for samples in async_aggregate_bytes_to_16bit(response.aiter_bytes()):
            yield (24000, samples)
    """
    aggregator = _Aggregator()
    async for piece in chunks_iterator:
        samples = aggregator.push(piece)
        if samples is not None:
            yield samples
