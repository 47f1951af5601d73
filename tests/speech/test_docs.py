"""The snippets of docs/speech.md run as they are, with real engines and weights."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from speech.recordings import RATE_HZ, recording
from speech.weights import kokoro_files, moonshine_folder

PAGE = Path(__file__).resolve().parents[2] / "docs" / "speech.md"
OFFLINE, SPHINX, ASYNC, VOICES, FILES = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.S)
FORWARD = (RATE_HZ, recording("go-forward.wav").reshape(1, -1))


def run(snippet: str) -> dict[str, Any]:
    scope: dict[str, Any] = {"__name__": "docs"}
    exec(snippet, scope)
    return scope


def test_the_conversation_without_network() -> None:
    scope = run(OFFLINE)
    asked = scope["voice"].tts("green light on")
    answered = list(scope["reply"](asked))
    assert scope["ears"].stt(asked) == "green light on"
    assert scope["ears"].stt(answered[0]).endswith("green light on")


def test_what_pocketsphinx_is_good_for() -> None:
    scope = run(SPHINX)
    assert scope["robot"].stt(FORWARD) == "go forward ten meters"
    assert scope["stop_words"].stt(FORWARD) == "go forward"


async def test_the_async_reply(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    models = tmp_path / "models"
    models.mkdir()
    (models / "moonshine-base-en").symlink_to(moonshine_folder())
    model, voices = kokoro_files(models)
    model.rename(models / "kokoro-v1.0.onnx")
    (models / "voices-v1.0.bin").symlink_to(voices)
    monkeypatch.chdir(tmp_path)
    scope = run(ASYNC)
    go = FORWARD[1][:, :RATE_HZ]
    pieces = [piece async for piece in scope["reply"]((RATE_HZ, go))]
    assert {rate_hz for rate_hz, _ in pieces} == {24_000}
    assert sum(len(samples) for _, samples in pieces) > 12_000


def test_voices() -> None:
    scope = run(VOICES)
    assert scope["rate_hz"] == 22_050
    assert np.abs(scope["samples"]).max() > 3000


def test_recordings_as_files() -> None:
    scope = run(FILES)
    path = Path(scope["path"])
    try:
        assert path.read_bytes()[:4] == b"fLaC"
        assert len(scope["mp3"]) > 1000
    finally:
        path.unlink()
