"""FFmpeg's encoders: which there are, in which order they are tried, with which settings, and
under which licence.

Settings are those of a call: no picture is held back, no picture refers to a later one, one
thread, constant bit rate, keyframes only when asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

import av

from fastrtc.types import VideoCodec

__all__ = ["IMPLEMENTATIONS", "Implementation", "implementations"]

Options = Mapping[str, str]


@dataclass(frozen=True)
class Implementation:
    """One of FFmpeg's encoders.

    Attributes:
        name: FFmpeg's.
        licence: of the library behind it (SPDX), "driver" for what comes with a graphics card.
        options: FFmpeg's, for a bit rate in bit/s.
        pixel_format: what it takes.
        follows: how a bit rate takes effect without opening it anew. "clock": it gives each
            picture the bits of the time since the one before, so a clock that runs slower or
            faster is a lower or higher rate. "lower": FFmpeg hands a lower rate on. None: not.
        hardware: needs a graphics card.
        even_sizes: takes no odd width or height.
        smallest_side: in pixels.
        quick: options in place of those, where there are bits enough for every detail.
    """

    name: str
    licence: str
    options: Callable[[int], Options]
    pixel_format: str = "yuv420p"
    follows: Literal["clock", "lower"] | None = None
    hardware: bool = False
    even_sizes: bool = True
    smallest_side: int = 2
    quick: Options = field(default_factory=dict)

    def size_for(self, width: int, height: int) -> tuple[int, int]:
        """The size closest to this one that the encoder takes."""
        if self.even_sizes:
            width, height = width & ~1, height & ~1
        return max(width, self.smallest_side), max(height, self.smallest_side)


def _constant_rate(bitrate_bps: int, buffer_s: float) -> dict[str, str]:
    return {"maxrate": str(bitrate_bps), "bufsize": str(round(bitrate_bps * buffer_s))}


def _vp8(bitrate_bps: int) -> Options:
    return {
        **_constant_rate(bitrate_bps, 1.0),
        "minrate": str(bitrate_bps),
        "deadline": "realtime",
        "cpu-used": "-6",
        "lag-in-frames": "0",
        "auto-alt-ref": "0",
        "static-thresh": "1",
        "qmin": "2",
        "qmax": "56",
        "undershoot-pct": "100",
        "overshoot-pct": "15",
        "max-intra-rate": "600",  # A keyframe takes at most the bits of six other frames.
    }


def _vp9(bitrate_bps: int) -> Options:
    return {
        **_constant_rate(bitrate_bps, 1.0),
        "minrate": str(bitrate_bps),
        "deadline": "realtime",
        "cpu-used": "8",
        "lag-in-frames": "0",
        "auto-alt-ref": "0",
        "aq-mode": "3",
        "qmin": "2",
        "qmax": "56",
        "undershoot-pct": "50",
        "overshoot-pct": "50",
        "max-intra-rate": "600",
    }


def _svt_av1(bitrate_bps: int) -> Options:
    del bitrate_bps  # It reads FFmpeg's own field.
    return {
        # From 10 on, or with rtc=1, it leaves what was there where a block has changed.
        "preset": "9",
        "svtav1-params": "pred-struct=1:hierarchical-levels=0:rc=2:lookahead=0:scd=0:lp=1",
    }


def _x264(bitrate_bps: int) -> Options:
    return {
        **_constant_rate(bitrate_bps, 0.5),
        "preset": "superfast",
        "tune": "zerolatency",
        "profile": "baseline",  # x264's is the constrained one that all browsers decode.
        "forced-idr": "1",
        "sc_threshold": "0",
    }


def _openh264(bitrate_bps: int) -> Options:
    return {
        "maxrate": str(bitrate_bps),
        "profile": "constrained_baseline",
        "rc_mode": "bitrate",
        "allow_skip_frames": "0",
    }


def _nvenc(bitrate_bps: int) -> Options:
    return {
        **_constant_rate(bitrate_bps, 0.5),
        "preset": "p4",
        "tune": "ull",
        "rc": "cbr",
        "zerolatency": "1",
        "delay": "0",
        "forced-idr": "1",
    }


def _nvenc_h264(bitrate_bps: int) -> Options:
    return {**_nvenc(bitrate_bps), "profile": "baseline"}


def _qsv(bitrate_bps: int) -> Options:
    return {**_constant_rate(bitrate_bps, 0.5), "async_depth": "1", "forced_idr": "1"}


def _qsv_h264(bitrate_bps: int) -> Options:
    return {**_qsv(bitrate_bps), "profile": "baseline"}


def _videotoolbox(bitrate_bps: int) -> Options:
    del bitrate_bps
    return {"realtime": "1", "profile": "constrained_baseline", "allow_sw": "0"}


def _amf_h264(bitrate_bps: int) -> Options:
    return {
        **_constant_rate(bitrate_bps, 0.5),
        "usage": "ultralowlatency",
        "rc": "cbr",
        "profile": "constrained_baseline",
    }


IMPLEMENTATIONS: Final[Mapping[VideoCodec, tuple[Implementation, ...]]] = {
    "vp8": (
        Implementation(
            "libvpx",
            "BSD-3-Clause",
            _vp8,
            follows="clock",
            even_sizes=False,
            smallest_side=1,
            quick={"cpu-used": "-10"},
        ),
    ),
    "vp9": (
        Implementation("vp9_qsv", "driver", _qsv, "nv12", hardware=True),
        Implementation(
            "libvpx-vp9", "BSD-3-Clause", _vp9, follows="clock", even_sizes=False, smallest_side=1
        ),
    ),
    "av1": (
        Implementation("av1_nvenc", "driver", _nvenc, hardware=True),
        Implementation("av1_qsv", "driver", _qsv, "nv12", hardware=True),
        Implementation("libsvtav1", "BSD-3-Clause-Clear", _svt_av1, smallest_side=64),
    ),
    "h264": (
        Implementation("h264_nvenc", "driver", _nvenc_h264, hardware=True),
        Implementation("h264_videotoolbox", "driver", _videotoolbox, hardware=True),
        Implementation("h264_qsv", "driver", _qsv_h264, "nv12", hardware=True),
        Implementation("h264_amf", "driver", _amf_h264, hardware=True),
        Implementation("libopenh264", "BSD-2-Clause", _openh264),
        Implementation("libx264", "GPL-2.0-or-later", _x264, follows="lower"),
    ),
}
"""In the order in which they are tried: graphics cards, then permissive licences, then others."""


def implementations(codec: VideoCodec, *, hardware: bool) -> Iterator[Implementation]:
    """Those that this build of FFmpeg has; those of a graphics card only if asked for."""
    for implementation in IMPLEMENTATIONS[codec]:
        if implementation.name in av.codecs_available and (hardware or not implementation.hardware):
            yield implementation
