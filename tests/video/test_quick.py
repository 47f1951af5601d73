"""An encoder that has bits enough looks less far, and looks again where that was too little."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fastrtc.video import encoder as encoders
from fastrtc.video.decoder import VideoDecoder
from fastrtc.video.encoder import VideoEncoder
from fastrtc.video.encoders import IMPLEMENTATIONS
from fastrtc.video.picture import Picture
from video.scenes import psnr_db, scene

RATE, LITTLE = 300_000, 75_000
SMOOTH = [Picture.from_array(p, "bgr24") for p in scene(320, 240, 45)]
FINE = [Picture.from_array(p[::-1, ::-1], "bgr24") for p in scene(320, 240, 150, detail=30)]


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The speed of each encoder that was opened, in order."""
    speeds: list[str] = []
    real = encoders._opened

    def note(*args: object) -> object:
        options = args[-1]
        assert isinstance(options, dict)
        speeds.append(options["cpu-used"])
        return real(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(encoders, "_opened", note)
    return speeds


def sharpness_db(encoder: VideoEncoder, parts: list[tuple[list[Picture], int]]) -> list[float]:
    """Of each picture; 0 where it was left out."""
    decoder = VideoDecoder("vp8")
    found = []
    pictures = [(picture, bitrate) for part, bitrate in parts for picture in part]
    for index, (picture, bitrate_bps) in enumerate(pictures):
        encoder.set_bitrate(bitrate_bps)
        frames = encoder.encode(picture, index * 3_000)
        found.append(psnr_db(picture.y, decoder.decode(frames[0].data)[0].y) if frames else 0.0)
    return found


def careful() -> VideoEncoder:
    """One that is never quick."""
    encoder = VideoEncoder("vp8", fps=30, bitrate_bps=RATE)
    encoder._candidates = [replace(IMPLEMENTATIONS["vp8"][0], quick={})]
    return encoder


def test_with_bits_enough_a_quick_encoder_is_as_sharp(opened: list[str]) -> None:
    quick = sharpness_db(VideoEncoder("vp8", fps=30, bitrate_bps=RATE), [(SMOOTH, RATE)])
    slow = sharpness_db(careful(), [(SMOOTH, RATE)])
    assert opened == ["-10", "-6"]
    assert np.mean(quick) > np.mean(slow) - 0.3


def test_with_few_bits_none_is_quick(opened: list[str]) -> None:
    VideoEncoder("vp8", fps=30, bitrate_bps=LITTLE).encode(SMOOTH[0], 0)
    assert opened == ["-6"]


def test_one_that_does_not_find_fine_detail_is_made_to_look(opened: list[str]) -> None:
    """The network falls, then the camera turns to foliage."""
    parts = [(SMOOTH, RATE), (FINE, LITTLE)]
    hurried = sharpness_db(VideoEncoder("vp8", fps=30, bitrate_bps=RATE), parts)
    slow = sharpness_db(careful(), parts)
    assert opened == ["-10", "-6", "-6"]
    assert hurried[-60:].count(0.0) <= slow[-60:].count(0.0) + 2, "it is not stuck"
    assert np.mean(hurried[-30:]) > np.mean(slow[-30:]) - 1
