"""WebRTC passes the contract that every transport has to pass, with aiortc as the client."""

from __future__ import annotations

import asyncio

import aiortc
import numpy as np
import numpy.typing as npt
import pytest

from fastrtc.session.session import Session
from fastrtc.testing.contract import RATE_HZ, TransportContract
from fastrtc.transports.base import Allowed
from fastrtc.transports.webrtc import WebRTCDoor, WebRTCTransport
from microphone import Microphone
from tracks import LeavesAtTheEnd

CONNECT_S = 10.0


class AiortcLink:
    """The client's end."""

    def __init__(self) -> None:
        self.transport: WebRTCTransport
        self._connection = aiortc.RTCPeerConnection()
        self._microphone = Microphone()
        self._channel = self._connection.createDataChannel("text")
        self._open = asyncio.Event()
        self._texts: list[str] = []
        self._channel.on("open", self._open.set)
        self._channel.on("message", self._texts.append)

    async def connect(self, session: Session) -> None:
        self._connection.addTrack(self._microphone)
        await self._connection.setLocalDescription(await self._connection.createOffer())
        door = WebRTCDoor(allowed=Allowed(audio=True, video=False, mode="send-receive"))
        pending = await door.accept(
            self._connection.localDescription.sdp, input_rate_hz=RATE_HZ, input_channels=1
        )

        def attach(joined: Session) -> WebRTCTransport:
            self.transport = pending.attach(joined)
            return self.transport

        session.open(attach)
        await self._connection.setRemoteDescription(
            aiortc.RTCSessionDescription(pending.answer_sdp, "answer")
        )
        async with asyncio.timeout(CONNECT_S):
            await self._open.wait()
        for _ in range(100):
            if session.state == "live":
                break
            await asyncio.sleep(0.02)

    async def say(self, samples: npt.NDArray[np.int16]) -> None:
        self._microphone.said = samples
        await asyncio.sleep(len(samples) / RATE_HZ)

    async def send(self, text: str) -> None:
        self._channel.send(text)

    async def texts(self) -> list[str]:
        return self._texts

    async def leave(self) -> None:
        await self._connection.close()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
class TestWebRTCTransport(LeavesAtTheEnd, TransportContract):
    tolerance_s = 0.08

    async def connect(self, session: Session) -> AiortcLink:
        self._link = AiortcLink()
        await self._link.connect(session)
        return self._link
