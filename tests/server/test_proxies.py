"""Behind a real nginx with the configuration of docs/deployment.md: HTTPS, a prefix, WebSockets."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from twilio.request_validator import RequestValidator
from websockets.asyncio.client import connect

from fastrtc import Stream
from phones import Twilio
from recorders import AsyncEcho
from sockets import served

DOCS = Path(__file__).parents[2] / "docs" / "deployment.md"
TOKEN = "12345"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """For "localhost"; the key is beside it."""
    made = tmp_path / "host.pem"
    command = [
        *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
        *("-nodes", "-days", "2", "-subj", "/CN=localhost", "-addext"),
        *("subjectAltName=DNS:localhost", "-keyout", str(made.with_suffix(".key"))),
        *("-out", str(made)),
    ]
    subprocess.run(command, check=True, capture_output=True)
    return made


@contextmanager
def nginx(upstream: str, certificate: Path) -> Iterator[str]:
    """``host:port`` of a proxy with the documented configuration."""
    executable = shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/bin:/usr/local/sbin")
    assert executable is not None, "nginx is missing; install Debian's package nginx-light"
    documented = re.search(r"```nginx\n(.*?)```", DOCS.read_text(), re.DOTALL)
    assert documented is not None
    port = free_port()
    site = documented[1]
    for told, here in {
        "443 ssl": f"127.0.0.1:{port} ssl",
        "/etc/ssl/your.host.pem": str(certificate),
        "/etc/ssl/your.host.key": str(certificate.with_suffix(".key")),
        "127.0.0.1:8000": upstream,
    }.items():
        assert told in site
        site = site.replace(told, here)
    folder = certificate.parent
    paths = "".join(
        f"{kind}_temp_path {folder / kind};\n"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    configuration = folder / "nginx.conf"
    configuration.write_text(
        f"daemon off; master_process off; pid {folder / 'pid'}; error_log stderr;\n"
        f"events {{}} http {{ access_log off;\n{paths}{site} }}"
    )
    process = subprocess.Popen(
        [executable, "-e", "stderr", "-p", str(folder), "-c", str(configuration)],
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        for _ in range(1000):
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                assert process.poll() is None, process.stderr and process.stderr.read()
                time.sleep(0.01)
        yield f"localhost:{port}"
    finally:
        process.terminate()
        process.communicate(timeout=10)


def test_everything_goes_through_nginx(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TWILIO_AUTH_TOKEN", TOKEN)
    monkeypatch.delenv("FASTRTC_PHONE_KEY", raising=False)
    trust = ssl.create_default_context(cafile=certificate)
    stream = Stream(
        AsyncEcho(),
        modality="audio",
        concurrency_limit=None,
        rtc_configuration={"iceServers": [{"urls": "stun:a.com"}]},
    )

    async def page(host: str) -> None:
        async with connect(f"wss://{host}/voice/websocket/offer", ssl=trust) as socket:
            start = {"event": "start", "websocket_id": "page", "format": "pcm16"}
            await socket.send(json.dumps(start))
            await socket.send(bytes(960))
            async with asyncio.timeout(5):
                assert isinstance(await socket.recv(), bytes)

    async def call(url: str, ticket: str) -> None:
        caller = Twilio(url)
        caller.ssl = trust
        caller.ticket = ticket
        async with caller, asyncio.timeout(5):
            while caller.id not in stream.handlers:
                assert caller.close_code is None
                await asyncio.sleep(0.01)

    with served(stream) as upstream, nginx(upstream, certificate) as host:
        asyncio.run(page(host))
        with httpx.Client(verify=trust) as client:
            configuration = client.get(f"https://{host}/voice/webrtc/configuration")
            assert configuration.json()["iceServers"] == [{"urls": "stun:a.com"}]
            # What it was told is what it tells, whatever the client claims.
            url = f"https://{host}/voice/telephone/incoming"
            signature = RequestValidator(TOKEN).compute_signature(url, {})
            claims = {"X-Forwarded-Host": "evil.com", "X-Forwarded-Port": "1"}
            answer = client.post(url, headers={"X-Twilio-Signature": signature, **claims})
        assert answer.status_code == 200, answer.text
        stream_url = re.search(r'url="([^"]+)"', answer.text)
        ticket = re.search(r'name="ticket" value="([^"]+)"', answer.text)
        assert stream_url is not None
        assert ticket is not None
        assert stream_url[1] == f"wss://{host}/voice/telephone/handler"
        asyncio.run(call(stream_url[1], ticket[1]))
