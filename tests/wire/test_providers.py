"""Telephone providers by the messages of their documentation (addresses in each wire module)."""

from __future__ import annotations

import base64
import contextlib
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastrtc.audio.codecs import AudioFormat
from fastrtc.wire.events import Dtmf, Played, Protest, Sound, Started, Stopped, Wire, WireError
from fastrtc.wire.providers import PROVIDERS, detect, wire_of

PAYLOAD = base64.b64encode(b"\xff\x7f").decode()

TWILIO = [
    {"event": "connected", "protocol": "Call", "version": "1.0.0"},
    {
        "event": "start",
        "sequenceNumber": "1",
        "start": {
            "accountSid": "AC1",
            "streamSid": "MZ1",
            "callSid": "CA1",
            "tracks": ["inbound"],
            "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
            "customParameters": {"FirstName": "Jane"},
        },
        "streamSid": "MZ1",
    },
    {
        "event": "media",
        "sequenceNumber": "3",
        "media": {"track": "inbound", "chunk": "1", "timestamp": "5", "payload": PAYLOAD},
        "streamSid": "MZ1",
    },
    {
        "event": "dtmf",
        "streamSid": "MZ1",
        "sequenceNumber": "5",
        "dtmf": {"track": "inbound_track", "digit": "1"},
    },
    {"event": "mark", "sequenceNumber": "4", "streamSid": "MZ1", "mark": {"name": "m"}},
    {
        "event": "stop",
        "sequenceNumber": "5",
        "stop": {"accountSid": "AC1", "callSid": "CA1"},
        "streamSid": "MZ1",
    },
]
TELNYX = [
    {"event": "connected", "version": "1.0.0"},
    {
        "event": "start",
        "sequence_number": "1",
        "stream_id": "32DE",
        "start": {
            "user_id": "3E6F",
            "call_control_id": "v2:T02",
            "media_format": {"encoding": "PCMU", "sample_rate": 8000, "channels": 1},
        },
    },
    {
        "event": "media",
        "sequence_number": "4",
        "media": {"track": "inbound", "chunk": "2", "timestamp": "5", "payload": PAYLOAD},
        "stream_id": "32DE",
    },
    {"event": "dtmf", "stream_id": "32DE", "sequence_number": "5", "dtmf": {"digit": "1"}},
    {"event": "mark", "stream_id": "32DE", "sequence_number": "6", "mark": {"name": "m"}},
    {"event": "stop", "stream_id": "32DE", "sequence_number": "7", "stop": {"user_id": "3E6F"}},
]
PLIVO = [
    {
        "event": "start",
        "sequenceNumber": 1,
        "start": {
            "callId": "1234",
            "streamId": "8765",
            "accountId": "MA",
            "tracks": ["inbound"],
            "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000},
        },
        "extra_headers": "userId=12345",
    },
    {
        "event": "media",
        "sequenceNumber": 2,
        "streamId": "8765",
        "media": {"track": "inbound", "timestamp": "1", "chunk": 1, "payload": PAYLOAD},
    },
    {
        "event": "dtmf",
        "sequenceNumber": 3,
        "streamId": "8765",
        "dtmf": {"track": "inbound", "digit": "1", "timestamp": "2"},
    },
    {"event": "playedStream", "sequenceNumber": 4, "streamId": "8765", "name": "m"},
    {"event": "clearedAudio", "sequenceNumber": 5, "streamId": "8765"},
    {"event": "stop", "streamId": "8765"},
]
VONAGE: list[Any] = [
    {"event": "websocket:connected", "content-type": "audio/l16;rate=16000", "uuid": "u-1"},
    b"\xff\x7f",
    {"event": "websocket:dtmf", "digit": "1", "duration": 260},
    {"event": "websocket:notify", "payload": {"name": "m"}},
    {"event": "websocket:cleared"},
]
EXOTEL = [
    {"event": "connected"},
    {
        "event": "start",
        "sequence_number": "1",
        "stream_sid": "MZ9",
        "start": {
            "stream_sid": "MZ9",
            "call_sid": "CA9",
            "from": "+919876543210",
            "custom_parameters": {"key1": "value1"},
            "media_format": {"encoding": "audio/x-raw", "sample_rate": "8000", "bit_rate": "16"},
        },
    },
    {
        "event": "media",
        "sequence_number": "3",
        "stream_sid": "MZ9",
        "media": {"chunk": "2", "timestamp": "200", "payload": PAYLOAD},
    },
    {"event": "dtmf", "stream_sid": "MZ9", "dtmf": {"digit": "1", "duration": "100"}},
    {"event": "mark", "sequence_number": "15", "stream_sid": "MZ9", "mark": {"name": "m"}},
    {"event": "stop", "sequence_number": "20", "stream_sid": "MZ9", "stop": {"reason": "hangup"}},
]
CALLS: dict[str, tuple[list[Any], str, AudioFormat]] = {
    "twilio": (TWILIO, "MZ1", AudioFormat("mulaw", 8000)),
    "telnyx": (TELNYX, "32DE", AudioFormat("mulaw", 8000)),
    "plivo": (PLIVO, "8765", AudioFormat("mulaw", 8000)),
    "vonage": (VONAGE, "u-1", AudioFormat("pcm16", 16_000)),
    "exotel": (EXOTEL, "MZ9", AudioFormat("pcm16", 8000)),
}


def text(message: Any) -> Any:
    return message if isinstance(message, bytes) else json.dumps(message)


def started(provider: str) -> Wire:
    wire = wire_of(provider)
    for message in CALLS[provider][0]:
        if isinstance(wire.parse(text(message)), Started):
            break
    return wire


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_documented_call_is_understood(provider: str) -> None:
    messages, id_, form = CALLS[provider]
    wire = wire_of(provider)
    events = [event for message in messages if (event := wire.parse(text(message))) is not None]
    assert (wire.heard, wire.said) == (form, form)
    assert wire.kind == "phone"
    ends = [] if provider == "vonage" else [Stopped()]
    assert events == [Started(id_), Sound(b"\xff\x7f"), Dtmf("1"), Played("m"), *ends]


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_provider_is_known_by_its_first_messages(provider: str) -> None:
    for message in CALLS[provider][0]:
        wire = detect(text(message))
        if wire is not None:
            break
        assert message["event"] == "connected"
    assert wire is not None
    assert wire.name == provider


def test_what_we_send_is_as_documented() -> None:
    twilio = started("twilio")
    assert json.loads(twilio.sound(b"\xff\x7f")) == {
        "event": "media",
        "streamSid": "MZ1",
        "media": {"payload": PAYLOAD},
    }
    assert json.loads(twilio.clear() or "") == {"event": "clear", "streamSid": "MZ1"}
    assert json.loads(twilio.mark("m") or "") == {
        "event": "mark",
        "streamSid": "MZ1",
        "mark": {"name": "m"},
    }
    telnyx = started("telnyx")
    assert json.loads(telnyx.sound(b"\xff\x7f")) == {
        "event": "media",
        "media": {"payload": PAYLOAD},
    }
    assert json.loads(telnyx.clear() or "") == {"event": "clear"}
    assert json.loads(telnyx.mark("m") or "") == {"event": "mark", "mark": {"name": "m"}}
    plivo = started("plivo")
    assert json.loads(plivo.sound(b"\xff\x7f")) == {
        "event": "playAudio",
        "media": {"contentType": "audio/x-mulaw", "sampleRate": 8000, "payload": PAYLOAD},
    }
    assert json.loads(plivo.clear() or "") == {"event": "clearAudio", "streamId": "8765"}
    assert json.loads(plivo.mark("m") or "") == {
        "event": "checkpoint",
        "streamId": "8765",
        "name": "m",
    }
    vonage = started("vonage")
    assert vonage.sound(b"\xff\x7f") == b"\xff\x7f"
    assert json.loads(vonage.clear() or "") == {"action": "clear"}
    assert json.loads(vonage.mark("m") or "") == {"action": "notify", "payload": {"name": "m"}}
    exotel = started("exotel")
    assert json.loads(exotel.sound(b"\xff\x7f")) == {
        "event": "media",
        "stream_sid": "MZ9",
        "media": {"payload": PAYLOAD},
    }
    assert json.loads(exotel.clear() or "") == {"event": "clear", "stream_sid": "MZ9"}
    assert (exotel.frame_s * 8000 * 2, exotel.whole_frames) == (3200, True)
    for provider in PROVIDERS:
        assert started(provider).ping() is None
        assert started(provider).pong() is None


def test_our_own_voice_and_what_comes_late_are_not_heard() -> None:
    for provider, messages in [("twilio", TWILIO), ("telnyx", TELNYX), ("plivo", PLIVO)]:
        wire = started(provider)
        media: Any = next(message for message in messages if message["event"] == "media")
        outbound = {**media, "media": {**media["media"], "track": "outbound"}}
        assert wire.parse(json.dumps(outbound)) is None
    telnyx = started("telnyx")
    order = [
        telnyx.parse(json.dumps({**TELNYX[2], "media": {"chunk": chunk, "payload": PAYLOAD}}))
        for chunk in ["5", "4", "6", "6"]
    ]
    assert [event is not None for event in order] == [True, False, True, False]


def test_both_forms_of_vonages_digits() -> None:
    older = '{"event": "websocket:dtmf", "dtmf": {"digit": "#"}}'
    assert wire_of("vonage").parse(older) == Dtmf("#")


def test_vonage_without_an_id_gets_one() -> None:
    first, second = (
        wire_of("vonage").parse(
            '{"event":"websocket:connected","content-type":"audio/l16;rate=8000"}'
        )
        for _ in range(2)
    )
    assert isinstance(first, Started)
    assert first != second


def start_of(media_format: dict[str, Any]) -> dict[str, Any]:
    return {"event": "start", "stream_id": "1", "start": {"media_format": media_format}}


@pytest.mark.parametrize(
    ("provider", "message", "told"),
    [
        ("telnyx", start_of({"encoding": "L16", "sample_rate": 16000}), "PCMU or PCMA"),
        (
            "plivo",
            {"event": "start", "start": {"mediaFormat": {"encoding": "x", "sampleRate": 1}}},
            "contentType",
        ),
        ("vonage", {"event": "websocket:connected", "content-type": "audio/opus"}, "content-type"),
        ("vonage", b"\x00\x00", "before websocket:connected"),
        ("exotel", start_of({"sample_rate": "44100"}), "sample-rate"),
        ("twilio", {"event": "start"}, "'streamSid' is missing"),
        ("twilio", {"event": "media"}, "'media' is missing"),
        ("twilio", {"event": "dtmf", "dtmf": {}}, "'dtmf.digit' is missing"),
        ("twilio", b"\x00", "sends JSON text"),
    ],
)
def test_what_we_cannot_serve_is_told(provider: str, message: Any, told: str) -> None:
    with pytest.raises(WireError, match=told):
        wire_of(provider).parse(text(message))


def test_what_telnyx_reports_is_no_mistake_of_its_own() -> None:
    protest = started("telnyx").parse('{"event": "error", "payload": {"code": 100003}}')
    assert protest == Protest('Telnyx reports {"code": 100003}')


def test_an_unknown_provider_is_told() -> None:
    with pytest.raises(ValueError, match="allowed: twilio, telnyx"):
        wire_of("acme")
    with pytest.raises(WireError, match="begins no stream"):
        detect('{"event": "hello"}')


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(st.sampled_from(["payload", "name", "digit", "chunk"]), inner, max_size=3)
    ),
    max_leaves=6,
)
KEYS = ["start", "media", "dtmf", "mark", "payload", "streamSid", "stream_id", "stream_sid"]


@settings(deadline=None)
@given(
    provider=st.sampled_from(list(PROVIDERS)),
    message=st.one_of(
        st.text(),
        st.binary(),
        JSON.map(json.dumps),
        st.fixed_dictionaries(
            {"event": st.sampled_from(["start", "media", "dtmf", "mark", "websocket:connected"])},
            optional=dict.fromkeys(KEYS, JSON),
        ).map(json.dumps),
    ),
)
def test_whatever_comes_is_an_event_or_a_wire_error(provider: str, message: Any) -> None:
    for parse in (wire_of(provider).parse, started(provider).parse, detect):
        with contextlib.suppress(WireError):
            parse(message)
