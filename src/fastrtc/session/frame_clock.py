"""When pictures are due and which time they carry. Pure: the time is an argument, in seconds on
any clock that does not go back.

Pictures carry RTP time of 90 kHz (RFC 3551, RFC 7741), which a client plays them by: what a
function makes of a picture keeps that picture's time, so that motion stays as even as the camera
saw it; what is generated has times of its own, which do not drift from the clock.
"""

from __future__ import annotations

from typing import Final

__all__ = ["CLOCK_RATE_HZ", "FrameClock", "InputClock", "TakeRate"]

CLOCK_RATE_HZ: Final = 90_000
LARGEST_JUMP_S: Final = 1.0
"""Further off than this, the client's time began anew: its camera was changed, say."""
BURST: Final = 3.0
"""Pictures that may come at once without being too many."""


class InputClock:
    """Our RTP time for pictures made of a client's pictures."""

    def __init__(self) -> None:
        self._offset: int | None = None
        self._last = -1
        self._last_s = 0.0

    def stamp(self, rtp_time: int, now_s: float) -> int:
        """The time of what was made of the picture of ``rtp_time``; always later than the last."""
        now = round(now_s * CLOCK_RATE_HZ)
        if (
            self._offset is None
            or abs(rtp_time + self._offset - now) > LARGEST_JUMP_S * CLOCK_RATE_HZ
        ):
            self._offset = now - rtp_time
        return self._keep(rtp_time + self._offset, now_s)

    def stamp_more(self, now_s: float) -> int:
        """The time of one more picture made of the same one."""
        return self._keep(self._last + round((now_s - self._last_s) * CLOCK_RATE_HZ), now_s)

    def _keep(self, stamp: int, now_s: float) -> int:
        self._last = max(stamp, self._last + 1)
        self._last_s = now_s
        return self._last


class FrameClock:
    """Pictures that are generated, ``fps`` each second.

    Args:
        fps: pictures per second.
        catch_up_s: a source that is late by less is asked for what it owes at once; one that is
            later begins anew from the present.
    """

    def __init__(self, fps: float, catch_up_s: float | None = None) -> None:
        self.period_s = 1 / fps
        self._catch_up_s = self.period_s if catch_up_s is None else catch_up_s
        self._start_s = 0.0
        self._count = -1
        self._last = -1

    def wait_s(self, now_s: float) -> float:
        """Seconds until the next picture is due; the first is due when this is asked first."""
        self._begin(now_s)
        return max(0.0, self._due_s() - now_s)

    def stamp(self, now_s: float) -> int:
        """A picture leaves now: its RTP time. The next is due a period after this one was."""
        self._begin(now_s)
        if now_s - self._due_s() > self._catch_up_s:
            self._start_s, self._count = now_s, 0
        due_s = self._due_s()
        self._count += 1
        on_time = abs(now_s - due_s) < self.period_s / 2
        stamp = round((due_s if on_time else now_s) * CLOCK_RATE_HZ)
        self._last = max(stamp, self._last + 1)
        return self._last

    def _begin(self, now_s: float) -> None:
        if self._count < 0:
            self._start_s, self._count = now_s, 0

    def _due_s(self) -> float:
        return self._start_s + self._count * self.period_s


class TakeRate:
    """Which pictures of a camera that is faster than ``fps`` are taken: an echo of them, which
    leaves at ``fps``, would fall behind for ever else.

    Args:
        fps: pictures per second.
    """

    def __init__(self, fps: float) -> None:
        self.fps = fps
        self._credit = BURST
        self._last_s: float | None = None

    def takes(self, now_s: float) -> bool:
        """Whether the picture that comes in now is taken."""
        if self._last_s is not None:
            self._credit = min(BURST, self._credit + (now_s - self._last_s) * self.fps)
        self._last_s = now_s
        if self._credit < 1.0:
            return False
        self._credit -= 1.0
        return True
