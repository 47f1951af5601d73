"""What a user set about taking turns, checked once.

Values only; ``turn_taking.py`` acts on them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Protocol

from fastrtc.turns.detector import TurnDetector
from fastrtc.turns.options import AlgoOptions, ModelOptions, SileroVadOptions
from fastrtc.turns.protocol import EndOfTurnModel

__all__ = [
    "ASKS_AT_S",
    "LONGEST_TURN_S",
    "OVER_AT_S",
    "SETTABLE",
    "Recogniser",
    "TurnSettings",
]

ASKS_AT_S: Final = (0.128, 0.192, 0.256)
"""Silences after which the end-of-turn model is asked, until it finds the turn complete."""
OVER_AT_S: Final = 0.19
"""Silence after which a complete turn is over; shorter ones are within words, in noise often."""
LONGEST_TURN_S: Final = 600.0
"""A turn, and audio kept for a later one, grow no longer than this."""
SETTABLE: Final = (
    "fn",
    "startup_fn",
    "algo_options",
    "model_options",
    "can_interrupt",
    "needs_args",
    "on_idle",
    "model",
)
"""Attributes that may be set after construction; for a client, before it is served."""


class Recogniser(Protocol):
    """Speech to text; called in a worker thread."""

    def stt(self, audio: tuple[int, Any]) -> str: ...


@dataclass(frozen=True)
class TurnSettings:
    """What the user set; see :class:`~fastrtc.ReplyOnPause`."""

    algo: AlgoOptions
    model_options: ModelOptions
    preroll_s: float
    interrupt_after_s: float
    interrupt_min_words: int
    resume_after_s: float | None
    eager_after_s: float | None
    idle_after_s: float | None
    repeat_unheard: bool
    end_of_turn: EndOfTurnModel | None
    incomplete_after_s: float | None
    stt: Recogniser | None

    def __post_init__(self) -> None:
        for name, least in (
            ("preroll_s", "0 or more"),
            ("interrupt_after_s", "> 0"),
            ("resume_after_s", "> 0, or None"),
            ("eager_after_s", "> 0, or None"),
            ("idle_after_s", "> 0, or None"),
            ("incomplete_after_s", "> 0, or None"),
        ):
            value: Any = getattr(self, name)
            if value is None:
                continue
            is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
            if not is_number or not (value >= 0 if name == "preroll_s" else value > 0):
                raise ValueError(f"{name} is {value!r}; allowed are seconds, {least}")
        if not isinstance(self.interrupt_min_words, int) or self.interrupt_min_words < 0:
            raise ValueError(
                f"interrupt_min_words is {self.interrupt_min_words!r}; allowed is an int, 0 or more"
            )
        if self.interrupt_min_words and self.stt is None:
            raise ValueError(
                "interrupt_min_words counts words, so it needs stt=: an object with "
                "stt((rate_hz, samples)) -> str, such as get_stt_model(...)"
            )

        over_s = self.algo.audio_chunk_duration - self.algo.speech_threshold
        if self.end_of_turn is not None:
            over_s = max(over_s, self.incomplete_after_s or 0.0)
        if self.eager_after_s is not None and self.eager_after_s >= over_s:
            raise ValueError(
                f"eager_after_s is {self.eager_after_s:g}; allowed is less than {over_s:g} s, at "
                "which the turn is over (audio_chunk_duration - speech_threshold)"
            )

    def check_without_detector(self) -> None:
        """For a handler that finds the pauses itself, so that the detector hears nothing.

        Raises:
            ValueError: an option that only the detector can heed.
        """
        for name, off in (
            ("interrupt_min_words", 0),
            ("resume_after_s", None),
            ("eager_after_s", None),
            ("end_of_turn", None),
            ("incomplete_after_s", None),
        ):
            if getattr(self, name) != off:
                raise ValueError(
                    f"{name} does not work with a determine_pause() of one's own, which alone "
                    "decides when a turn starts and ends; allowed with it are preroll_s, on_idle "
                    "and idle_after_s"
                )

    def detector(self) -> TurnDetector:
        """A detector for one user."""
        asked = () if self.end_of_turn is None else (*ASKS_AT_S, OVER_AT_S)
        eager = () if self.eager_after_s is None else (self.eager_after_s,)
        algo, options = self.algo, self.model_options
        return TurnDetector(
            AlgoOptions(
                algo.audio_chunk_duration,
                algo.started_talking_threshold,
                algo.speech_threshold,
                min(algo.max_continuous_speech_s, LONGEST_TURN_S),
            ),
            # Options of another model may have a threshold that means something else.
            threshold=options.threshold if isinstance(options, SileroVadOptions) else 0.5,
            interrupt_after_s=self.interrupt_after_s,
            silences_s=asked + eager,
        )
