"""Pictures of one track to encoded frames, through FFmpeg.

Bit rate, size and keyframes are what its caller asks for; when a new rate is worth a keyframe, and
which frames are left out until then, is decided here.
"""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from fractions import Fraction
from typing import Final, cast

from av.codec.context import CodecContext
from av.error import FFmpegError
from av.video.codeccontext import VideoCodecContext
from av.video.frame import PictureType

from fastrtc.errors import FeatureUnavailable
from fastrtc.types import VideoCodec
from fastrtc.video.encoders import Implementation, implementations
from fastrtc.video.picture import Picture
from fastrtc.video.rate import FramePace, LeakyBucket, RateLadder

__all__ = ["EncodedFrame", "VideoEncoder"]

_log = logging.getLogger(__name__)

CLOCK_HZ: Final = 90_000
"""Of RTP timestamps of video (RFC 3551, section 5)."""
_TIME_BASE: Final = Fraction(1, CLOCK_HZ)
_LONGEST_STEP_S: Final = 5
_NO_KEYFRAMES: Final = 1_000_000
"""Frames from one keyframe to the next that nobody asked for."""
_QUICK_FROM_BITS: Final = 0.09
"""Bits per pixel from which an encoder that looks less far finds as much (docs/design/video.md)."""
_STUCK: Final = 15
"""So many more pictures left out than made, and an encoder does not find what it looks for."""


@dataclass(frozen=True)
class EncodedFrame:
    """One frame as a transport sends it.

    Attributes:
        data: the frame, complete.
        rtp_time: of the picture that it shows, 90 kHz.
        keyframe: it can be decoded without others.
    """

    data: bytes
    rtp_time: int
    keyframe: bool


class VideoEncoder:
    """Encodes one track, in the thread that calls it.

    Args:
        codec: what to make.
        fps: about as many pictures a second as are coming.
        bitrate_bps: to begin with.
        hardware: use a graphics card where there is one; else the processor is used.

    Raises:
        FeatureUnavailable: this build of FFmpeg has no encoder for the codec.

    Example::

        encoder = VideoEncoder("vp8", fps=30, bitrate_bps=1_000_000)
        frames = encoder.encode(picture, rtp_time)
    """

    def __init__(
        self, codec: VideoCodec, *, fps: float, bitrate_bps: int, hardware: bool = False
    ) -> None:
        self._codec = codec
        self._fps = fps
        self._bitrate_bps = bitrate_bps
        self._candidates = list(implementations(codec, hardware=hardware))
        if not self._candidates:
            raise FeatureUnavailable(
                f"this build of FFmpeg has no {codec} encoder; install PyAV from PyPI, "
                "or offer another codec"
            )
        self._context: VideoCodecContext | None = None
        self._size = (0, 0)
        self._ladder = RateLadder(bitrate_bps)
        self._bucket = LeakyBucket()
        self._is_quick = False
        self._left_out = 0
        self._pace = FramePace(CLOCK_HZ / fps)
        self._ticks = 0
        self._pts = 0
        self._last_rtp_time: int | None = None
        self._rtp_times: dict[int, int] = {}

    @property
    def implementation(self) -> str:
        """FFmpeg's name of the encoder that is used, or will be tried first."""
        return self._candidates[0].name

    def set_bitrate(self, bitrate_bps: int) -> None:
        """What the track may take from now on, in bit/s.

        VP8 and VP9 follow at once. Other encoders have to be opened anew, x264 for a higher rate
        only; that costs a keyframe and is done at most every 2 s. Until then frames are left out
        as needed.
        """
        self._bitrate_bps = bitrate_bps

    def encode(
        self, picture: Picture, rtp_time: int, *, keyframe: bool = False
    ) -> list[EncodedFrame]:
        """The frames to send: one, or none where the bit rate has no room for it.

        Args:
            picture: of any size; a new one opens the encoder anew.
            rtp_time: 90 kHz, rising; it may wrap around at 32 bits.
            keyframe: make one. Nothing prevents storms of them here.

        Raises:
            FeatureUnavailable: none of FFmpeg's encoders takes such pictures.
        """
        step = self._step(rtp_time)
        self._ticks += step
        now_s = self._ticks / CLOCK_HZ
        self._bucket.drain(self._bitrate_bps, now_s)
        size = (picture.width, picture.height)
        is_full = self._bucket.is_full(self._bitrate_bps, now_s)
        context = self._context
        if (
            context is None
            or size != self._size
            or (self._is_quick and self._left_out > _STUCK and not is_full)
            or self._ladder.is_due(
                self._bitrate_bps, now_s, keyframe=keyframe, follows=self._candidates[0].follows
            )
        ):
            context = self._open(size, now_s)
            keyframe = True
        if not keyframe and is_full:
            self._left_out += 1
            return []  # The encoder's clock stands still, or it would spend what this one saves.
        self._left_out = max(0, self._left_out - 1)
        self._steer(context, step)
        try:
            frames = self._encode(context, picture, rtp_time, keyframe)
        except FFmpegError as error:
            self._give_up(error, size)
            context = self._open(size, now_s)
            frames = self._encode(context, picture, rtp_time, keyframe=True)
        for frame in frames:
            self._bucket.add(8 * len(frame.data), now_s)
        return frames

    def close(self) -> None:
        """Gives the encoder's memory back; it may be used again afterwards."""
        context, self._context = self._context, None
        self._rtp_times.clear()
        if context is not None and self.implementation == "libsvtav1":
            context.encode(None)  # It complains on stderr unless it is told of the end.

    def _step(self, rtp_time: int) -> int:
        """Ticks since the picture before, whatever the clock did."""
        step = round(CLOCK_HZ / self._fps)
        if self._last_rtp_time is not None:
            since = (rtp_time - self._last_rtp_time) & 0xFFFF_FFFF
            if 0 < since <= _LONGEST_STEP_S * CLOCK_HZ:
                step = since
        self._last_rtp_time = rtp_time
        return step

    def _steer(self, context: VideoCodecContext, step: int) -> None:
        """Lets the encoder's clock go on, and has it make for the bit rate if it can."""
        even_step = self._pace.next(step)
        follows = self._candidates[0].follows
        if follows == "clock":
            even_step *= self._ladder.clock(self._bitrate_bps)
        elif follows == "lower":
            context.bit_rate = min(self._bitrate_bps, self._ladder.opened_bps)
        self._pts += max(1, round(even_step))

    def _encode(
        self, context: VideoCodecContext, picture: Picture, rtp_time: int, keyframe: bool
    ) -> list[EncodedFrame]:
        frame = picture.fitted(context.width, context.height).frame
        if frame.format.name != context.pix_fmt:
            frame = frame.reformat(format=context.pix_fmt)
        frame.pts = self._pts
        frame.time_base = _TIME_BASE
        frame.pict_type = PictureType.I if keyframe else PictureType.NONE
        self._rtp_times[self._pts] = rtp_time
        frames = []
        for packet in context.encode(frame):
            pts = cast(int, packet.pts)
            frames.append(EncodedFrame(bytes(packet), self._rtp_times[pts], packet.is_keyframe))
            self._rtp_times = {later: at for later, at in self._rtp_times.items() if later > pts}
        return frames

    def _open(self, size: tuple[int, int], now_s: float) -> VideoCodecContext:
        """Opens the first candidate that works; those before it are not tried again."""
        self.close()
        bits = self._bitrate_bps / (size[0] * size[1] * self._fps)
        self._is_quick = bits >= _QUICK_FROM_BITS and self._left_out <= _STUCK
        while True:
            implementation = self._candidates[0]
            options = dict(implementation.options(self._bitrate_bps))
            if self._is_quick:
                options |= implementation.quick
            try:
                context = _opened(
                    implementation,
                    implementation.size_for(*size),
                    self._fps,
                    self._bitrate_bps,
                    options,
                )
                break
            except FFmpegError as error:
                self._give_up(error, size)
        self._context, self._size = context, size
        self._ladder.on_open(self._bitrate_bps, now_s)
        return context

    def _give_up(self, error: FFmpegError, size: tuple[int, int]) -> None:
        """The first candidate does not work here; the next one has its turn."""
        name = self.implementation
        if len(self._candidates) == 1:
            raise FeatureUnavailable(
                f"no {self._codec} encoder of FFmpeg works for pictures of {size[0]}x{size[1]}: "
                f"{name} says {error.strerror!r}; offer another codec or size"
            ) from error
        _log.info("%s cannot be used here: %s", name, error.strerror)
        self._context = None
        del self._candidates[0]


def _opened(
    implementation: Implementation,
    size: tuple[int, int],
    fps: float,
    bitrate_bps: int,
    options: dict[str, str],
) -> VideoCodecContext:
    if implementation.name == "libsvtav1":
        os.environ.setdefault("SVT_LOG", "1")  # Else it prints its settings on stderr.
    context = cast(VideoCodecContext, CodecContext.create(implementation.name, "w"))
    context.width, context.height = size
    context.pix_fmt = implementation.pixel_format
    context.time_base = _TIME_BASE
    context.framerate = Fraction(fps).limit_denominator(1_001)
    context.bit_rate = bitrate_bps
    context.thread_count = 1
    context.gop_size = _NO_KEYFRAMES
    context.max_b_frames = 0
    context.options = options
    context.open()
    return context
