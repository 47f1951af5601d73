"""Every transport that has pictures passes the contract for them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Coroutine
from fractions import Fraction
from typing import Any, cast

import aiortc
import pytest
from av import VideoFrame
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from fastrtc.session.frame_clock import CLOCK_RATE_HZ
from fastrtc.session.session import Session
from fastrtc.session.transport import InboundPicture
from fastrtc.testing.contract_video import Array, VideoContract
from fastrtc.transports.base import Allowed
from fastrtc.transports.memory import MemoryTransport
from fastrtc.transports.webrtc import WebRTCDoor
from fastrtc.types import StreamMode
from fastrtc.video.picture import Picture
from fastrtc.video.stills import StillDecoder, StillEncoder
from fastrtc.wire.browser import BrowserWire
from hall import Hall
from tracks import LeavesAtTheEnd, frames_of


class MemoryLink:
    """The client's end of a memory transport."""

    def __init__(self, session: Session) -> None:
        self._session = session
        session.open(self._attach)
        session.on_live()

    def _attach(self, session: Session) -> MemoryTransport:
        self.transport = MemoryTransport(session, lambda text: None, lambda: None)
        return self.transport

    async def show(self, picture: Array) -> None:
        now_s = asyncio.get_running_loop().time()
        assert self._session.video is not None
        arrival = InboundPicture(
            Picture.from_array(picture, "bgr24"), round(now_s * CLOCK_RATE_HZ), now_s
        )
        self._session.video.on_picture(arrival)

    def seen(self) -> list[Array]:
        return [shown.picture.to_array("bgr24") for shown in self.transport.shown]

    async def leave(self) -> None:
        self.transport.close("the client left")


class TestMemoryVideo(VideoContract):
    async def connect(self, session: Session, mode: StreamMode) -> MemoryLink:
        return MemoryLink(session)


class SocketLink:
    """The client's end of a real WebSocket: sends JPEG, asks for WebP."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._encoder = StillEncoder("jpeg")
        self._files: list[bytes] = []
        self._reading = asyncio.ensure_future(self._read())

    async def _read(self) -> None:
        try:
            async for message in self._socket:
                if isinstance(message, bytes):
                    self._files.append(message)
        except ConnectionClosed:
            pass

    async def show(self, picture: Array) -> None:
        await self._socket.send(self._encoder.encode(Picture.from_array(picture, "bgr24")))

    def seen(self) -> list[Array]:
        decoder = StillDecoder()
        return [decoder.decode(file, "webp").to_array("bgr24") for file in self._files]

    async def leave(self) -> None:
        await self._socket.close()


class TestSocketVideo(VideoContract):
    async def connect(self, session: Session, mode: StreamMode) -> SocketLink:
        self.hall.guests.append((session, BrowserWire(48_000, 24_000, "video")))
        socket = await connect(self.hall.url)
        start = {"event": "start", "websocket_id": "me", "video": "webp"}
        await socket.send(json.dumps(start))
        return SocketLink(socket)

    def run(self, check: Coroutine[Any, Any, None]) -> None:
        async def in_hall() -> None:
            async with Hall() as self.hall:
                await check

        asyncio.run(in_hall())


class Camera(aiortc.VideoStreamTrack):  # type: ignore[misc]
    """Shows what it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.pictures: asyncio.Queue[Array] = asyncio.Queue()

    async def recv(self) -> VideoFrame:
        frame = VideoFrame.from_ndarray(await self.pictures.get(), format="bgr24")
        now_s = asyncio.get_running_loop().time()
        frame.pts, frame.time_base = round(now_s * CLOCK_RATE_HZ), Fraction(1, CLOCK_RATE_HZ)
        return frame


class AiortcLink:
    """The client's end of a WebRTC call."""

    def __init__(self) -> None:
        self._connection = aiortc.RTCPeerConnection()
        self._camera = Camera()
        self._frames: list[VideoFrame] = []
        self._connection.on("track", self._watch)

    def _watch(self, track: Any) -> None:
        async def watch() -> None:
            async for frame in frames_of(track):
                self._frames.append(frame)

        self._watching = asyncio.create_task(watch())

    async def connect(self, session: Session, mode: StreamMode) -> None:
        if mode == "receive":
            self._connection.addTransceiver("video", direction="recvonly")
        else:
            self._connection.addTrack(self._camera)
        await self._connection.setLocalDescription(await self._connection.createOffer())
        door = WebRTCDoor(allowed=Allowed(audio=False, video=True, mode=mode))
        pending = await door.accept(self._connection.localDescription.sdp)
        session.open(pending.attach)
        await self._connection.setRemoteDescription(
            aiortc.RTCSessionDescription(pending.answer_sdp, "answer")
        )

    async def show(self, picture: Array) -> None:
        self._camera.pictures.put_nowait(picture)

    def seen(self) -> list[Array]:
        return [cast(Array, frame.to_ndarray(format="bgr24")) for frame in self._frames]

    async def leave(self) -> None:
        await self._connection.close()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
class TestWebRTCVideo(LeavesAtTheEnd, VideoContract):
    async def connect(self, session: Session, mode: StreamMode) -> AiortcLink:
        self._link = AiortcLink()
        await self._link.connect(session, mode)
        return self._link
