"""Single pictures as JPEG and WebP files, through FFmpeg: for ways that carry no video codec.

Whose files these are, and whether they are too large, is decided before. FFmpeg's own encoder makes
a JPEG of the same quality about a third smaller than libjpeg-turbo in the same time, and a WebP in
60 % of Pillow's (docs/websocket.md).
"""

from __future__ import annotations

from fractions import Fraction
from typing import Final, cast

from av.codec.context import CodecContext
from av.error import FFmpegError
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.reformatter import ColorRange

from fastrtc.errors import CorruptFrame, FeatureUnavailable
from fastrtc.types import PictureFormat
from fastrtc.video.picture import MAX_PIXELS, Picture

__all__ = ["StillDecoder", "StillEncoder"]

_FULL_RANGE: Final = "yuvj420p"
_DECODERS: Final[dict[PictureFormat, str]] = {"jpeg": "mjpeg", "webp": "webp"}
_ENCODERS: Final[dict[PictureFormat, tuple[str, str, dict[str, str]]]] = {
    "jpeg": ("mjpeg", _FULL_RANGE, {"qmin": "5", "qmax": "5", "huffman": "default"}),
    "webp": ("libwebp", "yuv420p", {"quality": "75", "compression_level": "0"}),
}
"""Name, what it takes, and options: about the quality that browsers make by default, in the least
time."""


class StillDecoder:
    """Decodes files one by one, in the thread that calls it.

    Args:
        max_pixels: a file of more is refused before memory is taken for it.

    Example::

        picture = StillDecoder().decode(data, "jpeg")
    """

    def __init__(self, *, max_pixels: int = MAX_PIXELS) -> None:
        self._max_pixels = max_pixels
        self._contexts: dict[PictureFormat, VideoCodecContext] = {}

    def decode(self, data: bytes, format: PictureFormat) -> Picture:  # noqa: A002
        """The picture in a file; transparency is dropped.

        Raises:
            CorruptFrame: there is none, it is damaged, or too large.
        """
        context = self._contexts.pop(format, None) or self._open(format)
        try:
            frames = context.decode(Packet(data)) if data else []
        except FFmpegError as error:
            raise CorruptFrame(f"a {format} file of {len(data)} bytes: {error.strerror}") from error
        if not frames or frames[-1].is_corrupt:
            raise CorruptFrame(f"a {format} file of {len(data)} bytes is damaged")
        self._contexts[format] = context  # One that has seen damage is not used again.
        frame = frames[-1]
        if format == "jpeg" and frame.format.name != _FULL_RANGE:
            frame = frame.reformat(format=_FULL_RANGE, dst_color_range=ColorRange.JPEG)
        return Picture(frame)

    def _open(self, format: PictureFormat) -> VideoCodecContext:  # noqa: A002
        context = cast(VideoCodecContext, CodecContext.create(_DECODERS[format], "r"))
        context.thread_count = 1
        context.options = {"max_pixels": str(self._max_pixels), "err_detect": "explode"}
        return context


class StillEncoder:
    """Makes files, in the thread that calls it.

    Args:
        format: "jpeg" or "webp".

    Example::

        data = StillEncoder("webp").encode(picture)
    """

    def __init__(self, format: PictureFormat) -> None:  # noqa: A002
        self._format = format
        self._context: VideoCodecContext | None = None

    def encode(self, picture: Picture) -> bytes:
        """The picture as a file.

        Raises:
            FeatureUnavailable: this build of FFmpeg cannot make such files.
        """
        context = self._context
        if context is None or (context.width, context.height) != (picture.width, picture.height):
            context = self._context = self._open(picture)
        frame = picture.frame
        if frame.format.name != context.pix_fmt:
            frame = frame.reformat(format=context.pix_fmt)
        frame.pts = None
        return b"".join(bytes(packet) for packet in context.encode(frame))

    def _open(self, picture: Picture) -> VideoCodecContext:
        name, pixel_format, options = _ENCODERS[self._format]
        try:
            context = cast(VideoCodecContext, CodecContext.create(name, "w"))
            context.width, context.height = picture.width, picture.height
            context.pix_fmt = pixel_format
            context.time_base = Fraction(1, 30)
            context.thread_count = 1
            context.options = dict(options)
            context.open()
        except (FFmpegError, ValueError) as error:
            raise FeatureUnavailable(
                f"this build of FFmpeg makes no {self._format} files of {picture.width}x"
                f"{picture.height}: {error}; use the other format, or another size"
            ) from error
        return context
