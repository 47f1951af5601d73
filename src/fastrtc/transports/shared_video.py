"""Pictures for many WebRTC peers: each is encoded once for each codec that somebody takes.

Bit rate and size follow what at least half of the viewers' networks carry. A viewer whose network
carries less is left out until a keyframe that it has room for, and may ask for one only now and
then, so that the others hardly notice. Encoding happens in the worker threads that call
:meth:`SharedVideo.send`; viewers come, go and ask on the event loop, which never waits for it.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from fastrtc.errors import FeatureUnavailable
from fastrtc.session.frame_clock import CLOCK_RATE_HZ, TakeRate
from fastrtc.session.transport import InboundPicture, Stats
from fastrtc.settings import MediaSettings, current_settings
from fastrtc.transports.webrtc_video import scaled, video_codecs_of
from fastrtc.types import VideoCodec

if TYPE_CHECKING:
    from fastrtc._core import Peer, VideoInfo
    from fastrtc.session.session import Session
    from fastrtc.session.video import Video
    from fastrtc.video.encoder import EncodedFrame
    from fastrtc.video.picture import Picture

__all__ = ["Seat", "SharedVideo"]

logger = logging.getLogger("fastrtc")

ASK_AGAIN_S: Final = 1.0
"""How often one viewer may have a keyframe made because it lost something; for all together there
is at most one in 0.3 s (``video/adaptation.py``)."""
SLOW_ASKS_AGAIN_S: Final = 3.0
"""The same for one that was left out because its network carries too little."""
SETTLING_S: Final = 2.0
"""How long after a viewer joined nothing is concluded from what its network is said to carry."""
REPEAT_AFTER_S: Final = 0.15
"""A viewer that waits for a keyframe for this long while no picture comes gets the last again."""


class Seat:
    """A viewer's place: its peer, and what it has got.

    Args:
        peer: of the media plane.
        is_heard: whether the viewer is there at the moment.
        clock: of the event loop.
    """

    def __init__(
        self, peer: Peer, is_heard: Callable[[], bool], clock: Callable[[], float]
    ) -> None:
        self.peer = peer
        self.is_heard = is_heard
        self._clock = clock
        self.codecs = video_codecs_of(peer.answer)
        self.codec: VideoCodec | None = None
        self.video: SharedVideo | None = None
        # Left by the loop for the writing thread.
        self.estimate_bps: float | None = None
        self._queued_bits = 0
        self._asked_s = float("-inf")
        # The writing thread's.
        self.awaits_keyframe = True
        self.is_slow = False
        self.joined_s = clock()
        self._debt_bits = 0.0
        self._drained_s = self.joined_s
        self._sent = 0
        self._left_out = 0

    # On the loop.

    def on_frame(self, data: bytes, info: VideoInfo) -> None:
        """A viewer sends no pictures; those of one that does are dropped."""

    def on_keyframe_request(self) -> None:
        """The viewer cannot decode what it got."""
        now_s = self._clock()
        if self.video is not None and now_s - self._asked_s >= ASK_AGAIN_S:
            self._asked_s = now_s
            self.video.request_keyframe(self)

    def on_bitrate(self, bps: float) -> None:
        """What the way to the viewer carries."""
        self.estimate_bps = bps

    def on_queue(self, in_flight_bytes: int, carries_bps: float) -> None:
        """What is sent waits in front of a narrow way."""
        self.estimate_bps = min(carries_bps, self.estimate_bps or carries_bps)
        self._queued_bits = 8 * in_flight_bytes

    def on_answer(self, sdp: str) -> None:
        """A later offer was answered: there may be other codecs now."""
        self.codecs = video_codecs_of(sdp)
        if self.video is not None and self.codec not in self.codecs:
            self.video.remove(self)
            self.video.add(self)

    def close(self) -> None:
        """The viewer's connection has ended."""

    def stats(self) -> Stats:
        """What this viewer got of what was made."""
        if self.video is None:
            return {}
        found: Stats = {
            "video_frames_sent": self._sent,
            "video_frames_left_out": self._left_out,
            **self.video.stats(),
        }
        if self.codec is not None:
            found["video_codec"] = self.codec
        return found

    # In any thread.

    @property
    def waits(self) -> bool:
        """Whether it could do with a keyframe at once: it has just come, or come back."""
        return self.awaits_keyframe and not self.is_slow and self.is_heard()

    # In worker threads.

    def offer(self, frame: EncodedFrame, codec: VideoCodec, now_s: float) -> None:
        """Sends a frame, unless it makes no sense to this viewer or has no room."""
        if not self.is_heard():
            self.awaits_keyframe = True
        elif self._is_behind(now_s):
            self.awaits_keyframe = self.is_slow = True
        elif frame.keyframe or not self.awaits_keyframe:
            self.awaits_keyframe = self.is_slow = False
            self._debt_bits += 8 * len(frame.data)
            self._sent += 1
            self.peer.send_video(frame.data, frame.rtp_time, codec)
            return
        self._left_out += 1

    def _is_behind(self, now_s: float) -> bool:
        """Whether what was sent is more than the network has carried by now, and half a second."""
        bps = self.estimate_bps
        since_s, self._drained_s = now_s - self._drained_s, now_s
        queued_bits, self._queued_bits = self._queued_bits, 0
        if bps is None or now_s - self.joined_s < SETTLING_S:
            self._debt_bits = 0.0
            return False
        self._debt_bits = max(0.0, self._debt_bits - since_s * bps, queued_bits)
        # Once behind, it has to make up for nearly all of it.
        return self._debt_bits > bps * (0.1 if self.is_slow else 0.5)


class Rendition:
    """What is made for the viewers of one codec. The writing thread's."""

    def __init__(
        self, codec: VideoCodec, fps: float, settings: MediaSettings, max_bps: int
    ) -> None:
        from fastrtc.video.adaptation import Adaptation
        from fastrtc.video.encoder import VideoEncoder

        self.codec: VideoCodec = codec
        self.adaptation = Adaptation(
            min_bitrate_bps=min(settings.video_min_bitrate_bps, max_bps),
            start_bitrate_bps=min(settings.video_start_bitrate_bps, max_bps),
            max_bitrate_bps=max_bps,
        )
        self._fps = fps
        self._rate = TakeRate(fps)
        self._slow_asked_s = float("-inf")
        self._encoder = VideoEncoder(
            codec,
            fps=fps,
            bitrate_bps=min(settings.video_start_bitrate_bps, max_bps),
            hardware=settings.video_hardware,
        )

    def encode(
        self, picture: Picture, rtp_time: int, now_s: float, seats: list[Seat]
    ) -> list[EncodedFrame]:
        """The frames to send, none when this picture is left out."""
        estimate_bps = _carried_by_half(seats, now_s)
        if estimate_bps is not None:
            self.adaptation.on_estimate(estimate_bps, now_s)
        target = self.adaptation.target(now_s, picture.width, picture.height, self._fps)
        self._rate.fps = target.fps
        if target.fps < self._fps and not self._rate.takes(now_s):
            return []
        self._ask_for_those_who_wait(seats, now_s)
        self._encoder.set_bitrate(target.bitrate_bps)
        return self._encoder.encode(
            scaled(picture, target.scale),
            rtp_time,
            keyframe=self.adaptation.wants_keyframe(now_s),
        )

    def close(self) -> None:
        self._encoder.close()

    def _ask_for_those_who_wait(self, seats: list[Seat], now_s: float) -> None:
        if any(seat.waits for seat in seats):
            self.adaptation.request_keyframe()
        elif now_s - self._slow_asked_s >= SLOW_ASKS_AGAIN_S and any(s.is_slow for s in seats):
            self._slow_asked_s = now_s
            self.adaptation.request_keyframe()


class SharedVideo:
    """The way of one session's pictures to all viewers.

    Args:
        session: that makes them.
        video: the session's.
        max_bitrate_bps: what one viewer may get at most; None for what the settings say.
        settings: codecs and bit rates; None for those of the process.
    """

    def __init__(
        self,
        session: Session,
        video: Video,
        max_bitrate_bps: int | None = None,
        settings: MediaSettings | None = None,
    ) -> None:
        self._session = session
        self._clock = session.loop.time
        self._fps = video.fps
        self._settings = settings or current_settings()
        self._max_bps = max_bitrate_bps or self._settings.video_max_bitrate_bps
        self._seats: tuple[Seat, ...] = ()
        self._repeating = False
        self._repeat_lane = session.lane()
        self._closed = False
        # The writing threads'.
        self._lock = threading.Lock()
        self._renditions: dict[VideoCodec, Rendition] = {}
        self._broken: frozenset[VideoCodec] = frozenset()
        """Codecs that cannot be encoded here."""
        self._last: tuple[Picture, int, float] | None = None
        self._encoded = 0
        self._keyframes = 0
        video.open(self)

    # On the loop.

    def add(self, seat: Seat) -> None:
        """A viewer joins: with a codec that others have already, if it takes one."""
        codecs = [codec for codec in seat.codecs if codec not in self._broken]
        used = [other.codec for other in self._seats if other.codec in codecs]
        wanted = [codec for codec in self._settings.video_codecs if codec in codecs]
        seat.codec = next(iter(used or wanted or codecs), None)
        seat.video = self
        seat.joined_s = self._clock()
        seat.awaits_keyframe, seat.is_slow = True, False
        if seat.codec is not None:
            self._seats = (*self._seats, seat)
            self._repeat_later()

    def remove(self, seat: Seat) -> None:
        """A viewer leaves."""
        self._seats = tuple(other for other in self._seats if other is not seat)

    def request_keyframe(self, seat: Seat) -> None:
        """A viewer can make sense of nothing else."""
        if seat.codec is not None and not self._closed:
            seat.awaits_keyframe = True
            self._repeat_later()

    def stats(self) -> Stats:
        """Counters and gauges, by name."""
        return {
            "shared_viewers": len(self._seats),
            "shared_frames_encoded": self._encoded,
            "shared_keyframes_encoded": self._keyframes,
        }

    def _repeat_later(self) -> None:
        if not self._repeating:
            self._repeating = True
            self._session.loop.call_later(REPEAT_AFTER_S, self._repeat_soon)

    def _repeat_soon(self) -> None:
        self._repeating = False
        if self._last is not None and not self._closed and any(s.waits for s in self._seats):
            self._repeat_lane.call(self._repeat)
            self._repeat_later()

    # In worker threads.

    def decode(self, arrival: InboundPicture) -> list[Picture]:
        """Nobody sends any."""
        return []

    def send(self, picture: Picture, rtp_time: int) -> bool:
        """Encodes a picture for each codec and hands it to the viewers."""
        with self._lock:
            if self._last is not None:
                rtp_time = max(rtp_time, self._last[1] + 1)
            return self._send(picture, rtp_time, self._clock())

    def close(self) -> None:
        """Ends; blocks while a picture is being encoded."""
        self._closed = True
        with self._lock:
            for rendition in self._renditions.values():
                rendition.close()

    def _repeat(self) -> None:
        """The last picture once more, for somebody who waits while no other comes."""
        with self._lock:
            now_s = self._clock()
            if self._last is None or now_s - self._last[2] < REPEAT_AFTER_S / 2:
                return
            picture, rtp_time, at_s = self._last
            self._send(picture, rtp_time + round((now_s - at_s) * CLOCK_RATE_HZ), now_s)

    def _send(self, picture: Picture, rtp_time: int, now_s: float) -> bool:
        if self._closed:
            return False
        self._last = (picture, rtp_time, now_s)
        sent = False
        seats_of = self._by_codec()
        for codec, seats in seats_of.items():
            for frame in self._encode(codec, picture, rtp_time, now_s, seats):
                sent = True
                self._encoded += 1
                self._keyframes += frame.keyframe
                for seat in seats:
                    seat.offer(frame, codec, now_s)
        for codec in self._renditions.keys() - seats_of.keys():
            self._renditions.pop(codec).close()
        return sent

    def _encode(
        self,
        codec: VideoCodec,
        picture: Picture,
        rtp_time: int,
        now_s: float,
        seats: list[Seat],
    ) -> list[EncodedFrame]:
        try:
            return self._rendition(codec).encode(picture, rtp_time, now_s, seats)
        except FeatureUnavailable as error:
            # What one viewer's codec cannot do is no matter of the others.
            logger.error("viewers that take %s get no pictures: %s", codec, error)
            self._broken |= {codec}
            return []

    def _by_codec(self) -> dict[VideoCodec, list[Seat]]:
        found: dict[VideoCodec, list[Seat]] = {}
        for seat in self._seats:
            if seat.codec is not None and seat.codec not in self._broken:
                found.setdefault(seat.codec, []).append(seat)
        return found

    def _rendition(self, codec: VideoCodec) -> Rendition:
        rendition = self._renditions.get(codec)
        if rendition is None:
            rendition = Rendition(codec, self._fps, self._settings, self._max_bps)
            self._renditions[codec] = rendition
        return rendition


def _carried_by_half(seats: list[Seat], now_s: float) -> float | None:
    """What the networks of half of the viewers, or a few more, carry; None while nobody knows.
    First estimates are low: those of viewers who have just come count only while there are no
    others."""
    settled = [seat for seat in seats if now_s - seat.joined_s >= SETTLING_S]
    known = sorted(seat.estimate_bps for seat in settled or seats if seat.estimate_bps is not None)
    return known[len(known) // 2] if known else None
