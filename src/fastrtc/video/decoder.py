"""Encoded frames of one track to pictures, through FFmpeg.

A stream that cannot be decoded is a matter of networks, not of programming: whatever FFmpeg says
about it becomes :class:`CorruptFrame`, and its caller asks the client for a keyframe.
"""

from __future__ import annotations

from typing import Final, cast

import av
from av.codec.context import CodecContext, Flags
from av.error import FFmpegError
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext

from fastrtc.errors import CorruptFrame
from fastrtc.types import VideoCodec
from fastrtc.video.keyframes import is_keyframe
from fastrtc.video.picture import MAX_PIXELS, Picture

__all__ = ["VideoDecoder"]

_DECODERS: Final[dict[VideoCodec, tuple[str, ...]]] = {
    "vp8": ("vp8", "libvpx"),
    "vp9": ("vp9", "libvpx-vp9"),
    "h264": ("h264",),
    "av1": ("libdav1d", "libaom-av1"),
}
"""FFmpeg's decoders, the fastest first. Its own "av1" needs a graphics card."""


class VideoDecoder:
    """Decodes one track, in the thread that calls it.

    Args:
        codec: what the frames are.
        max_pixels: a frame of more pixels, padding included, is refused before memory is taken
            for it.

    Example::

        decoder = VideoDecoder("vp8")
        pictures = decoder.decode(data)
    """

    def __init__(self, codec: VideoCodec, *, max_pixels: int = MAX_PIXELS) -> None:
        self._codec = codec
        self._max_pixels = max_pixels
        self._context: VideoCodecContext | None = None

    def decode(self, data: bytes) -> list[Picture]:
        """The pictures that one complete encoded frame yields: one, or none if it is not shown.

        Raises:
            CorruptFrame: the frame is damaged or too large, or it follows such a frame and is no
                keyframe. Ask for a keyframe; the decoder goes on with that.
        """
        context = self._context
        if context is None:
            if not is_keyframe(self._codec, data):
                raise CorruptFrame(f"no {self._codec} keyframe has come that this could follow")
            context = self._open()
        elif not data:  # FFmpeg would take it for the end of the stream.
            self._context = None
            raise CorruptFrame(f"a {self._codec} frame without data")
        try:
            frames = context.decode(Packet(data))
        except FFmpegError as error:
            self._context = None
            raise CorruptFrame(
                f"a {self._codec} frame of {len(data)} bytes: {error.strerror}"
            ) from error
        if any(frame.is_corrupt for frame in frames):
            self._context = None
            raise CorruptFrame(f"a {self._codec} frame of {len(data)} bytes is damaged")
        self._context = context
        return [Picture(frame) for frame in frames]

    def _open(self) -> VideoCodecContext:
        """A decoder that has not seen any damage: flushing one does not undo all of it."""
        name = next(name for name in _DECODERS[self._codec] if name in av.codecs_available)
        context = cast(VideoCodecContext, CodecContext.create(name, "r"))
        context.thread_count = 1
        context.flags |= Flags.low_delay
        context.options = {"max_pixels": str(self._max_pixels)}
        return context
