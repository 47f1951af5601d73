"""The measurements: each starts a server of its own, measures one thing and returns numbers."""

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
import wave
from pathlib import Path
from typing import Any

import numpy as np

from contenders import REPOSITORY, Contender, installed
from e2e import sound
from e2e.browser import Chromium
from e2e.server import Server

LOAD = REPOSITORY / "target" / "release" / "fastrtc-load"
SPEECH = REPOSITORY / "tests" / "data" / "austen-0870.wav"
WEIGHTS = REPOSITORY / "src" / "fastrtc" / "turns" / "models" / "silero_vad.onnx"
ROOM_HZ = 16000
IDLE_S = 2.0
LISTEN_S = 12.0
HOLD_S = 2.0
IMPORTS = 5


def echo_load(contender: Contender, sessions: int, seconds: float, *, sync: bool = False) -> Any:
    """Echo of ``sessions`` callers: the load client's report, its server part without what the
    server uses when nobody calls."""
    env = contender.environment(ECHO_LIMIT="5000", **({"ECHO_SYNC": "1"} if sync else {}))
    with Server("apps.echo:app", env, contender.python) as server:
        before = cpu_s(server.pid)
        time.sleep(IDLE_S)
        idle_share = (cpu_s(server.pid) - before) / IDLE_S
        report = load(server, sessions, seconds)
    frames = max(report["sum"]["received"], 1)
    figures = report["server"]
    figures["core_share"] -= idle_share
    figures["cpu_us_per_frame"] -= idle_share * report["seconds"] * 1e6 / frames
    figures["mb_per_session"] = (figures["loaded"]["rss_mb"] - figures["idle"]["rss_mb"]) / sessions
    return report


def listening_share(contender: Contender, sessions: int) -> float:
    """Share of a core that each session of a ReplyOnPause takes while nobody speaks, without what
    the server uses when nobody calls."""
    env = contender.environment(LISTEN_WEIGHTS=str(WEIGHTS))
    noise = np.random.default_rng(1).normal(0, 100, 10 * ROOM_HZ).astype("<i2")
    with (
        tempfile.NamedTemporaryFile(suffix=".wav") as room,
        Server("apps.listen:app", env, contender.python) as server,
    ):
        with wave.open(room.name, "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(ROOM_HZ)
            file.writeframes(noise.tobytes())
        before = cpu_s(server.pid)
        time.sleep(IDLE_S)
        idle_share = (cpu_s(server.pid) - before) / IDLE_S
        report = load(server, sessions, LISTEN_S, "--probes", "0", speech=Path(room.name))
    return float(report["server"]["core_share"] - idle_share) / sessions


def load(
    server: Server, sessions: int, seconds: float, *options: str, speech: Path = SPEECH
) -> Any:
    """Runs the load client against a server."""
    command = [
        *(str(LOAD), "--url", f"{server.url}/webrtc/offer", "--sessions", str(sessions)),
        *("--seconds", str(seconds), "--speech", str(speech), "--server-pid", str(server.pid)),
        *options,
    ]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def floor() -> Any:
    """What an echoed frame costs any server at least, on this machine at this moment."""
    command = [str(LOAD), "floor", str(SPEECH)]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def gaps_while_held(contender: Contender, times: int) -> Any:
    """Spread of the gaps between outgoing packets, in ms, while the GIL is held again and again."""
    with Server("apps.hold:app", contender.environment(), contender.python) as server:

        def hold() -> None:
            time.sleep(3)
            url = f"{server.url}/hold?seconds={HOLD_S}&times={times}"
            with urllib.request.urlopen(urllib.request.Request(url, method="POST"), timeout=60):
                pass

        holder = threading.Thread(target=hold)
        holder.start()
        report = load(server, 1, times * (HOLD_S + 0.5), "--probes", "0", "--warm-up", "3")
        holder.join()
    return report["sum"]["gap_ms"]


def chromium_delays_ms(chromium: Chromium, contender: Contender, seconds: float) -> list[float]:
    """How late marks come back through a browser whose microphone plays them."""
    env = {**contender.environment(), "FASTRTC_INTERFACES": ""}
    with (
        Server("e2e.apps.echo:app", env, contender.python) as server,
        chromium.open(server.url) as tab,
    ):
        call = tab.connect()
        call.wait()
        time.sleep(5)
        both = sound.to_sound(call.compare(seconds))
    return sound.delays_ms(both[:, 0], both[:, 1])


def chromium_alone_ms(chromium: Chromium, seconds: float) -> list[float]:
    """How late they come from one peer of a page to another: what no server can beat."""
    with chromium.open() as tab:
        both = sound.to_sound(tab.loopback(5 + seconds))[5 * sound.RATE_HZ :]
    return sound.delays_ms(both[:, 0], both[:, 1])


def browser_with_marks() -> Chromium:
    """A browser whose microphone plays marks."""
    chromium = Chromium()
    chromium.set_microphone(sound.to_int16(sound.marks(60)))
    return chromium


def run_s(contender: Contender, code: str) -> float:
    """Seconds that a fresh interpreter takes for ``code``, its own start taken off."""

    def once(code: str) -> float:
        start = time.perf_counter()
        subprocess.run([contender.python, "-c", code], check=True, cwd="/")
        return time.perf_counter() - start

    once(code)
    return min(once(code) for _ in range(IMPORTS)) - min(once("pass") for _ in range(IMPORTS))


def installed_mb(name: str, contender: Contender) -> float:
    """Size of site-packages after ``pip install``, without pip and setuptools."""
    python = installed(name, contender.install)
    folder = next((python.parents[1] / "lib").glob("python*/site-packages"))
    tools = ("pip", "setuptools", "_distutils_hack", "distutils-precedence", "pkg_resources")
    total = 0
    for entry in folder.iterdir():
        if not entry.name.startswith(tools):
            files = [entry] if entry.is_file() else (p for p in entry.rglob("*") if p.is_file())
            total += sum(size(file) for file in files)
    return total / 1e6


def size(file: Path) -> int:
    """What a file takes on a disk, byte code written since the installation left out."""
    return 0 if file.suffix == ".pyc" else file.stat().st_size


def cpu_s(pid: int) -> float:
    """CPU time of a process and its threads so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def median(values: list[float]) -> float:
    """NaN when there are none, so that a failed row shows as one."""
    return float(np.median(values)) if values else float("nan")


if __name__ == "__main__":
    sys.exit("measures.py is used by run.py")
