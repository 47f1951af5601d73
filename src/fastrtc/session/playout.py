"""Where a handler's outputs go: media to the transport, values to readers, and back-pressure.

Owns no task. Waits here are futures that a timer computed from the queue's length resolves.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from typing import TYPE_CHECKING, Final

import numpy as np

from fastrtc.audio.convert import AudioChunk, normalise_audio
from fastrtc.handlers.outputs import split_outputs

if TYPE_CHECKING:
    from fastrtc.session.inbound import InboundAudio
    from fastrtc.session.session import Session

__all__ = ["HIGH_WATER_S", "LOW_WATER_S", "Passage", "Playout"]

HIGH_WATER_S: Final = 2.0
"""Once this much waits in the transport, the handler is not asked for more..."""
LOW_WATER_S: Final = 1.0
"""...until the queue has fallen to this."""
SHORTEST_WAIT_S: Final = 0.02


class Passage:
    """A stretch of what a session plays, one reply say, and how much of it was sent."""

    def __init__(self, playout: Playout) -> None:
        self._playout = playout
        self._start_s = 0.0
        self._handed_s = 0.0
        self._before_s = 0.0

    @property
    def played_s(self) -> float:
        """Seconds of it that were sent; final once its rest was dropped. From any thread."""
        with self._playout.lock:
            return self._before_s + self._since_clear(self._playout.sent_unlocked())

    @property
    def end_s(self) -> float:
        """Where it ends, in seconds handed over since the last clear."""
        return self._start_s + self._handed_s

    def add(self, handed_s: float, duration_s: float) -> None:
        """``duration_s`` were handed over, behind the ``handed_s`` since the last clear."""
        if not self._handed_s:
            self._start_s = handed_s
        self._handed_s += duration_s

    def cleared(self, sent_s: float) -> None:
        """What had not been sent yet was dropped."""
        self._before_s += self._since_clear(sent_s)
        self._handed_s = 0.0

    def _since_clear(self, sent_s: float) -> float:
        return min(max(sent_s - self._start_s, 0.0), self._handed_s)


class Playout:
    """The way out of one session.

    Args:
        session: whose transport plays.
        inbound: what the handler is given; after a stall an echo hands all of it over at once.
        heard: whether the client hears media at all; in mode "send" it is dropped.
    """

    def __init__(self, session: Session, inbound: InboundAudio, heard: bool) -> None:
        self._session = session
        self._inbound = inbound
        self._heard = heard
        self._waiter: asyncio.Future[None] | None = None
        self._passages: list[Passage] = []
        self._handed_s = 0.0
        self._sent_before_s = 0.0
        self._unsent: deque[tuple[float, AudioChunk]] | None = None
        self._held: list[AudioChunk] | None = None
        self._final_s: float | None = None
        self.lock = threading.Lock()
        """Keeps the count of what was sent whole while it is read in another thread."""
        self.played_chunks = 0

    def put(self, value: object) -> bool:
        """Plays and delivers what a handler returned.

        Returns:
            Whether the handler may be asked for more at once; False when nothing came of it, as
            with empty audio, or with media in a mode in which the client does not hear.

        Raises:
            OutputError: it is nothing that a handler may return.
        """
        if type(value) is tuple and len(value) == 2 and type(value[1]) is np.ndarray:
            return self._heard and self._play(normalise_audio(value))
        outputs = split_outputs(value)
        chunk = None
        if outputs.media is not None and self._heard:
            chunk = normalise_audio(outputs.media)
        if outputs.additional is not None:
            self._session.deliver_outputs(outputs.additional)
        played = chunk is not None and self._play(chunk)
        if outputs.close is not None:
            self._session.finish(outputs.close.msg)
        return played or outputs.additional is not None

    def begin_passage(self, recallable: bool) -> Passage:
        """What is put from now on belongs to a new passage.

        Args:
            recallable: keep what was not sent yet, so that :meth:`hold` can take it back.
        """
        passage = Passage(self)
        sent_s = self.sent_s
        self._passages = [p for p in self._passages if p.end_s > sent_s]
        self._passages.append(passage)
        if recallable and self._unsent is None:
            self._unsent = deque()
        return passage

    @property
    def passage(self) -> Passage | None:
        """The newest passage."""
        return self._passages[-1] if self._passages else None

    @property
    def sent_s(self) -> float:
        """Seconds sent since the last clear."""
        with self.lock:
            return self.sent_unlocked()

    def sent_unlocked(self) -> float:
        """:attr:`sent_s` for who has the lock."""
        if self._final_s is not None:
            return self._final_s
        transport = self._session.transport_or_none
        return self._sent_before_s + (0.0 if transport is None else transport.sent_s)

    @property
    def queued_s(self) -> float:
        """Seconds not sent yet, held ones included."""
        held_s = sum(chunk.duration_s for chunk in self._held or ())
        return held_s + self._session.transport.queued_s

    def end(self) -> None:
        """The transport is about to go: what was sent by now is all that ever was."""
        with self.lock:
            self._final_s = self.sent_unlocked()

    def clear(self) -> float:
        """Drops what was not sent; returns the seconds sent since the last clear."""
        with self.lock:
            sent_s = self._take_back()
            self._sent_before_s = self._handed_s = 0.0
            self._held = None
            if self._unsent:
                self._unsent.clear()
            for passage in self._passages:
                passage.cleared(sent_s)
        self._look_again()
        return sent_s

    def hold(self) -> None:
        """Takes back what was not sent and keeps it; sends nothing until :meth:`resume`.

        Only what belongs to a recallable passage can be kept.
        """
        if self._held is not None:
            return
        with self.lock:
            sent_s = self._sent_before_s = self._take_back()
            self._held = []
            for end_s, chunk in self._unsent or ():
                if end_s > sent_s:
                    gone = round(max(0.0, sent_s - (end_s - chunk.duration_s)) * chunk.rate_hz)
                    rest = np.ascontiguousarray(chunk.samples[gone * chunk.channels :])
                    self._held.append(AudioChunk(rest, chunk.rate_hz, chunk.channels))

    def resume(self) -> None:
        """Sends what is held, from where it stopped; nothing happens when nothing is held."""
        held, self._held = self._held, None
        for chunk in held or ():
            self._session.transport.play(chunk)
        self._look_again()

    def _play(self, chunk: AudioChunk) -> bool:
        if not len(chunk.samples):
            return False
        self.played_chunks += 1
        duration_s = chunk.duration_s
        if self._passages:
            self._passages[-1].add(self._handed_s, duration_s)
        self._handed_s += duration_s
        if self._unsent is not None:
            sent_s = self.sent_s
            while self._unsent and self._unsent[0][0] <= sent_s:
                self._unsent.popleft()
            self._unsent.append((self._handed_s, chunk))
        if self._held is not None:
            self._held.append(chunk)
        else:
            self._session.transport.play(chunk)
        return True

    async def room(self) -> None:
        """Returns when the handler may be asked for more.

        A handler that stalled may hand over what it was given at once. Held back, an echo would be
        late for good: the transport could not tell it from a reply.
        """
        if self._held is None:
            queued_s = self._session.transport.queued_s
            if queued_s <= HIGH_WATER_S or queued_s <= HIGH_WATER_S + self._inbound.stall_s:
                return
        await self.fallen_to(LOW_WATER_S)

    async def fallen_to(self, level_s: float) -> None:
        """Returns when at most ``level_s`` seconds wait to be sent, and nothing is held."""
        while (
            self._held is not None or (surplus_s := self._session.transport.queued_s - level_s) > 0
        ):
            self._waiter = waiter = self._session.loop.create_future()
            timer = None
            if self._held is None:
                wait_s = max(surplus_s, SHORTEST_WAIT_S)
                timer = self._session.loop.call_later(wait_s, _resolve, waiter)
            try:
                await waiter
            finally:
                if timer is not None:
                    timer.cancel()

    def _take_back(self) -> float:
        if self._final_s is not None:
            sent_s, self._final_s = self._final_s, 0.0
            return sent_s
        transport = self._session.transport_or_none
        return self._sent_before_s + (0.0 if transport is None else transport.clear())

    def _look_again(self) -> None:
        if self._waiter is not None:
            _resolve(self._waiter)


def _resolve(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)
