"""Where an engine is really not installed, the error says which extra brings it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import fastrtc
from fastrtc.speech.loading import ModelCache
from fastrtc.speech.stt import get_stt_model

SITE = Path(np.__file__).parents[1]
ENGINES = ("moonshine_voice", "pocketsphinx", "kokoro_onnx", "espeakng_loader")


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """This machine's packages without the engines."""
    folder = tmp_path_factory.mktemp("bare")
    for entry in SITE.iterdir():
        if not entry.name.startswith(ENGINES):
            (folder / entry.name).symlink_to(entry)
    if not (folder / "fastrtc").exists():
        (folder / "fastrtc").symlink_to(Path(fastrtc.__file__).parent)
    return folder


@pytest.mark.parametrize(
    ("call", "package", "extra"),
    [
        ("get_stt_model('moonshine/tiny')", "moonshine_voice", "stt"),
        ("get_stt_model('pocketsphinx')", "pocketsphinx", "stt"),
        ("get_tts_model('kokoro')", "kokoro_onnx", "tts"),
        ("get_tts_model('espeak')", "espeakng_loader", "espeak"),
    ],
)
def test_the_extra_is_named(bare: Path, call: str, package: str, extra: str) -> None:
    program = f"""
import sys
sys.path.append({str(bare)!r})
from fastrtc import get_stt_model, get_tts_model
try:
    {call}
except ImportError as error:
    print(type(error).__name__, error)
"""
    ran = subprocess.run(
        [sys.executable, "-S", "-E", "-c", program],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert ran.stdout.startswith("MissingExtension ")
    assert f"{package!r}" in ran.stdout
    assert f"pip install 'fastrtc[{extra}]'" in ran.stdout


def test_an_unknown_model_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"'whisper'; allowed: 'moonshine/base', 'moonshine/tiny'"):
        get_stt_model("whisper")  # type: ignore[arg-type]


def test_a_load_that_failed_is_tried_again() -> None:
    cache: ModelCache[str] = ModelCache()

    def fail() -> str:
        raise OSError("not yet")

    with pytest.raises(OSError, match="not yet"):
        cache.get("model", {"words": ["a"]}, fail)
    assert cache.get("model", {"words": ["a"]}, lambda: "loaded") == "loaded"
    assert cache.get("model", {"words": ["a"]}, fail) == "loaded"
    assert cache.get("model", {"words": {"b": 1}}, lambda: "other") == "other"
