"""The usual sound of a place is known, and what is louder in any band is something else."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from clips import clip
from fastrtc.turns import silero
from fastrtc.turns.background import Background
from fastrtc.turns.protocol import WINDOW_SAMPLES, Window
from fastrtc.turns.silero import SileroVADModel

RATE_HZ = 16_000


def room(windows: int, level: float = 100.0, seed: int = 1) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(0, level / 32768, windows * WINDOW_SAMPLES)
    return noise.astype(np.float32)


def rumble(windows: int) -> np.ndarray:
    """As loud as speech, below 100 Hz."""
    time_s = np.arange(windows * WINDOW_SAMPLES) / RATE_HZ
    return np.asarray(0.1 * np.sin(2 * np.pi * 63 * time_s), np.float32) + room(windows, 20)


def cut(sound: np.ndarray) -> list[Window]:
    return list(sound[: len(sound) // WINDOW_SAMPLES * WINDOW_SAMPLES].reshape(-1, WINDOW_SAMPLES))


def spoken(name: str = "go-forward") -> np.ndarray:
    return clip(name).astype(np.float32) / 32768


class CountingRuns:
    """Silero's own session, and how often it was run."""

    def __init__(self, model: SileroVADModel) -> None:
        self._inner = model._session
        self.runs = 0

    def run(self, names: object, inputs: object) -> object:
        self.runs += 1
        return self._inner.run(names, inputs)


def test_steady_noise_sounds_as_usual_and_a_little_more_does_not() -> None:
    background = Background()
    usual = []
    for window in cut(room(200)):
        usual.append(background.sounds_like(window))
        background.learn()
    assert not usual[0]
    assert sum(usual[20:]) > 170
    louder = [background.sounds_like(window) for window in cut(room(20, 200.0, seed=2))]
    assert not any(louder)


def answers_to(sound: np.ndarray) -> tuple[np.ndarray, int]:
    """Which windows are speech, and how often the model was run."""
    model = SileroVADModel()
    counting = CountingRuns(model)
    model._session = counting
    stream = model.stream()
    return np.array([stream.push(window) >= 0.5 for window in cut(sound)]), counting.runs


def skimmed_answers_to(sound: np.ndarray, together: int) -> tuple[np.ndarray, int]:
    """The same when windows come in larger pieces, as from a silent call."""
    model = SileroVADModel()
    counting = CountingRuns(model)
    model._session = counting
    stream = model.stream()
    answers: list[float] = []
    windows = np.stack(cut(sound))
    for first in range(0, len(windows), together):
        piece = windows[first : first + together]
        while len(piece):
            known = stream.skim(piece)
            answers += known
            piece = piece[len(known) :]
            if len(piece):
                answers.append(stream.push(piece[0]))
                piece = piece[1:]
    return np.array(answers) >= 0.5, counting.runs


def silent(windows: int) -> np.ndarray:
    return np.zeros(windows * WINDOW_SAMPLES, np.float32)


@pytest.mark.parametrize(
    ("place", "loudness"), [(room, 1.0), (room, 0.1), (rumble, 1.0), (silent, 0.05)]
)
def test_of_a_silent_place_the_model_hears_little_and_of_speech_in_it_all(
    place: Callable[[int], np.ndarray], loudness: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = spoken() * loudness
    before = 300
    sound = place(before + len(words) // WINDOW_SAMPLES)
    sound[before * WINDOW_SAMPLES :] += words[: len(sound) - before * WINDOW_SAMPLES]
    heard, runs = answers_to(sound)
    monkeypatch.setattr(silero, "ASK_EVERY", 1)
    expected, all_runs = answers_to(sound)
    assert all_runs == len(expected)
    assert runs < 0.6 * all_runs
    assert expected.sum() > 20
    assert heard.sum() >= 0.9 * expected.sum()
    assert heard.argmax() <= expected.argmax() + 2


@pytest.mark.parametrize("together", [2, 30, 47])
@pytest.mark.parametrize(
    ("place", "loudness"), [(room, 1.0), (room, 0.1), (rumble, 1.0), (silent, 0.05)]
)
def test_windows_that_come_together_are_answered_as_one_by_one(
    place: Callable[[int], np.ndarray], loudness: float, together: int
) -> None:
    words = spoken() * loudness
    before = 300
    sound = place(before + len(words) // WINDOW_SAMPLES)
    sound[before * WINDOW_SAMPLES :] += words[: len(sound) - before * WINDOW_SAMPLES]
    expected, runs = answers_to(sound)
    heard, skimmed_runs = skimmed_answers_to(sound, together)
    assert len(heard) == len(expected)
    assert abs(skimmed_runs - runs) <= 0.1 * runs
    assert (heard != expected).sum() <= 2
    assert abs(int(heard.argmax()) - int(expected.argmax())) <= 1


def test_a_stream_that_just_began_knows_nothing() -> None:
    assert SileroVADModel().stream().skim(np.stack(cut(room(10)))) == []
