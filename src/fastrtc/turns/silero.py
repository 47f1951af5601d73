"""Silero VAD 6: how likely 32 ms of sound are speech, with what was heard before kept in mind.

Minutes of music or noise drive the model's cells so far that it hears the speech after them late,
or not at all. So a stream forgets its state now and then, while nobody speaks.

Where nobody has spoken for a while and a window is no louder than the place usually is, the model
is not run but for one window in 30: it would say what it said before, and running it is most of
what a silent session costs.

Computes in the calling thread. Whoever calls keeps it off the event loop, as ``turns.vad_engine``
does.
"""

from __future__ import annotations

from collections import deque
from functools import cache
from typing import Final, TypeAlias, cast

import numpy as np
import numpy.typing as npt

from fastrtc.audio.convert import audio_to_float32
from fastrtc.audio.resample import resample
from fastrtc.turns.background import Background
from fastrtc.turns.chunks import speech_chunks
from fastrtc.turns.models import open_model
from fastrtc.turns.options import ModelOptions, SileroVadOptions
from fastrtc.turns.protocol import RATE_HZ, WINDOW_SAMPLES, SpeechChunk, Window, Windows

__all__ = ["SileroStream", "SileroVADModel", "get_silero_model"]

CONTEXT_SAMPLES: Final = 64
"""Each window is preceded by the end of the one before it."""
STATE_SHAPE: Final = (2, 128)
FORGET_AFTER: Final = 156
"""Windows since the stream last forgot: 5 s. More often, and music is taken for speech more often;
less often, and it hides speech."""
QUIET: Final = 0.2
"""Nobody speaks where the probability has been below this ..."""
QUIET_WINDOWS: Final = 16
"""... for so many windows, half a second."""
ASK_EVERY: Final = 30
"""In a place that sounds as usual one window of so many is given to the model."""
CAUGHT_UP: Final = 4
"""When the place sounds otherwise, the model hears so many of the windows that it missed first."""
_RATE: Final = np.array(RATE_HZ, np.int64)

Sound: TypeAlias = npt.NDArray[np.float32]
"""A window after its context: shape ``(576,)``."""
State: TypeAlias = npt.NDArray[np.float32]


class SileroStream:
    """One session's audio; see :class:`~fastrtc.turns.protocol.StreamingVad`."""

    __slots__ = (
        "_age",
        "_answer",
        "_background",
        "_context",
        "_model",
        "_quiet",
        "_unasked",
        "missed",
        "state",
    )

    def __init__(self, model: SileroVADModel) -> None:
        self._model = model
        self.reset()

    def reset(self) -> None:
        """Forgets what was heard."""
        self.state = np.zeros(STATE_SHAPE, np.float32)
        self.missed: deque[Sound] = deque(maxlen=CAUGHT_UP)
        self._context = np.zeros(CONTEXT_SAMPLES, np.float32)
        self._background = Background()
        self._age = self._quiet = self._unasked = 0
        self._answer = 0.0

    def hear(self, window: Window) -> tuple[Sound, float | None]:
        """The next window as the model takes it, and the answer if it is known without the model.

        If it is not, :attr:`missed` is what the model has to hear before.
        """
        sound = np.concatenate((self._context, window))
        self._context = sound[-CONTEXT_SAMPLES:]
        self._age += 1
        is_usual = bool(self._quiet) and self._background.sounds_like(window)
        if not is_usual or min(self._quiet, self._age) <= QUIET_WINDOWS:
            return sound, None
        if self._unasked >= ASK_EVERY - 1:
            self.missed.clear()
            return sound, None
        self._unasked += 1
        self.missed.append(sound)
        self._background.learn()
        return sound, self._answer

    def skim(self, windows: Windows) -> list[float]:
        """As in :class:`~fastrtc.turns.protocol.SkimmingVad`: of a silent place, most of them."""
        windows = windows[: ASK_EVERY - 1 - self._unasked]
        if not len(windows) or min(self._quiet, self._age) <= QUIET_WINDOWS:
            return []
        known = self._background.usual_ones(windows)
        first = max(0, known - CAUGHT_UP)
        for number in range(first, known):
            before = windows[number - 1, -CONTEXT_SAMPLES:] if number else self._context
            self.missed.append(np.concatenate((before, windows[number])))
        if known:
            self._context = windows[known - 1, -CONTEXT_SAMPLES:].copy()
            self._age += known
            self._unasked += known
        return [self._answer] * known

    def keep(self, state: State, probability: float) -> None:
        """What the model carries over to the next window, if it is worth carrying."""
        self.state = state
        self._answer = probability
        self._unasked = 0
        if probability >= QUIET:
            self._quiet = 0
            return
        self._quiet += 1
        self._background.learn()
        if self._age >= FORGET_AFTER and self._quiet >= QUIET_WINDOWS:
            self.state = np.zeros(STATE_SHAPE, np.float32)
            self._age = 0

    def push(self, samples: Window) -> float:
        """The probability that the next 512 samples at 16 kHz are speech.

        Raises:
            ValueError: not 512 samples.
        """
        return self._model.push_many([self], [samples])[0]


class SileroVADModel:
    """Silero VAD. One object serves all sessions, each through its own :meth:`stream`.

    Raises:
        MissingExtension: onnxruntime is not installed (``pip install 'fastrtc[vad]'``).

    Example::

        seconds, chunks = SileroVADModel().vad((16000, samples), SileroVadOptions())
    """

    def __init__(self) -> None:
        self._session = open_model("silero_vad.onnx", "vad")

    def stream(self) -> SileroStream:
        """Opens a stream with state of its own."""
        return SileroStream(self)

    def push_many(self, streams: list[SileroStream], windows: list[Window]) -> list[float]:
        """The next window of each of several different streams, in one run of the model.

        Raises:
            ValueError: a window has not 512 samples.
        """
        answers: list[float | None] = []
        sounds: list[Sound] = []
        for stream, window in zip(streams, windows, strict=True):
            if window.shape != (WINDOW_SAMPLES,):
                raise ValueError(
                    f"a window has shape {window.shape}; allowed is ({WINDOW_SAMPLES},), float32 "
                    f"at {RATE_HZ} Hz"
                )
            sound, answer = stream.hear(window)
            sounds.append(sound)
            answers.append(answer)
        asked = [row for row, answer in enumerate(answers) if answer is None]
        if asked:
            for stream in (streams[row] for row in asked):
                while stream.missed:
                    _, [stream.state] = self._run([stream.missed.popleft()], [stream.state])
            probabilities, states = self._run(
                [sounds[row] for row in asked], [streams[row].state for row in asked]
            )
            for row, probability, state in zip(asked, probabilities, states, strict=True):
                streams[row].keep(state, probability)
                answers[row] = probability
        return cast(list[float], answers)

    def _run(self, sounds: list[Sound], states: list[State]) -> tuple[list[float], list[State]]:
        probabilities, after = self._session.run(
            None, {"input": np.stack(sounds), "state": np.stack(states, axis=1), "sr": _RATE}
        )
        return probabilities[:, 0].tolist(), [after[:, row].copy() for row in range(len(sounds))]

    def vad(
        self,
        audio: tuple[int, npt.NDArray[np.int16] | npt.NDArray[np.float32]],
        options: ModelOptions = None,
    ) -> tuple[float, list[SpeechChunk]]:
        """Finds the speech in a recording.

        Args:
            audio: ``(rate_hz, samples)``, mono, int16 or float32 in [-1, 1], shape ``(n,)`` or
                ``(1, n)``.
            options: :class:`~fastrtc.turns.options.SileroVadOptions`; None for the defaults.

        Returns:
            Seconds in all chunks together, and the chunks, in samples of ``audio``.

        Raises:
            ValueError: more than one channel, or a rate out of range.
        """
        rate_hz, samples = audio
        if samples.ndim != 1 and samples.shape[:-1] != (1,):
            raise ValueError(
                f"vad() received samples of shape {samples.shape}; allowed is mono, (n,) or (1, n)"
            )
        flat = samples.reshape(-1)
        heard = resample(audio_to_float32(flat), rate_hz, RATE_HZ)
        found = speech_chunks(self._probabilities(heard), len(heard), options or SileroVadOptions())
        scale = rate_hz / RATE_HZ
        chunks: list[SpeechChunk] = [
            {
                "start": round(chunk["start"] * scale),
                "end": min(len(flat), round(chunk["end"] * scale)),
            }
            for chunk in found
        ]
        return sum(chunk["end"] - chunk["start"] for chunk in chunks) / rate_hz, chunks

    def warmup(self) -> None:
        """Runs the model once, so that the first window is not slower than others."""
        self.stream().push(np.zeros(WINDOW_SAMPLES, np.float32))

    def _probabilities(self, samples: npt.NDArray[np.float32]) -> list[float]:
        stream = self.stream()
        missing = -len(samples) % WINDOW_SAMPLES
        padded = np.concatenate((samples, np.zeros(missing, np.float32)))
        return [stream.push(window) for window in padded.reshape(-1, WINDOW_SAMPLES)]


@cache
def get_silero_model() -> SileroVADModel:
    """The process's Silero VAD, loaded and warm.

    Raises:
        MissingExtension: onnxruntime is not installed (``pip install 'fastrtc[vad]'``).

    Example::

        seconds, chunks = get_silero_model().vad((16000, samples), SileroVadOptions())
    """
    model = SileroVADModel()
    model.warmup()
    return model
