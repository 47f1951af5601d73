"""An app with many streams, each under its own path and most with a handler that misbehaves.

``GET /state`` tells what the process holds. ``CONNECT_TIMEOUT_S`` shortens the time a client has
to connect.
"""

import asyncio
import os
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from fastapi import FastAPI

from fastrtc import AsyncStreamHandler, Stream, StreamHandler
from fastrtc.session import session as sessions
from fastrtc.transports.media_plane import media_plane
from fastrtc.wire.messages import create_message

if "CONNECT_TIMEOUT_S" in os.environ:
    sessions.CONNECT_TIMEOUT_S = float(os.environ["CONNECT_TIMEOUT_S"])  # type: ignore[misc]

RATE_HZ = 48_000
SILENCE = np.zeros((1, 960), np.int16)
shutdowns: Counter[str] = Counter()


def was_shut_down(handler: object) -> None:
    """Counts, and prints for tests that look when the process has ended."""
    name = type(handler).__name__
    shutdowns[name] += 1
    print(f"{name} was shut down")


class Echo(AsyncStreamHandler):
    """Says back what it hears."""

    def __init__(self) -> None:
        super().__init__(input_sample_rate=RATE_HZ, output_sample_rate=RATE_HZ)
        self.heard: asyncio.Queue[Any] = asyncio.Queue()

    async def receive(self, frame: Any) -> None:
        self.heard.put_nowait(frame)

    async def emit(self) -> Any:
        return await self.heard.get()

    async def shutdown(self) -> None:
        was_shut_down(self)

    def copy(self) -> "Echo":
        return type(self)()


class RaisesInReceive(Echo):
    async def receive(self, frame: Any) -> None:
        raise ValueError("I cannot hear this")


class RaisesInEmit(Echo):
    async def emit(self) -> Any:
        raise ValueError("I have nothing to say")


class RaisesInStartUp(Echo):
    async def start_up(self) -> None:
        raise ValueError("I am not awake")


class RaisesInShutdown(Echo):
    async def shutdown(self) -> None:
        await super().shutdown()
        raise ValueError("I do not want to go")


class RaisesInCopy(Echo):
    def copy(self) -> "Echo":
        raise ValueError("I am unique")


class Blocks(StreamHandler):
    """Blocks in every method."""

    def receive(self, frame: Any) -> None:
        threading.Event().wait()

    def emit(self) -> Any:
        threading.Event().wait()

    def copy(self) -> "Blocks":
        return Blocks()

    def shutdown(self) -> None:
        was_shut_down(self)


class Lingers(Echo):
    """Takes its time to go."""

    async def shutdown(self) -> None:
        await asyncio.sleep(60)


class BlocksTheLoop(Echo):
    """Async, and yet it sleeps without await: an author's mistake."""

    async def on_message(self, text: str) -> None:
        time.sleep(2)  # noqa: ASYNC251 - the mistake


class Returns(Echo):
    """Returns what a handler may not return."""

    def __init__(self, output: Any) -> None:
        super().__init__()
        self.output = output

    async def emit(self) -> Any:
        await super().emit()
        return self.output

    def copy(self) -> "Returns":
        return Returns(self.output)


class Plays(Echo):
    """Plays a minute of noise, so that the queue is never empty."""

    def __init__(self) -> None:
        super().__init__()
        self.played = False

    async def receive(self, frame: Any) -> None:
        """Does not listen."""

    async def emit(self) -> Any:
        if self.played:
            return await self.heard.get()
        self.played = True
        noise = np.random.default_rng(1).normal(0, 3000, 60 * RATE_HZ)
        return RATE_HZ, noise.astype(np.int16)


def hold_the_interpreter(seconds: float) -> float:
    """Computes without letting another Python thread run; returns how long that took."""
    size, took_s = 1 << 14, 0.0
    while took_s < seconds * 0.4:
        size *= 2
        start_s = time.perf_counter()
        pow(3, size)
        took_s = time.perf_counter() - start_s
    start_s = time.perf_counter()
    pow(3, int(size * (seconds / took_s) ** 0.63))
    return time.perf_counter() - start_s


class Hogs(StreamHandler):
    """Holds the GIL when it is told to."""

    def receive(self, frame: Any) -> None:
        """Does not listen."""

    def emit(self) -> Any:
        return None

    def on_message(self, text: str) -> None:
        took_s = hold_the_interpreter(float(text))
        self.send_message_sync(create_message("log", [took_s]))

    def copy(self) -> "Hogs":
        return Hogs()


HANDLERS: dict[str, Any] = {
    "echo": Echo(),
    "raises-in-receive": RaisesInReceive(),
    "raises-in-emit": RaisesInEmit(),
    "raises-in-start-up": RaisesInStartUp(),
    "raises-in-shutdown": RaisesInShutdown(),
    "raises-in-copy": RaisesInCopy(),
    "blocks": Blocks(),
    "lingers": Lingers(),
    "blocks-the-loop": BlocksTheLoop(),
    "returns-text": Returns("hello"),
    "returns-shape": Returns((RATE_HZ, np.zeros((3, 960), np.int16))),
    "returns-dtype": Returns((RATE_HZ, SILENCE.astype(np.int64))),
    "returns-rate": Returns((0, SILENCE)),
    "returns-nan": Returns((RATE_HZ, np.full((1, 960), np.nan, np.float32))),
    "plays": Plays(),
    "hogs": Hogs(),
}
app = FastAPI()
streams = {
    name: Stream(handler, modality="audio", concurrency_limit=None)
    for name, handler in HANDLERS.items()
}
streams["one"] = Stream(Echo(), modality="audio", concurrency_limit=1)
streams["three"] = Stream(Echo(), modality="audio", concurrency_limit=3)
streams["brief"] = Stream(Echo(), modality="audio", time_limit=1.0)
for name, stream in streams.items():
    stream.mount(app, path=f"/{name}")


@app.get("/state")
async def state() -> dict[str, Any]:
    """What the process holds at this moment."""
    every = [info for stream in streams.values() for info in stream.sessions]
    return {
        "pid": os.getpid(),
        "sessions": {name: len(stream.sessions) for name, stream in streams.items()},
        "stats": {info.id: info.stats for info in every},
        "shutdowns": shutdowns,
        "tasks": len(asyncio.all_tasks()),
        "plane": media_plane().stats(),
        "udp_port": media_plane().udp_port,
        **of_this_process(),
    }


@app.post("/shutdown/{name}")
async def shutdown(name: str, drain_s: float) -> None:
    """Ends one stream, as an application does that has several."""
    await streams[name].shutdown(drain_s)


def of_this_process() -> dict[str, Any]:
    """What the kernel says of us."""
    own = Path("/proc/self")
    status = (own / "status").read_text()
    kilobytes = next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS"))
    return {
        "threads": sorted(thread.name for thread in threading.enumerate()),
        "system_threads": sorted(path.read_text().strip() for path in own.glob("task/*/comm")),
        "descriptors": len(list((own / "fd").iterdir())),
        "rss_mb": int(kilobytes) / 1024,
    }
