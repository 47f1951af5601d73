"""Bytes in pieces of any length become whole samples, none lost and none shifted."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from fastrtc.audio.aggregate import aggregate_bytes_to_16bit, async_aggregate_bytes_to_16bit

PIECES = st.lists(st.binary(max_size=7), max_size=20)


def check(pieces: list[bytes], got: list[np.ndarray]) -> None:
    sent = b"".join(pieces)
    assert all(samples.dtype == np.int16 and samples.shape[0] == 1 for samples in got)
    assert all(samples.size for samples in got)
    assert (
        b"".join(samples.astype("<i2").tobytes() for samples in got) == sent[: len(sent) // 2 * 2]
    )


@given(PIECES)
def test_no_byte_is_lost_between_pieces(pieces: list[bytes]) -> None:
    check(pieces, list(aggregate_bytes_to_16bit(pieces)))


@given(PIECES)
async def test_an_async_source_gives_the_same(pieces: list[bytes]) -> None:
    async def source() -> AsyncIterator[bytes]:
        for piece in pieces:
            yield piece

    check(pieces, [samples async for samples in async_aggregate_bytes_to_16bit(source())])


def test_samples_come_as_soon_as_their_bytes_are_there() -> None:
    asked = 0

    def source() -> Iterator[bytes]:
        nonlocal asked
        for piece in [b"\x01", b"\x00\x02", b"\x00"]:
            asked += 1
            yield piece

    stream = aggregate_bytes_to_16bit(source())
    assert next(stream).tolist() == [[1]]
    assert asked == 2
    assert next(stream).tolist() == [[2]]
