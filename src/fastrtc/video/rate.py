"""What keeps an encoder to its bit rate when it does not: pure, time is an argument."""

from __future__ import annotations

from typing import Final, Literal

__all__ = ["FASTEST_CLOCK", "SLOWEST_CLOCK", "FramePace", "LeakyBucket", "RateLadder"]

_BETWEEN_STEPS_S: Final = 2.0
_DOWN: Final = 0.9
"""Lower rates than this share of the present one are a step."""
_UP_SOON, _UP_SOON_S = 1.5, 4.0
_UP_LATER, _UP_LATER_S = 1.15, 10.0
_WITH_KEYFRAME: Final = 0.05
SLOWEST_CLOCK, FASTEST_CLOCK = 1 / 8, 4.0
"""How far libvpx was measured to follow (docs/design/video.md)."""
_SPARE: Final = 1.05
"""An encoder that keeps to its rate on average empties the bucket in the end."""
_ROOM_S: Final = 0.5
_LONGEST_GAP_S: Final = 0.7


_PACE_SHARE: Final = 0.1


class FramePace:
    """The even pace that pictures come at, whatever each one's clock says.

    An encoder that gives a picture the bits of the time since the one before would make every late
    picture large and every early one small, and after a pause a burst.
    """

    def __init__(self, step: float) -> None:
        self._step = step

    def next(self, step: float) -> float:
        """The step to tell the encoder, given the one that was; both in any unit."""
        self._step = min(self._step, 2 * step)
        self._step += (min(step, 2 * self._step) - self._step) * _PACE_SHARE
        return self._step


class RateLadder:
    """When a new bit rate is worth opening an encoder anew, which costs a keyframe.

    Down at once, for what does not fit is lost; up rarely, for a keyframe while all is well is seen
    as a flicker. Never twice within 2 s.
    """

    def __init__(self, bitrate_bps: int) -> None:
        self.opened_bps = bitrate_bps
        self._opened_s = float("-inf")

    def on_open(self, bitrate_bps: int, now_s: float) -> None:
        """The encoder was opened with this rate."""
        self.opened_bps = bitrate_bps
        self._opened_s = now_s

    def is_due(
        self,
        bitrate_bps: int,
        now_s: float,
        *,
        keyframe: bool,
        follows: Literal["clock", "lower"] | None = None,
    ) -> bool:
        """Whether to open it with ``bitrate_bps``; ``keyframe``: one is made in any case.

        ``follows`` is what it can do otherwise (``encoders.Implementation``).
        """
        ratio, since_s = bitrate_bps / self.opened_bps, now_s - self._opened_s
        if since_s < _BETWEEN_STEPS_S or (follows == "lower" and ratio <= 1):
            return False
        if follows == "clock":
            return not SLOWEST_CLOCK <= ratio <= FASTEST_CLOCK
        if keyframe:
            return abs(ratio - 1) > _WITH_KEYFRAME
        if ratio > 1:
            soon = ratio >= _UP_SOON and since_s >= _UP_SOON_S
            return soon or (ratio >= _UP_LATER and since_s >= _UP_LATER_S)
        return ratio < _DOWN

    def clock(self, bitrate_bps: int) -> float:
        """How fast time should go for an encoder that follows its clock."""
        return min(max(bitrate_bps / self.opened_bps, SLOWEST_CLOCK), FASTEST_CLOCK)


class LeakyBucket:
    """Whether frames come faster than a bit rate lets them go."""

    def __init__(self) -> None:
        self._bits = 0.0
        self._drained_s: float | None = None
        self._added_s = float("-inf")

    def drain(self, bitrate_bps: int, now_s: float) -> None:
        """Time has passed at this rate."""
        if self._drained_s is not None:
            self._bits = max(0.0, self._bits - (now_s - self._drained_s) * bitrate_bps * _SPARE)
        self._drained_s = now_s

    def add(self, bits: int, now_s: float) -> None:
        """A frame was made."""
        self._bits += bits
        self._added_s = now_s

    def is_full(self, bitrate_bps: int, now_s: float) -> bool:
        """Whether to leave a frame out: more than 0.5 s waits. Not for longer than 0.7 s."""
        late = now_s - self._added_s >= _LONGEST_GAP_S
        return self._bits > _ROOM_S * bitrate_bps and not late
