"""TURN credentials over real HTTP: what is asked, what comes back, and every refusal."""

from __future__ import annotations

import asyncio
import base64
import json
import threading
import warnings
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

import fastrtc
from fastrtc.credentials import (
    get_cloudflare_turn_credentials,
    get_cloudflare_turn_credentials_async,
    get_hf_turn_credentials,
    get_hf_turn_credentials_async,
    get_turn_credentials,
    get_turn_credentials_async,
    get_twilio_turn_credentials,
    get_twilio_turn_credentials_async,
)
from fastrtc.errors import ConfigurationError, CredentialsError

SERVERS = [{"urls": ["turn:turn.example:3478"], "username": "u", "credential": "c"}]
VARIABLES = [
    "HF_TOKEN",
    "TURN_KEY_ID",
    "TURN_KEY_API_TOKEN",
    "CLOUDFLARE_TURN_KEY_ID",
    "CLOUDFLARE_TURN_KEY_API_TOKEN",
    "TWILIO_ACCOUNT_SID",
    "TWILIO_AUTH_TOKEN",
]


class Service:
    """The three services on one local HTTP server."""

    def __init__(self) -> None:
        self.requests: list[dict[str, Any]] = []
        self.answer: tuple[int, str] | None = None
        service = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                length = int(self.headers.get("content-length") or 0)
                url = urlsplit(self.path)
                service.requests.append(
                    {
                        "method": self.command,
                        "host": self.headers["host"],
                        "path": url.path,
                        "query": parse_qs(url.query),
                        "authorization": self.headers.get("authorization"),
                        "body": self.rfile.read(length),
                    }
                )
                key = "ice_servers" if url.path.endswith("Tokens.json") else "iceServers"
                status, body = service.answer or (201, json.dumps({key: SERVERS}))
                self.send_response(status)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body.encode())

            do_POST = do_GET  # noqa: N815

            def log_message(self, *_: Any) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.base = f"http://127.0.0.1:{self.server.server_address[1]}"

    def redirect(self, request: httpx.Request) -> httpx.Request:
        """The request as it would be, to this machine: only the address on the wire changes."""
        request.url = httpx.URL(self.base).copy_with(raw_path=request.url.raw_path)
        return request

    def client(self) -> httpx.Client:
        service = self

        class Here(httpx.HTTPTransport):
            def handle_request(self, request: httpx.Request) -> httpx.Response:
                return super().handle_request(service.redirect(request))

        return httpx.Client(transport=Here())

    def async_client(self) -> httpx.AsyncClient:
        service = self

        class Here(httpx.AsyncHTTPTransport):
            async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
                return await super().handle_async_request(service.redirect(request))

        return httpx.AsyncClient(transport=Here())


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    for variable in VARIABLES:
        monkeypatch.delenv(variable, raising=False)
    service = Service()
    thread = threading.Thread(target=service.server.serve_forever)
    thread.start()
    yield service
    service.server.shutdown()
    service.server.server_close()
    thread.join()


def ask_both(service: Service, function: Any, function_async: Any, *args: Any) -> list[Any]:
    """The answers of the sync and of the async form, by the caller's client, which stays open."""
    with service.client() as client:
        answers = [function(*args, client=client)]
        assert not client.is_closed

    async def ask() -> Any:
        async with service.async_client() as client:
            answer = await function_async(*args, client=client)
            assert not client.is_closed
            return answer

    return [*answers, asyncio.run(ask())]


def test_cloudflare_by_key(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    both = (get_cloudflare_turn_credentials, get_cloudflare_turn_credentials_async)
    answers = ask_both(service, *both, "key", "secret", None, 60)
    monkeypatch.setenv("TURN_KEY_ID", "key")
    monkeypatch.setenv("TURN_KEY_API_TOKEN", "secret")
    answers += ask_both(service, *both, None, None, None, 60)
    monkeypatch.setenv("HF_TOKEN", "an argument is stronger")
    answers += ask_both(service, *both, "key", "secret", None, 60)
    assert answers == [{"iceServers": SERVERS}] * 6
    for request in service.requests:
        assert request["method"] == "POST"
        assert request["host"] == "rtc.live.cloudflare.com"
        assert request["path"] == "/v1/turn/keys/key/credentials/generate-ice-servers"
        assert request["authorization"] == "Bearer secret"
        assert json.loads(request["body"]) == {"ttl": 60}


def test_cloudflare_by_hugging_face_token(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    both = (get_cloudflare_turn_credentials, get_cloudflare_turn_credentials_async)
    answers = ask_both(service, *both, None, None, "hf_1", 60)
    monkeypatch.setenv("HF_TOKEN", "hf_1")
    answers += ask_both(service, *both, None, None, None, 60)
    with pytest.warns(UserWarning, match="deprecated"):
        answers += ask_both(
            service, get_hf_turn_credentials, get_hf_turn_credentials_async, None, 60
        )
    assert answers == [{"iceServers": SERVERS}] * 6
    for request in service.requests:
        assert (request["method"], request["path"]) == ("GET", "/credentials")
        assert request["host"] == "turn.fastrtc.org"
        assert request["authorization"] == "Bearer hf_1"
        assert request["query"] == {"ttl": ["60"]}


def test_twilio(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    both = (get_twilio_turn_credentials, get_twilio_turn_credentials_async)
    answers = ask_both(service, *both, "AC1", "token")
    monkeypatch.setenv("TWILIO_ACCOUNT_SID", "AC1")
    monkeypatch.setenv("TWILIO_AUTH_TOKEN", "token")
    answers += ask_both(service, *both)
    assert answers == [{"iceServers": SERVERS, "iceTransportPolicy": "relay"}] * 4
    for request in service.requests:
        assert request["host"] == "api.twilio.com"
        assert request["path"] == "/2010-04-01/Accounts/AC1/Tokens.json"
        secret = base64.b64encode(b"AC1:token").decode()
        assert request["authorization"] == f"Basic {secret}"


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ((401, "bad token"), "Cloudflare answered 401: bad token"),
        ((500, "x" * 2000), "Cloudflare answered 500"),
        ((200, "<html>"), "cannot be read.*Cloudflare answered 200: <html>"),
        ((200, "[]"), "no iceServers"),
    ],
)
def test_a_refusal_is_raised_with_what_was_answered(
    service: Service, answer: tuple[int, str], told: str
) -> None:
    """Pitfall 38."""
    service.answer = answer
    with service.client() as client, pytest.raises(CredentialsError, match=told) as raised:
        get_cloudflare_turn_credentials("key", "secret", client=client)
    assert len(str(raised.value)) < 600

    async def ask() -> None:
        async with service.async_client() as client:
            await get_cloudflare_turn_credentials_async("key", "secret", client=client)

    with pytest.raises(CredentialsError, match=told):
        asyncio.run(ask())


def test_a_service_that_cannot_be_reached(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Through a proxy that is not there, as the client made here uses it too."""
    for variable in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(variable, "http://127.0.0.1:9")
    with pytest.raises(CredentialsError, match="Cloudflare could not be asked"):
        get_cloudflare_turn_credentials("key", "secret")
    with pytest.raises(CredentialsError, match="Twilio could not be asked"):
        asyncio.run(get_twilio_turn_credentials_async("AC1", "token"))


@pytest.mark.usefixtures("service")
def test_what_is_missing_is_told() -> None:
    with pytest.raises(ConfigurationError, match="TURN_KEY_ID and TURN_KEY_API_TOKEN"):
        get_cloudflare_turn_credentials(turn_key_id="key")
    with pytest.raises(ValueError, match="TWILIO_ACCOUNT_SID"):
        get_twilio_turn_credentials()
    with pytest.warns(UserWarning, match="deprecated"), pytest.raises(ValueError, match="HF_TOKEN"):
        get_hf_turn_credentials()


def test_by_name(service: Service) -> None:
    with service.client() as client, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for method in ("cloudflare", "hf", "twilio"):
            answer = get_turn_credentials(
                method,
                token="t",
                hf_token="t",
                twilio_sid="s",
                twilio_token="t",
                ttl=5,
                client=client,
            )
            assert answer["iceServers"] == SERVERS

    async def ask() -> Any:
        async with service.async_client() as client:
            return await get_turn_credentials_async(
                "twilio", twilio_sid="s", twilio_token="t", client=client
            )

    assert asyncio.run(ask())["iceTransportPolicy"] == "relay"
    with pytest.raises(ValueError, match="allowed: 'cloudflare', 'hf', 'twilio'"):
        get_turn_credentials("acme")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="unknown arguments"):
        get_turn_credentials("twilio", twilio_sdi="s")


def test_the_names_of_the_original() -> None:
    assert fastrtc.get_turn_credentials is get_turn_credentials
    assert fastrtc.get_twilio_turn_credentials is get_twilio_turn_credentials
