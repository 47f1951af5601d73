"""Pictures over the real media plane, with aiortc as the client."""

from __future__ import annotations

import asyncio
from fractions import Fraction
from typing import Any

import aiortc
import numpy as np
import pytest
from av import VideoFrame

from fastrtc import Stream
from fastrtc.server.schemas import Body
from pictures import number_of, numbered
from tracks import frames_of

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

FPS = 20


class NumberedTrack(aiortc.VideoStreamTrack):  # type: ignore[misc]
    """Shows its pictures' numbers, 0 to 199 and again, in real time."""

    def __init__(self) -> None:
        super().__init__()
        self.number = 0

    async def recv(self) -> VideoFrame:
        await asyncio.sleep(1 / FPS)
        picture = numbered(self.number % 200, height=240, width=320)
        frame = VideoFrame.from_ndarray(picture, format="bgr24")
        frame.pts, frame.time_base = self.number, Fraction(1, FPS)
        self.number += 1
        return frame


class Viewer:
    """A client that sends its camera, or none, and keeps what it sees."""

    def __init__(self, stream: Stream, *, shows: bool = True) -> None:
        self.stream = stream
        self.seen: list[int] = []
        self.shows = shows
        self.connection = aiortc.RTCPeerConnection()
        self.connection.on("track", self._watch)
        self._watching: asyncio.Task[None] | None = None

    def _watch(self, track: Any) -> None:
        async def watch() -> None:
            async for frame in frames_of(track):
                self.seen.append(number_of(frame.to_ndarray(format="bgr24")))

        self._watching = asyncio.create_task(watch())

    async def __aenter__(self) -> Viewer:
        if self.shows:
            self.connection.addTrack(NumberedTrack())
        else:
            self.connection.addTransceiver("video", direction="recvonly")
        await self.connection.setLocalDescription(await self.connection.createOffer())
        body = Body(type="offer", sdp=self.connection.localDescription.sdp, webrtc_id="viewer")
        answer = await self.stream.offer(body)
        await self.connection.setRemoteDescription(
            aiortc.RTCSessionDescription(answer["sdp"], "answer")
        )
        return self

    async def see(self, count: int) -> list[int]:
        async with asyncio.timeout(20):
            while len(self.seen) < count:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        return self.seen

    async def __aexit__(self, *_: object) -> None:
        await self.connection.close()
        await self.stream.shutdown(0)


async def test_a_camera_comes_back() -> None:
    stream = Stream(lambda frame: np.flip(frame, axis=1), modality="video")
    async with Viewer(stream) as viewer:
        seen = await viewer.see(30)
        assert np.all(np.diff(seen) > 0)
        stats = stream.sessions["viewer"].stats
        assert stats["video_codec"] == "vp8"
        assert stats["video_frames_shown"] >= 30
        assert stats["handler_failures"] == 0


async def test_a_source_is_seen() -> None:
    def source() -> Any:
        for number in range(200):
            yield numbered(number, height=240, width=320)

    stream = Stream(source, modality="video", mode="receive")
    async with Viewer(stream, shows=False) as viewer:
        seen = await viewer.see(30)
        assert np.all(np.diff(seen) > 0)


async def test_a_stream_of_pictures_takes_no_sound() -> None:
    stream = Stream(lambda frame: frame, modality="video")
    connection = aiortc.RTCPeerConnection()
    connection.addTransceiver("audio", direction="recvonly")
    await connection.setLocalDescription(await connection.createOffer())
    body = Body(type="offer", sdp=connection.localDescription.sdp, webrtc_id="caller")
    refused = await stream.offer(body)
    assert refused.status_code == 400
    assert b"leave it out, or set allow_extra_tracks=True" in refused.body
    await connection.close()
