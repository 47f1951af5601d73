"""docs/deployment.md: coturn with its configuration honours the credentials of its snippet."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import aiortc
import httpx
import pytest
from fastapi import FastAPI

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "deployment.md").read_text()
SECRET = "a-long-random-text"

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def coturn(folder: Path) -> Iterator[int]:
    """The port of a TURN server with the documented configuration, on loopback."""
    executable = shutil.which("turnserver")
    assert executable is not None, "coturn is missing; install Debian's package coturn"
    port = free_port()
    (configuration,) = blocks("ini")
    for told, here in {
        "listening-port=3478": f"listening-port={port}\nlistening-ip=127.0.0.1",
        "external-ip=203.0.113.8": "relay-ip=127.0.0.5\nallow-loopback-peers",
    }.items():
        assert told in configuration
        configuration = configuration.replace(told, here)
    assert f"static-auth-secret={SECRET}\n" in configuration
    file = folder / "turnserver.conf"
    file.write_text(configuration + "no-tls\nno-dtls\nlog-file=stdout\npidfile=/dev/null\n")
    process = subprocess.Popen([executable, "-c", str(file)], stdout=subprocess.DEVNULL)
    try:
        for _ in range(500):
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                assert process.poll() is None, "coturn did not start"
                time.sleep(0.02)
        yield port
    finally:
        process.kill()
        process.wait()


async def relayed(app: FastAPI) -> list[str]:
    """The relay candidates in an answer."""
    caller = aiortc.RTCPeerConnection(aiortc.RTCConfiguration(iceServers=[]))
    caller.addTransceiver("audio")
    await caller.setLocalDescription(await caller.createOffer())
    body = {"type": "offer", "sdp": caller.localDescription.sdp, "webrtc_id": "me"}
    transport = httpx.ASGITransport(app=app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://test") as client,
    ):
        answer = (await client.post("/webrtc/offer", json=body)).json()
        told = (await client.get("/webrtc/configuration")).json()
    await caller.close()
    assert told["iceServers"][0]["username"].endswith(":fastrtc")
    found: list[str] = re.findall(r"a=candidate:.* typ relay.*", answer["sdp"])
    return found


@pytest.mark.parametrize(("secret", "is_honoured"), [(SECRET, True), ("another", False)])
async def test_coturn_honours_what_the_snippet_signs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, secret: str, is_honoured: bool
) -> None:
    monkeypatch.setenv("TURN_SECRET", secret)
    snippet, _ = blocks("python")
    with coturn(tmp_path) as port:
        scope: dict[str, Any] = {"__name__": "docs"}
        exec(snippet.replace("turn.your.host:3478", f"127.0.0.1:{port}"), scope)
        candidates = await relayed(scope["app"])
    assert bool(candidates) is is_honoured


def test_the_other_snippet_and_the_files_are_there() -> None:
    _, hosted = blocks("python")
    scope: dict[str, Any] = {"__name__": "docs"}
    exec(hosted, scope)
    assert callable(scope["stream"].rtc_configuration)
    dockerfile = (ROOT / "examples" / "docker" / "Dockerfile").read_text()
    copied = re.findall(r"^COPY (examples/\S+)", dockerfile, re.MULTILINE)
    assert copied
    for path in copied:
        assert (ROOT / path).is_file()


async def test_the_dockers_app_tells_how_many_calls_there_are() -> None:
    scope: dict[str, Any] = {"__name__": "app"}
    exec((ROOT / "examples" / "docker" / "app.py").read_text(), scope)
    transport = httpx.ASGITransport(app=scope["app"])
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        assert (await client.get("/health")).json() == {"calls": 0}
