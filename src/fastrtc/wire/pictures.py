"""What the head of a JPEG or WebP file says of the picture in it. Pure: nothing is decoded.

A file of a few hundred bytes may announce a picture that takes gigabytes, or one that is painted
over a thousand times: both are noticed here, before a decoder takes memory or time for it.
ITU-T T.81, annex B; RFC 9649.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, get_args

from fastrtc.types import PictureFormat
from fastrtc.wire.events import WireError

__all__ = ["MAX_PICTURE_PIXELS", "PICTURE_FORMATS", "PictureHead", "picture_head"]

PICTURE_FORMATS: Final = get_args(PictureFormat)

MAX_PICTURE_PIXELS: Final = 3_840 * 2_160
"""4K."""
MAX_SCANS: Final = 32
"""Of a progressive JPEG: encoders make about ten, and each may paint the whole picture."""

MAX_SEGMENTS: Final = 1_024
"""Of a JPEG before its frame, padding counted: files have a few dozen."""

_START_OF_SCAN: Final = b"\xff\xda"
_BARE_MARKERS: Final = {0x01, *range(0xD0, 0xD9)}
_TABLES: Final = {0xC4, 0xC8, 0xCC}
"""Markers between those of frames that begin none."""
_FRAMES: Final = {0xC0, 0xC1, 0xC2}
"""Baseline, extended and progressive with Huffman codes: all that is in use."""
_ANIMATED: Final = 0x02


@dataclass(frozen=True)
class PictureHead:
    """A picture that can be decoded.

    Attributes:
        format: of the file.
        width, height: in pixels.
    """

    format: PictureFormat
    width: int
    height: int


def picture_head(data: bytes, max_pixels: int = MAX_PICTURE_PIXELS) -> PictureHead:
    """Reads the head of a file.

    Raises:
        WireError: it is neither JPEG nor WebP, is of a kind that is not decoded, or is too large.

    Example::

        picture_head(jpeg)  # PictureHead(format="jpeg", width=640, height=480)
    """
    if data[:2] == b"\xff\xd8":
        head = _jpeg(data)
    elif data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        head = _webp(data)
    else:
        raise WireError(
            f"a picture is a JPEG or WebP file, received {len(data)} bytes that begin with "
            f"{data[:4].hex() or 'nothing'}"
        )
    if not head.width or not head.height:
        raise WireError(f"a {head.format} picture of {head.width}x{head.height} pixels")
    if head.width * head.height > max_pixels:
        raise WireError(
            f"a picture of {head.width}x{head.height} has more than {max_pixels} pixels: "
            "send a smaller one"
        )
    return head


def _jpeg(data: bytes) -> PictureHead:
    at = 2
    for _ in range(MAX_SEGMENTS):
        if at + 4 > len(data):
            break
        if data[at] != 0xFF:
            raise WireError(f"a JPEG file with {data[at]:#04x} where a marker is due")
        marker = data[at + 1]
        if marker == 0xFF:  # Markers may be padded.
            at += 1
            continue
        if marker in _BARE_MARKERS:
            at += 2
            continue
        if 0xC0 <= marker <= 0xCF and marker not in _TABLES:
            return _jpeg_frame(data, at, marker)
        if data[at : at + 2] == _START_OF_SCAN:
            break
        at += 2 + int.from_bytes(data[at + 2 : at + 4])
    raise WireError("a JPEG file that ends before it says how large its picture is")


def _jpeg_frame(data: bytes, at: int, marker: int) -> PictureHead:
    head = data[at + 4 : at + 9]
    if len(head) < 5:
        raise WireError("a JPEG file that ends before it says how large its picture is")
    if marker not in _FRAMES or head[0] != 8:
        raise WireError(
            f"a JPEG file of a rare kind (SOF{marker - 0xC0}, {head[0]} bits): "
            "send baseline or progressive JPEG of 8 bits"
        )
    scans = data.count(_START_OF_SCAN)
    if scans > MAX_SCANS:
        raise WireError(f"a JPEG file of {scans} scans; allowed: {MAX_SCANS}")
    return PictureHead("jpeg", int.from_bytes(head[3:5]), int.from_bytes(head[1:3]))


def _webp(data: bytes) -> PictureHead:
    length = 8 + int.from_bytes(data[4:8], "little")
    if len(data) < max(length, 30):
        raise WireError(f"a WebP file of {len(data)} bytes that says it has {length}")
    kind, body = data[12:16], data[20:30]
    if kind == b"VP8X":
        if body[0] & _ANIMATED:
            raise WireError("a WebP file with an animation: send one picture at a time")
        width, height = (1 + int.from_bytes(body[a : a + 3], "little") for a in (4, 7))
    elif kind == b"VP8L" and body[0] == 0x2F:
        sizes = int.from_bytes(body[1:5], "little")
        width, height = 1 + (sizes & 0x3FFF), 1 + (sizes >> 14 & 0x3FFF)
    elif kind == b"VP8 " and body[3:6] == b"\x9d\x01\x2a":
        width, height = (int.from_bytes(body[a : a + 2], "little") & 0x3FFF for a in (6, 8))
    else:
        raise WireError(f"a WebP file that begins with the chunk {kind!r}, which holds no picture")
    return PictureHead("webp", width, height)
