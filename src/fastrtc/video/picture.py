"""One picture, as planes on its way between codecs and as an array for handlers.

The planes belong to a frame of FFmpeg's: a decoded picture is looked at where the decoder put it,
and an array is converted right into the memory that the encoder reads.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt
from av import VideoFrame
from av.video.reformatter import ColorRange, Colorspace, Interpolation

from fastrtc import _core
from fastrtc.errors import OutputError
from fastrtc.types import PixelFormat

__all__ = ["MAX_HEIGHT", "MAX_PIXELS", "MAX_WIDTH", "Picture"]

MAX_WIDTH: Final = 16_383
MAX_HEIGHT: Final = 16_383
"""What the header of a VP8 keyframe can say (RFC 6386, section 9.1)."""
MAX_PIXELS: Final = 7_680 * 4_320
"""8K; a picture of that size takes 50 MB as planes and 100 MB as an array."""

_CHANNELS: Final[dict[PixelFormat, int]] = {"bgr24": 3, "rgb24": 3}
_PLANAR: Final = ("yuv420p", "yuvj420p")

Samples = npt.NDArray[np.uint8]


class Picture:
    """A picture in I420: brightness in full, colour for two by two pixels.

    Attributes:
        y: uint8 ``(height, width)``, a view that is valid as long as the picture.
        u, v: uint8, both sizes halved and rounded up.
        width, height: in pixels.
        frame: the frame whose memory this is.

    Example::

        array = decoder.decode(data)[0].to_array("bgr24")
        frames = encoder.encode(Picture.from_array(np.flip(array, axis=0), "bgr24"), rtp_time)
    """

    __slots__ = ("frame", "height", "u", "v", "width", "y")

    def __init__(self, frame: VideoFrame) -> None:
        if frame.format.name not in _PLANAR:
            frame = frame.reformat(format="yuv420p")
        self.frame = frame
        self.width = frame.width
        self.height = frame.height
        chroma_width, chroma_height = -(-self.width // 2), -(-self.height // 2)
        y, u, v = frame.planes
        self.y = _view(y, self.width, self.height)
        self.u = _view(u, chroma_width, chroma_height)
        self.v = _view(v, chroma_width, chroma_height)

    @property
    def full_range(self) -> bool:
        """Whether black is 0 and white 255, instead of 16 and 235."""
        return self.frame.format.name == "yuvj420p" or self.frame.color_range == ColorRange.JPEG

    @property
    def bt709(self) -> bool:
        """Whether colours are BT.709's; where a stream does not say so they are BT.601's."""
        return self.frame.colorspace == Colorspace.ITU709

    @classmethod
    def from_array(cls, array: npt.ArrayLike, pixel_format: PixelFormat) -> Picture:
        """Makes a picture of what a handler returned; the array may be written to afterwards.

        Args:
            array: uint8, any strides. "bgr24" and "rgb24": ``(height, width, 3)``; "gray8":
                ``(height, width)``; "yuv420p": ``(height * 3 // 2, width)``, rows of ``y``, then
                all of ``u``, then all of ``v``, with an even width and height.
            pixel_format: what the array holds.

        Raises:
            OutputError: (a ValueError and TypeError) the array is none of these, is empty, or
                has more than ``MAX_PIXELS``. Floats are refused, since nothing tells whether
                their white is 1 or 255.
        """
        samples = _checked(array, pixel_format)
        height, width = samples.shape[:2]
        if pixel_format == "yuv420p":
            height = height * 2 // 3
            samples = np.ascontiguousarray(samples)
        picture = cls(VideoFrame(width, height, "yuv420p"))
        _core.array_to_planes(samples, picture.y, picture.u, picture.v, pixel_format)
        return picture

    def to_array(self, pixel_format: PixelFormat) -> Samples:
        """The picture as a new array, contiguous and writable, of the shapes of ``from_array``.

        "yuv420p" are the planes as they came; of an odd size the last column or row is left out,
        and what is one pixel wide or high is two.
        """
        if pixel_format == "yuv420p" and min(self.width, self.height) < 2:
            return self.scaled(max(self.width, 2), max(self.height, 2)).to_array(pixel_format)
        y, u, v = self.y, self.u, self.v
        shape: tuple[int, ...] = (self.height, self.width)
        if pixel_format in _CHANNELS:
            shape = (*shape, _CHANNELS[pixel_format])
        elif pixel_format == "yuv420p":
            half_height, half_width = self.height // 2, self.width // 2
            y = y[: half_height * 2, : half_width * 2]
            u, v = u[:half_height, :half_width], v[:half_height, :half_width]
            shape = (half_height * 3, half_width * 2)
        array = np.empty(shape, np.uint8)
        _core.planes_to_array(y, u, v, array, pixel_format, self.bt709, self.full_range)
        return array

    def scaled(self, width: int, height: int) -> Picture:
        """The picture in another size; itself, if it has that size.

        Raises:
            ValueError: a size is not from 1 to 16383.
        """
        if (width, height) == (self.width, self.height):
            return self
        if not (0 < width <= MAX_WIDTH and 0 < height <= MAX_HEIGHT):
            raise ValueError(f"a picture cannot be scaled to {width}x{height}")
        return Picture(self.frame.reformat(width, height, interpolation=Interpolation.AREA))

    def fitted(self, width: int, height: int) -> Picture:
        """The picture for an encoder that takes this size: a column or row too many is cut off,
        anything else is scaled."""
        columns, rows = self.width - width, self.height - height
        if (columns, rows) == (0, 0):
            return self
        if not (0 <= columns <= 1 and 0 <= rows <= 1):
            return self.scaled(width, height)
        picture = Picture(VideoFrame(width, height, self.frame.format.name))
        picture.frame.colorspace = self.frame.colorspace
        picture.frame.color_range = self.frame.color_range
        for name in ("y", "u", "v"):
            target = getattr(picture, name)
            target[:] = getattr(self, name)[: target.shape[0], : target.shape[1]]
        return picture


def _view(plane: Any, width: int, height: int) -> Samples:
    """The samples of a plane, without what pads its rows."""
    rows: Samples = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)
    return rows[:height, :width]


def _checked(array: npt.ArrayLike, pixel_format: PixelFormat) -> Samples:
    if not isinstance(array, np.ndarray):
        raise OutputError(
            f"a picture is a numpy array, not {type(array).__name__}; "
            "convert it with np.asarray(picture)"
        )
    if array.dtype != np.uint8:
        raise OutputError(
            f"a picture is uint8, not {array.dtype}; scale it to 0..255 and convert it, for "
            "example with np.clip(picture, 0, 255).astype(np.uint8)"
        )
    shape = array.shape
    if pixel_format in _CHANNELS:
        expected, fits = "(height, width, 3)", len(shape) == 3 and shape[2] == 3
    elif pixel_format == "gray8":
        expected, fits = "(height, width)", len(shape) == 2
    elif pixel_format == "yuv420p":
        expected = "(height * 3 // 2, width) with an even width and height"
        fits = len(shape) == 2 and shape[0] % 3 == 0 and shape[1] % 2 == 0
    else:
        raise OutputError(
            f"there is no pixel format {pixel_format!r}; use bgr24, rgb24, gray8 or yuv420p"
        )
    if not fits:
        hint = ""
        if len(shape) == 2 and pixel_format in _CHANNELS:
            hint = "; for gray pictures use pixel_format='gray8', or np.dstack([picture] * 3)"
        elif len(shape) == 3 and shape[2] == 4 and pixel_format in _CHANNELS:
            hint = "; drop the fourth channel with picture[..., :3]"
        raise OutputError(f"a {pixel_format} picture has the shape {expected}, not {shape}{hint}")
    height, width = shape[0] * 2 // 3 if pixel_format == "yuv420p" else shape[0], shape[1]
    if not width or not height:
        raise OutputError(f"a picture of the shape {shape} has no pixels; return None for none")
    if width > MAX_WIDTH or height > MAX_HEIGHT or width * height > MAX_PIXELS:
        raise OutputError(
            f"a picture of {width}x{height} is larger than 8K (7680x4320); scale it down"
        )
    return array
