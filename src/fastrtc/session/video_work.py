"""What one session's pictures need done in a worker thread: decode, convert, call, convert, encode.

Everything here runs in a lane, one call at a time for each direction; nothing touches the loop but
to read its clock.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias, cast

from fastrtc.handlers.outputs import Outputs, split_outputs
from fastrtc.session.calls import is_unfinished
from fastrtc.session.frame_clock import TakeRate
from fastrtc.session.transport import InboundPicture, Stats, VideoWay
from fastrtc.types import PixelFormat

if TYPE_CHECKING:
    from fastrtc.video.picture import Picture

__all__ = ["Stamp", "Taken", "VideoWork"]

SMOOTHING: Final = 0.1
"""Weight of the newest value in a mean."""
NOTHING_LEFT: Final = object()

Stamp: TypeAlias = Callable[[float], int]
"""Gives the picture that leaves now its RTP time."""


class Taken(NamedTuple):
    """A decoded picture, and the time it has."""

    picture: Picture
    rtp_time: int
    arrived_s: float


class Mean:
    """A mean of the newest values, and the largest of all."""

    def __init__(self) -> None:
        self.value = 0.0
        self.largest = 0.0

    def add(self, value: float) -> None:
        self.value = value if not self.value else self.value + SMOOTHING * (value - self.value)
        self.largest = max(self.largest, value)


class VideoWork:
    """The pictures of one session between its transport and its handler.

    Args:
        pixel_format: what the handler takes and gives.
        shows: whether the client sees pictures at all.
        keep: decoded pictures that may wait; beyond it the oldest is dropped.
        clock: the session's.
        rate: which pictures are taken; None for all.
    """

    way: VideoWay

    def __init__(
        self,
        pixel_format: PixelFormat,
        *,
        shows: bool,
        keep: int,
        clock: Callable[[], float],
        rate: TakeRate | None,
    ) -> None:
        self._format: PixelFormat = pixel_format
        self._shows = shows
        self._keep = keep
        self._clock = clock
        self._rate = rate
        self.waiting: deque[Taken] = deque()
        self.received = 0
        self.dropped = 0
        self.shown = 0
        self.left_out = 0
        self._age_s = Mean()
        self._decode_s = Mean()
        self._encode_s = Mean()

    def decode(self, arrivals: Sequence[InboundPicture]) -> None:
        """Decodes what came in; the newest wait for the handler."""
        for arrival in arrivals:
            started_s = time.perf_counter()
            for picture in self.way.decode(arrival):
                if self._rate is None or self._rate.takes(arrival.arrived_s):
                    self.waiting.append(Taken(picture, arrival.rtp_time, arrival.arrived_s))
                else:
                    self.dropped += 1
            self._decode_s.add(time.perf_counter() - started_s)
            while len(self.waiting) > self._keep:
                self.waiting.popleft()
                self.dropped += 1

    def drop_waiting(self, arrivals: Sequence[InboundPicture]) -> None:
        """Nobody can take pictures now: decodes what came in, lest the next ones make no sense."""
        self.decode(arrivals)
        self.dropped += len(self.waiting)
        self.waiting.clear()

    def take(
        self, arrivals: Sequence[InboundPicture], call: Callable[[Any], Any] | None = None
    ) -> tuple[Taken | None, Any]:
        """The oldest waiting picture, and the array of it or what ``call(array)`` returned."""
        self.decode(arrivals)
        if not self.waiting:
            return None, None
        taken = self.waiting.popleft()
        array = taken.picture.to_array(self._format)
        return taken, array if call is None else call(array)

    def send(
        self,
        value: object,
        stamp: Stamp,
        taken: Taken | None = None,
        arrivals: Sequence[InboundPicture] = (),
    ) -> Outputs:
        """Encodes and sends what a handler returned; returns what else was in it.

        Args:
            value: returned or yielded.
            stamp: gives the time of the picture, if there is one.
            taken: what it was made of.
            arrivals: decoded first.

        Raises:
            OutputError: it is nothing that a handler may return.
        """
        self.decode(arrivals)
        outputs = split_outputs(value)
        if outputs.media is None or not self._shows:
            return outputs
        from fastrtc.video.picture import Picture

        started_s = time.perf_counter()
        picture = Picture.from_array(cast(Any, outputs.media), self._format)
        sent = self.way.send(picture, stamp(self._clock()))
        self._encode_s.add(time.perf_counter() - started_s)
        self.shown += sent
        self.left_out += not sent
        if sent and taken is not None:
            self._age_s.add(self._clock() - taken.arrived_s)
        return outputs

    def call_and_send(
        self,
        arrivals: Sequence[InboundPicture],
        call: Callable[[Any], Any],
        stamp_of: Callable[[Taken], Stamp],
    ) -> tuple[Taken | None, Any]:
        """:meth:`take`, and :meth:`send` of what came of it unless that is still to be awaited or
        iterated."""
        taken, result = self.take(arrivals, call)
        if taken is None or is_unfinished(result):
            return taken, result
        return taken, self.send(result, stamp_of(taken), taken)

    def send_next(
        self,
        items: Iterator[Any],
        stamp: Stamp,
        taken: Taken | None,
        arrivals: Sequence[InboundPicture],
    ) -> Outputs | None:
        """Sends the next item of a generator; None at its end."""
        self.decode(arrivals)
        item = next(items, NOTHING_LEFT)
        return None if item is NOTHING_LEFT else self.send(item, stamp, taken)

    def ask_and_send(self, emit: Callable[[], Any], stamp: Stamp) -> Any:
        """Sends what ``emit`` returns, unless that is still to be awaited."""
        value = emit()
        return value if is_unfinished(value) else self.send(value, stamp)

    def stats(self) -> Stats:
        """Counters and gauges, by name."""
        found: Stats = {
            "video_frames_in": self.received,
            "video_frames_dropped": self.dropped,
            "video_frames_shown": self.shown,
            "video_frames_left_out": self.left_out,
            "video_decode_ms": 1e3 * self._decode_s.value,
            "video_encode_ms": 1e3 * self._encode_s.value,
        }
        if self._age_s.largest:
            found["video_age_ms"] = 1e3 * self._age_s.value
            found["video_age_max_ms"] = 1e3 * self._age_s.largest
        return found
