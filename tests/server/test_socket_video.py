"""Pictures over the WebSocket door of a real server."""

from __future__ import annotations

import asyncio
import struct
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from websockets.exceptions import ConnectionClosed

from fastrtc import AsyncAudioVideoStreamHandler, AudioEmitType, Stream, VideoEmitType
from fastrtc.transports.reader import MAX_BAD_MESSAGES
from fastrtc.types import PictureFormat
from fastrtc.video.picture import Picture
from fastrtc.video.stills import StillDecoder, StillEncoder
from fastrtc.wire.browser import MAX_PICTURE_BYTES
from pictures import number_of, numbered
from sockets import Talker, served

SIZE = {"height": 240, "width": 320}


def file_of(number: int, format_: PictureFormat = "jpeg") -> bytes:
    return StillEncoder(format_).encode(Picture.from_array(numbered(number, **SIZE), "bgr24"))


def numbers_of(files: list[bytes], format_: PictureFormat = "jpeg") -> list[int]:
    decoder = StillDecoder()
    return [number_of(decoder.decode(file, format_).to_array("bgr24")) for file in files]


async def until(condition: Any, timeout_s: float = 10.0) -> None:
    async with asyncio.timeout(timeout_s):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("format_", ["jpeg", "webp"])
def test_a_camera_comes_back_in_the_form_that_was_asked_for(format_: PictureFormat) -> None:
    async def talk(host: str) -> None:
        async with Talker(host, start={"video": format_}) as client:
            for number in (3, 57, 120, 199):
                await client.send(file_of(number, "webp" if format_ == "jpeg" else "jpeg"))
                seen = len(client.payloads)
                await until(lambda seen=seen: len(client.payloads) > seen)
            assert numbers_of(client.payloads, format_) == [3, 57, 120, 199]
            stats = stream.sessions["me"].stats
            assert stats["pictures_sent"] == stats["video_frames_in"] == 4
            assert stats["picture_format"] == format_

    stream = Stream(lambda frame: np.flip(frame, axis=1), modality="video")
    with served(stream) as host:
        asyncio.run(talk(host))


class Both(AsyncAudioVideoStreamHandler):
    """Echoes sound and pictures."""

    def __init__(self) -> None:
        super().__init__(input_sample_rate=16_000, output_sample_rate=16_000)
        self.sound: asyncio.Queue[Any] = asyncio.Queue()
        self.pictures: asyncio.Queue[Any] = asyncio.Queue()

    async def receive(self, frame: Any) -> None:
        await self.sound.put(frame)

    async def emit(self) -> AudioEmitType:
        return await self.sound.get()  # type: ignore[no-any-return]

    async def video_receive(self, frame: Any) -> None:
        await self.pictures.put(frame)

    async def video_emit(self) -> VideoEmitType:
        return await self.pictures.get()  # type: ignore[no-any-return]


def test_sound_and_pictures_share_a_socket() -> None:
    async def talk(host: str) -> None:
        start = {"format": "pcm16", "sample_rate": 16_000}
        async with Talker(host, start=start) as client:
            tone = (8000 * np.sin(np.arange(8000) * 0.2)).astype("<i2")
            for number in range(10):
                await client.send(b"\x01" + file_of(10 * number))
                await client.send(b"\x00" + tone[800 * number :][:800].tobytes())
                await asyncio.sleep(0.05)
            await until(lambda: len([p for p in client.payloads if p[0] == 1]) >= 5)
            await until(lambda: sum(len(p) - 1 for p in client.payloads if p[0] == 0) > 10_000)
            pictures = [p[1:] for p in client.payloads if p[0] == 1]
            assert set(numbers_of(pictures)) <= {10 * number for number in range(10)}
            assert {p[0] for p in client.payloads} == {0, 1}
            sound = np.frombuffer(b"".join(p[1:] for p in client.payloads if not p[0]), "<i2")
            assert sound.max() > 6000

    with served(Stream(Both(), modality="audio-video")) as host:
        asyncio.run(talk(host))


def test_a_client_that_acknowledges_pictures_is_never_far_behind() -> None:
    async def watch(host: str) -> None:
        async with Talker(host, start={"marks": True}) as client:
            await until(lambda: "me" in stream.sessions)
            await until(lambda: stream.sessions["me"].stats["pictures_left_out"] > 10)
            assert len(client.payloads) == 4, "no more before they are acknowledged"
            behind = numbers_of(client.payloads)
            assert behind == [0, 1, 2, 3]
            stats: Any = stream.sessions["me"].stats
            assert stats["pictures_sent"] == 4
            assert stats["video_frames_shown"] == 5, "those, and one that waits"
            assert abs(stats["video_frames_left_out"] - stats["pictures_left_out"]) <= 1
            marks = [m for m in client.messages if m.get("event") == "mark"]
            assert len(marks) == 4
            for mark in marks:
                await client.send(mark)
            await until(lambda: len(client.payloads) == 8)
            newest = numbers_of(client.payloads[4:])
            assert newest[0] > 10, "the newest came, not the next"
            assert np.all(np.diff(newest) > 0)

    def source() -> Any:
        for number in range(200):
            yield numbered(number, **SIZE)

    stream = Stream(source, modality="video", mode="receive")
    with served(stream) as host:
        asyncio.run(watch(host))


def bomb() -> bytes:
    """A picture of 4 gigapixels in 40 bytes."""
    return b"\xff\xd8" + struct.pack(">BBHBHHB", 0xFF, 0xC0, 11, 8, 65_535, 65_535, 1) + bytes(20)


def test_bad_pictures_are_told_and_the_session_goes_on() -> None:
    async def talk(host: str) -> None:
        async with Talker(host) as client:
            whole = file_of(5)
            for bad, told in (
                (bomb(), "65535x65535 has more than"),
                (b"no picture", "a picture is a JPEG or WebP file"),
                (whole[: len(whole) // 2], "jpeg file of"),
                ({"event": "media", "media": {"payload": "AAAA"}}, "modality 'video'"),
            ):
                await client.send(bad)
                error = await client.wait_for("error")
                assert told in error["message"]
            await client.send(whole)
            await until(lambda: client.payloads)
            assert numbers_of(client.payloads) == [5]

    with served(Stream(lambda frame: frame, modality="video")) as host:
        asyncio.run(talk(host))


@pytest.mark.parametrize("bad", [b"no picture", file_of(1)[:300]])
def test_too_many_bad_pictures_end_the_session(bad: bytes) -> None:
    async def talk(host: str) -> None:
        async with Talker(host) as client:
            with suppress(ConnectionClosed):
                for _ in range(20 * MAX_BAD_MESSAGES):  # Newer ones spare the decoder some.
                    await client.send(bad)
                    await asyncio.sleep(0.002)
            code, reason = await client.wait_closed()
            assert code == 1008
            assert reason.startswith(f"{MAX_BAD_MESSAGES} bad messages")
        await until(lambda: not stream.sessions)

    stream = Stream(lambda frame: frame, modality="video")
    with served(stream) as host:
        asyncio.run(talk(host))


def test_a_file_that_is_too_long_ends_the_session() -> None:
    async def talk(host: str) -> None:
        async with Talker(host) as client:
            await client.send(file_of(1) + bytes(MAX_PICTURE_BYTES))
            assert (await client.wait_closed())[0] == 1009

    with served(Stream(lambda frame: frame, modality="video")) as host:
        asyncio.run(talk(host))


def test_a_flood_of_pictures_ends_the_session() -> None:
    async def talk(host: str) -> None:
        async with Talker(host) as client:
            file = file_of(1)
            with suppress(ConnectionClosed):
                for _ in range(4000):
                    await client.send(file)
            code, reason = await client.wait_closed(20)
            assert code == 1008
            assert "seconds of media a second" in reason

    with served(Stream(lambda frame: None, modality="video", mode="send")) as host:
        asyncio.run(talk(host))


def test_a_call_gets_no_pictures() -> None:
    async def call(host: str) -> None:
        async with Talker(host, "/telephone/handler", id_=None) as phone:
            assert await phone.wait_closed() == (1008, "unsupported_media")

    with served(Stream(lambda frame: frame, modality="video")) as host:
        asyncio.run(call(host))
