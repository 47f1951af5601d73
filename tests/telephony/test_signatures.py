"""How Plivo, Telnyx and Vonage sign: as their own packages do, and good for nothing else.

The vectors were made, and found good, with plivo 4.63.0 (MIT) and telnyx 4.189.0 (Apache-2.0);
Vonage's tokens are PyJWT's here.
"""

from __future__ import annotations

import base64
import hashlib
import re
import time
from collections.abc import Iterator
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from fastapi import FastAPI, Request, Response
from hypothesis import example, given
from hypothesis import strategies as st

from fastrtc import Stream
from fastrtc.telephony.signature import (
    REPLAY_WINDOW_S,
    plivo_signature,
    plivo_signed,
    telnyx_signed,
    vonage_signed,
)
from fastrtc.telephony.signers import SIGNERS
from phones import Phone, Plivo, Telnyx, Vonage
from recorders import AsyncEcho
from sockets import served
from telephony.test_guard import DOOR, call

TOKEN = "12345"
SECRET = "a long signature secret of somebody's account at Vonage"
TELNYX = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC_KEY = "A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg="
SIGNED_AT_S = 1795298321
TELNYX_BODY = b"CallSid=v3%3A1&From=%2B1800"
TELNYX_SIGNATURE = (
    "R9+8TuYQ+eW35aHKq0VQPDiscfH/Egi+jKwjNLR+QV7IE0tegwPokZCzjurmsJHb1PNSgGm+wVnXTbLJ7+GSBA=="
)


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TWILIO_AUTH_TOKEN", "FASTRTC_PHONE_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PLIVO_AUTH_TOKEN", TOKEN)
    monkeypatch.setenv("TELNYX_PUBLIC_KEY", PUBLIC_KEY)
    monkeypatch.setenv("VONAGE_SIGNATURE_SECRET", SECRET)


@pytest.mark.parametrize(
    ("url", "nonce", "form", "signature"),
    [
        (
            "https://a.com/telephone/incoming?provider=plivo",
            "n1",
            {},
            "cknc0iqSJHR4dQcY242MJvQiBa7mkrFPxqwMfY2GR6I=",
        ),
        ("https://a.com/in", "n1", {}, "QvumvWAGA0kK/lmuCiCk/FWkvFRt/mmLluwk/jmw7yY="),
        (
            "https://a.com/telephone/incoming?provider=plivo",
            "n1",
            {"CallUUID": "u-1", "To": "+1 800", "From": "é"},
            "hpy3fJHGKEBQyHuSh/pVMDhCxf0nX/sz7Zwuka6ynac=",
        ),
        (
            "https://a.com:8443/in",
            "5",
            {"CallUUID": "u-1", "B": ""},
            "ZSddVYLeXbxxvtrf2fsCJFThetvkSpsSvb8f284IB8o=",
        ),
        (
            "https://a.com/in?z=1&a=x%20y&a=b",
            "5",
            {"CallUUID": "u-1"},
            "Lcd5/2nguN5lGAFHyYtKMsUGI2IJUO9tLoknvV1KJp4=",
        ),
        ("https://a.com/in?z=1", "5", {}, "8vOmzcBsn9VQLMHg7U7PSO6MFF09sqqy54mXULUb4M0="),
    ],
)
def test_plivos_signatures(url: str, nonce: str, form: dict[str, str], signature: str) -> None:
    assert plivo_signature(TOKEN, url, nonce, form.items()) == signature
    assert plivo_signed(f"other, {signature}", TOKEN, url, nonce, form.items())
    assert not plivo_signed(signature, TOKEN, url, nonce + "6", form.items())
    assert not plivo_signed(signature, TOKEN + "6", url, nonce, form.items())
    assert not plivo_signed(signature, TOKEN, url, nonce, [*form.items(), ("To", "other")])
    assert not plivo_signed("", TOKEN, url, nonce, form.items())


def telnyx_is_signed(late_s: float = 0.0, **changed: Any) -> bool:
    given = {
        "signature": TELNYX_SIGNATURE,
        "public_key": PUBLIC_KEY,
        "timestamp": str(SIGNED_AT_S),
        "body": TELNYX_BODY,
    }
    return telnyx_signed(**{**given, **changed}, now_s=SIGNED_AT_S + late_s)


def test_telnyx_signatures() -> None:
    assert telnyx_is_signed()
    assert telnyx_is_signed(REPLAY_WINDOW_S - 1)
    for late_s in (REPLAY_WINDOW_S + 1, -REPLAY_WINDOW_S - 1):
        assert not telnyx_is_signed(late_s)
    assert not telnyx_is_signed(body=TELNYX_BODY + b"&Digits=1")
    assert not telnyx_is_signed(timestamp=str(SIGNED_AT_S + 1))
    other = Ed25519PrivateKey.from_private_bytes(bytes(32)).public_key().public_bytes_raw()
    assert not telnyx_is_signed(public_key=base64.b64encode(other).decode())
    for key in ("", "AAAA", "no key"):
        with pytest.raises(ValueError, match="is no public key of Telnyx"):
            telnyx_is_signed(public_key=key)


def vonage_token(
    body: bytes = b"", *, late_s: float = 0.0, secret: str = SECRET, algorithm: str = "HS256"
) -> str:
    claims = {
        "iat": round(time.time() - late_s),
        "jti": "c5ba8f24-1a14-4c10-bfdf-3fbe8ce511b5",
        "iss": "Vonage",
        "payload_hash": hashlib.sha256(body).hexdigest(),
        "api_key": "a1b2c3d",
    }
    return f"Bearer {jwt.encode(claims, secret, algorithm=algorithm)}"


def test_vonages_tokens() -> None:
    body, now_s = b'{"from":"1800","uuid":"u-1"}', time.time()

    def is_signed(token: str, body: bytes = body) -> bool:
        return vonage_signed(token, SECRET, body, now_s)

    assert is_signed(vonage_token(body))
    assert is_signed(vonage_token(body).replace("Bearer", "bearer"))
    assert is_signed(vonage_token(b'{"a":"b"}'), b"")
    assert is_signed(vonage_token(body, late_s=REPLAY_WINDOW_S - 5))
    for late_s in (REPLAY_WINDOW_S + 5, -REPLAY_WINDOW_S - 5):
        assert not is_signed(vonage_token(body, late_s=late_s))
    assert not is_signed(vonage_token(body), body + b" ")
    assert not is_signed(vonage_token(body, secret=SECRET + "!"))
    assert not is_signed(vonage_token(body, algorithm="HS384"))
    assert not is_signed(vonage_token(body).removeprefix("Bearer "))
    unsigned = jwt.encode({"iat": round(now_s)}, "", algorithm="none")
    assert not is_signed(f"Bearer {unsigned}")
    assert not is_signed("Bearer " + jwt.encode({"iss": "Vonage"}, SECRET, algorithm="HS256"))
    of_no_body = "Bearer " + jwt.encode({"iat": round(now_s)}, SECRET, algorithm="HS256")
    assert is_signed(of_no_body, b"")
    assert not is_signed(of_no_body)


TEXTS = st.text(st.characters(exclude_categories=()))


@given(TEXTS, TEXTS, st.binary())
@example("\ud800", "\ud800", b"\xff")
def test_nothing_else_is_signed(text: str, other: str, body: bytes) -> None:
    assert not plivo_signed(text, TOKEN, "https://a.com/", other)
    assert not telnyx_signed(text, PUBLIC_KEY, other, body, 0)
    assert not telnyx_signed(text, PUBLIC_KEY, "0", body, 0)
    for header in (text, f"Bearer {text}", f"Bearer {text}.{other}.{text}"):
        assert not vonage_signed(header, SECRET, body, 0)


def signed(provider: str, url: str, form: dict[str, str]) -> dict[str, str]:
    """The headers with which a provider calls a URL with this form."""
    body = httpx.Request("POST", url, data=form).read()
    if provider == "plivo":
        signature = plivo_signature(TOKEN, url, "n1", form.items())
        return {"X-Plivo-Signature-V3": signature, "X-Plivo-Signature-V3-Nonce": "n1"}
    if provider == "vonage":
        return {"Authorization": vonage_token(body)}
    now = str(round(time.time()))
    signature = base64.b64encode(TELNYX.sign(f"{now}|".encode() + body)).decode()
    return {"telnyx-signature-ed25519": signature, "telnyx-timestamp": now}


PHONES: dict[str, type[Phone]] = {"plivo": Plivo, "telnyx": Telnyx, "vonage": Vonage}
FORM = {"CallUUID": "u-1", "From": "+1 800"}


@pytest.fixture(scope="module")
def door() -> Iterator[tuple[Stream, str]]:
    stream = Stream(AsyncEcho(), modality="audio", concurrency_limit=None)
    app = FastAPI()
    stream.mount(app)

    @app.post("/form")
    async def form(request: Request) -> Response:
        await request.form()
        return await stream.handle_incoming_call(request)

    with served(app=app) as host:
        yield stream, host


@pytest.mark.parametrize("provider", PHONES)
def test_a_signed_webhook_leads_to_a_session(provider: str, door: tuple[Stream, str]) -> None:
    stream, host = door
    url = f"http://{host}/telephone/incoming?provider={provider}"
    headers = signed(provider, url, FORM)
    answer = httpx.post(url, data=FORM, headers=headers)
    found = re.search(r"ticket=([^\"&<]+)", answer.text)
    assert found is not None, answer.text
    assert call(stream, PHONES[provider](f"ws://{host}{DOOR}?ticket={found[1]}"))
    assert not call(stream, PHONES[provider](f"ws://{host}{DOOR}"))


@pytest.mark.parametrize("provider", PHONES)
def test_what_is_not_signed_is_refused_and_told_why(
    provider: str, door: tuple[Stream, str]
) -> None:
    _, host = door
    url = f"http://{host}/telephone/incoming?provider={provider}"
    for headers in ({}, {SIGNERS[provider].header: "AAAA"}):
        refused = httpx.post(url, data=FORM, headers=headers)
        assert refused.status_code == 403
        assert SIGNERS[provider].header in refused.json()["detail"]
    headers = signed(provider, url, FORM)
    assert httpx.post(url, data={**FORM, "From": "other"}, headers=headers).status_code == 403
    for other in {*PHONES, "twilio", "exotel"} - {provider}:
        elsewhere = url.replace(provider, other)
        assert httpx.post(elsewhere, data=FORM, headers=headers).status_code == 403


def test_a_route_may_have_read_the_form_where_the_form_is_what_is_signed(
    door: tuple[Stream, str],
) -> None:
    _, host = door
    for provider, expected in (("plivo", 200), ("telnyx", 403)):
        url = f"http://{host}/form?provider={provider}"
        answer = httpx.post(url, data=FORM, headers=signed(provider, url, FORM))
        assert answer.status_code == expected
    assert "await request.body()" in answer.json()["detail"]


def test_a_key_that_is_none_lets_nobody_in(
    door: tuple[Stream, str], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("TELNYX_PUBLIC_KEY", "not a key")
    url = f"http://{door[1]}/telephone/incoming?provider=telnyx"
    answer = httpx.post(url, data=FORM, headers=signed("telnyx", url, FORM))
    assert answer.status_code == 503
    assert "not a key" not in answer.text
    assert "is no public key of Telnyx" in caplog.text


def test_a_public_key_alone_closes_the_door_to_strangers(
    door: tuple[Stream, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It signs no tickets, being public: this process' own secret does."""
    for name in ("PLIVO_AUTH_TOKEN", "VONAGE_SIGNATURE_SECRET"):
        monkeypatch.delenv(name)
    stream, host = door
    assert not call(stream, Telnyx(f"ws://{host}{DOOR}"))
    test_a_signed_webhook_leads_to_a_session("telnyx", door)
