"""Who is measured: the working tree, and FastRTC 0.0.34 in a virtualenv of its own."""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parent
FASTRTC = "fastrtc[vad]==0.0.34"
PIPECAT = "pipecat-ai[runner,silero,webrtc]==1.14.0"


@dataclass(frozen=True)
class Contender:
    """A library with the interpreter that has it."""

    name: str
    python: str
    install: str
    """What pip is told, for a virtualenv with nothing else in it."""
    env: dict[str, str] = field(default_factory=dict)

    def environment(self, **more: str) -> dict[str, str]:
        """For a server that runs an app of ``benchmarks/apps`` or ``tests/e2e/apps``."""
        path = os.pathsep.join([str(HERE), str(REPOSITORY / "tests")])
        return {"PYTHONPATH": path, **self.env, **more}


def ours() -> Contender:
    """The working tree, as ``make setup`` has installed it."""
    return Contender("fastrtc", sys.executable, f"{REPOSITORY}[vad]", {"FASTRTC_INTERFACES": "lo"})


def original() -> Contender:
    """FastRTC 0.0.34; the first call installs it."""
    return Contender("FastRTC 0.0.34", str(installed("fastrtc", FASTRTC)), FASTRTC)


def installed(name: str, requirement: str) -> Path:
    """The interpreter of a virtualenv that holds one requirement, made on first use."""
    folder = HERE / f".venv-{name}"
    python = folder / "bin" / "python"
    stamp = folder / f".installed-{requirement.rsplit('/', maxsplit=1)[-1]}"
    if not stamp.exists():
        print(f"installing {requirement} into {folder.name}", flush=True)
        shutil.rmtree(folder, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", requirement], check=True)
        stamp.touch()
    return python
