"""The map of the house holds: imports point one way, heavy packages stay where they belong."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import requires
from pathlib import Path

import pytest

import fastrtc

ROOT = Path(fastrtc.__file__).parent
FLOORS = [
    {"errors", "types"},
    {"audio", "wire", "turns", "video"},
    {"speech"},
    {"handlers"},
    {"session"},
    {"credentials", "settings", "transports"},
    {"server", "telephony", "ui"},
    {"stream"},
    {"testing", "legacy"},
]
"""From the ground up; a room imports its own floor's and lower ones' rooms."""
SAME_FLOOR = {
    ("turns", "audio"),
    ("handlers", "wire"),
    ("transports", "settings"),
    ("types", "errors"),
    ("ui", "server"),
    ("wire", "audio"),
}
HOMES = {
    "gradio": {"ui"},
    "av": {"video", "audio/files.py"},
    "onnxruntime": {"turns", "speech"},
    # 100 MB to resample with, of which the media plane does all.
    "librosa": set(),
    "numba": set(),
    "scipy": set(),
    "moonshine_voice": {"speech/moonshine.py"},
    "espeakng_loader": {"speech/espeak_library.py"},
    "fastapi": {"server", "stream.py", "telephony", "ui"},
    "fastrtc._core": {
        "audio/codecs.py",
        "audio/rates.py",
        "transports/media_plane.py",
        "transports/webrtc.py",
        "video/picture.py",
    },
}


def modules() -> list[Path]:
    return [path for path in sorted(ROOT.rglob("*.py")) if path != ROOT / "__init__.py"]


def room_of(module: str) -> str:
    return module.removeprefix("fastrtc").strip(".").split(".")[0]


def imports_of(path: Path) -> Iterator[tuple[str, bool]]:
    """Modules that a file imports, and whether only for type checking."""
    tree = ast.parse(path.read_text())
    typing_only = {
        id(node)
        for block in ast.walk(tree)
        if isinstance(block, ast.If) and ast.unparse(block.test) == "TYPE_CHECKING"
        for node in ast.walk(block)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, id(node) in typing_only) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module, id(node) in typing_only


def floor_of(room: str) -> int:
    return next(floor for floor, rooms in enumerate(FLOORS) if room in rooms)


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_one_way(path: Path) -> None:
    room = path.relative_to(ROOT).parts[0].removesuffix(".py")
    for module, _ in imports_of(path):
        other = room_of(module) if module.startswith("fastrtc") else ""
        if not other or other in (room, "_core"):
            continue
        below = floor_of(other) < floor_of(room) or (room, other) in SAME_FLOOR
        assert below, f"{room} must not import {module}"


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_heavy_packages_are_imported_only_where_they_belong(path: Path) -> None:
    """Pitfalls 8 and 36."""
    place = str(path.relative_to(ROOT))
    for module, typing_only in imports_of(path):
        for package, homes in HOMES.items():
            if (module == package or module.startswith(package + ".")) and not typing_only:
                assert any(place.startswith(home) for home in homes), f"{place} imports {module}"


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_every_file_says_what_its_room_does_and_none_is_huge(path: Path) -> None:
    source = path.read_text()
    assert ast.get_docstring(ast.parse(source))
    assert len(source.splitlines()) <= 420


def test_importing_the_package_loads_and_costs_little() -> None:
    """Pitfall 36: no web framework, no page, no codec, no model."""
    program = """
import json, sys, time
started = time.perf_counter()
import json.decoder, asyncio, importlib, contextvars
plain = time.perf_counter() - started
started = time.perf_counter()
import fastrtc
took = time.perf_counter() - started
import numpy
print(json.dumps([took, sorted({name.split(".")[0] for name in sys.modules}),
                  "fastrtc._core" in sys.modules]))
"""
    runs = []
    for _ in range(3):
        ran = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
        )
        took_s, loaded, core = json.loads(ran.stdout)
        assert not {"gradio", "av", "onnxruntime", "fastapi", "pydantic"} & set(loaded)
        assert not core
        runs.append(took_s)
    assert min(runs) < 0.3


def test_the_core_needs_no_heavy_package() -> None:
    """Pitfall 8: what resamples is in the extension, not a dependency of 100 MB."""
    needed = [line for line in requires("fastrtc") or [] if "extra ==" not in line]
    names = {re.split(r"[^\w-]", line)[0] for line in needed}
    core = {"numpy", "fastapi", "uvicorn", "websockets", "python-multipart", "httpx", "av"}
    assert names == core


def test_every_public_name_is_there_once() -> None:
    assert sorted(fastrtc.__all__) == sorted(fastrtc._HOMES)
    for name in fastrtc.__all__:
        assert getattr(fastrtc, name) is not None
    assert set(fastrtc.__all__) <= set(dir(fastrtc))
    with pytest.raises(AttributeError, match="nonsense"):
        _ = fastrtc.nonsense


def test_the_extension_is_not_loaded_before_the_first_offer() -> None:
    program = """
import sys, fastrtc
fastrtc.Stream(lambda frame: frame, modality="audio")
print("fastrtc._core" in sys.modules, "gradio" in sys.modules, "av" in sys.modules)
"""
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    )
    assert ran.stdout == "False False False\n"
