"""fastphone with local stand-ins for service and tunnel; the server and the call are real."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from fastrtc import Stream
from fastrtc.errors import ConfigurationError, FastphoneError, MissingExtension
from fastrtc.telephony.fastphone import find_token, register, run_fastphone
from fastrtc.ui.tunnel import open_tunnel
from phones import Twilio
from recorders import AsyncEcho
from sockets import served

GIVEN = {"code": 123456, "phone": "+1 800 555", "reset_date": "2026-12-01", "time_remaining": 599.5}


class Service:
    def __init__(self) -> None:
        self.requests: list[tuple[str, Any, str | None]] = []
        self.answer: tuple[int, str] = (200, json.dumps(GIVEN))
        service = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                service.requests.append((self.path, body, self.headers["authorization"]))
                status, answer = (200, "{}") if self.path == "/unregister" else service.answer
                self.send_response(status)
                self.send_header("content-length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer.encode())

            def log_message(self, *_: Any) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"


@pytest.fixture
def service() -> Iterator[Service]:
    service = Service()
    thread = threading.Thread(target=service.server.serve_forever)
    thread.start()
    yield service
    service.server.shutdown()
    service.server.server_close()
    thread.join()


class Tunnel:
    """Goes nowhere, and says where it would."""

    def __init__(self) -> None:
        self.address = ("", 0)
        self.closed = 0

    def __call__(self, host: str, port: int) -> tuple[str, Any]:
        self.address = (host, port)
        return "https://tunnel.example", self.close

    def close(self) -> None:
        self.closed += 1


def app_of(stream: Stream) -> FastAPI:
    app = FastAPI()
    stream.mount(app)
    return app


SCRIPT = """
import sys
from fastapi import FastAPI
from fastrtc import AsyncStreamHandler, Stream
from fastrtc.telephony.fastphone import run_fastphone

class Quiet(AsyncStreamHandler):
    async def receive(self, frame): self.heard = frame
    async def emit(self): return getattr(self, "heard", None)
    async def shutdown(self): print("shut down", flush=True)

def tunnel(host, port):
    print(host, port, flush=True)
    return "https://tunnel.example", lambda: print("tunnel closed", flush=True)

app = FastAPI()
Stream(Quiet(), modality="audio").mount(app)
run_fastphone(app, tunnel, token="hf_1", host="127.0.0.1", port=0, log_level="error")
"""


def test_a_number_a_call_and_ctrl_c(service: Service) -> None:
    program = subprocess.Popen(
        [sys.executable, "-c", SCRIPT],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "FASTRTC_FASTPHONE_URL": service.url},
    )
    assert program.stdout is not None
    try:
        host, port = program.stdout.readline().split()
        said = program.stdout.readline() + program.stdout.readline()
        assert "Call +1 800 555 and use code 123456" in said
        assert "09:59 minutes" in said

        async def call() -> None:
            async with Twilio(f"ws://{host}:{port}/telephone/handler") as caller:
                async with asyncio.timeout(15):
                    while len(caller.sent) < 5:  # noqa: ASYNC110
                        await asyncio.sleep(0.02)
                program.send_signal(signal.SIGINT)
                async with asyncio.timeout(15):
                    while caller.close_code is None:  # noqa: ASYNC110
                        await asyncio.sleep(0.02)

        asyncio.run(call())
        rest = program.communicate(timeout=10)[0]
        assert rest == "shut down\ntunnel closed\n"
    finally:
        program.kill()
        program.stdout.close()
        program.wait()
    assert service.requests == [
        ("/register", {"url": "tunnel.example"}, "hf_1"),
        ("/unregister", {"url": "tunnel.example", "code": "123456"}, "hf_1"),
    ]


def gives_no_number(tunnel: Any, service_url: str, told: str) -> None:
    """It ends, and says why in one line."""
    with pytest.raises(FastphoneError, match=told) as raised:
        run_fastphone(
            app_of(Stream(AsyncEcho(), modality="audio")),
            tunnel,
            token="hf_1",
            host="127.0.0.1",
            port=0,
            service_url=service_url,
            log_level="error",
        )
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ((401, "who?"), r"refused the Hugging Face token \(401\): who\?"),
        ((202, ""), "minutes of fastphone calls are used up"),
        ((500, "oops"), "no telephone number: http://127.0.0.1:.* answered 500: oops"),
        ((200, "{}"), "no telephone number: .*phone"),
        ((200, "<html>"), "no telephone number"),
    ],
)
def test_a_service_that_gives_no_number_ends_the_server(
    service: Service, answer: tuple[int, str], told: str
) -> None:
    service.answer = answer
    tunnel = Tunnel()
    gives_no_number(tunnel, service.url + "/", told)
    assert tunnel.closed == 1
    assert len(service.requests) == 1


def test_without_a_tunnel_the_server_ends_and_no_number_is_asked_for(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    def offline(**_: Any) -> str:
        raise RuntimeError("Could not get share link from Gradio API Server.")

    monkeypatch.setattr("gradio.networking.setup_tunnel", offline)
    gives_no_number(open_tunnel, service.url, r"tunnel could not be opened .*online\?")
    assert service.requests == []


def test_the_second_service_is_asked_when_the_first_is_down(service: Service) -> None:
    registration = register("tunnel.example", "hf_1", ["http://127.0.0.1:9", service.url])
    assert (registration.service, registration.phone) == (service.url, "+1 800 555")
    with pytest.raises(FastphoneError, match=r"http://127.0.0.1:9: .*refused"):
        register("tunnel.example", "hf_1", ["http://127.0.0.1:9"])


def test_where_a_token_is_looked_for(tmp_path: Path) -> None:
    assert find_token("given", {"HF_TOKEN": "environment"}) == "given"
    assert find_token(None, {"HF_TOKEN": "environment"}) == "environment"
    (tmp_path / "token").write_text("file\n")
    assert find_token(None, {"HF_HOME": str(tmp_path)}) == "file"
    assert find_token(None, {"HF_TOKEN_PATH": str(tmp_path / "token")}) == "file"
    with pytest.raises(ConfigurationError, match="HF_TOKEN"):
        find_token(None, {"HF_HOME": str(tmp_path / "nowhere")})


def test_without_gradio_the_remedy_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("gradio", "gradio.networking", "gradio.tunneling"):
        monkeypatch.setitem(sys.modules, module, None)
    stream = Stream(AsyncEcho(), modality="audio")
    with pytest.raises(MissingExtension, match=r"pip install 'fastrtc\[ui\]'"):
        stream.fastphone(token="hf_1", port=0, log_level="error")


def test_the_snippet_of_the_core_concepts(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As it stands, but for the port: 8000 may be another's here."""
    text = (Path(__file__).parent.parent / "data" / "core-concepts.txt").read_text()
    snippet = text[text.index("stream.fastphone(\n") :]
    snippet = snippet[: snippet.index("\n)\n") + 3]
    service.answer = (202, "")
    monkeypatch.setenv("FASTRTC_FASTPHONE_URL", service.url)
    tunnel = Tunnel()
    monkeypatch.setattr("fastrtc.ui.tunnel.open_tunnel", tunnel)

    monkeypatch.setenv("TWILIO_AUTH_TOKEN", "not the service's")

    def elsewhere(app: FastAPI, *args: Any, port: int, **options: Any) -> None:
        assert port == 8000
        with served(app=app) as host:
            assert httpx.post(f"http://{host}/telephone/incoming").status_code == 200
        run_fastphone(app, *args, port=0, log_level="error", **options)

    monkeypatch.setattr("fastrtc.telephony.fastphone.run_fastphone", elsewhere)
    with pytest.raises(FastphoneError, match="used up"):
        exec(snippet, {"stream": Stream(AsyncEcho(), modality="audio")})
    assert service.requests[0][2] == "your_hf_token"
    assert tunnel.closed == 1
