"""The pictures of one WebRTC peer: encoded frames of the media plane to pictures, and back.

Decides what to do about loss, keyframes and bandwidth; codecs and their settings are
``fastrtc.video``'s, packets the media plane's. Decoding and encoding happen in the worker threads
that call :meth:`WebRTCVideo.decode` and :meth:`WebRTCVideo.send`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast, get_args

from fastrtc.session.frame_clock import TakeRate
from fastrtc.session.transport import InboundPicture, Stats
from fastrtc.settings import MediaSettings, current_settings
from fastrtc.types import VideoCodec

if TYPE_CHECKING:
    from fastrtc._core import Peer, VideoInfo
    from fastrtc.session.video import Video
    from fastrtc.video.adaptation import Adaptation, Target
    from fastrtc.video.decoder import VideoDecoder
    from fastrtc.video.encoder import VideoEncoder
    from fastrtc.video.picture import Picture

__all__ = ["WebRTCVideo", "load_codecs", "scaled", "video_codecs_of"]

ASK_AGAIN_S: Final = 0.3
"""Until a client that was asked for a keyframe is asked again."""


class Encoded(NamedTuple):
    """What :attr:`InboundPicture.data` is here."""

    data: bytes
    codec: VideoCodec


def video_codecs_of(sdp: str) -> tuple[VideoCodec, ...]:
    """The codecs of a description's first video section that is not declined, in its order.

    Example::

        video_codecs_of(answer)  # ("vp8", "vp9", "h264", "av1")
    """
    for section in sdp.split("\nm=")[1:]:
        lines = section.splitlines()
        kind, port, _, *payloads = lines[0].split()
        if kind != "video" or port == "0":
            continue
        names = dict(
            line.removeprefix("a=rtpmap:").split()[:2]
            for line in lines
            if line.startswith("a=rtpmap:")
        )
        found = [names.get(payload, "").partition("/")[0].lower() for payload in payloads]
        known: Iterable[str] = get_args(VideoCodec)
        return tuple(dict.fromkeys(cast(VideoCodec, name) for name in found if name in known))
    return ()


def load_codecs() -> None:
    """Imports what takes a while, so that no event loop and no first picture waits for it."""
    import fastrtc.video.decoder
    import fastrtc.video.encoder  # noqa: F401


class WebRTCVideo:
    """The way of pictures over one peer.

    Args:
        peer: of the media plane.
        video: the session's; is told of what arrives.
        clock: of the event loop.
        max_bitrate_bps: what pictures may take at most; None for what the settings say.
        settings: codecs and bit rates; None for those of the process.
    """

    def __init__(
        self,
        peer: Peer,
        video: Video,
        clock: Callable[[], float],
        max_bitrate_bps: int | None = None,
        settings: MediaSettings | None = None,
    ) -> None:
        self._peer = peer
        self._video = video
        self._clock = clock
        self._settings = settings or current_settings()
        self._max_bps = max_bitrate_bps or self._settings.video_max_bitrate_bps
        self._codecs = video_codecs_of(peer.answer)
        self._keyframes_asked = 0
        # The reading thread's.
        self._decoder: VideoDecoder | None = None
        self._inbound_codec: VideoCodec | None = None
        self._is_broken = False
        self._asked_s = float("-inf")
        # The writing thread's.
        self._encoder: VideoEncoder | None = None
        self._encoder_codec: VideoCodec | None = None
        self._encoder_lock = threading.Lock()
        self._codec: VideoCodec | None = None
        self._adaptation: Adaptation | None = None
        self._target: Target | None = None
        self._rate = TakeRate(video.fps)
        # Left by the loop for the writing thread.
        self._estimate_bps: float | None = None
        self._queue: tuple[int, float, float] | None = None
        self._keyframe_wanted = False
        self._closed = False
        video.open(self)

    # On the loop.

    def on_frame(self, data: bytes, info: VideoInfo) -> None:
        """A complete encoded frame came in."""
        arrived_s = self._clock() - info["age_ms"] / 1e3
        encoded = Encoded(data, info["codec"])
        self._video.on_picture(
            InboundPicture(encoded, info["rtp_time"], arrived_s, info["contiguous"])
        )

    def on_keyframe_request(self) -> None:
        """The client cannot decode what it got."""
        self._keyframe_wanted = True

    def on_bitrate(self, bps: float) -> None:
        """What the way to the client carries."""
        self._estimate_bps = bps

    def on_queue(self, in_flight_bytes: int, carries_bps: float) -> None:
        """What is sent waits in front of a narrow way."""
        self._queue = (in_flight_bytes, carries_bps, self._clock())

    def on_answer(self, sdp: str) -> None:
        """A later offer was answered: there may be video now, or none any more."""
        self._codecs = video_codecs_of(sdp)

    def close(self) -> None:
        """Ends; blocks while a picture is being encoded."""
        self._closed = True
        with self._encoder_lock:
            if self._encoder is not None:
                self._encoder.close()

    def stats(self) -> Stats:
        """Counters and gauges, by name."""
        found: Stats = {"video_keyframes_asked": self._keyframes_asked}
        target = self._target
        if target is not None and self._codec is not None:
            found["video_codec"] = self._codec
            found["video_bitrate_target_bps"] = target.bitrate_bps
            found["video_scale"] = target.scale
        return found

    # In worker threads.

    def decode(self, arrival: InboundPicture) -> list[Picture]:
        """The pictures of a frame; after a loss none, until the keyframe that is asked for."""
        from fastrtc.errors import CorruptFrame
        from fastrtc.video.decoder import VideoDecoder
        from fastrtc.video.keyframes import is_keyframe

        data, codec = cast(Encoded, arrival.data)
        if not arrival.contiguous or codec != self._inbound_codec:
            self._is_broken = True
        if self._is_broken and not is_keyframe(codec, data):
            return self._ask_for_keyframe()
        if self._decoder is None or codec != self._inbound_codec:
            self._decoder, self._inbound_codec = VideoDecoder(codec), codec
        try:
            pictures = self._decoder.decode(data)
        except CorruptFrame:
            self._is_broken = True
            return self._ask_for_keyframe()
        self._is_broken = False
        return pictures

    def send(self, picture: Picture, rtp_time: int) -> bool:
        """Encodes a picture for what the network carries, and sends it."""
        with self._encoder_lock:
            codec = self._codec_to_send()
            if codec is None or self._closed:
                return False
            now_s = self._clock()
            adaptation = self._adapt(now_s)
            target = adaptation.target(now_s, picture.width, picture.height, self._video.fps)
            self._target = target
            if target.fps == 0:
                return False
            self._rate.fps = target.fps
            if target.fps < self._video.fps and not self._rate.takes(now_s):
                return False
            encoder = self._encoder_for(codec, target)
            frames = encoder.encode(
                scaled(picture, target.scale),
                rtp_time,
                keyframe=adaptation.wants_keyframe(now_s),
            )
        for frame in frames:
            self._peer.send_video(frame.data, frame.rtp_time, codec)
        return bool(frames)

    def _ask_for_keyframe(self) -> list[Any]:
        now_s = self._clock()
        if now_s - self._asked_s >= ASK_AGAIN_S:
            self._asked_s = now_s
            self._keyframes_asked += 1
            self._peer.request_keyframe()
        return []

    def _codec_to_send(self) -> VideoCodec | None:
        """What the client itself sends, else by the order of the settings, else what it named
        first; once begun, it stays."""
        codecs = self._codecs
        if self._codec not in codecs:
            wanted = [codec for codec in self._settings.video_codecs if codec in codecs]
            if self._inbound_codec in wanted:
                wanted = [self._inbound_codec]
            self._codec = next(iter(wanted or codecs), None)
        return self._codec

    def _adapt(self, now_s: float) -> Adaptation:
        if self._adaptation is None:
            from fastrtc.video.adaptation import Adaptation

            self._adaptation = Adaptation(
                min_bitrate_bps=min(self._settings.video_min_bitrate_bps, self._max_bps),
                start_bitrate_bps=min(self._settings.video_start_bitrate_bps, self._max_bps),
                max_bitrate_bps=self._max_bps,
            )
        queue, self._queue = self._queue, None
        if queue is not None:
            self._adaptation.on_queue(*queue)
        estimate_bps, self._estimate_bps = self._estimate_bps, None
        if estimate_bps is not None:
            self._adaptation.on_estimate(estimate_bps, now_s)
        if self._keyframe_wanted:
            self._keyframe_wanted = False
            self._adaptation.request_keyframe()
        return self._adaptation

    def _encoder_for(self, codec: VideoCodec, target: Target) -> VideoEncoder:
        from fastrtc.video.encoder import VideoEncoder

        if self._encoder is None or codec != self._encoder_codec:
            if self._encoder is not None:
                self._encoder.close()
            self._encoder_codec = codec
            self._encoder = VideoEncoder(
                codec,
                fps=self._video.fps,
                bitrate_bps=target.bitrate_bps,
                hardware=self._settings.video_hardware,
            )
        self._encoder.set_bitrate(target.bitrate_bps)
        return self._encoder


def scaled(picture: Picture, scale: float) -> Picture:
    """A smaller picture has even sides, which all encoders take."""
    if scale >= 1.0:
        return picture
    width, height = (
        max(2, 2 * round(side * scale / 2)) for side in (picture.width, picture.height)
    )
    return picture.scaled(width, height)
