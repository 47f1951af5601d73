"""The webhook of a call: answers, addresses behind proxies, Twilio's signature. Over real HTTP."""

from __future__ import annotations

import json
from typing import Annotated, Any
from xml.etree import ElementTree as ET

import httpx
import pytest
from fastapi import FastAPI, Form, Request, Response
from twilio.request_validator import RequestValidator
from twilio.twiml.voice_response import Connect, VoiceResponse

from fastrtc import Stream
from fastrtc.telephony.addresses import public_address
from fastrtc.telephony.answers import ANSWERS, answer_call
from fastrtc.telephony.signature import twilio_signature, twilio_signed
from recorders import AsyncEcho
from sockets import served

URL = "wss://example.com/voice/telephone/handler"
TOKEN = "12345"


@pytest.fixture(autouse=True)
def no_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TWILIO_AUTH_TOKEN", "FASTRTC_PHONE_KEY"):
        monkeypatch.delenv(name, raising=False)


def stream(**options: Any) -> Stream:
    return Stream(AsyncEcho(), modality="audio", **options)


def test_the_twiml_is_what_twilios_own_package_writes() -> None:
    theirs = VoiceResponse()
    theirs.say("Connecting to the AI assistant.")
    connect = Connect()
    connect.stream(url=URL).parameter(name="ticket", value="a<b")
    theirs.append(connect)
    theirs.say("The call has been disconnected.")
    body, media_type = answer_call("twilio", URL, "a<b")
    assert ET.canonicalize(body) == ET.canonicalize(str(theirs))
    assert media_type == "application/xml"


def test_the_other_providers_answers() -> None:
    telnyx = ET.fromstring(answer_call("telnyx", URL)[0]).find("Connect/Stream")
    assert telnyx is not None
    assert telnyx.attrib == {
        "url": URL,
        "codec": "PCMU",
        "bidirectionalMode": "rtp",
        "bidirectionalCodec": "PCMU",
    }
    plivo = ET.fromstring(answer_call("Plivo", URL)[0]).find("Stream")
    assert plivo is not None
    assert plivo.text == URL
    assert plivo.attrib["bidirectional"] == plivo.attrib["keepCallAlive"] == "true"
    vonage = json.loads(answer_call("vonage", URL)[0])
    assert vonage[0]["endpoint"][0]["uri"] == URL
    assert json.loads(answer_call("exotel", URL)[0]) == {"url": URL}
    for provider in ["telnyx", "plivo", "vonage", "exotel"]:
        assert f"{URL}?ticket=1.a-_" in answer_call(provider, URL, "1.a-_")[0]
    with pytest.raises(ValueError, match="allowed: twilio, telnyx, plivo, vonage, exotel"):
        answer_call("acme", URL)


def forwarded(**headers: str) -> dict[str, str]:
    return {f"x-forwarded-{name}": value for name, value in headers.items()}


@pytest.mark.parametrize(
    ("host", "headers", "expected"),
    [
        ("127.0.0.1:8000", {}, "http://127.0.0.1:8000/x"),
        ("[::1]:8000", {}, "http://[::1]:8000/x"),
        ("a.com", {}, "https://a.com/x"),
        ("a.com", forwarded(proto="http"), "http://a.com/x"),
        ("127.0.0.1", forwarded(proto="https, http", host="b.org:81, c"), "https://b.org:81/x"),
        ("b.org", forwarded(proto="https", port="8443"), "https://b.org:8443/x"),
        ("b.org:81", forwarded(proto="https", port="8443"), "https://b.org:81/x"),
        ("b.org", forwarded(proto="https", port="443"), "https://b.org/x"),
        ("b.org", forwarded(proto="https", port="80"), "https://b.org/x"),
        ("b.org", forwarded(proto="http", port="443"), "http://b.org/x"),
        ("b.org", forwarded(prefix="/pre/"), "https://b.org/pre/x"),
    ],
)
def test_the_address_that_the_outside_knows(
    host: str, headers: dict[str, str], expected: str
) -> None:
    address = public_address(
        scheme="http", path="/x", root_path="", headers={"host": host, **headers}
    )
    assert address.http() == expected


@pytest.mark.parametrize(
    ("path", "expected"), [("/x", "/api/x"), ("/api/x", "/api/x"), ("/apis/x", "/api/apis/x")]
)
def test_a_prefix_is_there_once(path: str, expected: str) -> None:
    headers = {"host": "a.com", "x-forwarded-prefix": "/api"}
    address = public_address(scheme="https", path=path, root_path="/api", headers=headers)
    assert address.path == expected


def test_signatures_are_those_of_twilios_own_package() -> None:
    url, form = "https://a.com/in?x=1", {"CallSid": "CA1", "To": "+1 800", "Digits": "é"}
    theirs = RequestValidator(TOKEN).compute_signature(url, form)
    assert twilio_signature(TOKEN, url, form.items()) == theirs
    assert twilio_signed(theirs, TOKEN, "https://a.com:443/in?x=1", form.items())
    assert not twilio_signed(theirs, TOKEN, "https://b.com/in?x=1", form.items())
    assert not twilio_signed(theirs, TOKEN, url, [*form.items(), ("More", "1")])
    assert not twilio_signed("", TOKEN, url, form.items())
    assert not twilio_signed("é", TOKEN, url, form.items())
    with_port = RequestValidator(TOKEN).compute_signature("https://a.com:443/in", {})
    assert twilio_signed(with_port, TOKEN, "https://a.com/in")


def stream_url(body: str) -> str:
    found = ET.fromstring(body).find("Connect/Stream")
    assert found is not None
    return found.attrib["url"]


def test_the_call_is_sent_back_the_way_it_came() -> None:
    """Pitfall 35."""
    app = FastAPI()
    voice = stream()
    voice.mount(app, "/voice")
    app.post("/my/own")(voice.handle_incoming_call)
    with served(app=app) as host:
        local = httpx.post(f"http://{host}/voice/telephone/incoming", data={"CallSid": "CA1"})
        assert local.headers["content-type"] == "application/xml"
        assert stream_url(local.text) == f"ws://{host}/voice/telephone/handler"
        proxy = {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "a.com:8443"}
        far = httpx.post(f"http://{host}/voice/telephone/incoming?provider=Twilio", headers=proxy)
        assert stream_url(far.text) == "wss://a.com:8443/voice/telephone/handler"
        own = httpx.post(f"http://{host}/my/own", headers=proxy)
        assert stream_url(own.text) == "wss://a.com:8443/voice/telephone/handler"
        assert httpx.post(f"http://{host}/my/own?provider=acme").status_code == 400
        for provider in ANSWERS:
            answer = httpx.post(f"http://{host}/my/own?provider={provider}", headers=proxy)
            assert "wss://a.com:8443/voice/telephone/handler" in answer.text


def test_providers_that_ask_by_get() -> None:
    """Exotel does, and Vonage unless it is told otherwise."""
    with served(stream()) as host:
        answer = httpx.get(f"http://{host}/telephone/incoming?provider=exotel&CallSid=1")
        assert answer.json() == {"url": f"ws://{host}/telephone/handler"}
        paths = httpx.get(f"http://{host}/openapi.json").json()["paths"]
        assert list(paths["/telephone/incoming"]) == ["post"]


def test_a_server_with_a_root_path() -> None:
    app = FastAPI()
    voice = stream()
    app.post("/own")(voice.handle_incoming_call)
    with served(voice, app=app, root_path="/api") as host:
        for path in ["/telephone/incoming", "/own"]:
            answer = httpx.post(f"http://{host}{path}", headers={"Host": "a.com"})
            assert stream_url(answer.text) == "wss://a.com/api/telephone/handler"


def test_a_route_of_ones_own_behind_a_prefix() -> None:
    outer, inner = FastAPI(), FastAPI()
    voice = stream()
    voice.mount(inner, "/voice")
    inner.post("/own")(voice.handle_incoming_call)
    outer.mount("/sub", inner)
    headers = {"Host": "a.com", "X-Forwarded-Prefix": "/pre"}
    with served(app=outer) as host:
        for path in ["/sub/own", "/sub/voice/telephone/incoming"]:
            answer = httpx.post(f"http://{host}{path}", headers=headers)
            assert stream_url(answer.text) == "wss://a.com/pre/sub/voice/telephone/handler"


def test_only_what_twilio_signed_is_answered(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("TWILIO_AUTH_TOKEN", TOKEN)
    form = {"CallSid": "CA1", "From": "+15551234567", "Empty": ""}
    url = "https://a.com/telephone/incoming?x=1"
    signature = RequestValidator(TOKEN).compute_signature(url, form)
    proxy = {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "a.com"}
    with served(stream()) as host:

        def call(signature: str, form: dict[str, str]) -> httpx.Response:
            headers = {**proxy, "X-Twilio-Signature": signature}
            return httpx.post(f"http://{host}/telephone/incoming?x=1", data=form, headers=headers)

        assert call(signature, form).status_code == 200
        assert call(signature, {**form, "From": "+1555"}).status_code == 403
        refused = call("bm90IGl0", form)
        assert refused.status_code == 403
        assert url in refused.json()["detail"]
        assert call(signature, {"Body": "x" * 70_000}).status_code == 413
    assert "no valid X-Twilio-Signature" in caplog.text


@pytest.mark.parametrize(
    ("port", "outside"), [("8000", "b.org"), ("80", "b.org"), ("8443", "b.org:8443")]
)
def test_the_signature_tells_whose_port_a_proxy_names(
    monkeypatch: pytest.MonkeyPatch, port: str, outside: str
) -> None:
    monkeypatch.setenv("TWILIO_AUTH_TOKEN", TOKEN)
    signature = RequestValidator(TOKEN).compute_signature(
        f"https://{outside}/telephone/incoming", {}
    )
    proxy = {"Host": "b.org", "X-Forwarded-Proto": "https", "X-Forwarded-Port": port}
    with served(stream()) as host:
        url = f"http://{host}/telephone/incoming"
        answer = httpx.post(url, headers={**proxy, "X-Twilio-Signature": signature})
    assert stream_url(answer.text) == f"wss://{outside}/telephone/handler"


def test_a_path_is_signed_and_answered_as_it_is_spelt_in_a_url(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TWILIO_AUTH_TOKEN", TOKEN)
    app = FastAPI()
    voice = stream()
    voice.mount(app, "/café x")
    app.post("/ruf/an/ä")(voice.handle_incoming_call)
    with served(app=app) as host:
        for path in ["/caf%C3%A9%20x/telephone/incoming", "/ruf/an/%C3%A4"]:
            url = f"http://{host}{path}"
            signature = RequestValidator(TOKEN).compute_signature(url, {})
            answer = httpx.post(url, headers={"X-Twilio-Signature": signature})
            assert stream_url(answer.text) == f"ws://{host}/caf%C3%A9%20x/telephone/handler"


def test_the_form_may_be_read_before_and_after(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TWILIO_AUTH_TOKEN", TOKEN)
    app = FastAPI()
    voice = stream()

    @app.post("/before")
    async def before(request: Request) -> Response:
        assert (await request.form())["From"] == "+1555"
        return await voice.handle_incoming_call(request)

    @app.post("/declared")
    async def declared(request: Request, From: Annotated[str, Form()]) -> Response:  # noqa: N803
        assert From == "+1555"
        return await voice.handle_incoming_call(request)

    @app.post("/after")
    async def after(request: Request) -> Response:
        answer = await voice.handle_incoming_call(request)
        assert (await request.form())["From"] == "+1555"
        return answer

    form = {"From": "+1555", "Empty": "", "To": "+1 é"}
    with served(voice, app=app) as host:
        for path in ["/before", "/declared", "/after"]:
            url = f"http://{host}{path}"
            headers = {"X-Twilio-Signature": RequestValidator(TOKEN).compute_signature(url, form)}
            assert httpx.post(url, data=form, headers=headers).status_code == 200
            assert httpx.post(url, data={**form, "To": ""}, headers=headers).status_code == 403


def test_authorize_holds_for_the_webhook_too() -> None:
    with served(stream(authorize=lambda request: request.headers.get("x-key") == "1")) as host:
        assert httpx.post(f"http://{host}/telephone/incoming").status_code == 403
        allowed = httpx.post(f"http://{host}/telephone/incoming", headers={"x-key": "1"})
        assert allowed.status_code == 200
