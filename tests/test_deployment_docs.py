"""docs/deployment.md: coturn honours its snippet's credentials, Docker's command is found, and
Kubernetes' schemas take the manifest."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import aiortc
import httpx
import kubernetes_validate
import pytest
import yaml
from fastapi import FastAPI

from e2e.server import free_port

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "deployment.md").read_text()
DOCKER = ROOT / "examples" / "docker"
SECRET = "a-long-random-text"

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


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


def test_the_other_snippet_is_a_stream() -> None:
    _, hosted = blocks("python")
    scope: dict[str, Any] = {"__name__": "docs"}
    exec(hosted, scope)
    assert callable(scope["stream"].rtc_configuration)


def instructions(name: str) -> list[str]:
    """What follows this instruction in the Dockerfile, continued lines joined."""
    text = (DOCKER / "Dockerfile").read_text().replace("\\\n", " ")
    return re.findall(rf"^{name} +(.*)$", text, re.MULTILINE)


def test_the_dockerfile_copies_what_is_there_and_let_in() -> None:
    ignored, *let_in = (DOCKER / "Dockerfile.dockerignore").read_text().split()
    assert ignored == "*"
    needed = {path.removeprefix("!") for path in let_in if path.startswith("!")}
    for path in needed:
        assert (ROOT / path).exists(), path
    workspace = tomllib.loads((ROOT / "Cargo.toml").read_text())["workspace"]
    assert needed >= {*workspace["members"], "Cargo.toml", "Cargo.lock", "pyproject.toml", "src"}
    assert "!examples/docker/app.py" in let_in
    assert instructions("COPY") == [". /src", "examples/docker/app.py ."]


@contextmanager
def started_by_docker(folder: Path) -> Iterator[int]:
    """The port of the Dockerfile's own command, in a folder that has only what it copied there."""
    shutil.copy(DOCKER / "app.py", folder)
    (command,) = (json.loads(told) for told in instructions("CMD"))
    assert instructions("ENV") == ["FASTRTC_UDP_PORT=8000"]
    assert instructions("EXPOSE") == ["8000/tcp 8000/udp"]
    port = free_port()
    address = {"FASTRTC_UDP_PORT": str(port), "FASTRTC_PUBLIC_ADDRESS": "203.0.113.7"}
    server = subprocess.Popen(
        [sys.executable, "-m", *(part.replace("8000", str(port)) for part in command)],
        cwd=folder,
        env={**os.environ, **address},
        stderr=subprocess.DEVNULL,
    )
    try:
        yield port
    finally:
        server.terminate()
        assert server.wait(10) in (0, -signal.SIGTERM), "SIGTERM ends it"


async def test_what_the_dockerfile_starts_is_found_at_one_announced_port(tmp_path: Path) -> None:
    with started_by_docker(tmp_path) as port:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
            for _ in range(600):
                if await is_healthy(client):
                    break
                await asyncio.sleep(0.05)
            caller = aiortc.RTCPeerConnection(aiortc.RTCConfiguration(iceServers=[]))
            caller.addTransceiver("audio")
            await caller.setLocalDescription(await caller.createOffer())
            body = {"type": "offer", "sdp": caller.localDescription.sdp, "webrtc_id": "me"}
            answer = (await client.post("/webrtc/offer", json=body)).json()["sdp"]
            await caller.close()
    announced = re.findall(r"a=candidate:\S+ 1 udp \d+ (\S+) (\d+) typ host", answer)
    assert announced == [("203.0.113.7", str(port))]


async def is_healthy(client: httpx.AsyncClient) -> bool:
    try:
        return (await client.get("/health")).status_code == 200
    except httpx.ConnectError:
        return False


def test_kubernetes_would_take_the_manifest() -> None:
    """By the schemas of a released version; and what belongs together does."""
    (manifest,) = blocks("yaml")
    deployment, service = yaml.safe_load_all(manifest)
    for resource in (deployment, service):
        kubernetes_validate.validate(resource, "1.34", strict=True)
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    assert service["spec"]["selector"] == labels == deployment["spec"]["selector"]["matchLabels"]
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    of_udp = [port for port in container["ports"] if port["protocol"] == "UDP"]
    (fixed,) = (entry for entry in container["env"] if entry["name"] == "FASTRTC_UDP_PORT")
    assert of_udp == [{"containerPort": 8000, "hostPort": int(fixed["value"]), "protocol": "UDP"}]
    assert container["readinessProbe"]["httpGet"]["path"] == "/health"


async def test_the_dockers_app_tells_how_many_calls_there_are() -> None:
    scope: dict[str, Any] = {"__name__": "app"}
    exec((DOCKER / "app.py").read_text(), scope)
    transport = httpx.ASGITransport(app=scope["app"])
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        assert (await client.get("/health")).json() == {"calls": 0}
