"""What a model of speech has to offer: the borders between turn taking and any model.

Types only. A model is called in a thread of ``turns.vad_engine`` or ``turns.end_of_turn``, never on
an event loop.
"""

from __future__ import annotations

from typing import Any, Final, Protocol, TypeAlias, TypedDict, runtime_checkable

import numpy as np
import numpy.typing as npt

from fastrtc.turns.options import ModelOptions

__all__ = [
    "WINDOW_S",
    "WINDOW_SAMPLES",
    "BatchingModel",
    "EndOfTurnModel",
    "ModelOptions",
    "PauseDetectionModel",
    "SkimmingVad",
    "SpeechChunk",
    "StreamingModel",
    "StreamingVad",
    "Window",
    "Windows",
]

RATE_HZ: Final = 16_000
"""Samples per second of a window."""
WINDOW_SAMPLES: Final = 512
"""Samples of a window."""
WINDOW_S: Final = WINDOW_SAMPLES / RATE_HZ
"""Seconds of a window: 0.032."""

Window: TypeAlias = npt.NDArray[np.float32]
"""512 samples at 16 kHz (32 ms), mono, float32 in [-1, 1], shape ``(512,)``."""

Windows: TypeAlias = npt.NDArray[np.float32]
"""Several of them: shape ``(n, 512)``."""


class SpeechChunk(TypedDict):
    """A stretch of speech, in samples of the audio it was found in."""

    start: int
    end: int


class PauseDetectionModel(Protocol):
    """Finds speech in a stretch of audio; the protocol of FastRTC 0.0.34, kept.

    Example::

        class Loud:  # whatever is loud is speech
            def vad(self, audio, options):
                rate_hz, samples = audio
                return float(np.mean(np.abs(samples) > 1000)) * len(samples) / rate_hz, []
            def warmup(self): pass
    """

    def vad(
        self,
        audio: tuple[int, npt.NDArray[np.int16] | npt.NDArray[np.float32]],
        options: ModelOptions,
    ) -> tuple[float, list[SpeechChunk]]:
        """How much of ``(rate_hz, samples)`` is speech, in seconds, and where.

        ``samples`` is mono, of shape ``(n,)``. A failure has to raise: it is reported to the user.
        """

    def warmup(self) -> None:
        """Called once before the first audio."""


@runtime_checkable
class StreamingVad(Protocol):
    """Speech probability of one session's audio, window after window, with state in between."""

    def reset(self) -> None:
        """Forgets what was heard."""

    def push(self, samples: Window) -> float:
        """The probability, 0 to 1, that the next 32 ms are speech."""


@runtime_checkable
class SkimmingVad(StreamingVad, Protocol):
    """A stream that knows some answers without running its model."""

    def skim(self, windows: Windows) -> list[float]:
        """What :meth:`push` would answer for as many of the next windows as are known, from the
        first on; those are heard thereby. Often none."""


@runtime_checkable
class StreamingModel(Protocol):
    """A model that hears many sessions, each in a stream with its own state."""

    def stream(self) -> StreamingVad:
        """Opens the stream of one session."""


@runtime_checkable
class BatchingModel(Protocol):
    """A streaming model that answers the windows of many streams in one run."""

    def stream(self) -> Any:
        """Opens the stream of one session."""

    def push_many(self, streams: list[Any], windows: list[Window]) -> list[float]:
        """What ``stream.push(window)`` would answer for each pair; no stream occurs twice."""


class EndOfTurnModel(Protocol):
    """Whether an utterance is complete, judged by what was said and how.

    It may have an attribute ``complete_at``, the probability from which on a turn is complete; 0.5
    without. It is asked up to three times in a pause, as long as it finds the turn incomplete.
    """

    def complete(self, audio: tuple[int, npt.NDArray[np.int16]]) -> float:
        """The probability, 0 to 1, that the speaker has finished.

        Args:
            audio: ``(rate_hz, samples)``, mono int16 of shape ``(1, n)``: the turn so far,
                silence at its end included.
        """
