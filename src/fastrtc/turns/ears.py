"""From a session's audio to what its model takes, and from the model's answers to windows of 32 ms.

One class for each protocol that a model may have. They live in the model's thread.
"""

from __future__ import annotations

import math
from collections import deque
from typing import Any, Final, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from fastrtc.audio.rates import Resampler
from fastrtc.turns.options import ModelOptions
from fastrtc.turns.protocol import (
    RATE_HZ,
    WINDOW_S,
    WINDOW_SAMPLES,
    PauseDetectionModel,
    SkimmingVad,
    StreamingModel,
    StreamingVad,
    Window,
)
from fastrtc.turns.users_model import is_lone_stream, own_stream

__all__ = ["Ears", "SlidingEars", "WindowEars", "ears_for"]

Audio: TypeAlias = npt.NDArray[np.int16]

HOP_WINDOWS: Final = 3
"""A model that takes stretches of audio is asked once for so many windows."""


class Ears(Protocol):
    """Hears one session's audio, mono at one rate."""

    def hear(self, samples: Audio) -> None:
        """Takes int16 samples of shape ``(n,)``."""

    def ready(self) -> bool:
        """Whether a window is complete that was not answered yet."""

    def skim(self) -> list[float]:
        """What is known of the next windows without asking the model; often nothing."""

    def step(self) -> list[float]:
        """Asks the model about what comes next: the probabilities of one or more windows."""

    def reset(self) -> None:
        """Forgets what was heard."""


class WindowEars:
    """For a streaming model: windows of 512 samples at 16 kHz, one after the other."""

    def __init__(self, stream: StreamingVad, rate_hz: int) -> None:
        self.stream = stream
        self._skim = stream.skim if isinstance(stream, SkimmingVad) else None
        self._rate_hz = rate_hz
        self._start()

    def _start(self) -> None:
        self._resampler = Resampler(self._rate_hz, RATE_HZ)
        self._rest = np.zeros(0, np.int16)
        self._windows: deque[Audio] = deque()

    def hear(self, samples: Audio) -> None:
        """As in :class:`Ears`."""
        heard = np.concatenate((self._rest, self._resampler.push(samples)))
        whole = len(heard) // WINDOW_SAMPLES * WINDOW_SAMPLES
        self._windows.extend(heard[:whole].reshape(-1, WINDOW_SAMPLES))
        self._rest = heard[whole:]

    def ready(self) -> bool:
        """As in :class:`Ears`."""
        return bool(self._windows)

    def skim(self) -> list[float]:
        """As in :class:`Ears`. One window alone is asked about as quickly."""
        if self._skim is None or len(self._windows) < 2:
            return []
        known = self._skim(_as_float(np.stack(self._windows)))
        for _ in known:
            self._windows.popleft()
        return known

    def next_window(self) -> Window:
        """The next window, for a model that answers many streams at once."""
        return _as_float(self._windows.popleft())

    def step(self) -> list[float]:
        """As in :class:`Ears`: one window."""
        return [float(self.stream.push(self.next_window()))]

    def reset(self) -> None:
        """As in :class:`Ears`."""
        self.stream.reset()
        self._start()


class SlidingEars:
    """For a model that has only ``vad``: every 96 ms it is given the last ``span_s`` seconds.

    They are at the session's own rate, with silence before the first sample. What it says of them,
    seconds of speech, becomes windows: of the three new ones, as many are speech as bring the
    speech within the last ``span_s`` closest to what the model said. So a detector that adds up
    windows over the same span works with the model's own figures.

    Args:
        model: the user's.
        rate_hz: of the session's audio.
        options: given to ``vad``.
        span_s: the detector's sliding window, ``AlgoOptions.audio_chunk_duration``.
    """

    def __init__(
        self, model: PauseDetectionModel, rate_hz: int, options: ModelOptions, span_s: float
    ) -> None:
        self._model = model
        self._rate_hz = rate_hz
        self._options = options
        self._windows_in_span = max(HOP_WINDOWS, round(span_s / WINDOW_S))
        self._span = round(self._windows_in_span * WINDOW_S * rate_hz)
        self._hop = HOP_WINDOWS * WINDOW_S * rate_hz
        self._start()

    def _start(self) -> None:
        self._heard = np.zeros(self._span, np.int16)
        self._hops = 0
        self._dropped = 0
        self._speech: deque[bool] = deque(maxlen=self._windows_in_span)

    def _next_hop(self) -> int:
        """Where in ``_heard`` the next span begins; hops are no whole number of samples."""
        return round((self._hops + 1) * self._hop) - self._dropped

    def hear(self, samples: Audio) -> None:
        """As in :class:`Ears`."""
        self._heard = np.concatenate((self._heard, samples))

    def ready(self) -> bool:
        """As in :class:`Ears`."""
        return len(self._heard) >= self._next_hop() + self._span

    def skim(self) -> list[float]:
        """As in :class:`Ears`: nothing."""
        return []

    def step(self) -> list[float]:
        """As in :class:`Ears`: three windows."""
        begin = self._next_hop()
        self._heard = self._heard[begin:]
        self._dropped += begin
        self._hops += 1
        span = self._heard[: self._span].copy()
        seconds, _ = self._model.vad((self._rate_hz, span), self._options)
        if not 0 <= seconds < math.inf:
            raise ValueError(
                f"vad() answered {seconds!r} seconds of speech; allowed is 0 to the length of its "
                f"audio ({len(span) / self._rate_hz:g} s), and a failure has to raise"
            )
        staying = list(self._speech)[-(self._windows_in_span - HOP_WINDOWS) :]
        speech = min(HOP_WINDOWS, max(0, round(seconds / WINDOW_S) - sum(staying)))
        new = [window < speech for window in range(HOP_WINDOWS)]
        if not (staying and staying[-1]):
            new.reverse()
        self._speech.extend(new)
        return [float(window) for window in new]

    def reset(self) -> None:
        """As in :class:`Ears`."""
        self._start()


def _as_float(samples: Audio) -> npt.NDArray[np.float32]:
    return np.multiply(samples, np.float32(1 / 32768), dtype=np.float32)


def ears_for(model: Any, rate_hz: int, options: ModelOptions, span_s: float) -> Ears:
    """What hears a session for this model.

    Raises:
        TypeError: the model has no protocol that is known here.
        ValueError: it keeps the state of one session and cannot be copied for others.
    """
    if isinstance(model, StreamingModel):
        return WindowEars(model.stream(), rate_hz)
    if is_lone_stream(model):
        return WindowEars(own_stream(model), rate_hz)
    if callable(getattr(model, "vad", None)):
        return SlidingEars(model, rate_hz, options, span_s)
    raise TypeError(
        f"model is a {type(model).__name__} without vad(), stream() or reset() and push(); allowed "
        "is a PauseDetectionModel or a model of the streaming protocol, see fastrtc.turns.protocol"
    )
