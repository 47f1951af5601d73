"""Dialling and hanging up against a local stand-in for the providers' REST APIs, over real HTTP."""

from __future__ import annotations

import asyncio
import base64
import json
import re
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs
from xml.etree import ElementTree as ET

import httpx
import pytest

from fastrtc.errors import CallFailed, FeatureUnavailable
from fastrtc.telephony.guard import TelephoneGuard
from fastrtc.telephony.outbound import BASES, Account, hang_up, place_call

ANSWERS = {
    "twilio": {"sid": "CA1", "status": "queued"},
    "telnyx": {"data": {"call_control_id": "v3:1", "is_alive": False}},
    "plivo": {"message": "call fired", "request_uuid": "9834"},
    "vonage": {"uuid": "63f6", "status": "started"},
    "exotel": {"call": {"sid": "a1b2", "status": "in-progress"}},
}
STREAM = "wss://a.com/voice/telephone/handler"


@pytest.fixture(autouse=True)
def no_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TWILIO_AUTH_TOKEN", "FASTRTC_PHONE_KEY"):
        monkeypatch.delenv(name, raising=False)


class Provider:
    def __init__(self) -> None:
        self.requests: list[dict[str, Any]] = []
        self.answer: tuple[int, str] = (200, "{}")
        provider = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length") or 0)).decode()
                is_json = self.headers.get("content-type") == "application/json"
                form = {name: values[0] for name, values in parse_qs(body).items()}
                provider.requests.append(
                    {
                        "request": f"{self.command} {self.path}",
                        "authorization": self.headers["authorization"],
                        "body": json.loads(body) if is_json else form,
                    }
                )
                status, answer = provider.answer
                self.send_response(status)
                self.send_header("content-length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer.encode())

            do_PUT = do_DELETE = do_POST  # noqa: N815

            def log_message(self, *_: Any) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"


@pytest.fixture
def provider() -> Iterator[Provider]:
    provider = Provider()
    thread = threading.Thread(target=provider.server.serve_forever)
    thread.start()
    yield provider
    provider.server.shutdown()
    provider.server.server_close()
    thread.join()


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def dial(provider: Provider, name: str) -> tuple[str, dict[str, Any]]:
    provider.answer = (201, json.dumps(ANSWERS[name]))
    account = Account(name, id="ID", secret="SECRET", key="KEY", base_url=provider.url + "/")
    call = asyncio.run(
        place_call(account, to="+1555", from_="+1800", stream_url="https://a.com/voice/")
    )
    return call, provider.requests[-1]


def test_twilio(provider: Provider) -> None:
    call, sent = dial(provider, "twilio")
    assert call == "CA1"
    assert sent["request"] == "POST /Accounts/ID/Calls.json"
    assert sent["authorization"] == basic("ID", "SECRET")
    assert (sent["body"]["To"], sent["body"]["From"]) == ("+1555", "+1800")
    stream = ET.fromstring(sent["body"]["Twiml"]).find("Connect/Stream")
    assert stream is not None
    assert stream.attrib == {"url": STREAM}


def test_telnyx(provider: Provider) -> None:
    call, sent = dial(provider, "telnyx")
    assert call == "v3:1"
    assert sent["request"] == "POST /calls"
    assert sent["authorization"] == "Bearer SECRET"
    assert sent["body"] == {
        "connection_id": "ID",
        "to": "+1555",
        "from": "+1800",
        "stream_url": STREAM,
        "stream_track": "inbound_track",
        "stream_codec": "PCMU",
        "stream_bidirectional_mode": "rtp",
        "stream_bidirectional_codec": "PCMU",
    }


def test_plivo(provider: Provider) -> None:
    call, sent = dial(provider, "plivo")
    assert call == "9834"
    assert sent["request"] == "POST /Account/ID/Call/"
    assert sent["authorization"] == basic("ID", "SECRET")
    assert sent["body"]["answer_url"] == "https://a.com/voice/telephone/incoming?provider=plivo"


def test_vonage(provider: Provider) -> None:
    call, sent = dial(provider, "vonage")
    assert call == "63f6"
    assert sent["request"] == "POST /calls"
    assert sent["authorization"] == "Bearer SECRET"
    assert sent["body"]["to"] == [{"type": "phone", "number": "1555"}]
    assert sent["body"]["ncco"][0]["endpoint"][0]["uri"] == STREAM


def test_exotel(provider: Provider) -> None:
    call, sent = dial(provider, "exotel")
    assert call == "a1b2"
    assert sent["request"] == "POST /accounts/ID/calls/connect"
    assert sent["authorization"] == basic("KEY", "SECRET")
    assert sent["body"] == {
        "From": "+1555",
        "CallerId": "+1800",
        "StreamUrl": STREAM,
        "StreamType": "bidirectional",
    }


@pytest.mark.parametrize(
    ("name", "request_line", "body"),
    [
        ("twilio", "POST /Accounts/ID/Calls/a%2Fb.json", {"Status": "completed"}),
        ("telnyx", "POST /calls/a%2Fb/actions/hangup", {}),
        ("plivo", "DELETE /Account/ID/Call/a%2Fb/", {}),
        ("vonage", "PUT /calls/a%2Fb", {"action": "hangup"}),
    ],
)
def test_hanging_up(provider: Provider, name: str, request_line: str, body: Any) -> None:
    provider.answer = (204, "")

    async def end() -> None:
        async with httpx.AsyncClient() as client:
            account = Account(name, id="ID", secret="SECRET", base_url=provider.url)
            await hang_up(account, "a/b", client=client)
            assert not client.is_closed

    asyncio.run(end())
    assert provider.requests[0]["request"] == request_line
    assert provider.requests[0]["body"] == body


def test_plivo_may_know_the_id_as_a_requests(provider: Provider) -> None:
    account = Account("plivo", id="ID", secret="SECRET", base_url=provider.url)
    provider.answer = (404, "no such call")
    with pytest.raises(CallFailed, match="404: no such call"):
        asyncio.run(hang_up(account, "9834"))
    asked = [request["request"] for request in provider.requests]
    assert asked == ["DELETE /Account/ID/Call/9834/", "DELETE /Account/ID/Request/9834/"]


@pytest.mark.parametrize("name", BASES)
def test_calls_that_we_make_bring_a_ticket(
    provider: Provider, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FASTRTC_PHONE_KEY", "key of ours")
    _, sent = dial(provider, name)
    found = re.search(r"ticket(?:=|\W+value\W+)([\w.-]+)", json.dumps(sent["body"]))
    assert found is not None, sent["body"]
    in_ten_minutes = TelephoneGuard(now_s=lambda: time.time() + 600)
    assert in_ten_minutes.honours(found[1])


@pytest.mark.parametrize("name", BASES)
def test_a_refusal_is_raised_with_its_answer(provider: Provider, name: str) -> None:
    account = Account(name, id="ID", secret="SECRET", key="KEY", base_url=provider.url)

    def dial() -> None:
        asyncio.run(place_call(account, to="+1555", from_="+1800", stream_url="https://a.com"))

    provider.answer = (401, "who are you?")
    with pytest.raises(CallFailed, match=f"{name} refused to dial.*401: who are you"):
        dial()
    empty = '{"sid": "", "request_uuid": "", "uuid": "", "data": {"call_control_id": ""}}'
    for nonsense in ["<html>", "[]", "{}", '{"data": 1, "call": []}', empty]:
        provider.answer = (200, nonsense)
        with pytest.raises(CallFailed, match=name):
            dial()


@pytest.mark.parametrize("name", BASES)
@pytest.mark.parametrize("nothing", ["", " ", ".", ".."])
def test_no_id_ends_no_call(provider: Provider, name: str, nothing: str) -> None:
    """``DELETE /Call//`` would end every call of the account."""
    account = Account(name, id="ID", secret="SECRET", base_url=provider.url)
    with pytest.raises(ValueError, match="call_id"):
        asyncio.run(hang_up(account, nothing))
    assert provider.requests == []


def test_what_cannot_be_done_is_told() -> None:
    nowhere = Account("twilio", id="ID", secret="SECRET", base_url="http://127.0.0.1:9")
    with pytest.raises(CallFailed, match="could not be asked to hang up"):
        asyncio.run(hang_up(nowhere, "CA1"))
    with pytest.raises(FeatureUnavailable, match="Exotel"):
        asyncio.run(hang_up(Account("exotel"), "1"))
    with pytest.raises(ValueError, match="allowed: twilio"):
        Account("acme")
    assert "SECRET" not in repr(nowhere)
    for url in ["http://a.com", "a.com", "https://"]:
        with pytest.raises(ValueError, match="https://"):
            asyncio.run(place_call(nowhere, to="1", from_="2", stream_url=url))
