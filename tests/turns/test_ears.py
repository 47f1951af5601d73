"""Whatever protocol a model has, its session gets windows of 32 ms, none lost, in order."""

from __future__ import annotations

import math
import threading
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from clips import RATE_HZ, clip, silence
from fastrtc.turns.ears import Ears, SlidingEars, WindowEars, ears_for
from fastrtc.turns.protocol import WINDOW_SAMPLES, Window
from fastrtc.turns.silero import get_silero_model

LOUD = 1000


class Meter:
    """A streaming model: its probability is the window's loudness."""

    def __init__(self) -> None:
        self.heard: list[Window] = []

    def reset(self) -> None:
        self.heard.clear()

    def push(self, samples: Window) -> float:
        self.heard.append(samples)
        return min(1.0, float(np.abs(samples).max()))


class Threshold:
    """A model in FastRTC 0.0.34's protocol: seconds of samples louder than a threshold."""

    def __init__(self) -> None:
        self.asked: list[tuple[int, npt.NDArray[Any], Any]] = []

    def vad(self, audio: tuple[int, npt.NDArray[Any]], options: Any) -> tuple[float, list[Any]]:
        rate_hz, samples = audio
        self.asked.append((rate_hz, samples, options))
        return float((np.abs(samples) > LOUD).sum()) / rate_hz, []

    def warmup(self) -> None: ...


def answers(ears: Ears, samples: npt.NDArray[np.int16], frame: int) -> list[float]:
    found: list[float] = []
    for first in range(0, len(samples), frame):
        ears.hear(samples[first : first + frame])
        while ears.ready():
            found += ears.step()
    return found


@pytest.mark.parametrize("rate_hz", [8000, 8050, 11050, 16000, 24000, 44100, 48000])
@pytest.mark.parametrize("frame_ms", [10, 20, 33])
def test_each_32_ms_is_one_window_at_every_rate(rate_hz: int, frame_ms: int) -> None:
    meter = Meter()
    ears = WindowEars(meter, rate_hz)
    sound = np.zeros(2 * rate_hz, np.int16)
    sound[rate_hz:] = (20_000 * np.sin(2 * np.pi * 440 * np.arange(rate_hz) / rate_hz)).astype(
        np.int16
    )
    found = answers(ears, sound, rate_hz * frame_ms // 1000)
    assert 2 / 0.032 - 2 <= len(found) <= 2 / 0.032
    assert all(window.shape == (WINDOW_SAMPLES,) for window in meter.heard)
    assert all(window.dtype == np.float32 for window in meter.heard)
    first_loud = next(i for i, loudness in enumerate(found) if loudness > 0.1)
    assert 1.0 <= (first_loud + 1) * 0.032 <= 1.05
    assert min(found[first_loud + 1 :]) == pytest.approx(20_000 / 32768, rel=0.05)


def test_frames_of_20_ms_are_heard_without_waiting() -> None:
    ears = WindowEars(Meter(), 48_000)
    ears.hear(np.zeros(960, np.int16))
    assert not ears.ready()
    ears.hear(np.zeros(960, np.int16))
    assert ears.ready()


def test_a_reset_forgets_sound_and_state() -> None:
    stream = get_silero_model().stream()
    ears = WindowEars(stream, RATE_HZ)
    first = answers(ears, clip("go-forward"), 320)
    ears.hear(clip("austen-0880")[:700])
    ears.reset()
    assert not ears.ready()
    assert answers(ears, clip("go-forward"), 320) == first


def test_a_model_of_stretches_is_given_its_span_at_the_sessions_rate() -> None:
    model = Threshold()
    ears = SlidingEars(model, 48_000, "its options", 0.6)
    found = answers(ears, np.zeros(48_000, np.int16), 960)
    assert len(found) == 3 * 10
    assert found == [0.0] * 30
    assert {rate_hz for rate_hz, _, _ in model.asked} == {48_000}
    assert {options for _, _, options in model.asked} == {"its options"}
    spans = {(samples.shape, samples.dtype) for _, samples, _ in model.asked}
    assert spans == {((round(19 * 0.032 * 48_000),), np.dtype(np.int16))}


@pytest.mark.parametrize("rate_hz", [8000, 8050, 48000])
def test_what_a_model_says_of_its_span_is_what_windows_add_up_to(rate_hz: int) -> None:
    model = Threshold()
    ears = SlidingEars(model, rate_hz, None, 0.6)
    parts = [(0, 1.0), (LOUD * 2, 0.5), (0, 0.3), (LOUD * 2, 1.5), (0, 1.0)]
    sound = np.concatenate(
        [np.full(round(length_s * rate_hz), level, np.int16) for level, length_s in parts]
    )
    found = answers(ears, sound, rate_hz // 50)
    assert set(found) == {0.0, 1.0}
    for step, (_, span, _) in enumerate(model.asked):
        heard = found[: 3 * (step + 1)][-19:]
        seconds = float((np.abs(span) > LOUD).sum()) / rate_hz
        assert sum(heard) * 0.032 == pytest.approx(seconds, abs=0.05)


def test_a_model_of_stretches_that_sees_no_length_is_refused() -> None:
    class Broken(Threshold):
        def vad(self, audio: Any, options: Any) -> tuple[float, list[Any]]:
            return math.inf, []

    ears = SlidingEars(Broken(), RATE_HZ, None, 0.6)
    ears.hear(silence(1))
    with pytest.raises(ValueError, match=r"vad\(\) answered inf seconds.*a failure has to raise"):
        ears.step()


def test_a_reset_forgets_what_a_model_of_stretches_was_given() -> None:
    model = Threshold()
    ears = SlidingEars(model, RATE_HZ, None, 0.6)
    assert answers(ears, np.full(RATE_HZ, 2 * LOUD, np.int16), 320)[-1] == 1.0
    ears.reset()
    assert answers(ears, silence(0.5), 320) == [0.0] * 15


def test_each_protocol_is_known_and_others_are_refused() -> None:
    class OnlyPush:
        def reset(self) -> None: ...
        def push(self, samples: Window) -> float:
            return 0.0

    class Uncopied(OnlyPush):
        def __init__(self) -> None:
            self.lock = threading.Lock()

    assert isinstance(ears_for(get_silero_model(), RATE_HZ, None, 0.6), WindowEars)
    assert isinstance(ears_for(Threshold(), RATE_HZ, None, 0.6), SlidingEars)
    with pytest.raises(TypeError, match=r"model is a int without vad\(\), stream\(\) or"):
        ears_for(3, RATE_HZ, None, 0.6)
    assert isinstance(ears_for(OnlyPush(), RATE_HZ, None, 0.6), WindowEars)
    with pytest.raises(ValueError, match=r"cannot be copied for others .* give it a stream\(\)"):
        ears_for(Uncopied(), RATE_HZ, None, 0.6)
