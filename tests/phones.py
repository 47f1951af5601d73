"""Telephones that behave like providers: a buffer at 8 kHz played in real time, marks, clear.

Each speaks its provider's documented messages over a real WebSocket. What the ear heard, and when,
is kept sample by sample.
"""

from __future__ import annotations

import asyncio
import base64
import json
import time
from abc import ABC, abstractmethod
from collections import deque
from ssl import SSLContext
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from fastrtc.audio.g711 import mulaw_decode, mulaw_encode

TICK_S = 0.02
Samples = npt.NDArray[np.int16]


class Phone(ABC):
    """One call. Subclasses say what a provider's messages look like.

    Args:
        url: of the handler.
        delay_s: one way between provider and ear.

    Attributes:
        headers: of the handshake.
        ssl: for a ``wss://`` URL.
        ticket: that the webhook's answer gave the stream as a parameter, where a provider has it.
        id: of the stream, and so of our session.
        heard: what the ear heard, a frame for each 20 ms since the call began.
        received: what came over the socket, whenever it did.
    """

    rate_hz = 8000
    can_mark = True

    def __init__(self, url: str, *, delay_s: float = 0.0) -> None:
        self.url = url
        self.headers: dict[str, str] = {}
        self.ssl: SSLContext | None = None
        self.ticket: Any = None
        self.id = f"MZ-{type(self).__name__}"
        self.heard: list[Samples] = []
        self.received: list[Samples] = []
        self.sent: list[dict[str, Any] | bytes] = []
        self.clears = 0
        self.cleared_at_s = 0.0
        self.close_code: int | None = None
        self.chunk = 0
        self.socket: ClientConnection
        self._delay_s = delay_s
        self._buffer: deque[Samples | str] = deque()
        self._saying: deque[Samples] = deque()

    # What a provider's messages look like.

    @abstractmethod
    def greetings(self) -> list[Any]: ...

    @abstractmethod
    def media(self, samples: Samples) -> Any: ...

    @abstractmethod
    def played(self, name: str) -> Any: ...

    def digit(self, digit: str) -> Any:
        return {"event": "dtmf", "streamSid": self.id, "dtmf": {"digit": digit}}

    def goodbye(self) -> Any:
        return {"event": "stop", "streamSid": self.id}

    @abstractmethod
    def take(self, message: Any) -> tuple[str, Any]:
        """("sound", samples), ("mark", name), ("clear", None)."""

    # The call.

    async def __aenter__(self) -> Self:
        self.socket = await connect(self.url, additional_headers=self.headers, ssl=self.ssl)
        self.began_s = asyncio.get_running_loop().time()
        for message in self.greetings():
            await self.send(message)
        self._tasks = [asyncio.ensure_future(job) for job in (self._read(), self._tick())]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._tasks[1].cancel()
        await self.socket.close()
        await self._tasks[0]

    async def send(self, message: Any) -> None:
        await self.socket.send(json.dumps(message) if isinstance(message, dict) else message)

    def say(self, samples: Samples) -> None:
        """The caller speaks; silence goes before and after, as on a line."""
        frame = round(self.rate_hz * TICK_S)
        self._saying.extend(
            samples[first : first + frame] for first in range(0, len(samples), frame)
        )

    async def press(self, digit: str) -> None:
        await self.send(self.digit(digit))

    async def hang_up(self) -> None:
        await self.send(self.goodbye())

    def ear(self) -> Samples:
        """Everything since the call began, with the pauses."""
        return np.concatenate(self.heard) if self.heard else np.zeros(0, np.int16)

    @property
    def buffered_s(self) -> float:
        sounds = [part for part in self._buffer if isinstance(part, np.ndarray)]
        return sum(map(len, sounds)) / self.rate_hz

    async def _tick(self) -> None:
        """The line's clock: 20 ms to the ear and 20 ms from the mouth."""
        loop = asyncio.get_running_loop()
        frame = round(self.rate_hz * TICK_S)
        number = 0
        while True:
            number += 1
            await asyncio.sleep(max(0.0, self.began_s + number * TICK_S - loop.time()))
            said = self._saying.popleft() if self._saying else np.zeros(frame, np.int16)
            await self.send(self.media(said))
            heard = np.zeros(0, np.int16)
            while self._buffer and len(heard) < frame:
                part = self._buffer.popleft()
                if isinstance(part, str):
                    loop.call_later(self._delay_s * 2, self._answer_mark, part)
                    continue
                missing = frame - len(heard)
                heard = np.concatenate([heard, part[:missing]])
                if len(part) > missing:
                    self._buffer.appendleft(part[missing:])
            self.heard.append(np.pad(heard, (0, frame - len(heard))))

    def _answer_mark(self, name: str) -> None:
        self._answering = asyncio.ensure_future(self.send(self.played(name)))

    async def _read(self) -> None:
        try:
            async for raw in self.socket:
                message = raw if isinstance(raw, bytes) else json.loads(raw)
                self.sent.append(message)
                kind, content = self.take(message)
                if kind == "clear":
                    self.clears += 1
                    self.cleared_at_s = time.monotonic()
                    waiting = [part for part in self._buffer if isinstance(part, str)]
                    self._buffer.clear()
                    for name in waiting:
                        await self.send(self.played(name))
                else:
                    self._buffer.append(content)
                    if kind == "sound":
                        self.received.append(content)
        except ConnectionClosed:
            pass
        self.close_code = self.socket.close_code


class Twilio(Phone):
    def greetings(self) -> list[Any]:
        form = {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1}
        start = {"streamSid": self.id, "callSid": "CA1", "tracks": ["inbound"], "mediaFormat": form}
        start["customParameters"] = {} if self.ticket is None else {"ticket": self.ticket}
        return [
            {"event": "connected", "protocol": "Call", "version": "1.0.0"},
            {"event": "start", "sequenceNumber": "1", "start": start, "streamSid": self.id},
        ]

    def media(self, samples: Samples) -> Any:
        self.chunk += 1
        payload = base64.b64encode(mulaw_encode(samples)).decode()
        return {
            "event": "media",
            "streamSid": self.id,
            "media": {"track": "inbound", "chunk": str(self.chunk), "payload": payload},
        }

    def played(self, name: str) -> Any:
        return {"event": "mark", "streamSid": self.id, "mark": {"name": name}}

    def take(self, message: Any) -> tuple[str, Any]:
        assert message["streamSid"] == self.id
        if message["event"] == "media":
            return "sound", mulaw_decode(base64.b64decode(message["media"]["payload"]))
        if message["event"] == "mark":
            return "mark", message["mark"]["name"]
        assert message == {"event": "clear", "streamSid": self.id}
        return "clear", None


class Telnyx(Twilio):
    def greetings(self) -> list[Any]:
        form = {"encoding": "PCMU", "sample_rate": 8000, "channels": 1}
        start = {"call_control_id": "v2:1", "media_format": form}
        return [
            {"event": "connected", "version": "1.0.0"},
            {"event": "start", "sequence_number": "1", "stream_id": self.id, "start": start},
        ]

    def media(self, samples: Samples) -> Any:
        return {**super().media(samples), "stream_id": self.id}

    def take(self, message: Any) -> tuple[str, Any]:
        assert "streamSid" not in message
        if message["event"] == "media":
            pcmu = base64.b64decode(message["media"]["payload"])
            assert len(pcmu) >= 160, "Telnyx takes messages of at least 20 ms"
        return super().take({**message, "streamSid": self.id})


class Plivo(Twilio):
    def greetings(self) -> list[Any]:
        form = {"encoding": "audio/x-mulaw", "sampleRate": 8000}
        start = {"callId": "1", "streamId": self.id, "mediaFormat": form}
        return [{"event": "start", "sequenceNumber": 1, "start": start}]

    def played(self, name: str) -> Any:
        return {"event": "playedStream", "streamId": self.id, "name": name}

    def take(self, message: Any) -> tuple[str, Any]:
        if message["event"] == "playAudio":
            assert message["media"]["contentType"] == "audio/x-mulaw"
            assert message["media"]["sampleRate"] == 8000
            return "sound", mulaw_decode(base64.b64decode(message["media"]["payload"]))
        assert message["streamId"] == self.id
        if message["event"] == "checkpoint":
            return "mark", message["name"]
        assert message["event"] == "clearAudio"
        return "clear", None


class Vonage(Phone):
    rate_hz = 16_000

    def greetings(self) -> list[Any]:
        content_type = "audio/l16;rate=16000"
        return [{"event": "websocket:connected", "content-type": content_type, "uuid": self.id}]

    def media(self, samples: Samples) -> Any:
        return samples.astype("<i2").tobytes()

    def played(self, name: str) -> Any:
        return {"event": "websocket:notify", "payload": {"name": name}}

    def digit(self, digit: str) -> Any:
        return {"event": "websocket:dtmf", "digit": digit, "duration": 260}

    async def hang_up(self) -> None:
        await self.socket.close()

    def take(self, message: Any) -> tuple[str, Any]:
        if isinstance(message, bytes):
            assert len(message) == 640, "Vonage takes messages of 20 ms"
            return "sound", np.frombuffer(message, "<i2")
        if message["action"] == "notify":
            return "mark", message["payload"]["name"]
        assert message == {"action": "clear"}
        return "clear", None


class Exotel(Phone):
    def greetings(self) -> list[Any]:
        form = {"encoding": "audio/x-raw", "sample_rate": "8000", "bit_rate": "16"}
        start = {"stream_sid": self.id, "call_sid": "CA9", "media_format": form}
        return [
            {"event": "connected"},
            {"event": "start", "sequence_number": "1", "stream_sid": self.id, "start": start},
        ]

    def media(self, samples: Samples) -> Any:
        self.chunk += 1
        payload = base64.b64encode(samples.astype("<i2").tobytes()).decode()
        media = {"chunk": str(self.chunk), "timestamp": "200", "payload": payload}
        return {"event": "media", "stream_sid": self.id, "media": media}

    def played(self, name: str) -> Any:
        return {"event": "mark", "stream_sid": self.id, "mark": {"name": name}}

    def take(self, message: Any) -> tuple[str, Any]:
        assert message["stream_sid"] == self.id
        if message["event"] == "media":
            pcm = base64.b64decode(message["media"]["payload"])
            assert len(pcm) >= 3200
            assert len(pcm) % 320 == 0
            return "sound", np.frombuffer(pcm, "<i2")
        if message["event"] == "mark":
            return "mark", message["mark"]["name"]
        assert message["event"] == "clear"
        return "clear", None
