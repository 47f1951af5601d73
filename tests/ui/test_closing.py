"""The end of a server that ``launch()`` runs: calls leave first, and whatever happens it closes."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from fastrtc import Stream
from fastrtc.testing import MemoryClient
from fastrtc.ui.closing import leave_at_close
from recorders import AsyncEcho


class Server:
    """Gradio's, as far as we know it."""

    def __init__(self) -> None:
        self.closed = 0

    def close(self) -> None:
        self.closed += 1


def app_of(server: Any) -> Any:
    return SimpleNamespace(get_blocks=lambda: SimpleNamespace(server=server))


async def test_clients_are_told_before_the_server_closes() -> None:
    server = Server()
    streams = [Stream(AsyncEcho(), modality="audio") for _ in range(2)]
    clients = [MemoryClient(stream) for stream in streams]
    for client, stream in zip(clients, streams, strict=True):
        await client.connect()
        await client.send_audio(np.zeros(960, np.int16))
        leave_at_close(app_of(server), stream.factory)
        leave_at_close(app_of(server), stream.factory)
    await asyncio.to_thread(server.close)
    assert server.closed == 1
    for client in clients:
        assert client.state == "closed"
        assert client.messages[-1]["data"] == "The server is shutting down"


async def test_it_closes_even_if_calls_cannot_be_ended(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = Server()
    factory = Stream(AsyncEcho(), modality="audio").factory

    async def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError("no end")

    monkeypatch.setattr(factory, "drain", fail)
    leave_at_close(app_of(server), factory)
    await asyncio.to_thread(server.close)
    assert server.closed == 1
    assert "calls could not be ended" in caplog.text


ENDING = """
import signal, sys, threading
from fastrtc.ui import closing
from fastrtc.ui.webrtc import WebRTC

class Launched:
    loop = closing.asyncio.new_event_loop()
    async def leave(self):
        print("calls leave", flush=True)

threading.Thread(target=Launched.loop.run_forever, daemon=True).start()
server = Launched()
closing._launched[server] = server
THEIRS
for _ in range(2):
    WebRTC(modality="audio")
signal.raise_signal(signal.SIGTERM)
print("goes on")
"""
THEIR_OWN = 'signal.signal(signal.SIGTERM, lambda *_: print("theirs") or sys.exit(7))'
IGNORED = "signal.signal(signal.SIGTERM, signal.SIG_IGN)"


@pytest.mark.parametrize(
    ("theirs", "said", "code"),
    [
        ("", ["calls leave"], -signal.SIGTERM),
        (THEIR_OWN, ["calls leave", "theirs"], 7),
        (IGNORED, ["goes on"], 0),
    ],
)
def test_sigterm_does_what_it_did_before_but_calls_leave_first(
    theirs: str, said: list[str], code: int
) -> None:
    script = ENDING.replace("THEIRS", theirs)
    ran = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=60
    )
    assert ran.stdout.split("\n")[:-1] == said, ran.stderr
    assert ran.returncode == code


FORKED = """
# CPython forgets a signal that comes while it is still forking.
ready, tell = os.pipe()
child = os.fork()
if not child:
    os.write(tell, b"!")
    while True:
        time.sleep(0.02)
os.read(ready, 1)
os.kill(child, signal.SIGTERM)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
os._exit(0)
"""


def test_a_forked_child_ends_without_telling_its_parents_calls() -> None:
    head = ENDING.replace("THEIRS", "import os, time").partition("signal.raise_signal")[0]
    ran = subprocess.run(
        [sys.executable, "-c", head + FORKED],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert ran.stdout.split("\n")[:-1] == [str(-signal.SIGTERM)], ran.stderr
    assert "still shutting down" not in ran.stderr


async def test_other_applications_are_left_alone() -> None:
    factory = Stream(AsyncEcho(), modality="audio").factory
    for app in (None, object(), app_of(None)):
        leave_at_close(app, factory)
