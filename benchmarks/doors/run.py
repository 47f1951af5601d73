"""200 WebSocket clients and 200 telephone calls of an echo, beside FastRTC 0.0.34.

``python benchmarks/doors/run.py`` takes about four minutes; ``--quick`` two, ``--sessions 20,200``
chooses. The table is printed, all figures go to ``benchmarks/results/``. After ``pip install
--target DIR uvloop``, ``--packages DIR`` runs both servers on uvloop, which uvicorn takes where it
finds it.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE.parents[1] / "tests")]

from contenders import Contender, original, ours  # noqa: E402
from e2e.server import Server  # noqa: E402
from measures import IDLE_S, cpu_s  # noqa: E402
from table import Row, render  # noqa: E402

RESULTS = HERE.parent / "results"
FRAMES_PER_S = 50
LATE_BUDGET = 99.5
DOORS = {
    "websocket": ("WebSocket, JSON mu-law at 24 kHz", "/websocket/offer", 24_000),
    "twilio": ("telephone, Twilio's form, 8 kHz", "/telephone/handler", 8_000),
}


def measure(who: Contender, form: str, sessions: int, seconds: float, packages: str) -> Any:
    """One server, one load: the client's report with what the server took for it.

    The server's CPU is what it took while audio flowed, less what it takes when nobody calls.
    """
    _, path, rate_hz = DOORS[form]
    env = who.environment(ECHO_LIMIT="5000", ECHO_RATE_HZ=str(rate_hz))
    if packages:
        env["PYTHONPATH"] += os.pathsep + packages
    with Server("e2e.apps.echo:app", env, who.python) as server:
        before_s = cpu_s(server.pid)
        time.sleep(IDLE_S)
        idle_share = (cpu_s(server.pid) - before_s) / IDLE_S
        command = [
            *(sys.executable, str(HERE / "load.py")),
            *("--url", f"ws://127.0.0.1:{server.port}{path}", "--form", form),
            *("--rate-hz", str(rate_hz), "--sessions", str(sessions), "--seconds", str(seconds)),
        ]
        path_env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path[:2])}
        client = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=path_env)
        assert client.stdout is not None
        # The first line is printed when audio begins.
        client.stdout.readline()
        before_s, began_s = cpu_s(server.pid), time.monotonic()
        report = json.loads(client.stdout.readline())
        share = (cpu_s(server.pid) - before_s) / (time.monotonic() - began_s) - idle_share
        if client.wait() != 0:
            raise RuntimeError(f"the load client failed: {client.returncode}")
    report["core_share"] = share
    report["cpu_us_per_frame"] = share / sessions / FRAMES_PER_S * 1e6
    report["back"] = report["frames_back"] / report["frames_sent"]
    report["cpu_us_per_frame_back"] = report["cpu_us_per_frame"] / max(report["back"], 1e-9)
    return report


def rows(door: str, sessions: int, theirs: Any, mine: Any) -> list[Row]:
    """What is told of a door with so many clients."""
    both = (theirs, mine)
    gone = [sessions - report["open"] for report in both]
    note = f"connections lost: {gone[0]} and {gone[1]}" if any(gone) else ""

    def pair(*keys: str, scale: float = 1.0) -> tuple[float, float]:
        found = []
        for report in both:
            value = report
            for key in keys:
                value = value[key]
            found.append(scale * value)
        return found[0], found[1]

    what = f"{door}, {sessions} sessions: "
    return [
        Row(what + "frames on time", "%", *pair("on_time", scale=100), note, LATE_BUDGET, True),
        Row(
            what + "server CPU of a session",
            "% of a core",
            *pair("core_share", scale=100 / sessions),
        ),
        Row(what + "frames that came back", "%", *pair("back", scale=100), "", 0.0, True),
        Row(
            what + "server CPU per 20 ms frame that came back",
            "us",
            *pair("cpu_us_per_frame_back"),
            "a server that cannot keep up answers few",
        ),
        Row(what + "delay of a frame, median", "ms", *pair("delay_ms", "p50")),
        Row(what + "delay of a frame, p99", "ms", *pair("delay_ms", "p99")),
    ]


def main() -> None:
    """Runs, prints, writes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="measure for a shorter time")
    parser.add_argument("--sessions", default="20,200", help="how many at once, one after another")
    parser.add_argument("--packages", default="", help="a folder that both servers import from")
    options = parser.parse_args()
    # Other work on this machine would be measured too; only the superuser may go before it.
    if os.geteuid() == 0:
        os.setpriority(os.PRIO_PROCESS, 0, -10)
    seconds = 6.0 if options.quick else 15.0
    table: list[Row] = []
    raw: dict[str, Any] = {}
    for form, (door, _, _) in DOORS.items():
        for sessions in map(int, options.sessions.split(",")):
            reports = []
            for who in (original(), ours()):
                key = f"{who.name}, {form}, {sessions} sessions"
                print(f"  {key}", flush=True)
                raw[key] = measure(who, form, sessions, seconds, options.packages)
                reports.append(raw[key])
            table += rows(door, sessions, *reports)
    print(f"\n{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}\n")
    print(render(table))
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / time.strftime("doors-%Y-%m-%dT%H-%M-%S.json")
    path.write_text(json.dumps({"rows": [vars(row) for row in table], "raw": raw}))
    print(f"\nall figures: {path}")


if __name__ == "__main__":
    main()
