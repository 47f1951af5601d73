"""The search for the number of sessions that a server holds, of ``benchmarks/capacity.py``."""

import importlib.util
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

FILE = Path(__file__).resolve().parents[1] / "benchmarks" / "capacity.py"


@pytest.fixture(scope="module")
def capacity() -> Iterator[ModuleType]:
    spec = importlib.util.spec_from_file_location("bench_capacity", FILE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


@pytest.mark.parametrize(
    ("script", "held", "tries"),
    [
        pytest.param({10: "y", 50: "y", 100: "yy"}, 100, [1, 1, 2], id="all"),
        pytest.param({10: "y", 50: "yy", 100: "nn"}, 50, [1, 2, 2], id="a clear end"),
        pytest.param({10: "y", 50: "ny", 100: "yy"}, 100, [1, 2, 2], id="one stall below"),
        pytest.param({10: "yy", 50: "nyn", 100: "nn"}, 10, [2, 3, 2], id="luck is not enough"),
        pytest.param({10: "nn"}, 0, [2], id="none"),
    ],
)
def test_the_typical_try_decides(
    capacity: ModuleType, script: dict[int, str], held: int, tries: list[int]
) -> None:
    def attempt(sessions: int, before: int) -> object:
        return capacity.Try(sessions, sessions - (script[sessions][before] == "n"), on_time=0.99)

    found = capacity.find_capacity([10, 50, 100], attempt)
    assert found.held == held
    assert [len(made) for made in found.tries.values()] == tries


def test_it_says_why_it_ended(capacity: ModuleType) -> None:
    found = capacity.find_capacity([10, 50], lambda sessions, _: capacity.Try(sessions, 10, 0.987))
    assert (
        found.ended
        == "ended at 50: 40, 40 sessions below their share, 98.70%, 98.70% of all frames"
    )


def test_the_bench_starts() -> None:
    command = [sys.executable, str(FILE.with_name("run.py")), "--help"]
    assert "--quick" in subprocess.run(command, check=True, capture_output=True, text=True).stdout
