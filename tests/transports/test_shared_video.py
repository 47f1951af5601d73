"""What many viewers get of one encoder, with real codecs, at times that the test sets."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fastrtc.settings import MediaSettings
from fastrtc.transports.shared_video import (
    REPEAT_AFTER_S,
    SETTLING_S,
    SLOW_ASKS_AGAIN_S,
    Seat,
    SharedVideo,
)
from fastrtc.types import VideoCodec
from fastrtc.video.decoder import VideoDecoder
from fastrtc.video.encoders import IMPLEMENTATIONS
from fastrtc.video.keyframes import is_keyframe
from fastrtc.video.picture import Picture
from pictures import number_of, numbered

FPS = 30
SIZE = {"height": 96, "width": 128}
BLOCKS = np.random.default_rng(5).integers(0, 256, (8, 15, 20, 3), np.uint8)
BUSY = BLOCKS.repeat(16, axis=1).repeat(16, axis=2)
"""Pictures of 320x240 that have nothing in common."""


def answer(*codecs: str) -> str:
    payloads = " ".join(str(96 + n) for n in range(len(codecs)))
    maps = "".join(f"a=rtpmap:{96 + n} {name}/90000\r\n" for n, name in enumerate(codecs))
    return f"v=0\r\nm=video 9 UDP/TLS/RTP/SAVPF {payloads}\r\n{maps}"


class Wire:
    """The media plane's side of one viewer: decodes what it is given."""

    def __init__(self, *codecs: str) -> None:
        self.answer = answer(*codecs)
        self.sent: list[tuple[bytes, int, str]] = []

    def send_video(self, data: bytes, rtp_time: int, codec: str) -> None:
        self.sent.append((data, rtp_time, codec))

    def shown(self) -> list[int]:
        """Raises when a frame makes no sense after those before it."""
        decoder = VideoDecoder(self.sent[0][2])  # type: ignore[arg-type]
        pictures = [p for data, _, _ in self.sent for p in decoder.decode(data)]
        return [number_of(picture.to_array("bgr24")) for picture in pictures]

    def bits(self) -> int:
        return sum(8 * len(data) for data, _, _ in self.sent)


class Loop:
    """The session's loop and lanes: timers are run by the test, calls at once."""

    def __init__(self) -> None:
        self.now_s = 100.0
        self.timers: list[tuple[float, Any]] = []

    def time(self) -> float:
        return self.now_s

    def call_later(self, delay_s: float, fn: Any) -> None:
        self.timers.append((self.now_s + delay_s, fn))

    def call(self, fn: Any) -> None:
        fn()

    def advance(self, by_s: float) -> None:
        until_s = self.now_s + by_s
        while due := sorted((t for t in self.timers if t[0] <= until_s), key=lambda t: t[0]):
            self.timers.remove(due[0])
            self.now_s = due[0][0]
            due[0][1]()
        self.now_s = until_s


class Cinema:
    """A shared stream's video and its viewers."""

    def __init__(self, settings: MediaSettings = MediaSettings()) -> None:  # noqa: B008
        self.loop = Loop()
        self.fps = FPS
        self.way = SharedVideo(self, self, None, settings)  # type: ignore[arg-type]
        self.number = 0

    def open(self, way: SharedVideo) -> None:
        """Of a session's video."""

    def lane(self) -> Loop:
        return self.loop

    def join(self, *codecs: str, is_heard: Any = lambda: True) -> tuple[Any, Seat]:
        wire: Any = Wire(*(codecs or ("VP8", "H264")))
        seat = Seat(wire, is_heard, self.loop.time)
        self.way.add(seat)
        return wire, seat

    def show(self, pictures: int, busy: bool = False) -> None:
        for _ in range(pictures):
            self.loop.advance(1 / FPS)
            array = BUSY[self.number % 8] if busy else numbered(self.number % 200, **SIZE)
            self.way.send(Picture.from_array(array, "bgr24"), round(self.loop.now_s * 90_000))
            self.number += 1

    @property
    def encoded(self) -> tuple[Any, Any]:
        stats = self.way.stats()
        return stats["shared_frames_encoded"], stats["shared_keyframes_encoded"]


def keyframes(wire: Wire) -> int:
    return sum(is_keyframe(codec, data) for data, _, codec in wire.sent)  # type: ignore[arg-type]


def test_a_picture_is_encoded_once_however_many_watch() -> None:
    cinema = Cinema()
    wires = [cinema.join()[0] for _ in range(30)]
    cinema.show(30)
    assert cinema.encoded == (30, 1)
    for wire in wires:
        assert wire.sent == wires[0].sent
    assert wires[0].shown() == list(range(30))


def test_once_for_each_codec_that_somebody_takes() -> None:
    cinema = Cinema()
    first, _ = cinema.join("H264")
    both, _ = cinema.join("VP8", "H264")
    other, seat = cinema.join("VP8")
    cinema.show(10)
    assert {codec for _, _, codec in both.sent} == {"h264"}, "what is made already"
    assert other.shown() == first.shown() == list(range(10))
    assert cinema.encoded == (20, 2)
    cinema.way.remove(seat)
    cinema.show(10)
    assert cinema.encoded == (30, 2)
    assert len(other.sent) == 10


def test_a_codec_that_cannot_be_made_is_no_matter_of_the_others(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(IMPLEMENTATIONS, "h264", ())  # type: ignore[arg-type]
    cinema = Cinema()
    first, _ = cinema.join("VP8")
    unlucky, _ = cinema.join("H264")
    cinema.show(5)
    assert first.shown() == list(range(5))
    assert unlucky.sent == []
    assert caplog.text.count("viewers that take h264 get no pictures") == 1
    assert cinema.join("H264", "VP8")[1].codec == "vp8"


@pytest.mark.parametrize("codec", ["vp8", "h264"])
def test_who_joins_begins_with_a_keyframe_and_many_share_one(codec: VideoCodec) -> None:
    cinema = Cinema()
    first, _ = cinema.join(codec.upper())
    cinema.show(20)
    late = []
    for _ in range(20):
        late.append(cinema.join(codec.upper())[0])
        cinema.show(1)
    cinema.show(10)
    assert keyframes(first) <= 2 + 20 / FPS / 0.3, "not one for each"
    assert first.shown() == list(range(50))
    for joined, wire in enumerate(late):
        assert wire.shown() == list(range(50 - len(wire.sent), 50))
        assert len(wire.sent) >= 50 - 20 - joined - 0.3 * FPS - 2, "at most 0.3 s later"


def test_who_joins_while_nothing_moves_sees_the_last_picture() -> None:
    cinema = Cinema()
    first, _ = cinema.join()
    cinema.show(12)
    late, _ = cinema.join()
    cinema.loop.advance(REPEAT_AFTER_S + 0.01)
    assert late.shown() == [11]
    assert first.shown() == [*range(12), 11]
    cinema.loop.advance(10)
    assert len(late.sent) == 1
    assert not cinema.loop.timers, "and nobody is woken again"
    cinema.show(1)
    assert late.shown() == [11, 12]
    times = [rtp_time for _, rtp_time, _ in first.sent]
    assert np.all(np.diff(times) > 0)


def test_a_slow_viewer_gets_later_frames_and_costs_the_others_nothing() -> None:
    cinema = Cinema()
    fast = [cinema.join() for _ in range(2)]
    slow, slow_seat = cinema.join()
    for _, seat in fast:
        seat.on_bitrate(1_000_000)
    slow_seat.on_bitrate(100_000)
    before_s = cinema.loop.now_s
    cinema.show(8 * FPS, busy=True)
    took_s = cinema.loop.now_s - before_s
    assert fast[0][0].bits() / took_s > 300_000, "what is sent is too much for the slow one"
    encoded, made = cinema.encoded
    assert len(fast[0][0].sent) == len(fast[1][0].sent) == encoded >= 7 * FPS
    assert made <= 2 + took_s / SLOW_ASKS_AGAIN_S
    assert slow_seat.stats()["video_frames_left_out"] > encoded / 2  # type: ignore[operator]
    settled = SETTLING_S * fast[0][0].bits() / took_s
    assert slow.bits() < settled + 2 * 100_000 * took_s
    assert keyframes(slow) >= 2, "and it sees something new now and then"
    assert slow.shown(), "all of which can be decoded"


def test_the_rate_is_what_half_of_the_networks_carry() -> None:
    cinema = Cinema()
    viewers = [cinema.join() for _ in range(5)]
    for (_, seat), kbps in zip(viewers, (200, 250, 300, 900, 1000), strict=True):
        seat.on_bitrate(1000 * kbps)
    cinema.show(4 * FPS, busy=True)
    before = [wire.bits() for wire, _ in viewers]
    cinema.show(4 * FPS, busy=True)
    best = (viewers[4][0].bits() - before[4]) / 4
    assert 100_000 < best < 330_000
    assert viewers[2][1].stats()["video_frames_left_out"] == 0


def test_what_waits_for_one_viewer_is_not_made_more() -> None:
    cinema = Cinema()
    fast, fast_seat = cinema.join()
    slow, slow_seat = cinema.join()
    for seat in (fast_seat, slow_seat):
        seat.on_bitrate(1_000_000)
    cinema.show(4 * FPS, busy=True)
    sent = len(slow.sent)
    slow_seat.on_queue(40_000, 300_000)
    cinema.show(FPS // 3, busy=True)
    assert len(slow.sent) == sent, "more than half a second of what its way carries"
    assert len(fast.sent) > sent
    cinema.show(6 * FPS, busy=True)
    assert len(slow.sent) > sent, "it goes on"
    assert slow.shown(), "with what can be decoded"


def test_a_viewer_that_lost_something_is_helped_but_not_all_the_time() -> None:
    cinema = Cinema()
    _, seat = cinema.join()
    other, _ = cinema.join()
    for _ in range(3 * FPS):
        cinema.show(1)
        seat.on_keyframe_request()
    assert 2 <= keyframes(other) <= 5
    assert other.shown() == list(range(3 * FPS))


def test_a_viewer_that_comes_back_begins_with_a_keyframe() -> None:
    cinema = Cinema()
    heard = True
    wire, _ = cinema.join(is_heard=lambda: heard)
    cinema.join()
    cinema.show(10)
    heard = False
    cinema.show(10)
    assert len(wire.sent) == 10
    heard = True
    cinema.show(10)
    assert wire.shown()[10:] == list(range(30 - (len(wire.sent) - 10), 30))
    assert len(wire.sent) >= 18


def test_after_the_end_nothing_is_sent() -> None:
    cinema = Cinema()
    wire, _ = cinema.join()
    cinema.show(1)
    cinema.way.close()
    cinema.show(1)
    cinema.loop.advance(1)
    assert len(wire.sent) == 1
