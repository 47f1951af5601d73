"""A WebRTC client made of aiortc: it calls, hums, writes down what it hears, and may misbehave."""

import asyncio
import fractions
import json
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

import aiortc
import av
import httpx
import numpy as np

from tracks import frames_of

RATE_HZ = 48_000
FRAME = RATE_HZ // 50
CONNECT_S = 15.0
AUDIBLE = 200
"""Loudness (RMS) above which a frame counts as sound; silence decodes to next to nothing."""


class Hum(aiortc.MediaStreamTrack):  # type: ignore[misc]
    """A tone in frames of 20 ms, in real time."""

    kind = "audio"

    def __init__(self) -> None:
        super().__init__()
        self.frames = 0
        """How many were taken to be sent."""
        self._start_s: float | None = None

    async def recv(self) -> Any:
        loop = asyncio.get_running_loop()
        if self._start_s is None:
            self._start_s = loop.time()
        await asyncio.sleep(self._start_s + self.frames * FRAME / RATE_HZ - loop.time())
        ticks = self.frames * FRAME + np.arange(FRAME)
        samples = (8000 * np.sin(2 * np.pi * 440 * ticks / RATE_HZ)).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(samples.reshape(1, -1), format="s16", layout="mono")
        frame.sample_rate = RATE_HZ
        frame.pts = self.frames * FRAME
        frame.time_base = fractions.Fraction(1, RATE_HZ)
        self.frames += 1
        return frame


async def post(url: str, body: Any) -> httpx.Response:
    """Posts a signalling body, JSON or bytes."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    async with httpx.AsyncClient(timeout=60, trust_env=False) as http:
        return await http.post(f"{url}/webrtc/offer", content=content)


async def until(holds: Callable[[], Awaitable[Any]], within_s: float = 15.0) -> None:
    """Asks again and again until the answer is true; TimeoutError when it never is."""
    async with asyncio.timeout(within_s):
        while True:
            if await holds():
                return
            await asyncio.sleep(0.05)


class Caller:
    """One call. Leave it with :meth:`hang_up`, or :meth:`vanish`.

    Args:
        url: where the stream is mounted, ``http://127.0.0.1:8000/echo``.
        webrtc_id: its name for itself; None makes one up.
        hums: whether it sends audio; else only a data channel is offered.
    """

    def __init__(self, url: str, webrtc_id: str | None = None, hums: bool = True) -> None:
        self.url = url
        self.id = webrtc_id or uuid.uuid4().hex
        self.texts: list[dict[str, Any]] = []
        self.heard_at_s: list[float] = []
        self.answer_sdp = ""
        self.connection = aiortc.RTCPeerConnection(aiortc.RTCConfiguration(iceServers=[]))
        self.opened = asyncio.Event()
        self.closed = asyncio.Event()
        self.channel = self.connection.createDataChannel("text")
        self.channel.on("open", self.opened.set)
        self.channel.on("message", lambda text: self.texts.append(json.loads(text)))
        self.connection.on("connectionstatechange", self._on_state)
        self.connection.on("track", self._on_track)
        self._hums = hums
        self.hum = Hum()
        self._listening: asyncio.Task[None] | None = None

    async def offer(self) -> str:
        """Its offer, with all candidates."""
        if self._hums:
            self.connection.addTrack(self.hum)
        await self.connection.setLocalDescription(await self.connection.createOffer())
        sdp: str = self.connection.localDescription.sdp
        return sdp

    async def post_offer(self, sdp: str) -> httpx.Response:
        """Posts an offer under its id."""
        return await post(self.url, {"type": "offer", "sdp": sdp, "webrtc_id": self.id})

    async def begin(self) -> None:
        """Offers and takes the answer; what follows happens by itself."""
        response = await self.post_offer(await self.offer())
        answer = response.json()
        assert "sdp" in answer, (response.status_code, answer)
        await self.accept(answer["sdp"])

    async def accept(self, sdp: str) -> None:
        """Takes the server's answer."""
        self.answer_sdp = sdp
        await self.connection.setRemoteDescription(
            aiortc.RTCSessionDescription(self.answer_sdp, "answer")
        )

    async def connect(self) -> "Caller":
        """Returns when the data channel is open."""
        await self.begin()
        async with asyncio.timeout(CONNECT_S):
            await self.opened.wait()
        return self

    async def told(self, kind: str, timeout_s: float = CONNECT_S) -> dict[str, Any]:
        """The first message of a type, waited for."""

        async def first() -> Any:
            return [text for text in self.texts if text["type"] == kind]

        await until(first, timeout_s)
        message: dict[str, Any] = (await first())[0]
        return message

    async def hears(self) -> None:
        """Waits for the first sound."""

        async def sound() -> bool:
            return bool(self.heard_at_s)

        await until(sound)

    def heard_since(self, start_s: float) -> list[float]:
        """When frames with sound came, on the loop's clock."""
        return [at_s for at_s in self.heard_at_s if at_s >= start_s]

    async def hang_up(self) -> None:
        """Ends the call as a browser does."""
        await self.connection.close()
        await self._stop_listening()

    async def vanish(self) -> None:
        """Ends the call as a dead battery does: no more packets, no goodbye."""
        await self.ice().close()
        self.ice().send = _nothing
        self.ice().sendto = _nothing
        await self.hang_up()

    def ice(self) -> Any:
        """The aioice connection below: ``send(bytes)`` puts anything on the wire."""
        return self.connection.sctp.transport.transport._connection

    def _on_state(self) -> None:
        if self.connection.connectionState in ("closed", "failed"):
            self.closed.set()

    def _on_track(self, track: Any) -> None:
        self._listening = asyncio.ensure_future(self._listen(track))

    async def _listen(self, track: Any) -> None:
        loop = asyncio.get_running_loop()
        async for frame in frames_of(track):
            samples = frame.to_ndarray().astype(np.float64)
            if np.sqrt(np.mean(samples**2)) > AUDIBLE:
                self.heard_at_s.append(loop.time())

    async def _stop_listening(self) -> None:
        if self._listening is not None:
            self._listening.cancel()
            await asyncio.wait([self._listening])


async def _nothing(*_: Any) -> None:
    """Sends nothing."""
