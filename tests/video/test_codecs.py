"""Pictures survive every codec, in any size, in order, with the times they were given."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest

from fastrtc.types import VideoCodec
from fastrtc.video.decoder import VideoDecoder
from fastrtc.video.encoder import VideoEncoder
from fastrtc.video.keyframes import is_keyframe
from fastrtc.video.picture import Picture
from video.scenes import psnr_db, scene

CODECS: tuple[VideoCodec, ...] = get_args(VideoCodec)
TICKS = 3_000


@pytest.mark.parametrize("codec", CODECS)
def test_pictures_come_out_sharp_and_none_is_held_back(codec: VideoCodec) -> None:
    encoder = VideoEncoder(codec, fps=30, bitrate_bps=1_500_000)
    decoder = VideoDecoder(codec)
    heights = []
    for index, pixels in enumerate(scene(640, 480, 40)):
        [frame] = encoder.encode(Picture.from_array(pixels, "bgr24"), index * TICKS)
        assert frame.rtp_time == index * TICKS
        assert frame.keyframe == (index == 0) == is_keyframe(codec, frame.data)
        [picture] = decoder.decode(frame.data)
        heights.append(psnr_db(picture.to_array("bgr24"), pixels))
    encoder.close()
    assert np.mean(heights[10:]) > 33
    assert min(heights) > 27
