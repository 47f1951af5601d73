"""What a video track may take of the network: bit rate, size and rate of its pictures, and how
often it begins anew. Pure: time is an argument, and nothing is encoded here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

__all__ = ["Adaptation", "KeyframeRequests", "Target"]

_SHARE: Final = 0.9
"""Of an estimate; audio, retransmissions and headers take the rest."""
_DEAD_ZONE: Final = 0.05
"""Changes of an estimate that are noise."""
_RISE_PER_S: Final = 1.4
"""How much higher the rate may be a second later."""
_SCALES: Final = (1.0, 0.75, 0.5, 0.375, 0.25)
_FEWEST_BITS: Final = 0.028
"""Bits per pixel below which a smaller picture looks better than a coarser one."""
_BITS_TO_GROW: Final = 0.045
_SHRINK_AFTER_S: Final = 1.0
_GROW_AFTER_S: Final = 5.0
_SMALLEST_PIXELS: Final = 160 * 90
_FEWEST_FPS: Final = 8.0
_PIXELS_EXPONENT: Final = 0.75
_BPS_PER_PIXELS: Final = 100.0 / 30
"""Each doubling of the pixels asks for 1.7 times the bits: 1.3 Mbit/s for 640x480 at 30 pictures
a second, 3 for 1280x720."""


@dataclass(frozen=True)
class Target:
    """What to encode.

    Attributes:
        bitrate_bps: for the encoder.
        scale: of width and height, 1 for pictures as they are.
        fps: at most so many pictures a second.
    """

    bitrate_bps: int
    scale: float
    fps: float


class KeyframeRequests:
    """Lets keyframes through that somebody asked for, at most one in ``interval_s``."""

    def __init__(self, interval_s: float = 0.3) -> None:
        self._interval_s = interval_s
        self._pending = False
        self._granted_s = float("-inf")

    def request(self) -> None:
        """Somebody needs one."""
        self._pending = True

    def wants(self, now_s: float) -> bool:
        """Whether to make (or ask for) one now; a request is answered once."""
        if not self._pending or now_s - self._granted_s < self._interval_s:
            return False
        self._pending, self._granted_s = False, now_s
        return True


class Adaptation:
    """Follows the estimates of one outgoing track.

    Args:
        min_bitrate_bps: never less, whatever the estimate.
        max_bitrate_bps: never more, whatever the size.
        start_bitrate_bps: until the first estimate.

    Raises:
        ValueError: they are not in the order 0 < min <= start <= max.

    Example::

        adaptation.on_estimate(800_000, now_s)
        target = adaptation.target(now_s, 1280, 720, 30)
    """

    def __init__(
        self,
        *,
        min_bitrate_bps: int = 80_000,
        max_bitrate_bps: int = 6_000_000,
        start_bitrate_bps: int = 1_000_000,
    ) -> None:
        if not 0 < min_bitrate_bps <= start_bitrate_bps <= max_bitrate_bps:
            raise ValueError(
                "bit rates are 0 < min <= start <= max, not "
                f"{min_bitrate_bps}, {start_bitrate_bps}, {max_bitrate_bps}"
            )
        self._min_bps = min_bitrate_bps
        self._max_bps = max_bitrate_bps
        self._bitrate_bps = float(start_bitrate_bps)
        self._raised_s: float | None = None
        self._scale = 0
        self._scaled_s = float("-inf")
        self._cramped_s: float | None = None
        self._roomy_s: float | None = None
        self._keyframes = KeyframeRequests()

    def on_estimate(self, bps: float, now_s: float) -> None:
        """The network carries this much: less is obeyed at once, more is approached."""
        wanted = min(max(bps * _SHARE, self._min_bps), self._max_bps)
        since_s = 0.0 if self._raised_s is None else now_s - self._raised_s
        self._raised_s = now_s
        if wanted < self._bitrate_bps * (1 - _DEAD_ZONE):
            self._bitrate_bps = wanted
        elif wanted > self._bitrate_bps:
            most = self._bitrate_bps * _RISE_PER_S ** min(since_s, 1.0)
            self._bitrate_bps = min(wanted, most)

    def target(self, now_s: float, width: int, height: int, fps: float) -> Target:
        """What to make of pictures of this size that come this often."""
        pixels = width * height
        useful = _BPS_PER_PIXELS * pixels**_PIXELS_EXPONENT * fps
        bitrate_bps = min(self._bitrate_bps, max(useful, self._min_bps))
        self._rescale(now_s, bitrate_bps, pixels, fps)
        scale = _SCALES[self._scale]
        per_picture = _FEWEST_BITS * pixels * scale**2
        possible_fps = max(_FEWEST_FPS, bitrate_bps / per_picture)
        return Target(round(bitrate_bps), scale, min(fps, possible_fps))

    def request_keyframe(self) -> None:
        """The client cannot decode what it has (PLI or FIR), or a new one watches."""
        self._keyframes.request()

    def wants_keyframe(self, now_s: float) -> bool:
        """Whether the next picture should be one; asked for each picture."""
        return self._keyframes.wants(now_s)

    def _rescale(self, now_s: float, bitrate_bps: float, pixels: int, fps: float) -> None:
        """Smaller after a second of too few bits, larger after five of enough for that size."""

        def bits(scale: float) -> float:
            return bitrate_bps / (pixels * scale**2 * fps)

        smaller = _SCALES[min(self._scale + 1, len(_SCALES) - 1)]
        cramped = bits(_SCALES[self._scale]) < _FEWEST_BITS
        cramped = cramped and pixels * smaller**2 >= _SMALLEST_PIXELS
        roomy = self._scale > 0 and bits(_SCALES[self._scale - 1]) > _BITS_TO_GROW
        self._cramped_s = (
            (self._cramped_s if self._cramped_s is not None else now_s) if cramped else None
        )
        self._roomy_s = (self._roomy_s if self._roomy_s is not None else now_s) if roomy else None
        if self._cramped_s is not None and now_s - self._cramped_s >= _SHRINK_AFTER_S:
            while self._scale + 1 < len(_SCALES) and bits(_SCALES[self._scale]) < _FEWEST_BITS:
                if pixels * _SCALES[self._scale + 1] ** 2 < _SMALLEST_PIXELS:
                    break
                self._scale += 1
            self._cramped_s = self._roomy_s = None
        elif self._roomy_s is not None and now_s - self._roomy_s >= _GROW_AFTER_S:
            self._scale -= 1
            self._cramped_s = self._roomy_s = None
