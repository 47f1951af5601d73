"""Which encoded frames can be decoded without others. Reads headers only, decodes nothing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from fastrtc.types import VideoCodec

__all__ = ["is_keyframe"]

_H264_IDR: Final = 5
_AV1_SEQUENCE_HEADER: Final = 1


def is_keyframe(codec: VideoCodec, data: bytes) -> bool:
    """Whether a complete encoded frame begins a stream anew. False for what is no frame."""
    if not data:
        return False
    match codec:
        case "vp8":  # RFC 6386, section 9.1
            return not data[0] & 1
        case "vp9":
            return _is_vp9_keyframe(data)
        case "h264":  # ITU-T H.264, table 7-1
            return _H264_IDR in _nal_unit_types(data)
        case "av1":  # A keyframe comes with a sequence header (AV1 RTP payload, section 4.4).
            return _AV1_SEQUENCE_HEADER in _obu_types(data)


def _is_vp9_keyframe(data: bytes) -> bool:
    """VP9 bitstream, section 6.2: marker, profile, show_existing_frame, frame_type."""
    first = data[0]
    if first >> 6 != 2:
        return False
    profile = (first >> 5 & 1) | (first >> 4 & 1) << 1
    after_profile = first << (5 if profile == 3 else 4)
    shows_existing, is_inter = after_profile & 0x80, after_profile & 0x40
    return not shows_existing and not is_inter


def _nal_unit_types(data: bytes) -> Iterator[int]:
    """Of a stream with start codes (ITU-T H.264, annex B)."""
    at = data.find(b"\0\0\1")
    while 0 <= at < len(data) - 3:
        yield data[at + 3] & 0x1F
        at = data.find(b"\0\0\1", at + 3)


def _obu_types(data: bytes) -> Iterator[int]:
    """Of a temporal unit whose OBUs say their size (AV1 bitstream, section 5.3)."""
    at = 0
    while at < len(data):
        header = data[at]
        yield header >> 3 & 0x0F
        at += 2 if header & 0x04 else 1
        if not header & 0x02:
            return
        size = shift = 0
        while at < len(data):
            byte = data[at]
            at += 1
            size |= (byte & 0x7F) << shift
            shift += 7
            if not byte & 0x80 or shift > 56:
                break
        at += size
