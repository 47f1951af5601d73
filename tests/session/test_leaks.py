"""A thousand clients come and go, and nothing stays behind."""

from __future__ import annotations

import asyncio
import gc
import sys
import threading
import weakref
from pathlib import Path
from typing import Any

import pytest

from fastrtc import Stream
from fastrtc.testing import MemoryClient, run
from recorders import AsyncEcho, SyncEcho


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.mark.parametrize("handler", [AsyncEcho(), SyncEcho(), lambda frame: frame])
@pytest.mark.skipif(sys.platform != "linux", reason="counts descriptors in /proc")
def test_a_thousand_sessions_leave_no_task_thread_descriptor_or_object(handler: Any) -> None:
    """Pitfall 7: memory is released after disconnect."""
    stream = Stream(handler, modality="audio")
    alive: list[weakref.ref[Any]] = []

    async def cycle(number: int) -> None:
        async with MemoryClient(stream, str(number)) as client:
            client.session.on_audio(bytearray(1920), 48000)
            await client.send_message("hello")
            alive.append(weakref.ref(client.session))
            alive.append(weakref.ref(client.handler))
            if isinstance(handler, SyncEcho):
                client.handler.queue.put(None)  # type: ignore[attr-defined]

    async def check() -> None:
        for number in range(20):
            await cycle(number)
        gc.collect()  # else what earlier tests left goes away while we count
        tasks, files = len(asyncio.all_tasks()), descriptors()
        threads = threading.active_count()
        for number in range(1000):
            await cycle(number)
        await asyncio.sleep(0.1)
        assert len(asyncio.all_tasks()) == tasks
        assert descriptors() == files
        assert threading.active_count() <= threads + 4
        gc.collect()
        assert sum(reference() is not None for reference in alive) <= 4
        assert len(stream.sessions) == 0
        assert not stream.factory.outbox._boxes
        assert len(stream.sessions.drain_closed()) <= 1000

    run(check())
