"""Arrays become planes and planes arrays: exactly, of any size and strides, or with an error
that says what to do."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from typing import Any, get_args

import numpy as np
import numpy.typing as npt
import pytest
from av import VideoFrame

from fastrtc import _core
from fastrtc.errors import OutputError
from fastrtc.types import PixelFormat
from fastrtc.video.picture import MAX_WIDTH, Picture

FORMATS: tuple[PixelFormat, ...] = get_args(PixelFormat)
SIZES = [(2, 2), (16, 16), (33, 17), (64, 48), (130, 75), (641, 479)]
"""Widths and heights; rows of SIMD, and what is left over of them."""
Samples = npt.NDArray[np.uint8]


def noise(*shape: int) -> Samples:
    return np.random.default_rng(5).integers(0, 256, shape, np.uint8)


def bt601(bgr: Samples) -> tuple[npt.NDArray[np.float64], ...]:
    """ITU-R BT.601, limited range: y, and for each pixel u and v."""
    blue, green, red = (bgr[..., channel] / 255 for channel in range(3))
    y = 16 + 65.481 * red + 128.553 * green + 24.966 * blue
    u = 128 - 37.797 * red - 74.203 * green + 112 * blue
    v = 128 + 112 * red - 93.786 * green - 18.214 * blue
    return y, u, v


def halved(plane: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The mean of two by two; the last row and column of an odd size stand for two."""
    height, width = plane.shape
    even = np.pad(plane, ((0, height % 2), (0, width % 2)), mode="edge")
    return even.reshape(-(-height // 2), 2, -(-width // 2), 2).mean((1, 3))


def from_bt601(picture: Picture) -> npt.NDArray[np.float64]:
    """BGR of a picture's planes; each chroma sample stands for two by two pixels."""
    y, u, v = (plane.astype(np.float64) for plane in (picture.y, picture.u, picture.v))
    u, v = (
        np.repeat(np.repeat(plane, 2, 0), 2, 1)[: picture.height, : picture.width] - 128
        for plane in (u, v)
    )
    y = (y - 16) * 255 / 219
    u, v = u * 255 / 224, v * 255 / 224
    bgr = np.stack([y + 1.772 * u, y - 0.344136 * u - 0.714136 * v, y + 1.402 * v], -1)
    return np.clip(bgr, 0, 255)


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_colours_are_those_of_bt_601(width: int, height: int) -> None:
    array = noise(height, width, 3)
    picture = Picture.from_array(array, "bgr24")
    y, u, v = bt601(array)
    assert np.abs(picture.y - np.rint(y)).max() <= 1
    assert np.abs(picture.u - np.rint(halved(u))).max() <= 1
    assert np.abs(picture.v - np.rint(halved(v))).max() <= 1
    assert np.abs(picture.to_array("bgr24") - np.rint(from_bt601(picture))).max() <= 1


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_rgb_is_bgr_the_other_way_round(width: int, height: int) -> None:
    array = noise(height, width, 3)
    one, other = Picture.from_array(array, "bgr24"), Picture.from_array(array[..., ::-1], "rgb24")
    for name in ("y", "u", "v"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    np.testing.assert_array_equal(one.to_array("bgr24"), one.to_array("rgb24")[..., ::-1])


def test_ffmpeg_sees_the_same_colours_if_less_exactly() -> None:
    """Of a smooth picture, since FFmpeg may interpolate between chroma samples."""
    rows, columns = np.mgrid[:240, :320]
    array = np.stack([rows, columns * 255 / 320, 255 - rows], -1).astype(np.uint8)
    ours = Picture.from_array(array, "bgr24")
    theirs = Picture(VideoFrame.from_ndarray(array, format="bgr24").reformat(format="yuv420p"))
    for name in ("y", "u", "v"):
        assert np.abs(getattr(ours, name).astype(int) - getattr(theirs, name)).max() <= 2
    exact = from_bt601(ours)
    our_error = np.abs(ours.to_array("bgr24") - exact)
    their_error = np.abs(ours.frame.to_ndarray(format="bgr24") - exact)
    assert their_error.max() <= 4
    assert our_error.mean() < their_error.mean()


@pytest.mark.parametrize("colorspace", ["ITU601", "ITU709"])
@pytest.mark.parametrize("color_range", ["MPEG", "JPEG"])
def test_what_a_stream_says_of_its_colours_is_heeded(colorspace: str, color_range: str) -> None:
    rows, columns = np.mgrid[:64, :64]
    array = np.stack([rows * 3, columns * 4, 200 - rows], -1).astype(np.uint8)
    frame = VideoFrame.from_ndarray(array, format="bgr24").reformat(
        format="yuv420p", dst_colorspace=colorspace, dst_color_range=color_range
    )
    picture = Picture(frame)
    assert picture.bt709 == (colorspace == "ITU709")
    assert picture.full_range == (color_range == "JPEG")
    inner = picture.to_array("bgr24")[2:-2, 2:-2].astype(int)
    assert np.abs(inner - array[2:-2, 2:-2]).mean() < 2


@pytest.mark.parametrize(
    "view",
    [
        lambda array: np.flip(array, axis=0),
        lambda array: np.flip(array, axis=1),
        lambda array: np.rot90(array),
        lambda array: array[3:-2, 5:-7],
        lambda array: array[::2, ::3],
        lambda array: np.asfortranarray(array),
        lambda array: np.broadcast_to(array[:1], array.shape),
    ],
    ids=["flip", "mirror", "turn", "crop", "skip", "fortran", "broadcast"],
)
@pytest.mark.parametrize("pixel_format", ["bgr24", "rgb24", "gray8"])
def test_any_strides_do(view: Callable[[Samples], Samples], pixel_format: PixelFormat) -> None:
    array = view(noise(90, 122, 3) if pixel_format != "gray8" else noise(90, 122))
    one = Picture.from_array(array, pixel_format)
    other = Picture.from_array(np.ascontiguousarray(array), pixel_format)
    for name in ("y", "u", "v"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


def test_a_read_only_array_does() -> None:
    array = noise(10, 10, 3)
    array.setflags(write=False)
    assert Picture.from_array(array, "bgr24").width == 10


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_planes_pass_untouched(width: int, height: int) -> None:
    width, height = width & ~1, height & ~1
    array = noise(height * 3 // 2, width)
    picture = Picture.from_array(array, "yuv420p")
    assert (picture.width, picture.height) == (width, height)
    np.testing.assert_array_equal(picture.y, array[:height])
    half = width * height // 4
    np.testing.assert_array_equal(picture.u.reshape(-1), array[height:].reshape(-1)[:half])
    np.testing.assert_array_equal(picture.to_array("yuv420p"), array)
    flipped = np.flip(array, axis=1)
    np.testing.assert_array_equal(
        Picture.from_array(flipped, "yuv420p").to_array("yuv420p"), flipped
    )


def test_planes_of_an_odd_size_lose_the_last_row_and_column() -> None:
    picture = Picture.from_array(noise(7, 5, 3), "bgr24")
    planes = picture.to_array("yuv420p")
    assert planes.shape == (9, 4)
    np.testing.assert_array_equal(planes[:6], picture.y[:6, :4])
    np.testing.assert_array_equal(planes[6:].reshape(2, 3, 2)[0], picture.u[:3, :2])


@pytest.mark.parametrize(("width", "height"), [(1, 1), (1, 6), (9, 1)])
def test_planes_of_a_line_are_two_pixels_wide(width: int, height: int) -> None:
    planes = Picture.from_array(noise(height, width, 3), "bgr24").to_array("yuv420p")
    assert planes.shape == (max(height, 2) * 3 // 2, max(width & ~1, 2))


def test_gray_comes_back_as_it_went() -> None:
    gray = np.arange(256, dtype=np.uint8).reshape(8, 32)
    picture = Picture.from_array(gray, "gray8")
    assert np.abs(picture.to_array("gray8").astype(int) - gray).max() <= 1
    np.testing.assert_array_equal(
        picture.to_array("bgr24")[..., 0], picture.to_array("rgb24")[..., 2]
    )
    assert set(picture.u.flat) | set(picture.v.flat) == {128}


@pytest.mark.parametrize("pixel_format", FORMATS)
def test_arrays_are_the_handlers_own(pixel_format: PixelFormat) -> None:
    picture = Picture.from_array(noise(48, 64, 3), "bgr24")
    one = picture.to_array(pixel_format)
    assert one.flags.c_contiguous
    assert one.flags.writeable
    assert one.dtype == np.uint8
    kept = one.copy()
    one[:] = 0
    np.testing.assert_array_equal(picture.to_array(pixel_format), kept)
    again = Picture.from_array(kept, pixel_format)
    before = again.y.copy()
    kept[:] = 0
    np.testing.assert_array_equal(again.y, before)


def test_planes_outlive_what_held_them() -> None:
    picture = Picture.from_array(noise(480, 640, 3), "bgr24")
    y, expected = picture.y, picture.y.copy()
    del picture
    others = [Picture.from_array(noise(480, 640, 3), "rgb24") for _ in range(4)]
    np.testing.assert_array_equal(y, expected)
    assert len(others) == 4


@pytest.mark.parametrize(
    ("array", "pixel_format", "message"),
    [
        ([[1]], "bgr24", r"not list.*np\.asarray"),
        (None, "bgr24", "not NoneType"),
        (np.full((4, 4, 3), np.nan), "bgr24", r"not float64.*astype\(np\.uint8\)"),
        (np.zeros((4, 4, 3), np.int16), "bgr24", "not int16"),
        (np.zeros((4, 4, 3), bool), "rgb24", "not bool"),
        (noise(4, 4), "bgr24", r"\(4, 4\).*gray8"),
        (noise(4, 4, 4), "rgb24", r"\(4, 4, 4\).*\[\.\.\., :3\]"),
        (noise(3, 4, 4), "bgr24", r"\(3, 4, 4\)"),
        (noise(4, 4, 3), "gray8", r"\(height, width\), not \(4, 4, 3\)"),
        (noise(4, 4, 3), "yuv420p", r"height \* 3 // 2"),
        (noise(7, 4), "yuv420p", "even width and height"),
        (noise(6, 5), "yuv420p", "even width and height"),
        (np.zeros((0, 4, 3), np.uint8), "bgr24", "no pixels"),
        (np.zeros((4, 0, 3), np.uint8), "bgr24", "no pixels"),
        (np.zeros((0, 0), np.uint8), "yuv420p", "no pixels"),
        (np.zeros((4, 4, 3), np.uint8), "bgr", "no pixel format 'bgr'"),
        (np.zeros((1, MAX_WIDTH + 1), np.uint8), "gray8", "larger than 8K"),
        (np.broadcast_to(np.uint8(0), (4_321, 7_680, 3)), "bgr24", "larger than 8K"),
        (np.broadcast_to(np.uint8(0), (1 << 40, 1 << 20, 3)), "bgr24", "larger than 8K"),
    ],
)
def test_a_bad_array_is_refused_with_what_to_do(
    array: Any, pixel_format: Any, message: str
) -> None:
    with pytest.raises(OutputError, match=message) as caught:
        Picture.from_array(array, pixel_format)
    assert isinstance(caught.value, ValueError)


def test_8k_passes() -> None:
    array = np.broadcast_to(noise(1, 7_680, 3), (4_320, 7_680, 3))
    picture = Picture.from_array(array, "bgr24")
    assert picture.to_array("gray8").shape == (4_320, 7_680)


def test_scaling_keeps_what_is_seen() -> None:
    rows, columns = np.mgrid[:240, :320]
    array = np.stack([rows, columns * 0.7, 255 - rows], -1).astype(np.uint8)
    picture = Picture.from_array(array, "bgr24")
    half = picture.scaled(160, 120)
    assert (half.width, half.height) == (160, 120)
    assert np.abs(half.to_array("bgr24").astype(int) - array[::2, ::2]).mean() < 3
    assert picture.scaled(320, 240) is picture
    for width, height in ((0, 10), (10, -1), (MAX_WIDTH + 1, 10)):
        with pytest.raises(ValueError, match=f"{width}x{height}"):
            picture.scaled(width, height)


def test_an_odd_picture_is_cut_for_an_encoder_that_needs_an_even_one() -> None:
    picture = Picture.from_array(noise(75, 131, 3), "bgr24")
    cut = picture.fitted(130, 74)
    np.testing.assert_array_equal(cut.y, picture.y[:74, :130])
    np.testing.assert_array_equal(cut.u, picture.u[:37, :65])
    assert picture.fitted(131, 75) is picture
    assert picture.fitted(64, 64).width == 64


@pytest.mark.parametrize("direction", ["to", "from"])
def test_others_run_while_colours_are_converted(direction: str) -> None:
    """Python would not take the GIL from this thread within a minute: it has to be given, and
    for long enough that a busy machine gets round to the other thread."""
    array = np.zeros((4_320, 7_680, 3), np.uint8)
    picture = Picture.from_array(array, "bgr24")
    gate, ran = threading.Lock(), threading.Event()
    gate.acquire()

    def other() -> None:
        with gate:
            ran.set()

    thread = threading.Thread(target=other)
    thread.start()
    interval_s = sys.getswitchinterval()
    sys.setswitchinterval(60)
    try:
        gate.release()
        deadline_s = time.monotonic() + 30
        while not ran.is_set() and time.monotonic() < deadline_s:
            if direction == "to":
                _core.planes_to_array(picture.y, picture.u, picture.v, array, "bgr24")
            else:
                _core.array_to_planes(array, picture.y, picture.u, picture.v, "bgr24")
        seen = ran.is_set()
    finally:
        sys.setswitchinterval(interval_s)
    thread.join()
    assert seen
