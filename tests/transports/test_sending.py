"""What a SocketTransport sends, message by message: in virtual time, over a played socket."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Awaitable, Callable
from typing import Any

import numpy as np
import pytest

from fastrtc import Stream
from fastrtc.audio.convert import AudioChunk
from fastrtc.audio.g711 import mulaw_decode, mulaw_encode
from fastrtc.testing import run
from fastrtc.transports.reader import serve_socket
from fastrtc.transports.websocket import SocketTransport
from fastrtc.wire.browser import BrowserWire
from fastrtc.wire.events import Wire
from fastrtc.wire.twilio import TwilioWire
from lines import Line
from recorders import AsyncEcho

RATE_HZ = 8000


class Caller(Line):
    """Answers each mark at once; does ``at_media`` while the message of that number is sent."""

    def __init__(self) -> None:
        super().__init__()
        self.events: list[str] = []
        self.payloads: list[bytes] = []
        self.at_media: dict[int, Callable[[], Any]] = {}
        self.room = asyncio.Event()
        self.room.set()

    async def send_text(self, data: str) -> None:
        await self.room.wait()
        await super().send_text(data)
        message = json.loads(data)
        self.events.append(message["event"])
        if message["event"] == "media":
            self.payloads.append(base64.b64decode(message["media"]["payload"]))
            self.at_media.pop(len(self.payloads), lambda: None)()
        elif message["event"] == "mark":
            self.say(message)
        await asyncio.sleep(0)


def call(
    check: Callable[[SocketTransport, Caller], Awaitable[None]],
    wire: Callable[[], Wire] = TwilioWire,
) -> None:
    async def serve() -> None:
        line = Caller()
        stream = Stream(AsyncEcho(), modality="audio")
        serving = asyncio.ensure_future(serve_socket(line, stream.factory, wire()))
        line.say({"event": "start", "streamSid": "me", "websocket_id": "me"})
        await asyncio.sleep(0.01)
        session = stream.factory.registry.get("me")
        assert session is not None
        assert isinstance(session.transport, SocketTransport)
        await check(session.transport, line)
        line.say({"event": "stop"})
        await serving

    run(serve())


def loud(seconds: float, rate_hz: int = RATE_HZ) -> AudioChunk:
    return AudioChunk(np.full(round(seconds * rate_hz), 8000, np.int16), rate_hz, 1)


@pytest.mark.parametrize("frame", [10, 11])
def test_a_clear_while_a_frame_is_sent_leaves_no_mark_behind(frame: int) -> None:
    """Its mark would tell that nothing is ever heard in time again."""

    async def check(transport: SocketTransport, line: Caller) -> None:
        # After 0.2 s of audio a mark follows.
        line.at_media[frame] = transport.clear
        transport.play(loud(1))
        await asyncio.sleep(0.5)
        assert line.events[-2:] == ["media", "clear"]
        transport.play(loud(1))
        await asyncio.sleep(1.1)
        assert "mark" in line.events
        assert transport.sent_s == pytest.approx(1)
        assert transport.queued_s == 0

    call(check)


def test_nothing_of_before_a_clear_is_in_what_comes_after() -> None:
    async def check(transport: SocketTransport, line: Caller) -> None:
        transport.play(loud(0.3, 24_000))
        await asyncio.sleep(0.05)
        transport.clear()
        await asyncio.sleep(0.05)
        before = len(line.payloads)
        transport.play(AudioChunk(np.zeros(4800, np.int16), 24_000, 1))
        await asyncio.sleep(0.3)
        assert len(line.payloads) > before
        assert not mulaw_decode(b"".join(line.payloads[before:])).any()

    call(check)


def test_a_handler_may_fill_its_array_anew() -> None:
    async def check(transport: SocketTransport, line: Caller) -> None:
        audio = loud(0.5)
        transport.play(audio)
        audio.samples[:] = 0
        await asyncio.sleep(1)
        assert np.abs(mulaw_decode(b"".join(line.payloads))).min() > 7500

    call(check)


def test_one_pong_answers_pings_that_came_together() -> None:
    async def check(transport: SocketTransport, line: Caller) -> None:
        for _ in range(3):
            transport.on_ping()
        await asyncio.sleep(0.1)
        assert line.events == ["pong"]
        transport.on_ping()
        await asyncio.sleep(0.1)
        assert line.events == ["pong", "pong"]

    call(check, lambda: BrowserWire(RATE_HZ, RATE_HZ))


def test_a_reason_that_no_encoding_can_carry_closes_all_the_same() -> None:
    async def check(transport: SocketTransport, line: Caller) -> None:
        transport.close("half \ud800 a character")
        await asyncio.sleep(0.1)
        assert line.closed == (1000, "half ? a character")

    call(check)


@pytest.mark.parametrize("error", [OSError("gone"), LookupError("a fault of the server")])
@pytest.mark.parametrize("frame", [1, 15])
def test_what_sending_raises_ends_the_session_and_not_who_plays(
    error: Exception, frame: int, caplog: pytest.LogCaptureFixture
) -> None:
    def fail() -> None:
        raise error

    async def check(transport: SocketTransport, line: Caller) -> None:
        line.at_media[frame] = fail
        transport.play(loud(1))
        await asyncio.sleep(1)
        assert transport.ended.done()
        assert len(line.payloads) == frame
        transport.play(loud(1))

    call(check)
    assert ("the WebSocket failed" in caplog.text) == isinstance(error, LookupError)


def test_a_socket_that_is_full_gets_the_rest_once_it_has_room() -> None:
    """Nothing is lost, doubled or overtaken, and who plays does not wait."""

    async def check(transport: SocketTransport, line: Caller) -> None:
        line.room.clear()
        samples = np.arange(1600, dtype=np.int16) * 20
        transport.play(AudioChunk(samples, RATE_HZ, 1))
        await asyncio.sleep(0.5)
        assert len(line.payloads) == 0
        line.room.set()
        await asyncio.sleep(0.5)
        expected = mulaw_decode(mulaw_encode(samples))
        np.testing.assert_array_equal(mulaw_decode(b"".join(line.payloads)), expected)

    call(check)
