"""What files say of their pictures, and the files that no decoder is to see."""

from __future__ import annotations

import contextlib
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastrtc.types import PictureFormat
from fastrtc.video.picture import Picture
from fastrtc.video.stills import StillEncoder
from fastrtc.wire.events import WireError
from fastrtc.wire.pictures import (
    MAX_PICTURE_PIXELS,
    MAX_SCANS,
    MAX_SEGMENTS,
    PictureHead,
    picture_head,
)


def file_of(format_: PictureFormat, width: int = 64, height: int = 48) -> bytes:
    picture = Picture.from_array(np.full((height, width, 3), 99, np.uint8), "bgr24")
    return StillEncoder(format_).encode(picture)


FILES: dict[PictureFormat, bytes] = {"jpeg": file_of("jpeg"), "webp": file_of("webp")}


def jpeg(frame: bytes, before: bytes = b"", after: bytes = b"") -> bytes:
    return b"\xff\xd8" + before + frame + after


def sof(width: int, height: int, kind: int = 0xC0, bits: int = 8) -> bytes:
    return struct.pack(">BBHBHHB", 0xFF, kind, 11, bits, height, width, 1) + b"\1\x11\0"


def webp(kind: bytes, body: bytes) -> bytes:
    chunk = kind + struct.pack("<I", len(body)) + body
    return b"RIFF" + struct.pack("<I", 4 + len(chunk)) + b"WEBP" + chunk


def extended(flags: int, width: int, height: int) -> bytes:
    sizes = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    return webp(b"VP8X", bytes([flags, 0, 0, 0]) + sizes)


def lossless(width: int, height: int) -> bytes:
    return webp(b"VP8L", b"\x2f" + struct.pack("<I", width - 1 | height - 1 << 14) + bytes(8))


@pytest.mark.parametrize("size", [(64, 48), (1, 1), (641, 3), (1920, 1080)])
@pytest.mark.parametrize("format_", ["jpeg", "webp"])
def test_real_files_say_their_size(format_: PictureFormat, size: tuple[int, int]) -> None:
    assert picture_head(file_of(format_, *size)) == PictureHead(format_, *size)


@pytest.mark.parametrize(
    ("data", "size"),
    [
        (jpeg(sof(640, 480)), (640, 480)),
        (jpeg(sof(640, 480, 0xC2), b"\xff\xe1\0\4ab\xff\xff\xdb\0\2"), (640, 480)),
        (lossless(16_384, 1), (16_384, 1)),
        (extended(0x10, 300, 200), (300, 200)),
    ],
)
def test_heads_of_other_kinds(data: bytes, size: tuple[int, int]) -> None:
    head = picture_head(data)
    assert (head.width, head.height) == size


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"", "begin with nothing"),
        (b"GIF89a", "begin with 47494638"),
        (jpeg(sof(65_535, 65_535)), "more than 8294400 pixels"),
        (jpeg(sof(0, 10)), "0x10 pixels"),
        (jpeg(sof(10, 10, 0xC3)), "rare kind"),
        (jpeg(sof(10, 10, 0xC1, 12)), "12 bits"),
        (jpeg(sof(10, 10, 0xC2), after=b"\xff\xda" * (MAX_SCANS + 1)), "33 scans"),
        (jpeg(b"\xff\xda\0\2"), "before it says how large"),
        (jpeg(b"\xff" * MAX_SEGMENTS + sof(10, 10)), "before it says how large"),
        (jpeg(b"\xff\xe0\xff\xff"), "before it says how large"),
        (jpeg(sof(10, 10)[:8]), "before it says how large"),
        (jpeg(b"\0\0\0\0"), "where a marker is due"),
        (FILES["webp"][:-1], "says it has"),
        (extended(0x02, 10, 10), "animation"),
        (extended(0, 1 << 24, 1 << 24), "more than"),
        (lossless(16_384, 16_384), "more than"),
        (webp(b"ANMF", bytes(20)), "holds no picture"),
    ],
)
def test_what_is_not_decoded(data: bytes, told: str) -> None:
    with pytest.raises(WireError, match=told):
        picture_head(data)


@given(data=st.binary(max_size=200))
def test_whatever_comes_is_a_picture_or_a_wire_error(data: bytes) -> None:
    for begin in (b"", b"\xff\xd8", FILES["webp"][:12]):
        with contextlib.suppress(WireError):
            picture_head(begin + data)


@settings(deadline=None)
@given(
    format_=st.sampled_from(["jpeg", "webp"]),
    at=st.integers(0, 299),
    byte=st.integers(0, 255),
    cut=st.integers(0, 300),
)
def test_a_damaged_head_never_says_more_than_is_allowed(
    format_: PictureFormat, at: int, byte: int, cut: int
) -> None:
    data = bytearray(FILES[format_])
    data[at % len(data)] = byte
    with contextlib.suppress(WireError):
        head = picture_head(bytes(data[: len(data) - cut % len(data)]))
        assert 0 < head.width * head.height <= MAX_PICTURE_PIXELS
