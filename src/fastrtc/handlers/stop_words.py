"""Hears a user, but tells nobody before a stop word was said; then what comes after it.

The recogniser runs in a worker thread, and only while somebody speaks.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, Final

from fastrtc.handlers.base import HandlerSession
from fastrtc.handlers.hearing import Hearing
from fastrtc.handlers.turn_settings import Recogniser, TurnSettings
from fastrtc.turns.detector import Event, Onset, Over, Started
from fastrtc.turns.protocol import WINDOW_S

__all__ = ["StopWordHearing", "contains_phrase", "words_of"]

SPAN_S: Final = 5.0
"""The recogniser is given no more than so much at a time."""
KEEP_S: Final = 20.0
STEPS: Final = 3
"""Halvings that find where in the newest piece the stop word ended: to an eighth of it."""


def words_of(text: str) -> list[str]:
    """The words of a text, without case and punctuation."""
    return re.findall(r"[\w']+", text.casefold().replace("\N{RIGHT SINGLE QUOTATION MARK}", "'"))


def contains_phrase(text: str, phrases: Iterable[str]) -> bool:
    """Whether one of the phrases stands in the text, word for word.

    Example::

        contains_phrase("Hey, Computer!", ["hey computer"])  # True
    """
    said = words_of(text)
    for phrase in phrases:
        wanted = words_of(phrase)
        ends = range(len(wanted), len(said) + 1)
        if wanted and any(said[end - len(wanted) : end] == wanted for end in ends):
            return True
    return False


class StopWordHearing(Hearing):
    """What one user says after a stop word.

    Args:
        stt: recognises the stop words.
        is_stop_word: whether one stands in a text; runs in a thread.
        on_stop_word: called when one was said.
    """

    def __init__(
        self,
        session: HandlerSession,
        settings: TurnSettings,
        model: Any,
        rate_hz: int,
        channels: int,
        *,
        stt: Recogniser,
        is_stop_word: Callable[[str], bool],
        on_stop_word: Callable[[], None],
    ) -> None:
        super().__init__(session, settings, model, rate_hz, channels)
        self._stt = stt
        self._is_stop_word = is_stop_word
        self._on_stop_word = on_stop_word
        self._is_awake = False
        self._is_asking = False
        self._unasked: tuple[float, float, float] | None = None
        self._asked_s = 0.0
        self._windows: deque[tuple[float, float]] = deque(maxlen=round(KEEP_S / WINDOW_S))

    @property
    def in_turn(self) -> bool:
        """As in :class:`Hearing`: after a stop word."""
        return self._is_awake and self.talking

    def on_windows(self, probabilities: list[float]) -> None:
        """As in :class:`Hearing`."""
        for probability in probabilities:
            if self._is_awake:
                self._push_awake(probability)
            else:
                self._push_asleep(probability)
        if self._is_awake:
            self.forget()
        else:
            self.audio.forget_before(max(self._over_s, self.detector.now_s - KEEP_S))

    def begin_afresh(self) -> None:
        """As in :class:`Hearing`; what was said asleep goes nowhere."""
        if not self._is_awake:
            self.detector.finish()
        super().begin_afresh()
        self._is_awake = False
        self._unasked = None
        self._asked_s = self.detector.now_s
        self._windows.clear()

    def _push_awake(self, probability: float) -> None:
        for event in self.detector.push(probability):
            self.note(event)
            if isinstance(event, Over):
                self._is_awake = False
                self._asked_s = event.end_s
                self._windows.clear()

    def _push_asleep(self, probability: float) -> None:
        detector = self.detector
        begin_s, candidate_s = detector.now_s, detector.candidate_s
        events: list[Event] = detector.push(probability)
        self._windows.append((begin_s, probability))
        if any(isinstance(event, Started) for event in events):
            self.watch_for_muteness()
        is_over = any(isinstance(event, Over) for event in events)
        waited_s = detector.now_s - max(self._asked_s, candidate_s)
        is_due = detector.talking and waited_s >= self._settings.algo.audio_chunk_duration
        if is_over or (is_due and not self._is_asking):
            self._ask(candidate_s)

    def _ask(self, candidate_s: float) -> None:
        """Asks about what is new, when the recogniser is done with what it was asked before."""
        now_s = self.detector.now_s
        start_s = max(candidate_s - self._settings.preroll_s, self._over_s)
        before_s, self._asked_s = max(self._asked_s, start_s), now_s
        if self._unasked is not None:
            start_s, before_s, _ = self._unasked
        self._unasked = (max(start_s, now_s - SPAN_S), max(before_s, now_s - SPAN_S), now_s)
        self._ask_next()

    def _ask_next(self) -> None:
        if self._unasked is not None and not self._is_asking and not self._closed:
            self._is_asking = True
            span, self._unasked = self._unasked, None
            self._session.spawn(self._look(*span))

    async def _look(self, start_s: float, before_s: float, end_s: float) -> None:
        """Looks for a stop word, and for where in the newest audio it ends."""
        try:
            if not await self._hears(start_s, end_s):
                return
            for _ in range(STEPS):
                middle_s = (before_s + end_s) / 2
                if await self._hears(start_s, middle_s):
                    end_s = middle_s
                else:
                    before_s = middle_s
            self._wake(before_s)
        except Exception as error:  # noqa: BLE001
            self._session.failed("stop word recognition", error)
        finally:
            self._is_asking = False
            self._ask_next()

    async def _hears(self, start_s: float, end_s: float) -> bool:
        pieces = self.audio.between(start_s, end_s)

        def recognise() -> bool:
            audio = self.mixed(pieces)
            return audio[1].size > 0 and bool(self._is_stop_word(self._stt.stt(audio)))

        heard: bool = await self._session.lane().call(recognise)
        return heard

    def _wake(self, cut_s: float) -> None:
        """What was said after ``cut_s`` is heard as if it came now."""
        if self._closed or self._is_awake:
            return
        self._is_awake = True
        self._unasked = None
        self._over_s = max(self._over_s, cut_s)
        self._on_stop_word()
        self.on_event(Onset())
        windows = [window for window in self._windows if window[0] >= cut_s]
        self._windows.clear()
        end_s = self.detector.now_s
        self.detector = self._settings.detector()
        self.detector.now_s = windows[0][0] if windows else end_s
        for _, probability in windows:
            if self._is_awake:
                self._push_awake(probability)
            else:
                self._push_asleep(probability)
