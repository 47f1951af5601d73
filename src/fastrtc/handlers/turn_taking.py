"""Takes turns with one user: starts replies, interrupts, pauses and resumes them.

Lives on the session's event loop and decides; ``hearing.py`` says who speaks, replies run by
themselves (``reply.py``), the session plays and falls silent.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

from fastrtc.handlers.base import HandlerSession
from fastrtc.handlers.completeness import Completeness
from fastrtc.handlers.hearing import Hearing
from fastrtc.handlers.reply import ENDED, Begin, Reply, audio_s
from fastrtc.handlers.timers import SHORTEST_WAIT_S, Timers
from fastrtc.handlers.turn_audio import Pieces, Samples, newest
from fastrtc.handlers.turn_host import Host
from fastrtc.handlers.turn_settings import LONGEST_TURN_S, TurnSettings
from fastrtc.turns.detector import Event, GoesOn, Onset, Silence, Started

__all__ = ["TurnTaker"]

RECOUNT_S: Final = 0.3
"""How often words are counted while somebody talks into a reply."""


class TurnTaker:
    """The turns of one session.

    Args:
        session: where it plays.
        host: the handler.
        settings: what the user set.
        hearing: what the client's user says.
    """

    def __init__(
        self, session: HandlerSession, host: Host, settings: TurnSettings, hearing: Hearing
    ) -> None:
        self._session = session
        self._host = host
        self._settings = settings
        self._hearing = hearing
        hearing.on_event = self.on_event
        hearing.on_calm = host.on_calm
        hearing.is_awaited = lambda: self.is_speaking
        self._loop = session.loop
        self._kept: Pieces = []
        self._answered: Pieces = []
        self._is_due = False
        self._is_deaf = False
        self._reply: Reply | None = None
        self._eager: Reply | None = None
        self._last: Reply | None = None
        self._news: asyncio.Future[None] | None = None
        self._is_holding = False
        self._completeness = Completeness(
            session,
            settings,
            hearing,
            turn=lambda: [*self._kept, *hearing.said_so_far()],
            on_complete=lambda: self._turn_over(hearing.finish()),
        )
        self._counting: asyncio.Task[None] | None = None
        self._stt_lock = asyncio.Lock()
        self._judgements = 0
        self._timers = Timers(self._loop)
        self._active_at_s = self._loop.time()
        self._closed = False
        if settings.idle_after_s is not None:
            self._timers.after("idle", settings.idle_after_s, self._look_for_idleness)

    # What the handler calls.

    def listen(self, samples: Samples) -> None:
        """Takes what the user said: int16 of shape ``(n,)``, interleaved. What is said into a reply
        that may not be interrupted is dropped: it may be the reply's own echo."""
        if self._host.can_interrupt or not self.is_speaking:
            self._is_deaf = False
            self._hearing.hear(samples)
        elif not self._is_deaf:
            self._is_deaf = True
            self._hearing.begin_afresh()

    def take_turn(self, audio: Samples) -> None:
        """Somebody else found that a turn is over, with this audio."""
        if not self._closed:
            self._turn_over([audio])

    def trigger(self) -> None:
        """Replies now, to what was said so far."""
        if not self._closed:
            self._turn_over(self._hearing.finish(), asked=True)

    def speak(self, begin: Begin) -> None:
        """Begins a reply that answers nobody."""
        if not self._closed:
            self._resume()
            self._play(self._new_reply(begin, is_answer=False))

    def barge_in(self) -> None:
        """Somebody else found that the user speaks into the reply."""
        if not self._closed:
            self._on_onset()

    def stay_awake(self) -> None:
        """Somebody else found that the user is talking."""
        self._active_at_s = self._loop.time()

    def interrupt(self) -> None:
        """Falls silent now and closes the reply."""
        if self._closed:
            return
        self._is_holding = False
        self._timers.cancel("resume")
        reply, self._reply = self._reply, None
        # First, so that the generator's clean-up reads how much of it was heard.
        self._session.clear()
        if reply is not None:
            self._last = reply
            reply.close()
            is_unheard = self._settings.repeat_unheard and reply.played_s == 0
            if is_unheard or not reply.has_begun:
                self._kept[:0] = self._answered
                self._host.on_dropped()
            self._host.on_responding(False)
        self._answered = []

    def start_afresh(self) -> None:
        """Closes the reply and forgets what was said; but lets a reply be heard to its end that
        somebody else has brought to its end."""
        reply = self._reply
        if reply is not None and reply.ended_elsewhere:
            self._reply = None
            reply.close()
            self._host.on_responding(False)
            self._after_playout()
        elif not self._closed:
            self.interrupt()
            self._drop_eager()
            self._kept.clear()
            self._is_due = False
            self._hearing.finish()

    def close(self) -> None:
        """The session has ended."""
        self._closed = True
        self._completeness.forget()
        self._hearing.close()
        self._timers.close()

    @property
    def is_replying(self) -> bool:
        """Whether a reply runs. From any thread."""
        return self._reply is not None

    @property
    def generator(self) -> Any:
        """What the running reply's function returned; None before it has. From any thread."""
        reply = self._reply
        return None if reply is None else reply.generator

    @property
    def is_speaking(self) -> bool:
        """Whether a reply runs, or what it said is still being sent."""
        return self._reply is not None or self._session.queued_s > 0

    async def next_output(self) -> Any:
        """The next item of whatever reply runs; waits for one."""
        while True:
            reply = self._reply
            if reply is None:
                self._news = self._loop.create_future()
                await self._news
                continue
            item = await self._take_from(reply)
            if item is not ENDED:
                return item

    async def output_of_current(self) -> tuple[Any, Callable[[], bool]]:
        """The next item of the reply that runs, None when none does; and a way to ask later
        whether it may still be played."""
        reply = self._reply
        item = None if reply is None else await self._take_from(reply)
        return (None if item is ENDED else item), lambda: reply is None or not reply.closed

    # What was heard.

    def on_event(self, event: Event) -> None:
        """What the detector found."""
        if isinstance(event, Started):
            self._active_at_s = self._loop.time()
            self._host.on_started()
        elif isinstance(event, Onset):
            self._on_onset()
        elif isinstance(event, Silence):
            if not self._hearing.talking:
                # What this very silence told before has ended the turn.
                return
            if event.after_s == self._settings.eager_after_s and self._would_answer:
                self._begin_eagerly()
            self._completeness.on_silence(event.after_s)
        elif isinstance(event, GoesOn):
            self._completeness.forget()
            self._drop_eager()
        else:
            self._turn_over(self._hearing.said(event.end_s))

    # A turn is over.

    def _turn_over(self, audio: Pieces, asked: bool = False) -> None:
        self._completeness.forget()
        self._active_at_s = self._loop.time()
        can_interrupt = self._host.can_interrupt
        # A turn also waits for the judgement on the one before, else their order changed.
        in_doubt = can_interrupt and (self.is_speaking or self._judgements > 0)
        if self._settings.interrupt_min_words and in_doubt and not asked:
            self._judgements += 1
            self._session.spawn(self._judge(audio))
            return
        self._keep(audio)
        if self.is_speaking and not can_interrupt:
            self._is_due = True
            self._after_playout()
        else:
            self._respond()

    def _respond(self) -> None:
        if self.is_speaking or self._is_holding:
            self.interrupt()
        eager, self._eager = self._eager, None
        audio = self._answered = self._kept
        self._kept = []
        self._is_due = False
        self._host.on_pause()
        self._play(eager or self._new_reply(self._begin_with(audio)))

    def _keep(self, audio: Pieces) -> None:
        """Keeps a turn for the next reply, with those that were not answered before it."""
        bound = int(LONGEST_TURN_S * self._hearing.rate_hz) * self._hearing.audio.channels
        self._kept = newest([*self._kept, *audio], bound)

    def _begin_with(self, audio: Pieces) -> Begin:
        return self._host.begin_reply(self._hearing.rate_hz, audio)

    def _begin_eagerly(self) -> None:
        self._drop_eager()
        begin = self._begin_with([*self._kept, *self._hearing.said_so_far()])
        self._eager = self._new_reply(begin, held=True)

    @property
    def _would_answer(self) -> bool:
        """Whether the turn, were it over, would be answered at once."""
        if self._settings.interrupt_min_words:
            return not self.is_speaking and not self._judgements
        return not self.is_speaking or self._is_holding

    def _drop_eager(self) -> None:
        eager, self._eager = self._eager, None
        if eager is not None:
            eager.close()
            self._host.on_dropped()

    # Interruptions.

    def _on_onset(self) -> None:
        settings = self._settings
        if not self._host.can_interrupt or not self.is_speaking:
            return
        if settings.resume_after_s is not None and not self._is_holding:
            self._is_holding = True
            self._session.hold()
            self._timers.after("resume", settings.resume_after_s, self._resume_unless_talking)
        if settings.interrupt_min_words:
            if self._counting is None:
                self._counting = self._session.spawn(self._count_words())
        elif settings.resume_after_s is None:
            self.interrupt()

    def _resume_unless_talking(self) -> None:
        if not self._hearing.talking:
            self._resume()

    def _resume(self) -> None:
        self._timers.cancel("resume")
        if self._is_holding:
            self._is_holding = False
            self._session.resume()

    async def _count_words(self) -> None:
        try:
            hearing = self._hearing
            while self.is_speaking and (hearing.talking or hearing.detector.silence_s <= RECOUNT_S):
                words = await self._words_in(self._hearing.said_so_far())
                if words >= self._settings.interrupt_min_words:
                    if self.is_speaking:
                        self.interrupt()
                    return
                await asyncio.sleep(RECOUNT_S)
        finally:
            self._counting = None

    async def _judge(self, audio: Pieces) -> None:
        """Whether a turn that was spoken into a reply has the words to end it; without any word
        it was noise."""
        try:
            words = await self._words_in(audio)
        finally:
            self._judgements -= 1
        enough = words >= self._settings.interrupt_min_words
        if words:
            self._keep(audio)
        if self._judgements or self._hearing.in_turn:
            # The turn that follows is answered together with this one.
            if enough and self.is_speaking:
                self.interrupt()
        elif self._kept and (enough or not self.is_speaking):
            self._respond()
        else:
            self._resume()

    async def _words_in(self, audio: Pieces) -> int:
        """How many; a recogniser that fails is taken to have heard enough."""
        stt = self._settings.stt
        assert stt is not None
        recognise, mixed = stt.stt, self._hearing.mixed
        async with self._stt_lock:
            try:
                text = await self._session.lane().call(lambda: recognise(mixed(audio)))
            except Exception as error:  # noqa: BLE001
                self._session.failed("speech recognition", error)
                return self._settings.interrupt_min_words
        return len(str(text).split())

    # Replies.

    def _new_reply(self, begin: Begin, held: bool = False, is_answer: bool = True) -> Reply:
        last, self._last = self._last, None
        done = self._reply_done
        return Reply(self._session, begin, held=held, is_answer=is_answer, after=last, on_done=done)

    def _play(self, reply: Reply) -> None:
        if self._reply is not None:
            self._reply.close()
        reply.passage = self._session.begin_passage(self._settings.resume_after_s is not None)
        reply.release()
        self._reply = reply
        self._hearing.set_pace()
        self._host.on_responding(True)
        if self._news is not None and not self._news.done():
            self._news.set_result(None)

    async def _take_from(self, reply: Reply) -> Any:
        item = await reply.next()
        if item is not ENDED:
            self._host.on_output(item)
            if not reply.gave_audio and audio_s(item) > 0:
                reply.gave_audio = True
                self._host.on_response()
        elif reply is self._reply:
            self._reply = None
            self._host.on_responding(False)
            if reply.is_answer and not reply.gave_audio:
                self._host.on_response()
            self._after_playout()
            await self._host.on_reply_over()
        return item

    def _reply_done(self, reply: Reply, error: BaseException | None) -> None:
        if error is not None:
            self._session.failed("the reply function", error)

    def _after_playout(self) -> None:
        self._timers.after("playout", self._session.queued_s, self._on_played_out)

    def _on_played_out(self) -> None:
        if self._reply is not None:
            return
        if self._session.queued_s > 0:
            self._after_playout()
            return
        self._active_at_s = self._loop.time()
        if self._is_due and not self._hearing.in_turn:
            self._respond()

    def _look_for_idleness(self) -> None:
        idle_after_s = self._settings.idle_after_s
        assert idle_after_s is not None
        now_s = self._loop.time()
        if self._hearing.talking or self.is_speaking or self._session.state != "live":
            self._active_at_s = now_s
        quiet_s = now_s - self._active_at_s
        if quiet_s >= idle_after_s - SHORTEST_WAIT_S:
            self._active_at_s, quiet_s = now_s, 0.0
            self.speak(self._host.begin_idle())
        self._timers.after("idle", idle_after_s - quiet_s, self._look_for_idleness)
