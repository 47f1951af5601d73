"""Behind a real nginx with the configuration of docs/deployment.md: HTTPS, a prefix, WebSockets."""

from __future__ import annotations

import asyncio
import json
import re
import ssl
from pathlib import Path

import httpx
import pytest
from twilio.request_validator import RequestValidator
from websockets.asyncio.client import connect

from fastrtc import Stream
from phones import Twilio
from proxies import make_certificate, nginx
from recorders import AsyncEcho
from sockets import served

TOKEN = "12345"


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    return make_certificate(tmp_path)


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
            async with asyncio.timeout(15):
                assert isinstance(await socket.recv(), bytes)

    async def call(url: str, ticket: str) -> None:
        caller = Twilio(url)
        caller.ssl = trust
        caller.ticket = ticket
        async with caller, asyncio.timeout(15):
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
