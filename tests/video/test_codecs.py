"""Pictures survive every codec: sharp, in any size, in order, with the times they were given."""

from __future__ import annotations

import itertools
import resource
from functools import cache
from pathlib import Path
from typing import get_args

import numpy as np
import pytest

from fastrtc.errors import CorruptFrame, FeatureUnavailable
from fastrtc.types import VideoCodec
from fastrtc.video import encoders
from fastrtc.video.decoder import VideoDecoder
from fastrtc.video.encoder import EncodedFrame, VideoEncoder
from fastrtc.video.encoders import IMPLEMENTATIONS, implementations
from fastrtc.video.keyframes import is_keyframe
from fastrtc.video.picture import Picture
from video.scenes import psnr_db, scene

CODECS: tuple[VideoCodec, ...] = get_args(VideoCodec)
TICKS = 3_000
"""Of 90 kHz, from one picture to the next at 30 a second."""


@cache
def pictures(width: int, height: int, count: int) -> list[Picture]:
    return [Picture.from_array(pixels, "bgr24") for pixels in scene(width, height, count)]


def encoded(
    encoder: VideoEncoder, shown: list[Picture], first: int = 0
) -> list[list[EncodedFrame]]:
    return [encoder.encode(picture, (first + i) * TICKS) for i, picture in enumerate(shown)]


def bits_per_s(frames: list[list[EncodedFrame]]) -> float:
    return sum(8 * len(frame.data) for found in frames for frame in found) * 30 / len(frames)


@pytest.mark.parametrize("codec", CODECS)
def test_pictures_come_out_sharp_and_none_is_held_back(codec: VideoCodec) -> None:
    encoder = VideoEncoder(codec, fps=30, bitrate_bps=600_000)
    decoder = VideoDecoder(codec)
    sharpness_db = []
    for index, shown in enumerate(pictures(320, 240, 30)):
        [frame] = encoder.encode(shown, index * TICKS)
        assert frame.rtp_time == index * TICKS
        assert frame.keyframe == (index == 0) == is_keyframe(codec, frame.data)
        [seen] = decoder.decode(frame.data)
        sharpness_db.append(psnr_db(seen.to_array("bgr24"), shown.to_array("bgr24")))
    encoder.close()
    assert np.mean(sharpness_db[10:]) > 36
    assert min(sharpness_db) > 29


@pytest.mark.parametrize("codec", ["vp8", "vp9", "av1"])
def test_fine_detail_is_found_again_after_a_coarse_start(codec: VideoCodec) -> None:
    """At a low rate the first picture loses it. libvpx in a greater hurry never got it back."""
    pixels = scene(320, 240, 50, detail=30)
    shown = [Picture.from_array(picture, "bgr24") for picture in pixels]
    encoder, decoder = VideoEncoder(codec, fps=30, bitrate_bps=120_000), VideoDecoder(codec)
    sharpness_db = []
    for index, picture in enumerate(shown + shown[::-1]):
        for frame in encoder.encode(picture, index * TICKS):
            [seen] = decoder.decode(frame.data)
            sharpness_db.append(psnr_db(seen.y, picture.y))
    encoder.close()
    assert len(sharpness_db) > 90
    assert np.mean(sharpness_db[60:]) > 32


@pytest.mark.parametrize("codec", CODECS)
def test_what_changes_is_shown_at_once(codec: VideoCodec) -> None:
    """Tiles that change one by one, as on a screen. SVT-AV1 in a greater hurry left old ones."""
    random, side = np.random.default_rng(1), 32
    encoder, decoder = VideoEncoder(codec, fps=30, bitrate_bps=1_000_000), VideoDecoder(codec)
    tiles = random.integers(16, 236, (8, 10)).astype(np.uint8)
    for index in range(60):
        before, changed = tiles, random.random(tiles.shape) < 0.05
        tiles = np.where(changed, random.integers(16, 236, tiles.shape), tiles).astype(np.uint8)
        shown = Picture.from_array(np.kron(tiles, np.ones((side, side), np.uint8)), "gray8")
        [frame] = encoder.encode(shown, index * TICKS)
        [seen] = decoder.decode(frame.data)
        means = seen.to_array("gray8").reshape(8, side, 10, side).mean(axis=(1, 3))
        far = abs(tiles.astype(float) - before) > 40
        is_old = abs(means - before) < abs(means - tiles)
        assert not np.any(far & is_old), f"picture {index} has pieces of the one before"
    encoder.close()


@pytest.mark.parametrize("codec", CODECS)
def test_sizes_may_be_odd_and_change_in_the_middle(codec: VideoCodec) -> None:
    encoder = VideoEncoder(codec, fps=30, bitrate_bps=500_000)
    decoder = VideoDecoder(codec)
    clock = itertools.count()
    for width, height in ((160, 120), (121, 161), (1, 1), (16, 16), (241, 97), (160, 120)):
        for index in range(3):
            shown = pictures(width, height, 3)[index]
            [frame] = encoder.encode(shown, next(clock) * TICKS)
            [seen] = decoder.decode(frame.data)
            assert frame.keyframe == (index == 0)
            if codec in ("vp8", "vp9"):
                assert (seen.width, seen.height) == (width, height)
            elif min(width, height) >= 64:
                assert (seen.width, seen.height) == (width & ~1, height & ~1)
            if min(width, height) >= 64:
                cut = shown.fitted(seen.width, seen.height)
                assert psnr_db(seen.to_array("bgr24"), cut.to_array("bgr24")) > 25
    encoder.close()


@pytest.mark.parametrize("codec", CODECS)
def test_keyframes_come_when_they_are_asked_for(codec: VideoCodec) -> None:
    encoder = VideoEncoder(codec, fps=30, bitrate_bps=1_000_000)
    shown = pictures(160, 120, 3)
    kinds = []
    for index in range(90):
        [frame] = encoder.encode(shown[index % 3], index * TICKS, keyframe=index in (5, 40, 41))
        kinds.append(frame.keyframe)
        assert is_keyframe(codec, frame.data) == frame.keyframe
        if index == 40:
            [picture] = VideoDecoder(codec).decode(frame.data)
            assert psnr_db(picture.y, shown[1].y) > 25
    encoder.close()
    assert [index for index, keyframe in enumerate(kinds) if keyframe] == [0, 5, 40, 41]


@pytest.mark.parametrize("codec", CODECS)
def test_the_bit_rate_is_kept_and_can_be_changed(codec: VideoCodec) -> None:
    """Down within the second that a keyframe takes, up after the ladder's four."""
    shown = pictures(320, 240, 30)
    encoder = VideoEncoder(codec, fps=30, bitrate_bps=600_000)
    parts = []
    for part, bitrate_bps in enumerate((600_000, 200_000, 600_000)):
        encoder.set_bitrate(bitrate_bps)
        frames = [
            encoder.encode(shown[index % 30], (180 * part + index) * TICKS) for index in range(180)
        ]
        parts.append((bits_per_s(frames[30:]), frames))
    encoder.close()
    (before, _), (low, fewer), (_, after) = parts
    assert before < 1.15 * 600_000
    assert 0.6 * 200_000 < low < 1.15 * 200_000
    assert bits_per_s(after[150:]) > 2 * low
    made = sum(len(frames) for frames in fewer)
    assert made > 160
    assert sum(frame.keyframe for _, all_ in parts for found in all_ for frame in found) <= 4


@pytest.mark.parametrize("codec", ["vp8", "vp9"])
@pytest.mark.parametrize(("before_bps", "after_bps"), [(800_000, 250_000), (300_000, 900_000)])
def test_libvpx_follows_at_once_without_a_keyframe(
    codec: VideoCodec, before_bps: int, after_bps: int
) -> None:
    shown = pictures(320, 240, 30)
    encoder, decoder = VideoEncoder(codec, fps=30, bitrate_bps=before_bps), VideoDecoder(codec)
    found, sharpness_db = [], []
    for index in range(150):
        encoder.set_bitrate(before_bps if index < 75 else after_bps)
        frames = encoder.encode(shown[index % 30], index * TICKS)
        found.append(frames)
        for frame in frames:
            [seen] = decoder.decode(frame.data)
            sharpness_db.append(psnr_db(seen.y, shown[index % 30].y))
    encoder.close()
    kinds = [frame.keyframe for frames in found for frame in frames]
    assert kinds[0]
    assert not any(kinds[1:])
    assert len(kinds) >= 140  # The scene begins anew every second, which is a cut.
    assert 0.8 * before_bps < bits_per_s(found[30:75]) < 1.2 * before_bps
    assert 0.7 * after_bps < bits_per_s(found[90:]) < 1.2 * after_bps
    assert min(sharpness_db[75:]) > 30


@pytest.mark.parametrize("codec", ["vp8", "vp9"])
def test_pictures_that_come_unevenly_are_not_sent_unevenly(codec: VideoCodec) -> None:
    """As from a camera, or a handler that leaves some out."""
    shown = [Picture.from_array(pixels, "bgr24") for pixels in scene(320, 240, 50, detail=10)]
    spread = []
    for steps in ((3_000, 3_000), (1_500, 4_500)):
        encoder = VideoEncoder(codec, fps=30, bitrate_bps=400_000)
        sizes, rtp_time = [], 0
        for index, picture in enumerate(shown + shown[::-1]):
            rtp_time += steps[index % 2]
            sizes.append(sum(len(frame.data) for frame in encoder.encode(picture, rtp_time)))
        encoder.close()
        spread.append(np.std(sizes[30:]) / np.mean(sizes[30:]))
    assert spread[1] < 1.5 * spread[0]


def test_a_pause_is_not_made_up_for() -> None:
    """A screen that stood still for seconds: the next picture has no more bits than others."""
    shown = pictures(320, 240, 30)
    encoder = VideoEncoder("vp8", fps=30, bitrate_bps=500_000)
    sizes = []
    for index in range(90):
        rtp_time = index * TICKS + (4 * 90_000 if index >= 60 else 0)
        sizes.append(sum(len(f.data) for f in encoder.encode(shown[index % 30], rtp_time)))
    encoder.close()
    assert max(sizes[60:]) * 8 < 0.3 * 500_000


def test_steps_are_two_seconds_apart_and_frames_are_left_out_meanwhile() -> None:
    shown = pictures(320, 240, 30)
    encoder = VideoEncoder("vp8", fps=30, bitrate_bps=1_500_000)
    found = []
    for index in range(150):
        if index >= 30:  # A second after it was opened.
            encoder.set_bitrate(100_000)
        found.append(encoder.encode(shown[index % 30], index * TICKS))
    encoder.close()
    keyframes = [index for index, frames in enumerate(found) if any(f.keyframe for f in frames)]
    assert keyframes[0] == 0
    assert len(keyframes) == 2
    assert keyframes[1] in (60, 61)
    sent = [index for index, frames in enumerate(found) if frames]
    gaps = [after - before for before, after in itertools.pairwise(sent)]
    assert max(gaps[:30]) == 1
    assert max(gaps) <= 22  # 0.7 s and a picture.
    assert bits_per_s(found[90:]) < 140_000


def test_each_picture_keeps_its_time_though_the_clock_wraps_or_jumps() -> None:
    encoder = VideoEncoder("vp8", fps=30, bitrate_bps=500_000)
    shown = pictures(160, 120, 3)
    times = [2**32 - 4_000, 2**32 - 1_000, 2_000, 2_000, 900_000_000, 5, 3_005]
    seen = []
    for index, rtp_time in enumerate(times):
        seen += [frame.rtp_time for frame in encoder.encode(shown[index % 3], rtp_time)]
    encoder.close()
    assert seen == times


def test_an_encoder_that_was_closed_begins_anew() -> None:
    encoder = VideoEncoder("av1", fps=30, bitrate_bps=500_000)
    [picture] = pictures(160, 120, 3)[:1]
    for index in range(2):
        [frame] = encoder.encode(picture, index * TICKS)
        assert frame.keyframe
        encoder.close()
        encoder.close()


def test_other_chroma_and_depth_are_brought_to_i420() -> None:
    """H264 with colour for each pixel, VP9 with ten bits, and brightness alone."""
    from av.codec.context import CodecContext

    shown = pictures(160, 120, 3)[0]
    found: dict[str, VideoCodec] = {"yuv444p": "h264", "yuv420p10le": "av1", "yuvj420p": "h264"}
    for pixel_format, codec in found.items():
        name = {"h264": "libx264", "av1": "libsvtav1"}[codec]
        context = CodecContext.create(name, "w")
        context.width, context.height, context.pix_fmt = 160, 120, pixel_format
        context.bit_rate, context.framerate = 2_000_000, 30
        context.options = {"tune": "zerolatency"} if codec == "h264" else {"preset": "12"}
        packets = context.encode(shown.frame.reformat(format=pixel_format)) + context.encode(None)
        [seen] = VideoDecoder(codec).decode(bytes(packets[0]))
        assert psnr_db(seen.to_array("bgr24"), shown.to_array("bgr24")) > 28, pixel_format


@pytest.mark.parametrize("profile", ["baseline", "main", "high"])
def test_h264_of_every_profile_is_decoded_and_none_is_held_back(profile: str) -> None:
    """Phones send the high one, whose decoder could be waiting for pictures out of order."""
    from av.codec.context import CodecContext

    context = CodecContext.create("libx264", "w")
    context.width, context.height, context.pix_fmt = 320, 240, "yuv420p"
    context.bit_rate, context.framerate = 2_000_000, 30
    context.options = {"tune": "zerolatency", "preset": "medium", "profile": profile}
    decoder = VideoDecoder("h264")
    for shown in pictures(320, 240, 30)[:8]:
        for packet in context.encode(shown.frame):
            [seen] = decoder.decode(bytes(packet))
            assert psnr_db(seen.y, shown.y) > 36
    assert decoder._context is not None
    assert profile in str(decoder._context.profile).lower()


def test_pictures_of_8k_are_encoded_and_larger_frames_are_not_decoded() -> None:
    wide = np.broadcast_to(np.arange(7_680, dtype=np.uint8), (4_320, 7_680))
    encoder = VideoEncoder("h264", fps=30, bitrate_bps=2_000_000)
    [frame] = encoder.encode(Picture.from_array(wide, "gray8"), 0)
    encoder.close()
    [seen] = VideoDecoder("h264").decode(frame.data)
    assert (seen.width, seen.height) == (7_680, 4_320)
    with pytest.raises(CorruptFrame):
        VideoDecoder("h264", max_pixels=1_920 * 1_080).decode(frame.data)


@pytest.mark.parametrize("codec", CODECS)
def test_a_frame_larger_than_allowed_is_refused(codec: VideoCodec) -> None:
    encoder = VideoEncoder(codec, fps=30, bitrate_bps=500_000)
    [frame] = encoder.encode(pictures(320, 240, 30)[0], 0)
    encoder.close()
    small = VideoDecoder(codec, max_pixels=200 * 200)
    with pytest.raises(CorruptFrame):
        small.decode(frame.data)
    encoder = VideoEncoder(codec, fps=30, bitrate_bps=500_000)
    [fits] = encoder.encode(pictures(160, 120, 3)[0], 0)
    encoder.close()
    assert len(small.decode(fits.data)) == 1


def test_without_a_graphics_card_the_processor_encodes() -> None:
    """Asking for one costs nothing where there is none; where there is one, it is used."""
    for codec in CODECS:
        encoder = VideoEncoder(codec, fps=30, bitrate_bps=500_000, hardware=True)
        frames = encoded(encoder, pictures(320, 240, 30)[:3])
        decoder = VideoDecoder(codec)
        seen = [p for found in frames for frame in found for p in decoder.decode(frame.data)]
        assert len(seen) == 3
        encoder.close()


def test_permissive_licences_come_first_and_hardware_only_when_asked_for() -> None:
    for codec in CODECS:
        plain = list(implementations(codec, hardware=False))
        assert plain, "PyAV from PyPI has an encoder for each codec"
        assert not any(found.hardware for found in plain)
        software = [found for found in IMPLEMENTATIONS[codec] if not found.hardware]
        gpl = [found.licence.startswith("GPL") for found in software]
        assert gpl == sorted(gpl)
    assert not any(
        found.licence.startswith("GPL") for codec in ("vp8", "vp9", "av1")
        for found in IMPLEMENTATIONS[codec]
    )  # fmt: skip


def test_a_build_without_an_encoder_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    none = dict.fromkeys(CODECS, ())
    monkeypatch.setattr(encoders, "IMPLEMENTATIONS", none)
    with pytest.raises(FeatureUnavailable, match="no h264 encoder; install PyAV"):
        VideoEncoder("h264", fps=30, bitrate_bps=500_000)


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="asks Linux for its memory")
@pytest.mark.parametrize("codec", CODECS)
def test_memory_comes_back(codec: VideoCodec) -> None:
    """Encoders that are opened anew and decoders that are replaced, as in long calls."""

    def resident_mb() -> float:
        return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 1e6

    def rounds(count: int) -> None:
        for index in range(count):
            encoder = VideoEncoder(codec, fps=30, bitrate_bps=500_000)
            [frame] = encoder.encode(pictures(320, 240, 30)[index % 30], 0)
            [seen] = VideoDecoder(codec).decode(frame.data)
            seen.to_array("bgr24")
            encoder.close()

    rounds(5)
    before_mb = resident_mb()
    rounds(25)
    assert resident_mb() - before_mb < 15  # One encoder of VP9 has 10.
