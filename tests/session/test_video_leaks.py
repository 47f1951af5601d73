"""Clients with cameras come and go, and nothing of their pictures stays behind."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref
from typing import Any

import pytest

from fastrtc import Stream
from fastrtc.testing import MemoryClient, run
from fastrtc.video.picture import Picture
from mirrors import AsyncMirror
from pictures import camera, numbered


def endless(_: Any) -> Any:
    while True:
        yield numbered(1)


def pictures() -> int:
    return sum(type(thing) is Picture for thing in gc.get_objects())


@pytest.mark.parametrize(
    ("handler", "modality"),
    [(lambda frame: frame, "video"), (endless, "video"), (AsyncMirror(), "audio-video")],
)
def test_sessions_leave_no_task_thread_or_picture(handler: Any, modality: Any) -> None:
    """Pitfall 7: memory is released after disconnect."""
    stream = Stream(handler, modality=modality)
    alive: list[weakref.ref[Any]] = []

    async def cycle(number: int) -> None:
        async with MemoryClient(stream, str(number)) as client:
            await client.send_video(camera(3))
            await client.listen(0.1)
            assert client.shown
            alive.append(weakref.ref(client.session))
            alive.append(weakref.ref(client.session.video))

    async def check() -> None:
        await cycle(0)
        gc.collect()  # else what earlier tests left goes away while we count
        before = pictures()
        tasks, threads = len(asyncio.all_tasks()), threading.active_count()
        for number in range(100):
            await cycle(number)
        await asyncio.sleep(0.1)
        assert len(asyncio.all_tasks()) == tasks
        assert threading.active_count() <= threads + 4
        gc.collect()
        assert sum(reference() is not None for reference in alive) <= 4
        assert pictures() <= before + 20

    run(check())
