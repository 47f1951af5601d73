"""Many cheap calls at once: runs the Rust load client of ``benchmarks/load``."""

import json
import subprocess
from typing import Any

from e2e.programs import REPOSITORY, program

SPEECH = REPOSITORY / "tests" / "data" / "austen-0870.wav"


def start_load(
    url: str, sessions: int, seconds: float, **options: float
) -> "subprocess.Popen[str]":
    """Starts calls to the stream at ``url``; see :func:`result`.

    Args:
        url: where the stream is mounted.
        sessions: how many calls.
        seconds: how long they last once all are connected.
        options: further options of the client, such as ``starts_per_s=100``.
    """
    command = [program("fastrtc-load")]
    arguments = {"url": f"{url}/webrtc/offer", "sessions": sessions, "seconds": seconds, **options}
    for name, value in {"speech": SPEECH, "warm-up": 0, **arguments}.items():
        command += [f"--{name.replace('_', '-')}", str(value)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def result(load: "subprocess.Popen[str]") -> dict[str, Any]:
    """What the calls came to, once they are over."""
    printed, _ = load.communicate(timeout=120)
    assert load.returncode == 0, f"the load client failed: {printed}"
    report: dict[str, Any] = json.loads(printed)
    return report
