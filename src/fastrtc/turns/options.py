"""What users set about turn taking, checked when it is set.

Values only: what they mean is decided in ``turns.detector`` and ``turns.silero``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

__all__ = ["AlgoOptions", "ModelOptions", "SileroVadOptions"]

ModelOptions: TypeAlias = Any
"""Whatever a model's ``vad`` takes as its options; :class:`SileroVadOptions` for our own."""

INF: Final = math.inf


@dataclass
class AlgoOptions:
    """When a user has started to speak, and when the turn is over; all in seconds.

    Evaluated continuously on a sliding window of the last ``audio_chunk_duration`` seconds.

    Attributes:
        audio_chunk_duration: length of the sliding window.
        started_talking_threshold: the user has started once the window holds more speech than this.
        speech_threshold: the turn is over once the window holds less speech than this.
        max_continuous_speech_s: a turn is ended after this much, pause or not.

    Raises:
        ValueError: a value that no window could reach, or that is not a number.

    Example::

        AlgoOptions(audio_chunk_duration=0.8)  # waits longer before it answers
    """

    audio_chunk_duration: float = 0.6
    started_talking_threshold: float = 0.2
    speech_threshold: float = 0.1
    max_continuous_speech_s: float = INF

    def __post_init__(self) -> None:
        chunk_s = self.audio_chunk_duration
        _check(self, "audio_chunk_duration", 0 < _number(self, "audio_chunk_duration") < INF, "> 0")
        _check(
            self,
            "started_talking_threshold",
            0 <= _number(self, "started_talking_threshold") < chunk_s,
            f"0 to below audio_chunk_duration ({chunk_s:g} s), which is all that a window can hold",
        )
        _check(
            self,
            "speech_threshold",
            0 < _number(self, "speech_threshold") <= chunk_s,
            f"above 0 (else no turn ends) and at most audio_chunk_duration ({chunk_s:g} s)",
        )
        limit_s = _number(self, "max_continuous_speech_s")
        _check(self, "max_continuous_speech_s", limit_s > 0, "> 0, or math.inf for no limit")


@dataclass
class SileroVadOptions:
    """What counts as speech, and which chunks ``vad()`` reports.

    ``threshold`` also decides what the turn detector counts as speech. The others shape only the
    chunks that ``vad()`` returns, never the end of a turn.

    Attributes:
        threshold: a window of which the model is at least this sure (0 to 1) is speech.
        min_speech_duration_ms: chunks that are not longer than this are dropped.
        max_speech_duration_s: longer chunks are split, at a silence over 98 ms if there is one.
        min_silence_duration_ms: shorter silences do not end a chunk.
        window_size_samples: kept for old code. The model takes 512 samples at 16 kHz, always.
        speech_pad_ms: chunks are made longer by this at both ends, without overlap.

    Raises:
        ValueError: a value outside of its range, or not a number.

    Example::

        SileroVadOptions(threshold=0.7)  # a noisy room
    """

    threshold: float = 0.5
    min_speech_duration_ms: int = 250
    max_speech_duration_s: float = INF
    min_silence_duration_ms: int = 2000
    window_size_samples: int = 1024
    speech_pad_ms: int = 400

    def __post_init__(self) -> None:
        _check(self, "threshold", 0 < _number(self, "threshold") < 1, "between 0 and 1")
        for name in ("min_speech_duration_ms", "min_silence_duration_ms", "speech_pad_ms"):
            _check(self, name, 0 <= _number(self, name) < INF, "0 or more")
        for name in ("max_speech_duration_s", "window_size_samples"):
            _check(self, name, _number(self, name) > 0, "> 0")


def _number(options: object, name: str) -> float:
    value = getattr(options, name)
    try:
        number = math.nan if isinstance(value, (bool, str)) else float(value)
    except (TypeError, ValueError):
        number = math.nan
    _check(options, name, not math.isnan(number), "a number")
    return number


def _check(options: object, name: str, holds: bool, allowed: str) -> None:
    if not holds:
        value = getattr(options, name)
        raise ValueError(f"{type(options).__name__}({name}={value!r}): allowed is {allowed}")
