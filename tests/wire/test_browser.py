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
from fastrtc.types import Modality
from fastrtc.wire.browser import BrowserWire
from fastrtc.wire.events import (
    Image,
    Ping,
    Played,
    Pong,
    Sound,
    Started,
    Stopped,
    Text,
    WireError,
)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


JPEG_HEAD = bytes.fromhex("ffd8 ffc0 000b 08 0030 0040 01 01 11 00")
"""Of a picture of 64x48."""


def started(modality: Modality = "audio", **keys: Any) -> BrowserWire:
    wire = BrowserWire(48_000, 24_000, modality)
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


def test_where_there_is_only_video_binary_messages_are_pictures() -> None:
    wire = started("video")
    assert wire.parse(JPEG_HEAD) == Image(JPEG_HEAD, "jpeg")
    assert wire.picture(b"file") == b"file"
    assert wire.picture_format == "jpeg"
    assert wire.max_message_bytes > started().max_message_bytes
    for message in (b"", b"\xff\x7f", '{"event": "media", "media": {"payload": "AAAA"}}'):
        with pytest.raises(WireError, match=r"a picture is a JPEG|modality 'video'"):
            wire.parse(message)


def test_where_there_are_both_a_byte_tells_which() -> None:
    wire = started("audio-video", format="pcm16", video="webp")
    assert wire.picture_format == "webp"
    assert wire.parse(b"\x00\x01\x02") == Sound(b"\x01\x02")
    assert wire.parse(b"\x01" + JPEG_HEAD) == Image(JPEG_HEAD, "jpeg")
    assert wire.sound(b"\x01\x02") == b"\x00\x01\x02"
    assert wire.picture(b"file") == b"\x01file"
    for message in (b"", JPEG_HEAD, b"\x02"):
        with pytest.raises(WireError, match="begins with a byte"):
            wire.parse(message)
    in_json = started("audio-video")
    media = json.loads(in_json.sound(b"\xff\x00"))
    assert in_json.parse(json.dumps(media)) == Sound(b"\xff\x00")


@pytest.mark.parametrize(
    ("modality", "video", "told"),
    [
        ("audio", "jpeg", "no video"),
        ("video", "png", "allowed: 'jpeg', 'webp'"),
        ("video", [], "allowed"),
    ],
)
def test_a_form_of_video_that_is_not_served_is_told(
    modality: Modality, video: Any, told: str
) -> None:
    wire = BrowserWire(8000, 8000, modality)
    with pytest.raises(WireError, match=told):
        wire.parse(json.dumps({"event": "start", "websocket_id": "a", "video": video}))
    with pytest.raises(WireError, match="media before"):
        wire.parse(b"\x01" + JPEG_HEAD if modality == "audio" else JPEG_HEAD)


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
            optional={
                "websocket_id": JSON,
                "media": JSON,
                "mark": JSON,
                "format": JSON,
                "video": JSON,
            },
        ).map(json.dumps),
    ),
    modality=st.sampled_from(["audio", "video", "audio-video"]),
    is_started=st.booleans(),
)
def test_whatever_comes_is_an_event_or_a_wire_error(
    message: Any, modality: Modality, is_started: bool
) -> None:
    wire = started(modality) if is_started else BrowserWire(8000, 8000, modality)
    with contextlib.suppress(WireError):
        wire.parse(message)
