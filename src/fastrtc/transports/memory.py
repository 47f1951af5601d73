"""A transport without a network: for tests, and for running a handler in virtual time.

Keeps what was played on a timeline as a pacer would send it, by arithmetic on the loop's clock;
owns no task, timer or thread.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from fastrtc.audio.convert import AudioChunk
from fastrtc.session.transport import InboundPicture, Stats

if TYPE_CHECKING:
    from fastrtc.session.session import Session
    from fastrtc.video.picture import Picture

__all__ = ["MemoryTransport", "Played", "Shown"]


@dataclass
class Played:
    """A chunk on the timeline of what the client hears.

    Attributes:
        at_s: when its first sample is sent, on the loop's clock.
        audio: the samples; what :meth:`MemoryTransport.clear` dropped is cut off.
    """

    at_s: float
    audio: AudioChunk

    @property
    def end_s(self) -> float:
        """When its last sample has been sent."""
        return self.at_s + self.audio.duration_s


@dataclass
class Shown:
    """A picture that the client was sent.

    Attributes:
        at_s: when, on the loop's clock.
        rtp_time: the time it carries, in 90 kHz ticks.
        picture: itself.
    """

    at_s: float
    rtp_time: int
    picture: Picture


class MemoryTransport:
    """Plays into a list, sends messages into a list.

    Args:
        session: whom it serves.
        on_text: called with each text for the client.
        on_closed: called when the connection has ended.

    Attributes:
        played: everything that was or will be sent.
        shown: all pictures that were sent.
        channel_open: whether text can be sent.
    """

    name = "memory"

    def __init__(
        self, session: Session, on_text: Callable[[str], None], on_closed: Callable[[], None]
    ) -> None:
        self.session = session
        self.played: list[Played] = []
        self.shown: list[Shown] = []
        self.channel_open = True
        self.closed = False
        self._on_text = on_text
        self._on_closed = on_closed
        self._end_s = 0.0
        self._cleared_at = 0
        self._texts = 0
        if session.video is not None:
            import fastrtc.video.picture  # noqa: F401 - now, lest the first picture wait for it

            session.video.open(self)

    def play(self, audio: AudioChunk) -> None:
        """Puts audio behind what is queued."""
        if self.closed:
            return
        start_s = max(self._end_s, self._now())
        self._end_s = start_s + audio.duration_s
        copy = AudioChunk(audio.samples.copy(), audio.rate_hz, audio.channels)
        self.played.append(Played(start_s, copy))

    @property
    def queued_s(self) -> float:
        """Seconds not sent yet."""
        return 0.0 if self.closed else max(0.0, self._end_s - self._now())

    @property
    def sent_s(self) -> float:
        """Seconds sent since the last clear."""
        now_s = self._now()
        return sum(
            min(played.end_s, now_s) - played.at_s
            for played in self.played[self._cleared_at :]
            if played.at_s < now_s
        )

    def clear(self) -> float:
        """Cuts the timeline off at this moment."""
        sent_s = self.sent_s
        now_s = self._now()
        while self.played and self.played[-1].end_s > now_s:
            last = self.played.pop()
            samples, rate_hz, channels = last.audio
            kept = round((now_s - last.at_s) * rate_hz) * channels
            if kept > 0:
                cut = AudioChunk(np.ascontiguousarray(samples[:kept]), rate_hz, channels)
                self.played.append(Played(last.at_s, cut))
                break
        self._end_s = min(self._end_s, now_s)
        self._cleared_at = len(self.played)
        return sent_s

    def bundle_audio(self, span_s: float) -> None:
        """Whoever speaks for the client decides how."""

    def decode(self, arrival: InboundPicture) -> list[Picture]:
        """Pictures come as they are; those before which something was lost are none the worse."""
        return [arrival.data]

    def send(self, picture: Picture, rtp_time: int) -> bool:
        """Shows the client a picture."""
        if not self.closed:
            self.shown.append(Shown(self._now(), rtp_time, picture))
        return not self.closed

    def send_message(self, text: str) -> bool:
        """Gives the client a text."""
        if self.closed or not self.channel_open:
            return False
        self._texts += 1
        self._on_text(text)
        return True

    def close(self, reason: str) -> None:
        """Ends; what was still queued is not heard."""
        if not self.closed:
            self.closed = True
            # First: the session still reads how much was sent.
            self.session.on_closed(reason)
            self.clear()
            self._on_closed()

    def stats(self) -> Stats:
        """Counts of what went out."""
        return {"messages_sent": self._texts, "queued_s": self.queued_s}

    def _now(self) -> float:
        return self.session.loop.time()
