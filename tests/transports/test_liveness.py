"""Clients that fall silent, or take nothing: in virtual time, over a socket that the test plays."""

from __future__ import annotations

import asyncio
import base64
from typing import Any

import numpy as np
import pytest

from fastrtc import Stream
from fastrtc.audio.convert import AudioChunk
from fastrtc.testing import run
from fastrtc.transports.reader import MAX_BAD_MESSAGES, START_TIMEOUT_S, serve_socket
from fastrtc.transports.websocket import IDLE_LIMIT_S, PING_S, SILENCE_LIMIT_S, STALL_LIMIT_S
from fastrtc.wire.browser import BrowserWire
from fastrtc.wire.telnyx import TelnyxWire
from fastrtc.wire.twilio import TwilioWire
from lines import Line
from recorders import AsyncEcho

TELNYX = {
    "event": "start",
    "stream_id": "me",
    "start": {"media_format": {"encoding": "PCMU", "sample_rate": 8000}},
}
START = {"event": "start", "websocket_id": "me", "streamSid": "me"}


class House:
    def __init__(self, wire: Any, start: dict[str, Any] = START) -> None:
        self.line = Line()
        self.stream = Stream(AsyncEcho(), modality="audio")
        self.serving = asyncio.ensure_future(serve_socket(self.line, self.stream.factory, wire))
        self.line.say(start)

    @property
    def why(self) -> str:
        (closed,) = self.stream.sessions.drain_closed()
        return closed.close_reason


def test_a_silent_page_is_asked_and_left_alone_if_it_never_answers() -> None:
    """The original's clients do not know pings."""

    async def check() -> None:
        house = House(BrowserWire(8000, 8000))
        await asyncio.sleep(PING_S * 8 + 1)
        pings = [at_s for at_s, message in house.line.sent if message == {"event": "ping"}]
        assert len(pings) == 8
        assert not house.serving.done()
        house.line.say({"event": "stop"})
        await house.serving

    run(check())


def test_a_connection_that_nobody_uses_is_given_up() -> None:
    async def check() -> None:
        house = House(BrowserWire(8000, 8000))
        await house.serving
        assert 0 <= asyncio.get_running_loop().time() - IDLE_LIMIT_S <= PING_S + 1
        assert house.line.closed == (1008, "idle for 300 s")

    run(check())


@pytest.mark.parametrize("use", ["listens", "reads", "pings"])
def test_a_client_is_not_idle_that(use: str) -> None:
    async def check() -> None:
        house = House(BrowserWire(8000, 8000))
        await asyncio.sleep(1)
        session = house.stream.connections["me"]
        for _ in range(3):
            if use == "listens":
                session.transport.play(AudioChunk(np.ones(800, np.int16), 8000, 1))
            elif use == "reads":
                session.send_message('"news"')
            else:
                house.line.say({"event": "ping"})
            await asyncio.sleep(IDLE_LIMIT_S - PING_S)
        assert not house.serving.done()
        house.line.say({"event": "stop"})
        await house.serving

    run(check())


def test_a_page_that_answered_once_is_given_up_when_it_stops() -> None:
    async def check() -> None:
        house = House(BrowserWire(8000, 8000))
        await asyncio.sleep(PING_S + 1)
        house.line.say({"event": "pong"})
        await house.serving
        now_s = asyncio.get_running_loop().time()
        assert SILENCE_LIMIT_S <= now_s - (PING_S + 1) <= SILENCE_LIMIT_S + PING_S
        assert house.line.closed == (1011, "nothing heard for 45 s")
        assert house.why == "nothing heard for 45 s"

    run(check())


def test_a_silent_telephone_is_given_up() -> None:
    async def check() -> None:
        house = House(TwilioWire())
        await house.serving
        assert house.why == "nothing heard for 45 s"
        assert house.line.sent == []

    run(check())


def test_a_client_that_takes_nothing_is_given_up() -> None:
    async def check() -> None:
        house = House(BrowserWire(8000, 8000))
        await asyncio.sleep(0.1)
        house.line.is_stuck = True
        session = house.stream.connections["me"]
        for _ in range(1000):
            session.send_message("more")
        session.transport.play(AudioChunk(np.zeros(8000, np.int16), 8000, 1))
        session.clear()
        assert session.stats["messages_lost"] > 0
        assert session.transport.stats()["bytes_queued"] < 10_000
        while not house.serving.done():
            await asyncio.sleep(1)
            house.line.say({"event": "ping"})
        assert house.why == "the client took nothing for 30 s"
        assert asyncio.get_running_loop().time() < STALL_LIMIT_S + 2 * PING_S + 5

    run(check())


def test_a_session_ends_in_time_though_its_client_takes_nothing() -> None:
    async def check() -> None:
        house = House(BrowserWire(8000, 8000))
        await asyncio.sleep(0.1)
        house.line.is_stuck = True
        session = house.stream.connections["me"]
        session.send_message("stuck")
        await asyncio.sleep(0.1)
        session.close("enough", "bye")
        await house.serving
        assert asyncio.get_running_loop().time() < 3

    run(check())


def test_who_never_starts_is_sent_away() -> None:
    async def check() -> None:
        line, stream = Line(), Stream(AsyncEcho(), modality="audio")
        await serve_socket(line, stream.factory, BrowserWire(8000, 8000))
        assert asyncio.get_running_loop().time() == START_TIMEOUT_S
        assert line.closed == (1008, "no start within 30 s")

    run(check())


def test_clears_do_not_pile_up() -> None:
    async def check() -> None:
        house = House(BrowserWire(8000, 8000))
        await asyncio.sleep(0.1)
        session = house.stream.connections["me"]
        for _ in range(50):
            session.transport.play(AudioChunk(np.zeros(800, np.int16), 8000, 1))
            session.clear()
        await asyncio.sleep(0.1)
        sent = [message["event"] for _, message in house.line.sent]
        assert sent == ["media"] * 5 + ["clear"]
        house.line.say({"event": "stop"})
        await house.serving

    run(check())


def test_a_few_bad_messages_now_and_then_end_nothing() -> None:
    async def check() -> None:
        house = House(BrowserWire(8000, 8000))
        for _ in range(3):
            for _ in range(MAX_BAD_MESSAGES - 1):
                house.line.say({"event": "media"})
            await asyncio.sleep(61)
        assert not house.serving.done()
        for _ in range(MAX_BAD_MESSAGES):
            house.line.say({"event": "media"})
        await house.serving
        assert house.line.closed is not None
        assert house.line.closed[0] == 1008

    run(check())


def test_what_a_provider_reports_is_logged_once_and_ends_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def check() -> None:
        house = House(TelnyxWire(), TELNYX)
        for _ in range(2 * MAX_BAD_MESSAGES):
            house.line.say({"event": "error", "payload": {"title": "malformed_frame"}})
        await asyncio.sleep(1)
        assert not house.serving.done()
        house.line.say({"event": "stop"})
        await house.serving

    run(check())
    assert caplog.text.count("malformed_frame") == 1


def fast(house: House, seconds: float) -> None:
    payload = base64.b64encode(bytes([255]) * 8000).decode()
    for _ in range(round(seconds)):
        house.line.say({"event": "media", "media": {"payload": payload}})


def test_a_client_may_send_a_recording() -> None:
    async def check() -> None:
        house = House(BrowserWire(8000, 8000))
        fast(house, 55)
        for _ in range(20):
            await asyncio.sleep(1)
            fast(house, 4)
        await asyncio.sleep(1)
        assert not house.serving.done()
        house.line.say({"event": "stop"})
        await house.serving

    run(check())


@pytest.mark.parametrize("seconds", [0, 70])
def test_a_client_that_is_too_fast_for_the_others_is_sent_away(seconds: int) -> None:
    async def check() -> None:
        house = House(BrowserWire(8000, 8000))
        fast(house, seconds)
        for _ in range(0 if seconds else 61_000):
            house.line.say({"event": "pong"})
        await house.serving
        assert house.line.closed == (1008, "more than 4 seconds of media a second")

    run(check())
