"""What is done about loss, keyframes, bandwidth and codecs, with real codecs on both sides."""

from __future__ import annotations

import random
from typing import Any, cast

import numpy as np
import pytest

from fastrtc.session.transport import InboundPicture
from fastrtc.settings import MediaSettings
from fastrtc.transports.webrtc_video import ASK_AGAIN_S, Encoded, WebRTCVideo, video_codecs_of
from fastrtc.types import VideoCodec
from fastrtc.video.decoder import VideoDecoder
from fastrtc.video.encoder import VideoEncoder
from fastrtc.video.keyframes import is_keyframe
from fastrtc.video.picture import Picture
from pictures import number_of, numbered

SIZE = {"height": 96, "width": 128}


def answer(*codecs: str, port: int = 9) -> str:
    payloads = " ".join(str(96 + 2 * n) for n in range(len(codecs)))
    maps = "".join(f"a=rtpmap:{96 + 2 * n} {name}/90000\r\n" for n, name in enumerate(codecs))
    return (
        "v=0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=rtpmap:111 opus/48000/2\r\n"
        f"m=video {port} UDP/TLS/RTP/SAVPF {payloads} 120\r\n{maps}a=rtpmap:120 rtx/90000\r\n"
    )


class Wire:
    """The media plane's side: notes what is sent and asked."""

    def __init__(self, *codecs: str) -> None:
        self.answer = answer(*codecs)
        self.sent: list[tuple[bytes, int, str]] = []
        self.asked = 0

    def send_video(self, data: bytes, rtp_time: int, codec: str) -> None:
        self.sent.append((data, rtp_time, codec))

    def request_keyframe(self) -> None:
        self.asked += 1


class Line:
    """A session's video, as far as its way knows it."""

    def __init__(self) -> None:
        self.fps = 30
        self.arrivals: list[InboundPicture] = []

    def open(self, way: WebRTCVideo) -> None:
        self.way = way

    def on_picture(self, arrival: InboundPicture) -> None:
        self.arrivals.append(arrival)


class End:
    """One end of a call, at a time that the test sets."""

    def __init__(
        self,
        *codecs: str,
        max_bitrate_bps: int | None = None,
        settings: MediaSettings = MediaSettings(),  # noqa: B008
    ) -> None:
        self.now_s = 100.0
        self.wire: Any = Wire(*(codecs or ("VP8", "H264")))
        self.line: Any = Line()
        self.way = WebRTCVideo(self.wire, self.line, lambda: self.now_s, max_bitrate_bps, settings)

    def send(self, number: int, picture: Any = None) -> bool:
        self.now_s += 1 / 30
        array = numbered(number % 200, **SIZE) if picture is None else picture
        return self.way.send(Picture.from_array(array, "bgr24"), round(self.now_s * 90_000))


def encoded(count: int, codec: VideoCodec = "vp8") -> list[InboundPicture]:
    encoder = VideoEncoder(codec, fps=30, bitrate_bps=500_000)
    arrivals = []
    for number in range(count):
        picture = Picture.from_array(numbered(number, **SIZE), "bgr24")
        for frame in encoder.encode(picture, 3000 * number, keyframe=number == 20):
            arrivals.append(InboundPicture(Encoded(frame.data, codec), frame.rtp_time, number / 30))
    return arrivals


@pytest.mark.parametrize("codec", ["vp8", "vp9", "h264", "av1"])
def test_pictures_of_every_codec_are_decoded(codec: VideoCodec) -> None:
    end = End()
    seen = [
        number_of(picture.to_array("bgr24"))
        for arrival in encoded(10, codec)
        for picture in end.way.decode(arrival)
    ]
    assert seen == list(range(10))
    assert end.wire.asked == 0


def test_after_a_loss_nothing_broken_is_shown_and_a_keyframe_is_asked_for() -> None:
    end = End()
    arrivals = encoded(30)
    del arrivals[5]
    arrivals[5] = arrivals[5]._replace(contiguous=False)
    seen = []
    for arrival in arrivals:
        end.now_s = 100 + arrival.arrived_s
        seen += [number_of(p.to_array("bgr24")) for p in end.way.decode(arrival)]
    assert seen == [*range(5), *range(20, 30)]
    assert end.wire.asked == 1 + int(14 / 30 / ASK_AGAIN_S), "patiently"
    assert end.way.stats()["video_keyframes_asked"] == end.wire.asked


def test_garbage_asks_for_a_keyframe_too() -> None:
    end = End()
    arrivals = encoded(30)
    spoilt = Encoded(b"\x01" + bytes(50), "vp8")
    for arrival in [*arrivals[:3], arrivals[3]._replace(data=spoilt), *arrivals[4:20]]:
        end.way.decode(arrival)
    assert end.wire.asked >= 1
    assert end.way.decode(arrivals[20]), "the keyframe mends it"
    assert end.way.decode(arrivals[21])


def test_a_codec_that_changes_begins_anew() -> None:
    end = End()
    for codec in ("vp8", "h264"):
        arrivals: Any = encoded(3, codec)  # type: ignore[arg-type]
        assert [len(end.way.decode(arrival)) for arrival in arrivals] == [1, 1, 1]


def test_frames_of_the_media_plane_become_arrivals() -> None:
    end = End()
    info: Any = {
        "codec": "vp8",
        "rtp_time": 7,
        "contiguous": False,
        "keyframe": True,
        "age_ms": 30.0,
    }
    end.way.on_frame(b"data", info)
    assert end.line.arrivals == [
        InboundPicture(Encoded(b"data", "vp8"), 7, pytest.approx(99.97), False)
    ]


def test_keyframes_are_made_when_the_client_asks_and_no_storm_of_them() -> None:
    end = End()
    for number in range(60):
        if number >= 30:
            end.way.on_keyframe_request()
        end.send(number)
    keyframes = [n for n, (data, _, _) in enumerate(end.wire.sent) if is_keyframe("vp8", data)]
    assert keyframes[:2] == [0, 30]
    assert 2 <= len(keyframes) - 1 <= 5


def test_what_is_sent_is_what_the_client_sends_else_what_the_settings_prefer() -> None:
    end = End("H264", "VP9", "VP8")
    end.send(0)
    assert end.wire.sent[0][2] == "vp8"
    settings = MediaSettings(video_codecs=("av1", "vp9"))
    end = End("H264", "VP8", "VP9", settings=settings)
    end.way.decode(encoded(1, "h264")[0])
    end.send(0)
    assert end.wire.sent[0][2] == "vp9", "what is not named is not sent"
    end = End("H264", "VP8", settings=settings)
    end.send(0)
    assert end.wire.sent[0][2] == "h264", "unless the client takes nothing else"
    end = End("VP9", "VP8", "H264")
    end.way.decode(encoded(1, "h264")[0])
    end.send(0)
    end.send(1)
    assert [codec for _, _, codec in end.wire.sent] == ["h264", "h264"]
    end.way.on_answer(answer("VP8"))
    end.send(2)
    assert end.wire.sent[2][2] == "vp8"
    assert is_keyframe("vp8", end.wire.sent[2][0])


def test_without_a_common_codec_nothing_is_encoded() -> None:
    end = End("VP8")
    end.way.on_answer(answer("VP8", port=0))
    assert end.send(0) is False
    end.way.on_answer(answer("VP8"))
    assert end.send(1) is True
    end.way.close()
    assert end.send(2) is False


def noise(seed: int, height: int, width: int) -> Any:
    coarse = np.random.default_rng(seed).integers(0, 255, (height // 8, width // 8, 3), np.uint8)
    return coarse.repeat(8, axis=0).repeat(8, axis=1)


def test_the_bit_rate_follows_what_the_network_carries() -> None:
    def sent_bps(estimate_bps: float) -> float:
        end = End()
        end.way.on_bitrate(estimate_bps)
        for number in range(120):
            end.send(0, noise(number, 240, 320))
        settled = [len(data) for data, time, _ in end.wire.sent if time > (101.0 + 1) * 90_000]
        return 8 * sum(settled) / 3

    poor_bps = sent_bps(200_000)
    assert poor_bps < 300_000
    assert sent_bps(2_000_000) > 2 * poor_bps


def test_nothing_is_sent_until_what_waits_has_arrived() -> None:
    end = End()
    assert end.send(0) is True
    end.way.on_queue(5_000, 100_000)
    sent = [end.send(0) for _ in range(60)]
    rests = sent.count(False)
    assert not any(sent[:rests]), "0.4 s at once"
    assert rests / 30 == pytest.approx(0.4, abs=0.1)
    assert end.way.stats()["video_bitrate_target_bps"] == 85_000


def test_a_bound_of_the_user_holds() -> None:
    end = End(max_bitrate_bps=150_000)
    end.way.on_bitrate(5_000_000)
    end.send(0)
    assert end.way.stats()["video_bitrate_target_bps"] <= 150_000


def test_codecs_of_a_description() -> None:
    assert video_codecs_of(answer("VP8", "H264", "H264", "AV1")) == ("vp8", "h264", "av1")
    assert video_codecs_of(answer("VP8", port=0)) == ()
    assert video_codecs_of("v=0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\n") == ()
    assert video_codecs_of("") == ()


def test_a_picture_that_is_turned_or_grows_begins_anew() -> None:
    """A telephone that is turned, another camera, a window that is made larger."""
    end = End("VP8")
    decoder = VideoDecoder("vp8")
    sizes = [(48, 64), (64, 48), (120, 160), (47, 63), (48, 64)]
    for height, width in sizes:
        for number in (1, 2):
            assert end.send(0, numbered(number, height, width))
            data, _, _ = end.wire.sent[-1]
            assert is_keyframe("vp8", data) == (number == 1)
            [picture] = decoder.decode(data)
            assert (picture.height, picture.width) == (height, width)
            assert number_of(picture.to_array("bgr24")) == number
    stamps = [rtp_time for _, rtp_time, _ in end.wire.sent]
    assert np.abs(np.diff(stamps) - 3_000).max() <= 1


@pytest.mark.parametrize("codec", ["vp8", "vp9", "h264", "av1"])
def test_whatever_comes_is_a_picture_or_a_question_for_a_keyframe(codec: VideoCodec) -> None:
    end = End()
    dice = random.Random(40)
    arrivals = encoded(24, codec)
    for _ in range(20):
        asked = end.wire.asked
        for arrival in arrivals[1:20]:
            end.now_s += 1 / 30
            data = bytearray(cast(Encoded, arrival.data).data)
            for _ in range(3):
                data[dice.randrange(len(data))] ^= 1 << dice.randrange(8)
            spoilt = Encoded(bytes(data[: dice.randrange(len(data) + 1)]), codec)
            for picture in end.way.decode(arrival._replace(data=spoilt)):
                assert picture.width > 0
        assert end.wire.asked > asked
        for arrival in arrivals[20:]:
            end.now_s += 1 / 30
            [picture] = end.way.decode(arrival)
        assert number_of(picture.to_array("bgr24")) == 23, "a keyframe mends everything"
