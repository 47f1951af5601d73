"""Silero hears what its authors' code hears, alone and in batches, at every rate."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from clips import RATE_HZ, clip, reference, silence
from fastrtc.audio.convert import audio_to_float32
from fastrtc.audio.resample import resample
from fastrtc.errors import MissingExtension
from fastrtc.turns import models
from fastrtc.turns.options import SileroVadOptions
from fastrtc.turns.protocol import (
    WINDOW_SAMPLES,
    BatchingModel,
    StreamingModel,
    StreamingVad,
    Window,
)
from fastrtc.turns.silero import SileroVADModel, get_silero_model


def windows(name: str) -> list[Window]:
    samples = audio_to_float32(clip(name))
    whole = len(samples) // WINDOW_SAMPLES * WINDOW_SAMPLES
    return list(samples[:whole].reshape(-1, WINDOW_SAMPLES))


def test_probabilities_are_those_of_the_models_own_code() -> None:
    stream = get_silero_model().stream()
    ours = [stream.push(window) for window in windows("austen-0880")]
    theirs = reference("silero")["probabilities"]
    np.testing.assert_allclose(ours, theirs[: len(ours)], atol=2e-4)


def test_a_reset_stream_hears_as_if_new() -> None:
    stream = get_silero_model().stream()
    first = [stream.push(window) for window in windows("go-forward")]
    stream.reset()
    assert [stream.push(window) for window in windows("go-forward")] == first


def test_two_hundred_streams_in_one_batch_hear_what_each_hears_alone() -> None:
    model = get_silero_model()
    heard = windows("austen-0930")
    offsets = [offset % 40 for offset in range(200)]
    alone = []
    for offset in sorted(set(offsets)):
        stream = model.stream()
        alone.append([stream.push(window) for window in heard[offset : offset + 12]])
    streams = [model.stream() for _ in offsets]
    together = [
        model.push_many(streams, [heard[offset + step] for offset in offsets]) for step in range(12)
    ]
    expected = [[alone[offset][step] for offset in offsets] for step in range(12)]
    np.testing.assert_allclose(together, expected, atol=1e-4)


@pytest.mark.parametrize("background", ["noise", "tone"])
def test_minutes_of_sound_do_not_hide_the_speech_after_them(background: str) -> None:
    length = 100 * RATE_HZ
    if background == "tone":
        sound = 0.1 * np.sin(2 * np.pi * 440 * np.arange(length) / RATE_HZ)
    else:
        spectrum = np.fft.rfft(np.random.default_rng(1).normal(0, 1, length))
        spectrum[1:] /= np.sqrt(np.arange(1, len(spectrum)))
        pink = np.fft.irfft(spectrum, length)
        sound = 0.03 * pink / pink.std()
    stream = get_silero_model().stream()
    for window in sound.astype(np.float32)[: length // 512 * 512].reshape(-1, 512):
        assert stream.push(window) < 0.5
    fresh = get_silero_model().stream()
    for name in ("austen-0880", "go-forward"):
        after = [stream.push(window) > 0.5 for window in windows(name)]
        alone = [fresh.push(window) > 0.5 for window in windows(name)]
        assert sum(after) >= sum(alone) - 3
        assert after.index(True) <= alone.index(True) + 2


def test_speech_and_noise_are_told_apart() -> None:
    model = get_silero_model()
    noise = (np.random.default_rng(1).normal(0, 1000, 3 * RATE_HZ)).astype(np.int16)
    assert model.vad((RATE_HZ, noise)) == (0, [])
    assert model.vad((RATE_HZ, silence(3))) == (0, [])
    assert model.vad((RATE_HZ, silence(0))) == (0, [])
    seconds, chunks = model.vad((RATE_HZ, clip("austen-0870")))
    assert seconds > 6
    assert len(chunks) == 1


@pytest.mark.parametrize("rate_hz", [8000, 24000, 44100, 48000])
def test_chunks_are_in_samples_of_the_audio_given(rate_hz: int) -> None:
    samples = np.concatenate((silence(1), clip("go-forward"), silence(3)))
    options = SileroVadOptions(min_silence_duration_ms=300, speech_pad_ms=0)
    expected_s, expected = get_silero_model().vad((RATE_HZ, samples), options)
    given = resample(samples, RATE_HZ, rate_hz)
    seconds, chunks = get_silero_model().vad((rate_hz, given[None]), options)
    assert len(chunks) == len(expected) == 1
    assert seconds == pytest.approx(expected_s, abs=0.1)
    for edge in ("start", "end"):
        assert chunks[0][edge] / rate_hz == pytest.approx(expected[0][edge] / RATE_HZ, abs=0.1)


def test_what_is_no_mono_or_no_window_is_refused() -> None:
    model = get_silero_model()
    with pytest.raises(ValueError, match=r"shape \(2, 100\); allowed is mono"):
        model.vad((RATE_HZ, np.zeros((2, 100), np.int16)))
    with pytest.raises(ValueError, match=r"shape \(480,\); allowed is \(512,\)"):
        model.stream().push(np.zeros(480, np.float32))


def test_the_model_is_one_and_has_the_protocols() -> None:
    model = get_silero_model()
    assert model is get_silero_model()
    assert isinstance(model, SileroVADModel)
    assert isinstance(model, StreamingModel)
    assert isinstance(model, BatchingModel)
    assert isinstance(model.stream(), StreamingVad)


def test_without_onnxruntime_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(MissingExtension, match=r"pip install 'fastrtc\[vad\]'"):
        models.open_model("silero_vad.onnx", "vad")


def test_the_room_is_entered_without_onnxruntime() -> None:
    program = """
import sys
import fastrtc.turns.silero, fastrtc.turns.smart_turn, fastrtc.turns.vad_engine
print("onnxruntime" in sys.modules, "fastrtc._core" in sys.modules)
"""
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    )
    assert ran.stdout == "False False\n"
