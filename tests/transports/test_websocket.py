"""The WebSocket transport passes the contract that every transport has to pass."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Callable, Coroutine
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from fastrtc.audio.convert import AudioChunk
from fastrtc.audio.g711 import mulaw_encode
from fastrtc.audio.rates import Resampler
from fastrtc.session.session import Session
from fastrtc.testing.contract import RATE_HZ, RecordingHandler, TransportContract
from fastrtc.transports.websocket import LEAD_S, SocketTransport
from fastrtc.wire.browser import BrowserWire
from fastrtc.wire.events import Wire
from fastrtc.wire.twilio import TwilioWire
from hall import Hall


class SocketLink:
    """The client's end of a real WebSocket, whose server runs on the session's loop."""

    def __init__(self, wire: Wire, start: dict[str, Any]) -> None:
        assert wire.heard is not None
        self._to_wire = Resampler(RATE_HZ, wire.heard.rate_hz)
        self.transport: SocketTransport
        self.texts_seen: list[str] = []
        self.media: list[tuple[float, int]] = []
        self.socket: ClientConnection
        self._wire = wire
        self._start = start

    async def connect(self, session: Session, hall: Hall) -> None:
        hall.guests.append((session, self._wire))
        self.socket = await connect(hall.url)
        await self.send(json.dumps(self._start))
        self._reading = asyncio.ensure_future(self._read())
        async with asyncio.timeout(15):
            await hall.joined.wait()
        transport = session.transport
        assert isinstance(transport, SocketTransport)
        self.transport = transport

    async def _read(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            async for raw in self.socket:
                message = json.loads(raw)
                if message.get("event") == "media":
                    payload = base64.b64decode(message["media"]["payload"])
                    self.media.append((loop.time(), len(payload)))
                else:
                    self.texts_seen.append(str(raw))
        except ConnectionClosed:
            pass

    async def say(self, samples: npt.NDArray[np.int16]) -> None:
        for first in range(0, len(samples), RATE_HZ // 50):
            heard = self._to_wire.push(samples[first : first + RATE_HZ // 50])
            payload = base64.b64encode(mulaw_encode(heard))
            await self.send(json.dumps({"event": "media", "media": {"payload": payload.decode()}}))
            await asyncio.sleep(0.02)

    async def send(self, text: str) -> None:
        await self.socket.send(text)

    async def texts(self) -> list[str]:
        return self.texts_seen

    async def leave(self) -> None:
        await self.socket.close()


class OverSockets(TransportContract):
    """Runs each check with a server on its loop."""

    tolerance_s = 0.08
    wire: Callable[[], Wire]
    start: dict[str, Any]

    def run(self, check: Coroutine[Any, Any, None]) -> None:
        async def in_hall() -> None:
            async with Hall() as self.hall:
                await check

        asyncio.run(in_hall())

    async def connect(self, session: Session) -> SocketLink:
        link = SocketLink(self.wire(), self.start)
        await link.connect(session, self.hall)
        return link


class TestPhoneTransport(OverSockets):
    wire = staticmethod(TwilioWire)
    start: ClassVar[dict[str, Any]] = {"event": "start", "streamSid": "me"}
    shows_texts = False

    def test_text_goes_both_ways_in_order(self) -> None:
        """To a telephone none goes, and none comes: a phone has keys."""

        async def check() -> None:
            handler = RecordingHandler()
            session = Session("phone", handler)
            link = await self.connect(session)
            session.send_message('{"type": "log", "data": "x"}')
            await link.send("hello")
            await asyncio.sleep(0.1)
            assert link.texts_seen == []
            assert handler.texts == []
            assert session.stats["messages_lost"] == 0
            session.close("checked")
            await session.wait_ended()

        self.run(check())


class TestWebSocketTransport(OverSockets):
    wire = staticmethod(lambda: BrowserWire(RATE_HZ, RATE_HZ))
    start: ClassVar[dict[str, Any]] = {"event": "start", "websocket_id": "me"}

    def test_audio_leaves_the_lead_ahead_and_no_more(self) -> None:
        async def check() -> None:
            session = Session("pace", RecordingHandler())
            link = await self.connect(session)
            began = asyncio.get_running_loop().time()
            link.transport.play(AudioChunk(np.zeros(RATE_HZ, np.int16), RATE_HZ, 1))
            async with asyncio.timeout(10):
                while sum(length for _, length in link.media) < RATE_HZ:  # noqa: ASYNC110
                    await asyncio.sleep(0.05)
            sent_s = 0.0
            for at_s, length in link.media:
                sent_s += length / RATE_HZ
                assert sent_s <= at_s - began + LEAD_S + 0.001
            assert sum(length for _, length in link.media) == RATE_HZ
            session.close("checked")
            await session.wait_ended()

        self.run(check())

    def test_a_clear_tells_the_client_to_flush(self) -> None:
        async def check() -> None:
            session = Session("clear", RecordingHandler())
            link = await self.connect(session)
            session.clear()
            link.transport.play(AudioChunk(np.zeros(RATE_HZ, np.int16), RATE_HZ, 1))
            await asyncio.sleep(0.2)
            session.clear()
            await asyncio.sleep(0.1)
            frames = len(link.media)
            assert link.texts_seen == ['{"event": "clear"}']
            await asyncio.sleep(0.2)
            assert len(link.media) == frames, "audio came after the clear"
            session.close("checked")
            await session.wait_ended()

        self.run(check())
