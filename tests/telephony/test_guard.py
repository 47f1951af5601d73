"""Who may call: the webhook's secret leads to a ticket, and nothing else to a session."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import httpx
import pytest
from fastapi import FastAPI, Request, Response, WebSocket
from hypothesis import given
from hypothesis import strategies as st
from twilio.request_validator import RequestValidator

from fastrtc import Stream
from fastrtc.telephony.guard import KEY_VARIABLE, TICKET_S, TelephoneGuard
from phones import Exotel, Phone, Plivo, Telnyx, Twilio, Vonage
from recorders import AsyncEcho
from sockets import served

TOKEN, KEY = "12345", "open sesame"
DOOR = "/telephone/handler"
PHONES: list[type[Phone]] = [Twilio, Telnyx, Plivo, Vonage, Exotel]


@pytest.fixture(autouse=True)
def secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TWILIO_AUTH_TOKEN", TOKEN)
    monkeypatch.setenv("FASTRTC_PHONE_KEY", KEY)


def test_a_ticket_is_good_for_a_while_and_for_every_worker() -> None:
    now_s = 1_000_000.0
    ours, other = ({KEY_VARIABLE: key} for key in ("a", "b"))
    ticket = TelephoneGuard(ours, lambda: now_s).ticket()
    assert TelephoneGuard(ours, lambda: now_s + TICKET_S - 1).honours(ticket)
    assert not TelephoneGuard(ours, lambda: now_s + TICKET_S + 1).honours(ticket)
    assert not TelephoneGuard(other, lambda: now_s).honours(ticket)
    expiry, _, signature = ticket.partition(".")
    later = f"{int(expiry, 16) + 1:x}"
    assert not TelephoneGuard(ours, lambda: now_s).honours(f"{later}.{signature}")


def test_without_secrets_everybody_may_call_and_no_ticket_is_needed() -> None:
    guard = TelephoneGuard({})
    assert guard.is_open
    assert guard.ticket() == ""
    assert guard.honours("")


@given(st.text(st.characters(exclude_categories=())))
def test_no_other_text_is_a_ticket_or_a_key(text: str) -> None:
    guard = TelephoneGuard({KEY_VARIABLE: KEY})
    assert not guard.honours(text)
    assert not guard.has_secret({"key": text, "ticket": text}) or text == KEY


def caller(url: str, ticket: Any) -> Twilio:
    """Twilio brings the ticket in the stream's parameters."""
    phone = Twilio(url)
    phone.ticket = ticket
    return phone


def audio_stream(**options: Any) -> Stream:
    return Stream(AsyncEcho(), modality="audio", concurrency_limit=None, **options)


async def is_served(stream: Stream, phone: Phone) -> bool:
    """Whether a call becomes a session; otherwise it has to be sent away."""
    async with phone, asyncio.timeout(15):
        while phone.id not in stream.handlers:
            if phone.close_code is not None:
                assert phone.close_code == 1008
                return False
            await asyncio.sleep(0.01)
    return True


def call(stream: Stream, phone: Phone) -> bool:
    return asyncio.run(is_served(stream, phone))


@pytest.mark.parametrize("query", ["", "?provider=twilio"])
def test_twilio_comes_with_the_ticket_of_a_signed_webhook(query: str) -> None:
    stream = audio_stream()
    with served(stream) as host:
        url = f"http://{host}/telephone/incoming"
        signature = RequestValidator(TOKEN).compute_signature(url, {"CallSid": "CA1"})
        answer = httpx.post(url, data={"CallSid": "CA1"}, headers={"X-Twilio-Signature": signature})
        found = re.search(r'name="ticket" value="([^"]+)"', answer.text)
        assert found is not None
        door = f"ws://{host}{DOOR}{query}"
        assert call(stream, caller(door, found[1]))
        for other in ["", "1.x", found[1] + "a", "\ud800.\ud800", 5]:
            assert not call(stream, caller(door, other))
        assert not call(stream, Twilio(door))


@pytest.mark.parametrize("phone", PHONES)
def test_any_provider_comes_with_the_ticket_of_a_webhook_with_the_key(phone: type[Phone]) -> None:
    stream, name = audio_stream(), phone.__name__.lower()
    with served(stream) as host:
        webhook = f"http://{host}/telephone/incoming?provider={name}"
        for wrong in ["", "&key=", "&key=open", "&ticket=1.x"]:
            assert httpx.post(webhook + wrong).status_code == 403
        answer = httpx.post(webhook, params={"provider": name, "key": KEY})
        assert answer.status_code == 200
        door = f"ws://{host}{DOOR}"
        found = re.search(r"ticket(?:=|\W+value\W+)([\w.-]+)", answer.text)
        assert found is not None
        assert call(stream, phone(f"{door}?ticket={found[1]}"))
        assert call(stream, phone(f"{door}?provider={name}&key=open+sesame"))
        for wrong in ["", f"?provider={name}", "?ticket=1.x", "?key=open"]:
            assert not call(stream, phone(door + wrong))


def test_a_stream_that_twilio_was_told_of_otherwise_comes_signed() -> None:
    """By TwiML of one's own, say: Twilio signs the handshake too."""
    stream = audio_stream()
    with served(stream) as host:
        for spelling, is_right in [(f"wss://{host}{DOOR}", True), (f"wss://{host}/other", False)]:
            phone = Twilio(f"ws://{host}{DOOR}")
            signature = RequestValidator(TOKEN).compute_signature(spelling, {})
            phone.headers = {"X-Twilio-Signature": signature, "X-Forwarded-Proto": "https"}
            assert call(stream, phone) is is_right


def test_routes_of_ones_own_are_guarded_alike() -> None:
    app, stream = FastAPI(), audio_stream()

    @app.post("/calls")
    async def calls(request: Request) -> Response:
        return await stream.handle_incoming_call(request)

    @app.websocket(DOOR)
    async def audio(websocket: WebSocket) -> None:
        await stream.telephone_handler(websocket)

    with served(app=app) as host:
        assert httpx.post(f"http://{host}/calls").status_code == 403
        answer = httpx.post(f"http://{host}/calls", params={"key": KEY, "provider": "plivo"})
        found = re.search(r"ws://[^<]+", answer.text)
        assert found is not None
        assert call(stream, Plivo(found[0]))
        assert not call(stream, Plivo(f"ws://{host}{DOOR}"))


def test_with_twilios_token_alone_others_are_told_what_is_missing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("FASTRTC_PHONE_KEY")
    with served(audio_stream()) as host:
        refused = httpx.post(f"http://{host}/telephone/incoming?provider=telnyx")
    assert refused.status_code == 403
    assert "FASTRTC_PHONE_KEY" in refused.json()["detail"]
