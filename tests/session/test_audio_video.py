"""Sound and pictures of one session: together, one way, at their rate. In virtual time."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
import pytest

from fastrtc import Stream
from fastrtc.testing import MemoryClient, run
from mirrors import AsyncMirror, SyncMirror
from pictures import camera, numbered, numbers


def stream(handler: Any, **options: Any) -> Stream:
    return Stream(handler, **{"modality": "video", **options})


BEEP = (np.sin(np.arange(24_000) / 10) * 9000).astype(np.int16)


@pytest.mark.parametrize("handler", [SyncMirror(), AsyncMirror()])
def test_sound_and_pictures_come_back_together(handler: Any) -> None:
    async def check() -> None:
        async with MemoryClient(stream(handler, modality="audio-video")) as client:
            async with asyncio.TaskGroup() as both:
                both.create_task(client.send_audio(BEEP))
                both.create_task(client.send_video(camera(15)))
            await client.listen(0.2)
            assert numbers(client.seen()) == list(range(15))
            assert np.array_equal(client.heard(), BEEP)
            first_s = client.shown[0].at_s - client.played[0].at_s
            assert abs(first_s) < 0.04

    run(check())


@pytest.mark.parametrize("kind", [SyncMirror, AsyncMirror])
@pytest.mark.parametrize(
    ("mode", "expected"),
    [("send", {"receive", "video_receive"}), ("receive", {"emit", "video_emit"})],
)
def test_one_way_uses_half_of_the_methods(kind: Any, mode: Any, expected: set[str]) -> None:
    async def check() -> None:
        served = stream(kind(), modality="audio-video", mode=mode)
        async with MemoryClient(served) as client:
            async with asyncio.TaskGroup() as both:
                both.create_task(client.send_audio(BEEP[:4800]))
                both.create_task(client.send_video(camera(3)))
            await client.listen(0.2)
            handler: Any = client.handler
            assert handler.calls == expected
            assert not client.shown
            assert not client.played

    run(check())


def test_an_avatar_is_shown_at_its_rate() -> None:
    class Avatar(AsyncMirror):
        def __init__(self) -> None:
            super().__init__()
            self.fps = 20
            self.made = 0

        async def video_emit(self) -> Any:
            self.made += 1
            return numbered(self.made % 200)

    async def check() -> None:
        served = stream(Avatar(), modality="audio-video", mode="receive")
        async with MemoryClient(served) as client:
            await client.listen(10)
            assert len(client.shown) == pytest.approx(200, abs=2)

    run(check())


def test_a_camera_that_is_too_fast_does_not_fill_an_echo() -> None:
    async def check() -> None:
        served = stream(AsyncMirror(), modality="audio-video")
        async with MemoryClient(served) as client:
            await client.send_video((numbered(n % 200) for n in range(600)), fps=60)
            handler: Any = client.handler
            assert handler.pictures.qsize() <= 5
            assert len(client.shown) == pytest.approx(300, abs=6)

    run(check())


def test_an_emit_that_has_nothing_is_asked_a_few_times_a_second() -> None:
    class Blind(AsyncMirror):
        asked = 0

        async def video_emit(self) -> Any:
            Blind.asked += 1

    async def check() -> None:
        async with MemoryClient(stream(Blind(), modality="audio-video")) as client:
            await client.listen(10)
            assert Blind.asked <= 510

    run(check())
