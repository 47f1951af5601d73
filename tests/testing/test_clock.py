"""Virtual time: waits cost nothing, threads are waited for, a stuck loop says so."""

from __future__ import annotations

import asyncio
import queue
import sys
import time

import pytest

from fastrtc.session.workers import call_sync
from fastrtc.testing import clock, run


def test_an_hour_passes_at_once() -> None:
    async def check() -> float:
        await asyncio.sleep(3600)
        return asyncio.get_running_loop().time()

    started = time.monotonic()
    assert run(check()) == 3600
    assert time.monotonic() - started < 1


def test_time_stands_while_a_thread_works() -> None:
    async def check() -> None:
        loop = asyncio.get_running_loop()
        ticks: list[float] = []
        loop.call_later(0.001, lambda: ticks.append(loop.time()))
        await call_sync(time.sleep, 0.02)
        assert ticks == []
        await asyncio.to_thread(time.sleep, 0.02)
        assert ticks == []
        assert loop.time() == 0

    run(check())


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells how long each thread has run")
def test_time_stands_while_a_thread_works_for_long() -> None:
    def work() -> None:
        end_s = time.monotonic() + 4 * clock.PATIENCE_S
        while time.monotonic() < end_s:
            pass

    async def check() -> None:
        ticks: list[int] = []
        asyncio.get_running_loop().call_later(0.001, ticks.append, 1)
        await call_sync(work)
        assert ticks == []

    run(check())


def test_time_goes_on_without_a_thread_that_blocks() -> None:
    async def check() -> None:
        items: queue.Queue[int] = queue.Queue()
        blocked = asyncio.ensure_future(call_sync(items.get))
        await asyncio.sleep(100)
        assert not blocked.done()
        items.put(1)
        assert await blocked == 1

    run(check())


def test_a_loop_that_nothing_can_wake_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "STUCK_S", 0.05)

    async def check() -> None:
        await asyncio.get_running_loop().create_future()

    with pytest.raises(RuntimeError, match="virtual time is stuck"):
        run(check())
