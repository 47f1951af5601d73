"""JPEG and WebP files with real codecs."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastrtc.errors import CorruptFrame
from fastrtc.types import PictureFormat
from fastrtc.video.picture import Picture
from fastrtc.video.stills import StillDecoder, StillEncoder

FORMATS: list[PictureFormat] = ["jpeg", "webp"]


def fields(width: int = 120, height: int = 90) -> Picture:
    """Red on the left, cyan and gray on the right: wrong colours or ranges would show."""
    array = np.zeros((height, width, 3), np.uint8)
    array[:, : width // 2] = (255, 0, 0)
    array[: height // 2, width // 2 :] = (0, 255, 255)
    array[height // 2 :, width // 2 :] = (128, 128, 128)
    return Picture.from_array(array, "rgb24")


@pytest.mark.parametrize("size", [(120, 90), (121, 91)])
@pytest.mark.parametrize("format_", FORMATS)
def test_colours_survive(format_: PictureFormat, size: tuple[int, int]) -> None:
    data = StillEncoder(format_).encode(fields(*size))
    array = StillDecoder().decode(data, format_).to_array("rgb24")
    assert array.shape == (size[1], size[0], 3)
    for at, colour in (
        ((20, 20), (255, 0, 0)),
        ((20, 100), (0, 255, 255)),
        ((80, 100), (128,) * 3),
    ):
        assert np.abs(array[at].astype(int) - colour).max() <= 3


@pytest.mark.parametrize("format_", FORMATS)
def test_an_encoder_takes_sizes_as_they_come(format_: PictureFormat) -> None:
    encoder, decoder = StillEncoder(format_), StillDecoder()
    for width, height in ((64, 48), (320, 240), (1, 1), (64, 48)):
        picture = decoder.decode(encoder.encode(fields(width, height)), format_)
        assert (picture.width, picture.height) == (width, height)


@pytest.mark.parametrize("format_", FORMATS)
def test_a_damaged_file_does_no_harm_to_the_next(format_: PictureFormat) -> None:
    data = StillEncoder(format_).encode(fields(640, 480))
    decoder = StillDecoder()
    for bad in (b"", data[: len(data) // 2], data[:30]):
        with pytest.raises(CorruptFrame, match=f"a {format_} file of {len(bad)} bytes"):
            decoder.decode(bad, format_)
        assert decoder.decode(data, format_).width == 640


@pytest.mark.parametrize("format_", FORMATS)
def test_a_picture_that_is_too_large_is_not_decoded(format_: PictureFormat) -> None:
    data = StillEncoder(format_).encode(fields())
    with pytest.raises(CorruptFrame):
        StillDecoder(max_pixels=120 * 90 - 1).decode(data, format_)


@settings(deadline=None, max_examples=50)
@given(format_=st.sampled_from(FORMATS), at=st.integers(0, 5_000), junk=st.binary(max_size=8))
def test_whatever_comes_is_a_picture_or_corrupt(
    format_: PictureFormat, at: int, junk: bytes
) -> None:
    data = bytearray(StillEncoder(format_).encode(fields()))
    data[at % len(data) : at % len(data) + len(junk)] = junk
    with contextlib.suppress(CorruptFrame):
        StillDecoder(max_pixels=1 << 20).decode(bytes(data), format_).to_array("bgr24")
