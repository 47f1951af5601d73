"""Hears one user: audio in, events of the turn detector out, and what was said when.

Lives on the session's event loop. Joins the audio, the model's answers and the detector; decides
nothing about replies.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

import numpy as np

from fastrtc.handlers.base import HandlerSession
from fastrtc.handlers.timers import SHORTEST_WAIT_S
from fastrtc.handlers.turn_audio import Pieces, Samples, TurnAudio, joined, mono
from fastrtc.handlers.turn_settings import TurnSettings
from fastrtc.turns.detector import Event, Started
from fastrtc.turns.vad_engine import VadFeed, open_vad

__all__ = ["Hearing"]

MUTE_S: Final = 1.0
"""A client that sends nothing for so long in the middle of a word is taken to be silent: less may
be a burst of losses."""
GAP_S: Final = 0.2
"""The same for one that paused before: silence is not sent. (Of a loss, so much is concealed.)"""
PAUSED_S: Final = 0.09
FILL_S: Final = 0.1


class Hearing:
    """What one user says.

    Args:
        session: whose user it is.
        settings: what the user of the library set.
        model: voice activity.
        rate_hz: of the audio.
        channels: of the interleaved samples.

    Attributes:
        on_event: takes what the detector finds, in order.
        on_calm: told when nobody has spoken for a while, so that audio may come in larger pieces,
            and when that is over.
        is_awaited: whether speech is to be noticed at once, however long nobody has spoken.
    """

    def __init__(
        self,
        session: HandlerSession,
        settings: TurnSettings,
        model: Any,
        rate_hz: int,
        channels: int,
    ) -> None:
        self.on_event: Callable[[Event], None] = _ignore
        self.on_calm: Callable[[bool], None] = _ignore
        self.is_awaited: Callable[[], bool] = bool
        self.audio = TurnAudio(rate_hz, channels)
        self.detector = settings.detector()
        self._session = session
        self._settings = settings
        self._model = model
        self._feed: VadFeed | None = None
        self._turn_s = self._over_s = 0.0
        self._heard_at_s = self._filled_to_s = 0.0
        self._mute_timer: asyncio.TimerHandle | None = None
        self._has_failed = False
        self._is_calm = False
        self._closed = False

    @property
    def talking(self) -> bool:
        """Whether a turn has started and is not over."""
        return self.detector.talking

    @property
    def in_turn(self) -> bool:
        """The same for a turn that will be told of."""
        return self.talking

    @property
    def rate_hz(self) -> int:
        """Frames per second of the audio."""
        return self.audio.rate_hz

    def hear(self, samples: Samples) -> None:
        """Takes what the user said: int16 of shape ``(n,)``, interleaved."""
        if not self._closed:
            self._heard_at_s = self._filled_to_s = self._session.loop.time()
            self._push(samples)

    def said(self, end_s: float) -> Pieces:
        """The turn that is over, from its pre-roll to ``end_s``; later turns begin behind it."""
        start_s = max(self._over_s, self._turn_s - self._settings.preroll_s)
        self._over_s = end_s
        return self.audio.between(start_s, end_s)

    def said_so_far(self) -> Pieces:
        """The same for a turn that is not over, up to now."""
        start_s = max(self._over_s, self.detector.candidate_s - self._settings.preroll_s)
        return self.audio.between(start_s, self.detector.now_s)

    def finish(self) -> Pieces:
        """Ends the turn here; what was said, empty if nothing was."""
        if not self.talking:
            return []
        return self.said(self.detector.finish().end_s)

    def mixed(self, pieces: Pieces) -> tuple[int, Samples]:
        """Audio as models take it: mono, of shape ``(1, n)``. For a thread: of minutes it takes
        long."""
        return self.rate_hz, mono(joined(pieces), self.audio.channels).reshape(1, -1)

    def close(self) -> None:
        """Hears nothing any more; idempotent."""
        self._closed = True
        if self._feed is not None:
            self._feed.close()
        if self._mute_timer is not None:
            self._mute_timer.cancel()

    def on_windows(self, probabilities: list[float]) -> None:
        """The model's answers, one for each 32 ms, in order."""
        for probability in probabilities:
            for event in self.detector.push(probability):
                self.note(event)
        self.forget()

    def note(self, event: Event) -> None:
        """Passes an event on."""
        if isinstance(event, Started):
            self._turn_s = event.at_s
            self.watch_for_muteness()
        self.on_event(event)

    def set_pace(self) -> None:
        """Finds whether it is calm; also called when that may have changed from outside."""
        is_quiet = self._feed is not None and self._feed.is_relaxed
        is_calm = is_quiet and not self.is_awaited()
        if is_calm != self._is_calm:
            self._is_calm = is_calm
            self.on_calm(is_calm)

    def forget(self) -> None:
        """Lets go of audio that no turn can need."""
        needed_s = self.detector.candidate_s - self._settings.preroll_s
        self.audio.forget_before(max(self._over_s, needed_s))

    def _push(self, samples: Samples) -> None:
        audio = self.audio
        feed = self._feed
        if feed is None:
            feed = self._feed = open_vad(
                self._model,
                audio.rate_hz,
                deliver=self._take_windows,
                on_error=self._on_error,
                options=self._settings.model_options,
                span_s=self._settings.algo.audio_chunk_duration,
            )
        audio.push(samples)
        feed.push(mono(samples, audio.channels))

    def _take_windows(self, probabilities: list[float]) -> None:
        self.on_windows(probabilities)
        self.set_pace()

    def _on_error(self, error: BaseException) -> None:
        """The model may be asked once more; without one a session is deaf, and ends."""
        self._session.failed("voice activity detection", error)
        if self._has_failed:
            self._session.fail("voice activity detection failed again")
            return
        self._has_failed = True
        self._feed = None
        self.begin_afresh()

    def begin_afresh(self) -> None:
        """The turn ends here, as far as it was heard; what comes is heard anew."""
        if self.talking:
            self.note(self.detector.finish())
        if self._feed is not None:
            self._feed.reset()
        self.detector = self._settings.detector()
        self.detector.now_s = self._over_s = self.audio.end_s
        self.audio.forget_before(self._over_s)

    def watch_for_muteness(self, delay_s: float = GAP_S) -> None:
        """A turn has started, which a client that sends nothing any more has to end."""
        if self._mute_timer is not None:
            self._mute_timer.cancel()
        self._mute_timer = self._session.loop.call_later(delay_s, self._look_for_muteness)

    def _look_for_muteness(self) -> None:
        """Silence is also when a client sends nothing: with its key released, say."""
        if not self.talking:
            return
        now_s = self._session.loop.time()
        quiet_s = now_s - self._heard_at_s
        patience_s = GAP_S if self.detector.silence_s >= PAUSED_S else MUTE_S
        if quiet_s < GAP_S - SHORTEST_WAIT_S:
            self.watch_for_muteness(GAP_S - quiet_s)
        elif quiet_s < patience_s - SHORTEST_WAIT_S:
            self.watch_for_muteness(min(patience_s - quiet_s, FILL_S))
        else:
            missing_s = now_s - self._filled_to_s
            self._filled_to_s = now_s
            self._push(np.zeros(round(missing_s * self.rate_hz) * self.audio.channels, np.int16))
            self.watch_for_muteness(FILL_S)


def _ignore(news: Any) -> None:
    """Before somebody wants to know."""
