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
_BELOW_PACE: Final = 0.85
"""Of what a queue leaves at: more would keep it standing."""
_LONGEST_REST_S: Final = 1.5
_CAPPED_S: Final = 5.0
"""For so long estimates may be higher than what a queue showed: they follow it later."""
_RISE_PER_S: Final = 2.0
"""How much higher the rate may be a second later."""
_SCALES: Final = (1.0, 0.75, 0.5, 0.375, 0.25)
_FEWEST_BITS: Final = 0.028
"""Bits per pixel below which a smaller picture looks better than a coarser one."""
_SHRINK_AFTER_S: Final = 1.0
"""At once with less than half of them, so that the new rate and size cost one keyframe."""
_BITS_TO_GROW: Final = 0.045
_GROW_AFTER_S: Final = 5.0
_BITS_TO_GROW_SOON: Final = 0.09
_GROW_SOON_AFTER_S: Final = 2.0
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
        fps: at most so many pictures a second; 0 while what was sent has yet to arrive.
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
        self._bitrate_bps = self._wanted_bps = float(start_bitrate_bps)
        self._moved_s: float | None = None
        self._estimate_bps: float | None = None
        self._cap_bps = float("inf")
        self._capped_s = 0.0
        self._rested_s = self._rests_until_s = float("-inf")
        self._scale = 0
        self._cramped = _Since()
        self._roomy = _Since()
        self._spacious = _Since()
        self._keyframes = KeyframeRequests()

    def on_estimate(self, bps: float, now_s: float) -> None:
        """The network carries this much: less is obeyed at once, more is approached."""
        self._move(now_s)
        self._estimate_bps = bps * _SHARE
        if self._estimate_bps <= self._cap_bps:
            self._cap_bps = float("inf")
        self._want(min(self._estimate_bps, self._cap_bps))

    def on_queue(self, in_flight_bytes: int, carries_bps: float, now_s: float) -> None:
        """What is sent waits in front of a way that has become narrow.

        Estimates notice that seconds later, when queues have run over. So nothing is sent until
        what is there has arrived, picture by picture, and then less than the way carries. No
        keyframe is needed for that.

        Args:
            in_flight_bytes: what has yet to arrive.
            carries_bps: the pace at which it does.
            now_s: when that was so; may be some time ago.
        """
        self._move(now_s)
        if now_s >= self._rests_until_s:
            self._rested_s = now_s
        carries_bps = max(carries_bps, self._min_bps)
        self._rests_until_s = min(
            now_s + in_flight_bytes * 8 / carries_bps, self._rested_s + _LONGEST_REST_S
        )
        self._cap_bps, self._capped_s = carries_bps * _BELOW_PACE, now_s
        self._want(min(self._wanted_bps, self._cap_bps))

    def target(self, now_s: float, width: int, height: int, fps: float) -> Target:
        """What to make of pictures of this size that come this often."""
        self._move(now_s)
        if now_s < self._rests_until_s:
            return Target(round(self._bitrate_bps), _SCALES[self._scale], 0.0)
        pixels = width * height
        useful = _BPS_PER_PIXELS * pixels**_PIXELS_EXPONENT * fps
        bitrate_bps = min(self._bitrate_bps, max(useful, self._min_bps))
        smallest = _smallest_scale(pixels)
        self._scale = min(self._scale, smallest)
        self._rescale(now_s, bitrate_bps / (pixels * fps), smallest)
        scale = _SCALES[self._scale]
        if self._scale == smallest:
            fewest = _FEWEST_BITS * pixels * scale**2
            fps = min(fps, max(_FEWEST_FPS, bitrate_bps / fewest))
        return Target(round(bitrate_bps), scale, fps)

    def request_keyframe(self) -> None:
        """The client cannot decode what it has (PLI or FIR), or a new one watches."""
        self._keyframes.request()

    def wants_keyframe(self, now_s: float) -> bool:
        """Whether the next picture should be one; asked for each picture."""
        return self._keyframes.wants(now_s)

    def _want(self, bps: float) -> None:
        self._wanted_bps = min(max(bps, self._min_bps), self._max_bps)

    def _move(self, now_s: float) -> None:
        if self._moved_s is None:
            self._moved_s = now_s
        since_s = max(0.0, now_s - self._moved_s)
        self._moved_s += since_s
        if self._cap_bps < float("inf") and now_s - self._capped_s >= _CAPPED_S:
            self._cap_bps = float("inf")
            self._want(self._wanted_bps if self._estimate_bps is None else self._estimate_bps)
        if self._wanted_bps < self._bitrate_bps * (1 - _DEAD_ZONE):
            self._bitrate_bps = self._wanted_bps
        elif self._wanted_bps > self._bitrate_bps:
            most = self._bitrate_bps * _RISE_PER_S ** min(since_s, 1.0)
            self._bitrate_bps = min(self._wanted_bps, most)

    def _rescale(self, now_s: float, bits: float, smallest: int) -> None:
        """Chooses a size, given the bits per pixel of the full one."""

        def smaller(than: float) -> int:
            """The largest size whose pixels have that many bits each."""
            fitting = (step for step, scale in enumerate(_SCALES) if bits > than * scale**2)
            return min(next(fitting, smallest), smallest)

        here = bits / _SCALES[self._scale] ** 2
        cramped_s = self._cramped.for_s(here < _FEWEST_BITS and self._scale < smallest, now_s)
        roomy_s = self._roomy.for_s(smaller(_BITS_TO_GROW) < self._scale, now_s)
        spacious_s = self._spacious.for_s(smaller(_BITS_TO_GROW_SOON) < self._scale, now_s)
        if cramped_s >= (_SHRINK_AFTER_S if here > _FEWEST_BITS / 2 else 0.0):
            self._scale = smaller(_FEWEST_BITS)
        elif roomy_s >= _GROW_AFTER_S or spacious_s >= _GROW_SOON_AFTER_S:
            self._scale = smaller(_BITS_TO_GROW)
        else:
            return
        for condition in (self._cramped, self._roomy, self._spacious):
            condition.for_s(False, now_s)


class _Since:
    """For how long something has been so."""

    def __init__(self) -> None:
        self._began_s: float | None = None

    def for_s(self, holds: bool, now_s: float) -> float:
        """Seconds, less than 0 while it is not so."""
        if not holds:
            self._began_s = None
            return -1.0
        if self._began_s is None:
            self._began_s = now_s
        return now_s - self._began_s


def _smallest_scale(pixels: int) -> int:
    """The last size of a picture that still shows something."""
    shown = (step for step, scale in enumerate(_SCALES) if pixels * scale**2 >= _SMALLEST_PIXELS)
    return max(shown, default=0)
