"""Smart Turn gets the spectrogram it was trained on, and judges real sentences."""

from __future__ import annotations

import sys
import time

import numpy as np
import pytest

from clips import RATE_HZ, clip, reference, silence
from fastrtc.audio.convert import audio_to_float32
from fastrtc.audio.resample import resample
from fastrtc.errors import MissingExtension
from fastrtc.turns.mel import log_mel
from fastrtc.turns.smart_turn import SmartTurnModel, get_smart_turn_model


def test_the_spectrogram_is_whispers() -> None:
    span = np.zeros(8 * RATE_HZ, np.float32)
    speech = audio_to_float32(clip("austen-0880"))
    span[-len(speech) :] = speech
    mel = log_mel((span - span.mean()) / np.sqrt(span.var() + 1e-7))
    points = np.array(reference("whisper")["band_frame_value"])
    bands, frames = points[:, 0].astype(int), points[:, 1].astype(int)
    assert mel.shape == (80, 800)
    np.testing.assert_allclose(mel[bands, frames], points[:, 2], atol=5e-5)


def test_a_command_is_complete_and_its_beginning_is_not() -> None:
    model = get_smart_turn_model()
    spoken = clip("go-forward")
    assert model.complete((RATE_HZ, np.concatenate((spoken, silence(0.2)))[None])) > 0.9
    sentence = clip("austen-0880")
    for cut_s in (1.5, 2.0, 2.5):
        begun = np.concatenate((sentence[: int(cut_s * RATE_HZ)], silence(0.2)))
        assert model.complete((RATE_HZ, begun[None])) < 0.2


def test_the_rate_makes_no_difference() -> None:
    model = get_smart_turn_model()
    for samples in (clip("go-forward"), clip("austen-0880")[: 2 * RATE_HZ]):
        at_16 = model.complete((RATE_HZ, samples))
        at_48 = resample(samples, RATE_HZ, 48_000)
        heard = model.complete((48_000, (at_48 * 32768).clip(-32768, 32767).astype(np.int16)))
        assert heard == pytest.approx(at_16, abs=0.1)


def test_the_last_eight_seconds_are_heard() -> None:
    model = get_smart_turn_model()
    long = np.concatenate([clip("austen-0870")] * 3)
    assert model.complete((RATE_HZ, long)) == model.complete((RATE_HZ, long[-8 * RATE_HZ :]))


def test_nothing_and_silence_are_answered_too() -> None:
    model = get_smart_turn_model()
    for samples in (silence(0), silence(1)):
        assert 0 <= model.complete((RATE_HZ, samples)) <= 1


def test_an_answer_comes_before_a_speaker_goes_on() -> None:
    model = get_smart_turn_model()
    spent_s = time.thread_time()
    for _ in range(3):
        model.complete((RATE_HZ, clip("austen-0880")))
    assert (time.thread_time() - spent_s) / 3 < 0.3


def test_stereo_is_refused() -> None:
    with pytest.raises(ValueError, match=r"shape \(2, 100\); allowed is mono"):
        get_smart_turn_model().complete((RATE_HZ, np.zeros((2, 100), np.int16)))


def test_without_onnxruntime_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(MissingExtension, match=r"pip install 'fastrtc\[turn\]'"):
        SmartTurnModel()


def test_the_model_is_one() -> None:
    assert get_smart_turn_model() is get_smart_turn_model()
