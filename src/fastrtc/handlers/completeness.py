"""Asks an end-of-turn model in each pause of a turn, and ends the turn that it finds complete.

Lives on the session's event loop. The first question is put before the silence is long enough to
end a turn, so that nobody waits for the answer; what the model doubts is put to it again, since
with more silence, or another cut of the same, its answers stray.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, Literal

from fastrtc.handlers.base import HandlerSession
from fastrtc.handlers.hearing import Hearing
from fastrtc.handlers.turn_audio import Pieces
from fastrtc.handlers.turn_settings import ASKS_AT_S, OVER_AT_S, TurnSettings
from fastrtc.turns.end_of_turn import ask

__all__ = ["Completeness"]

COMPLETE_AT: Final = 0.5
"""For a model that does not say at which probability a turn is complete."""


class Completeness:
    """Whether one user's turn is complete. Without a model it never is.

    Args:
        session: is told of a model that fails.
        settings: what the user of the library set.
        hearing: what is said.
        turn: the turn so far, as the model is to hear it.
        on_complete: called once the turn is complete and the silence long enough.
    """

    def __init__(
        self,
        session: HandlerSession,
        settings: TurnSettings,
        hearing: Hearing,
        turn: Callable[[], Pieces],
        on_complete: Callable[[], None],
    ) -> None:
        self._session = session
        self._settings = settings
        self._hearing = hearing
        self._turn = turn
        self._on_complete = on_complete
        self._question: asyncio.Future[float] | None = None
        self._verdict: Literal["complete", "failed"] | None = None
        self._is_due = False
        """Whether it should be asked again once it has answered."""

    def on_silence(self, after_s: float) -> None:
        """The user has been silent for so long, one of the times that the detector tells."""
        if after_s in ASKS_AT_S:
            self._ask()
        elif after_s == OVER_AT_S:
            self._end_if_complete()

    def forget(self) -> None:
        """The user goes on, or the turn is over: the question is of no use any more."""
        self._verdict, self._is_due = None, False
        question, self._question = self._question, None
        if question is not None:
            question.cancel()

    def _ask(self) -> None:
        model = self._settings.end_of_turn
        if model is None or self._verdict is not None:
            return
        if self._question is not None:
            self._is_due = True
            return
        self._is_due = False
        hearing = self._hearing
        hearing.detector.be_patient(self._settings.incomplete_after_s or 0.0)
        audio = self._turn()
        self._question = ask(model, lambda: hearing.mixed(audio))
        self._question.add_done_callback(self._on_answer)

    def _on_answer(self, question: asyncio.Future[float]) -> None:
        if question.cancelled() or question is not self._question:
            return
        self._question = None
        error = question.exception()
        if error is not None:
            self._verdict = "failed"
            self._session.failed("the end-of-turn model", error)
            self._hearing.detector.be_patient(0.0)
        elif question.result() >= getattr(self._settings.end_of_turn, "complete_at", COMPLETE_AT):
            self._verdict = "complete"
            self._end_if_complete()
        elif self._is_due:
            self._ask()

    def _end_if_complete(self) -> None:
        is_quiet = self._hearing.detector.silence_s >= OVER_AT_S - 1e-9
        if self._verdict == "complete" and is_quiet and self._hearing.talking:
            self._on_complete()
