"""Whatever a network or a stranger sends as an encoded frame: a picture, or CorruptFrame."""

from __future__ import annotations

import random
from functools import cache
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastrtc.errors import CorruptFrame
from fastrtc.types import VideoCodec
from fastrtc.video.decoder import VideoDecoder
from fastrtc.video.encoder import VideoEncoder
from fastrtc.video.keyframes import is_keyframe
from fastrtc.video.picture import Picture
from video.scenes import psnr_db, scene

CODECS: tuple[VideoCodec, ...] = get_args(VideoCodec)
PICTURES = [Picture.from_array(pixels, "bgr24") for pixels in scene(160, 120, 10)]
ROUNDS = 150


@cache
def frames_of(codec: VideoCodec) -> list[bytes]:
    """Ten frames; the first and the sixth are keyframes."""
    encoder = VideoEncoder(codec, fps=30, bitrate_bps=400_000)
    frames = []
    for index, picture in enumerate(PICTURES):
        [frame] = encoder.encode(picture, index * 3_000, keyframe=index == 5)
        frames.append(frame.data)
    encoder.close()
    return frames


def damaged(data: bytes, dice: random.Random) -> bytes:
    """A frame that was cut off, had bits turned, grew, or is something else altogether."""
    kind = dice.randrange(6)
    if kind == 0:
        return data[: dice.randrange(len(data) + 1)]
    if kind == 1:
        return dice.randbytes(dice.randrange(300))
    changed = bytearray(data)
    if kind == 2:
        changed[: dice.randrange(1, 12)] = dice.randbytes(dice.randrange(12))
    elif kind == 3:
        changed += dice.randbytes(dice.randrange(1, 60))
    else:
        for _ in range(dice.randrange(1, 9)):
            changed[dice.randrange(len(changed))] ^= 1 << dice.randrange(8)
    return bytes(changed)


@pytest.mark.parametrize("codec", CODECS)
def test_damage_is_a_picture_or_a_corrupt_frame(codec: VideoCodec) -> None:
    dice = random.Random(1_811)
    decoder = VideoDecoder(codec)
    refused = seen = 0
    for _ in range(ROUNDS):
        for data in frames_of(codec):
            try:
                pictures = decoder.decode(damaged(data, dice) if dice.random() < 0.7 else data)
            except CorruptFrame:
                refused += 1
                continue
            for picture in pictures:
                assert picture.to_array("bgr24").shape == (picture.height, picture.width, 3)
                seen += 1
    assert refused > ROUNDS
    assert seen > ROUNDS / 4


@pytest.mark.parametrize("codec", CODECS)
def test_a_keyframe_mends_everything(codec: VideoCodec) -> None:
    frames = frames_of(codec)
    dice = random.Random(8_211)
    decoder = VideoDecoder(codec)
    for _ in range(30):
        for data in (*(damaged(frame, dice) for frame in frames[:5]), b""):
            try:
                decoder.decode(data)
            except CorruptFrame:
                continue
        with pytest.raises(CorruptFrame):
            decoder.decode(b"")
        with pytest.raises(CorruptFrame, match=f"no {codec} keyframe has come"):
            decoder.decode(frames[6])
        for index in range(5, 10):
            pictures = decoder.decode(frames[index])
            assert psnr_db(pictures[-1].y, PICTURES[index].y) > 25


@pytest.mark.parametrize("codec", CODECS)
def test_what_follows_a_lost_keyframe_is_not_shown(codec: VideoCodec) -> None:
    with pytest.raises(CorruptFrame, match=f"no {codec} keyframe"):
        VideoDecoder(codec).decode(frames_of(codec)[1])


@pytest.mark.parametrize("codec", CODECS)
def test_keyframes_are_known_by_their_headers(codec: VideoCodec) -> None:
    kinds = [is_keyframe(codec, data) for data in frames_of(codec)]
    assert kinds == [index in (0, 5) for index in range(10)]


@given(codec=st.sampled_from(CODECS), data=st.binary(max_size=80))
def test_no_header_is_too_strange(codec: VideoCodec, data: bytes) -> None:
    assert is_keyframe(codec, data) in (True, False)


def test_av1_without_temporal_delimiters_is_decoded() -> None:
    """As it comes out of RTP (AV1 RTP payload, section 5)."""
    decoder = VideoDecoder("av1")
    for index, data in enumerate(frames_of("av1")):
        assert data[:2] == b"\x12\x00"
        [picture] = decoder.decode(data[2:])
        assert psnr_db(picture.y, PICTURES[index].y) > 25
