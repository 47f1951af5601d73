"""Smart Turn 3: whether an utterance is complete, heard from its words and its melody.

Computes in the calling thread, about 30 ms for each call. Whoever calls keeps it off the event
loop, as ``turns.end_of_turn`` does.
"""

from __future__ import annotations

from functools import cache
from typing import Final

import numpy as np
import numpy.typing as npt

from fastrtc.audio.resample import resample
from fastrtc.turns.mel import log_mel
from fastrtc.turns.models import open_model
from fastrtc.turns.protocol import RATE_HZ

__all__ = ["SmartTurnModel", "get_smart_turn_model"]

SPAN_S: Final = 8
"""The model hears the end of the turn; shorter ones have silence before them."""
SPAN_SAMPLES: Final = SPAN_S * RATE_HZ
TINY_VARIANCE: Final = 1e-7
COMPLETE_AT: Final = 0.3
"""Lower than the 0.5 that it was trained for: it doubts much that is complete, and asked again
within a pause its answers stray. docs/design/turn-taking.md has what that costs."""


class SmartTurnModel:
    """Smart Turn 3.2; see :class:`~fastrtc.turns.protocol.EndOfTurnModel`.

    Attributes:
        complete_at: the probability from which on a turn is complete, 0.3 unless it is set.

    Raises:
        MissingExtension: onnxruntime is not installed (``pip install 'fastrtc[turn]'``).

    Example::

        model = SmartTurnModel()
        model.complete_at = 0.6  # rather late than early
    """

    def __init__(self) -> None:
        self._session = open_model("smart-turn-v3.2-cpu.onnx", "turn")
        self.complete_at = COMPLETE_AT

    def complete(self, audio: tuple[int, npt.NDArray[np.int16]]) -> float:
        """The probability, 0 to 1, that the speaker has finished.

        Args:
            audio: ``(rate_hz, samples)``, mono int16 of shape ``(1, n)`` or ``(n,)``: the turn so
                far, with 0.1 to 0.3 s of silence at its end. The last 8 s are heard.

        Raises:
            ValueError: more than one channel, or a rate out of range.

        Example::

            get_smart_turn_model().complete((16000, samples))  # 0.97
        """
        rate_hz, samples = audio
        if samples.ndim != 1 and samples.shape[:-1] != (1,):
            raise ValueError(
                f"complete() received samples of shape {samples.shape}; allowed is mono, "
                "(1, n) or (n,)"
            )
        heard = resample(samples.reshape(-1)[-SPAN_S * rate_hz :], rate_hz, RATE_HZ)
        span = np.zeros(SPAN_SAMPLES, np.float32)
        span[SPAN_SAMPLES - len(heard) :] = heard[-SPAN_SAMPLES:]
        even = (span - span.mean()) / np.sqrt(span.var() + TINY_VARIANCE)
        (probabilities,) = self._session.run(None, {"input_features": log_mel(even)[None]})
        return float(probabilities[0, 0])

    def warmup(self) -> None:
        """Runs the model once, so that the first call is not slower than others."""
        self.complete((RATE_HZ, np.zeros((1, RATE_HZ), np.int16)))


@cache
def get_smart_turn_model() -> SmartTurnModel:
    """The process's Smart Turn model, loaded and warm.

    Raises:
        MissingExtension: onnxruntime is not installed (``pip install 'fastrtc[turn]'``).

    Example::

        ReplyOnPause(reply, end_of_turn=get_smart_turn_model())
    """
    model = SmartTurnModel()
    model.warmup()
    return model
