"""Pipecat's serializers as a second opinion on what providers send and want to be sent.

They stand where we stand, at a provider's WebSocket. So both are given the same messages of the
simulated phones and have to hear the same, and both say the same, which the phones have to take.
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fastrtc.audio.codecs import decoder, encoder
from fastrtc.wire.events import Dtmf, Message, Sound, Wire
from fastrtc.wire.providers import wire_of
from phones import Exotel, Phone, Plivo, Telnyx, Twilio, Vonage

TOOLS = Path(__file__).parents[2] / ".tools" / "pipecat"
PHONES = [Twilio, Telnyx, Plivo, Vonage, Exotel]
TONE = np.round(8000 * np.sin(np.arange(1600) / 7)).astype(np.int16)
Ask = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def pipecat() -> Iterator[Ask]:
    """Asks the process that has pipecat."""
    assert TOOLS.is_dir(), "pipecat is not there: make .tools/pipecat/.installed"
    peer = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("pipecat_peer.py"))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(TOOLS)},
    )
    assert peer.stdin is not None
    assert peer.stdout is not None
    read, write = peer.stdout, peer.stdin

    def ask(do: str, phone: Phone, **more: Any) -> dict[str, Any]:
        request = {"do": do, "provider": name_of(phone), "id": phone.id, "rate_hz": phone.rate_hz}
        write.write(json.dumps({**request, **more}) + "\n")
        write.flush()
        answer: dict[str, Any] = json.loads(read.readline())
        return answer

    yield ask
    write.close()
    assert peer.wait(10) == 0
    read.close()


def name_of(phone: Phone) -> str:
    return type(phone).__name__.lower()


def begun(phone: Phone) -> Wire:
    """Our side of a call that this phone has begun."""
    wire = wire_of(name_of(phone))
    for greeting in phone.greetings():
        wire.parse(json.dumps(greeting))
    return wire


def as_sent(message: Any) -> Message:
    """What a phone's message is on the socket."""
    return message if isinstance(message, bytes) else json.dumps(message)


def as_json(message: Message) -> dict[str, Any]:
    """For the pipe."""
    if isinstance(message, bytes):
        return {"bytes": base64.b64encode(message).decode()}
    return {"text": message}


def from_json(answer: dict[str, Any]) -> Message:
    """From the pipe."""
    if "bytes" in answer:
        return base64.b64decode(answer["bytes"])
    text: str = answer["text"]
    return text


def taken(phone: Phone, message: Message) -> tuple[str, Any]:
    """What the phone makes of a message."""
    return phone.take(message if isinstance(message, bytes) else json.loads(message))


@pytest.mark.parametrize("make", PHONES)
def test_both_hear_the_same(make: type[Phone], pipecat: Ask) -> None:
    phone = make("")
    wire = begun(phone)
    message = as_sent(phone.media(TONE))
    event = wire.parse(message)
    assert isinstance(event, Sound)
    assert wire.heard is not None
    theirs = pipecat("read", phone, **as_json(message))
    assert theirs["rate_hz"] == wire.heard.rate_hz
    heard = np.frombuffer(base64.b64decode(theirs["pcm"]), "<i2")
    np.testing.assert_array_equal(decoder(wire.heard)(event.payload), heard)


@pytest.mark.parametrize("make", PHONES)
@pytest.mark.parametrize("digit", ["1", "#", "*"])
def test_both_read_the_same_key(make: type[Phone], digit: str, pipecat: Ask) -> None:
    phone = make("")
    message = as_sent(phone.digit(digit))
    assert begun(phone).parse(message) == Dtmf(digit)
    assert pipecat("read", phone, **as_json(message)) == {"digit": digit}


@pytest.mark.parametrize("make", PHONES)
def test_both_say_the_same(make: type[Phone], pipecat: Ask) -> None:
    phone = make("")
    wire = begun(phone)
    assert wire.said is not None
    frame = TONE[: round(wire.frame_s * phone.rate_hz)]
    ours = wire.sound(encoder(wire.said)(frame))
    theirs = from_json(pipecat("audio", phone, pcm=base64.b64encode(frame.tobytes()).decode()))
    for message in (ours, theirs):
        kind, samples = taken(phone, message)
        assert kind == "sound"
        # A mu-law code stands for as much as 256 of these; there are two ways to round.
        assert len(samples) == len(frame)
        assert np.abs(samples.astype(int) - frame).max() <= 256
    assert form_of(ours) == form_of(theirs)


def form_of(message: Message) -> Any:
    """A message without its audio. Plivo's documentation has no stream in ``playAudio``."""
    if isinstance(message, bytes):
        return bytes
    value = json.loads(message)
    value["media"]["payload"] = ""
    if value["event"] == "playAudio":
        value.pop("streamId", None)
    return value


@pytest.mark.parametrize("make", PHONES)
def test_both_interrupt_in_the_same_way(make: type[Phone], pipecat: Ask) -> None:
    phone = make("")
    ours, theirs = begun(phone).clear(), from_json(pipecat("clear", phone))
    assert isinstance(ours, str)
    assert isinstance(theirs, str)
    assert json.loads(ours) == json.loads(theirs)
    assert taken(phone, theirs) == ("clear", None)


@pytest.mark.parametrize("make", [Twilio, Telnyx, Vonage, Exotel])
def test_they_read_our_audio_where_it_goes_as_it_comes(make: type[Phone], pipecat: Ask) -> None:
    """Plivo's ``playAudio`` is only for Plivo."""
    phone = make("")
    wire = begun(phone)
    assert wire.said is not None
    payload = encoder(wire.said)(TONE)
    read = pipecat("read", phone, **as_json(wire.sound(payload)))
    heard = np.frombuffer(base64.b64decode(read["pcm"]), "<i2")
    np.testing.assert_array_equal(heard, decoder(wire.said)(payload))
