"""When audio leaves for a client that plays it as it comes, and how much of it was played. Pure.

A WebSocket has no clock of its own and buffers seconds unseen. So audio is kept here and leaves at
most ``lead_s`` before the client needs it: what a clear has to reach is then never more than that.
Time is an argument, in seconds on any clock that does not go back.

A live source, an echo say, that stalled once would be late for the rest of the call. Its backlog
shows in a level that neither rises nor falls for a second, as no generator's does; then quiet
frames are left out until it is gone.
"""

from __future__ import annotations

from collections import deque
from typing import Final

import numpy as np
import numpy.typing as npt

__all__ = ["Pacer"]

Samples = npt.NDArray[np.int16]

SHORT_FRAME_S: Final = 0.01
"""A frame that is not full leaves when the client has only this much left to play."""
WATCH_S: Final = 1.0
"""How long a level has to be steady to be a live source's backlog..."""
STEADY_S: Final = 0.06
"""...and how steady."""
QUIET: Final = 328
"""Peak of a frame that may be left out: -40 dBFS."""
LONGEST_DELAY_S: Final = 3.0
"""What a mark may tell about the way to the ear; more is a mark that got stuck."""


class Pacer:
    """Audio on its way to one client.

    Args:
        rate_hz: of the samples, mono.
        frame_s: seconds in a message.
        lead_s: how far ahead of the client's playback the end of a message may be; two frames at
            least, lest the client run dry between them.
        whole_frames: a frame that is not full waits for more, as long as two frames last, then
            is filled with silence.
    """

    def __init__(
        self, rate_hz: int, *, frame_s: float, lead_s: float, whole_frames: bool = False
    ) -> None:
        self._rate_hz = rate_hz
        self._frame = round(rate_hz * frame_s)
        self._frame_s = frame_s
        self._lead_s = lead_s
        self._whole = whole_frames
        self._waiting: deque[Samples] = deque()
        self._samples = 0
        self._since_s = 0.0
        """When the oldest waiting sample came."""
        self._handed_s = 0.0
        """Seconds that left since the last clear."""
        self._end_s = float("-inf")
        """When the client will have played what left, if it plays it as it comes."""
        self._delay_s = 0.0
        """How much later than that it was heard, by the newest mark."""
        self._watched_since_s = float("inf")
        self._lowest = self._highest = 0
        self._backlog = 0
        self.skipped_s = 0.0
        """Seconds of quiet left out."""
        self._marks: deque[tuple[str, float]] = deque(maxlen=256)

    def push(self, samples: Samples, now_s: float) -> None:
        """Takes audio to send."""
        if len(samples):
            if not self._samples:
                self._since_s = now_s
            self._waiting.append(samples)
            self._samples += len(samples)

    def due_in(self, now_s: float) -> float | None:
        """Seconds until :meth:`take` has a frame; None when nothing waits."""
        if not self._samples:
            return None
        if self._samples >= self._frame:
            return max(0.0, self._end_s + self._frame_s - self._lead_s - now_s)
        due_s = self._end_s - SHORT_FRAME_S
        if self._whole:
            due_s = max(due_s, self._since_s + 2 * self._frame_s)
        return max(0.0, due_s - now_s)

    @property
    def has_frame(self) -> bool:
        """Whether a whole frame waits, which may leave a little later than it is due."""
        return self._samples >= self._frame

    def take(self, now_s: float) -> Samples:
        """The frame that leaves now; shorter than ``frame_s`` at the end of what waits."""
        self._watch(now_s)
        frame = self._next()
        while self._backlog >= len(frame) > 0 and _is_quiet(frame) and self._samples:
            self._backlog -= len(frame)
            self.skipped_s += len(frame) / self._rate_hz
            frame = self._next()
        self._since_s = now_s
        self._handed_s += len(frame) / self._rate_hz
        if self._whole and len(frame) < self._frame:
            frame = np.concatenate([frame, np.zeros(self._frame - len(frame), np.int16)])
        self._end_s = max(self._end_s, now_s) + len(frame) / self._rate_hz
        return frame

    def _next(self) -> Samples:
        parts: list[Samples] = []
        missing = min(self._frame, self._samples)
        self._samples -= missing
        while missing:
            first = self._waiting[0]
            if len(first) <= missing:
                parts.append(self._waiting.popleft())
            else:
                parts.append(first[:missing])
                self._waiting[0] = first[missing:]
            missing -= len(parts[-1])
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _watch(self, now_s: float) -> None:
        """Finds a backlog; called before each frame leaves."""
        if now_s - self._end_s > STEADY_S or now_s < self._watched_since_s:
            self._start_watch(now_s)
        self._lowest = min(self._lowest, self._samples)
        self._highest = max(self._highest, self._samples)
        if now_s - self._watched_since_s >= WATCH_S:
            is_steady = self._highest - self._lowest <= STEADY_S * self._rate_hz
            # A frame of it is the one that leaves now.
            self._backlog = max(0, self._lowest - self._frame) if is_steady else 0
            self._start_watch(now_s)

    def _start_watch(self, now_s: float) -> None:
        self._watched_since_s = now_s
        self._lowest = self._highest = self._samples

    def queued_s(self, now_s: float) -> float:
        """Seconds taken in and not played yet."""
        return self._samples / self._rate_hz + self._unplayed_s(now_s)

    def sent_s(self, now_s: float) -> float:
        """Seconds played since the last clear."""
        return self._handed_s - self._unplayed_s(now_s)

    def clear(self, now_s: float) -> float:
        """Drops everything that was not played; the client has to be told to do the same.

        Returns:
            Seconds played since the last call.
        """
        sent_s = self.sent_s(now_s)
        self._waiting.clear()
        self._samples = 0
        self._handed_s = 0.0
        self._end_s = float("-inf")
        self._watched_since_s = float("inf")
        self._backlog = 0
        self._marks.clear()
        return sent_s

    @property
    def is_used(self) -> bool:
        """Whether anything came in since the last clear."""
        return self._samples > 0 or self._handed_s > 0

    def marked(self, name: str) -> None:
        """A mark of this name followed what left last; ignored if a clear came in between."""
        if self._handed_s:
            self._marks.append((name, self._end_s))

    def played(self, name: str, now_s: float) -> None:
        """The client has played what left before this mark. Names that are not ours are ignored."""
        if all(name != known for known, _ in self._marks):
            return
        while True:
            known, end_s = self._marks.popleft()
            if known == name:
                break
        self._delay_s = min(max(0.0, now_s - end_s), LONGEST_DELAY_S)

    def _unplayed_s(self, now_s: float) -> float:
        return min(max(0.0, self._end_s + self._delay_s - now_s), self._handed_s)


def _is_quiet(frame: Samples) -> bool:
    return int(frame.min()) > -QUIET and int(frame.max()) < QUIET
