"""The page's protocol: what is understood, and what it is told about mistakes."""

from __future__ import annotations

import base64
import contextlib
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastrtc.audio.codecs import AudioFormat
from fastrtc.wire.browser import BrowserWire
from fastrtc.wire.events import Ping, Played, Pong, Sound, Started, Stopped, Text, WireError

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def started(**keys: Any) -> BrowserWire:
    wire = BrowserWire(48_000, 24_000)
    assert wire.parse(json.dumps({"event": "start", "websocket_id": "me", **keys})) == Started("me")
    return wire


def test_the_form_of_the_original_is_mulaw_at_the_handlers_rates() -> None:
    wire = started()
    assert (wire.heard, wire.said) == (AudioFormat("mulaw", 48_000), AudioFormat("mulaw", 24_000))
    payload = base64.b64encode(b"\xff\x00").decode()
    media = json.dumps({"event": "media", "media": {"payload": payload}})
    assert wire.parse(media) == Sound(b"\xff\x00")
    assert json.loads(wire.sound(b"\xff\x00")) == json.loads(media)
    assert wire.parse(b"\x01") == Sound(b"\x01")
    assert wire.mark("x") is None
    # Android's Base64.DEFAULT and Python's encodebytes break lines.
    broken = base64.encodebytes(bytes(160)).decode()
    assert broken.count("\n") > 1
    media = json.dumps({"event": "media", "media": {"payload": broken}})
    assert wire.parse(media) == Sound(bytes(160))


@pytest.mark.parametrize("encoding", ["mulaw", "pcm16", "opus"])
def test_a_named_format_is_binary(encoding: Any) -> None:
    wire = started(format=encoding, sample_rate=16_000, marks=True)
    assert wire.heard == wire.said == AudioFormat(encoding, 16_000)
    assert wire.sound(b"\x01\x02") == b"\x01\x02"
    assert wire.whole_frames == (encoding == "opus")
    assert json.loads(wire.mark("x") or "") == {"event": "mark", "mark": {"name": "x"}}


def test_the_other_events() -> None:
    wire = started()
    assert wire.parse('{"event": "ping"}') == Ping()
    assert wire.parse('{"event": "pong"}') == Pong()
    assert wire.parse('{"event": "stop"}') == Stopped()
    assert wire.parse('{"event": "mark", "mark": {"name": "a"}}') == Played("a")
    for own in ["hello", "[1]", '{"event": "button"}', '{"type": "x"}', "{", ""]:
        assert wire.parse(own) == Text(own)


@pytest.mark.parametrize(
    ("message", "told"),
    [
        ('{"event": "start"}', "'websocket_id' is missing"),
        ('{"event": "start", "websocket_id": ["a"]}', "is a list; it has to be text"),
        ('{"event": "start", "websocket_id": ""}', "allowed: 1 to 256"),
        ('{"event": "start", "websocket_id": "\\ud800"}', "cannot be printed"),
        ('{"event": "start", "websocket_id": "a", "format": "mp3"}', "allowed: 'mulaw', 'pcm16'"),
        ('{"event": "start", "websocket_id": "a", "sample_rate": 96000}', "8000 to 48000"),
        ('{"event": "start", "websocket_id": "a", "sample_rate": "8000"}', "8000 to 48000"),
        ('{"event": "start", "websocket_id": "a", "sample_rate": 8001}', "multiples of 50"),
        ('{"event": "media", "media": {"payload": "AAAA"}}', "media before"),
        ('{"event": "media"}', "'media' is missing"),
        ('{"event": "media", "media": {}}', "'media.payload' is missing"),
        ('{"event": "media", "media": 3}', "'media' is a int; it has to be an object"),
        ('{"event": "media", "media": {"payload": "%"}}', "not base64"),
        ("hello", "the first message has to be"),
        (b"\x00", "media before"),
    ],
)
def test_mistakes_are_told(message: str | bytes, told: str) -> None:
    with pytest.raises(WireError, match=told):
        BrowserWire(48_000, 24_000).parse(message)


def test_a_second_start_is_one_too_many() -> None:
    with pytest.raises(WireError, match="second start"):
        started().parse('{"event": "start", "websocket_id": "you"}')


@settings(deadline=None)
@given(
    message=st.one_of(
        st.text(),
        st.binary(),
        JSON.map(json.dumps),
        st.fixed_dictionaries(
            {"event": st.sampled_from(["start", "media", "mark", "ping", "stop"])},
            optional={"websocket_id": JSON, "media": JSON, "mark": JSON, "format": JSON},
        ).map(json.dumps),
    ),
    is_started=st.booleans(),
)
def test_whatever_comes_is_an_event_or_a_wire_error(message: Any, is_started: bool) -> None:
    wire = started() if is_started else BrowserWire(8000, 8000)
    with contextlib.suppress(WireError):
        wire.parse(message)
