"""The Rust programs that tests run, of ``tests/netem`` and ``benchmarks/load``."""

import subprocess
from functools import cache
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]


@cache
def _build() -> None:
    # The whole workspace at once, as for the Rust tests: what these have compiled is used again.
    command = ["cargo", "build", "--workspace", "--bins", "--release", "--quiet"]
    subprocess.run(command, cwd=REPOSITORY, check=True)


def program(name: str) -> Path:
    """A program, brought up to date once."""
    _build()
    return REPOSITORY / "target" / "release" / name
