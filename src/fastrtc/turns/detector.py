"""Decides from speech probabilities when a user starts, pauses and has finished.

Pure: no clock, no audio, no model. Time is the sum of the durations pushed, in seconds.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from fastrtc.turns.options import AlgoOptions
from fastrtc.turns.protocol import WINDOW_S

__all__ = ["Event", "GoesOn", "Onset", "Over", "Silence", "Started", "TurnDetector"]

CANDIDATE_S: Final = 10.0
"""How far back speech may lie that a turn still counts as its own beginning."""


@dataclass(frozen=True)
class Onset:
    """Enough fresh speech to interrupt a reply; once in each burst of speech."""


@dataclass(frozen=True)
class Started:
    """The user has started to speak.

    Attributes:
        at_s: where the first speech that belongs to the turn begins.
    """

    at_s: float


@dataclass(frozen=True)
class Silence:
    """Within a turn nothing has been said for ``after_s``; once for each such silence."""

    after_s: float


@dataclass(frozen=True)
class GoesOn:
    """Speech after a :class:`Silence` of the same turn."""


@dataclass(frozen=True)
class Over:
    """The turn is over.

    Attributes:
        end_s: where it ends. Speech after this point belongs to the next turn.
        cause: "pause", "limit" (the speaker goes on) or "asked" (:meth:`TurnDetector.finish`).
    """

    end_s: float
    cause: Literal["pause", "limit", "asked"]


Event: TypeAlias = Onset | Started | Silence | GoesOn | Over


class _Span:
    """Seconds of speech among the newest ``length_s``; the oldest window counts in part."""

    def __init__(self, length_s: float) -> None:
        self.length_s = length_s
        self.windows: deque[tuple[bool, float]] = deque()
        self._total_s = 0.0
        self._speech_s = 0.0

    def push(self, is_speech: bool, duration_s: float) -> None:
        self.windows.append((is_speech, duration_s))
        self._total_s += duration_s
        self._speech_s += is_speech * duration_s
        while self._total_s - self.windows[0][1] >= self.length_s:
            was_speech, gone_s = self.windows.popleft()
            self._total_s -= gone_s
            self._speech_s -= was_speech * gone_s

    @property
    def speech_s(self) -> float:
        beyond_s = max(0.0, self._total_s - self.length_s)
        return self._speech_s - (beyond_s if self.windows and self.windows[0][0] else 0.0)

    def clear(self) -> None:
        self.windows.clear()
        self._total_s = self._speech_s = 0.0


class TurnDetector:
    """Follows one user, window after window.

    Args:
        options: when a turn starts and ends; see :class:`AlgoOptions`.
        threshold: a window of at least this probability is speech.
        interrupt_after_s: speech that makes an :class:`Onset`.
        silences_s: lengths of silence within a turn that are told, each by a :class:`Silence`.

    Attributes:
        now_s: seconds pushed so far.
        talking: whether a turn has started and is not over.
        silence_s: seconds since the last speech.

    Example::

        detector = TurnDetector(AlgoOptions())
        for probability in probabilities:  # one for each 32 ms
            events = detector.push(probability)
    """

    def __init__(
        self,
        options: AlgoOptions,
        *,
        threshold: float = 0.5,
        interrupt_after_s: float = 0.2,
        silences_s: tuple[float, ...] = (),
    ) -> None:
        self._options = options
        self._threshold = threshold
        self._interrupt_after_s = interrupt_after_s
        self._silences_s = tuple(sorted(set(silences_s)))
        self._span = _Span(options.audio_chunk_duration)
        self._burst = _Span(max(options.audio_chunk_duration, 2 * interrupt_after_s))
        self._armed = True
        self._first_s: float | None = None
        self._told = 0
        self._patience_s = 0.0
        self.now_s = 0.0
        self.talking = False
        self.silence_s = 0.0

    def push(self, probability: float, duration_s: float = WINDOW_S) -> list[Event]:
        """Takes the speech probability of the next ``duration_s`` of audio.

        Returns:
            What follows from it, in order; mostly nothing.
        """
        is_speech = probability >= self._threshold
        begin_s = self.now_s
        self.now_s += duration_s
        self._span.push(is_speech, duration_s)
        self._burst.push(is_speech, duration_s)
        events: list[Event] = []
        if is_speech:
            self._on_speech(begin_s, events)
        else:
            self.silence_s += duration_s
        self._look_for_onset(duration_s, events)
        if not self.talking:
            self._look_for_start(events)
        else:
            self._look_for_end(events)
        return events

    @property
    def candidate_s(self) -> float:
        """Where the audio begins that the current or next turn may need."""
        if self._first_s is None:
            return self.now_s
        return self._first_s if self.talking else max(self._first_s, self.now_s - CANDIDATE_S)

    def be_patient(self, silence_s: float) -> None:
        """This silence does not end the turn before it lasts ``silence_s``."""
        self._patience_s = silence_s

    def finish(self) -> Over:
        """Ends the turn here, whatever the windows say."""
        return self._over("asked")

    def _on_speech(self, begin_s: float, events: list[Event]) -> None:
        gap_s, self.silence_s = self.silence_s, 0.0
        self._patience_s = 0.0
        if self._told:
            self._told = 0
            if self.talking:
                events.append(GoesOn())
        if self.talking:
            return
        if self._first_s is None or gap_s > self._options.audio_chunk_duration:
            self._first_s = begin_s

    def _look_for_onset(self, duration_s: float, events: list[Event]) -> None:
        speech_s = self._burst.speech_s
        if self._armed:
            # To the nearest number of windows, so that none is waited for in vain.
            if speech_s >= max(self._interrupt_after_s - duration_s / 2, 1e-9):
                self._armed = False
                events.append(Onset())
        elif speech_s < self._interrupt_after_s / 2:
            self._armed = True

    def _look_for_start(self, events: list[Event]) -> None:
        if self._span.speech_s > self._options.started_talking_threshold:
            assert self._first_s is not None
            self.talking = True
            self._first_s = self.candidate_s
            events.append(Started(self._first_s))

    def _look_for_end(self, events: list[Event]) -> None:
        assert self._first_s is not None
        if self.now_s - self._first_s >= self._options.max_continuous_speech_s:
            events.append(self._over("limit"))
            return
        # A turn ends in silence, even if speech_threshold is higher than what starts a turn.
        is_pause = self._span.speech_s < self._options.speech_threshold and self.silence_s > 0
        if is_pause and self.silence_s >= self._patience_s:
            events.append(self._over("pause"))
            return
        while self._told < len(self._silences_s) and (
            self.silence_s >= self._silences_s[self._told] - 1e-9
        ):
            events.append(Silence(self._silences_s[self._told]))
            self._told += 1

    def _over(self, cause: Literal["pause", "limit", "asked"]) -> Over:
        self.talking = False
        self._told = 0
        self._patience_s = 0.0
        # What was said belongs to the turn that is over; only what comes may start another.
        self._span.clear()
        if cause == "limit":
            self._first_s = self.now_s
        else:
            self._burst.clear()
            self._first_s = None
            self._armed = True
        return Over(self.now_s, cause)
