"""Threads for sync user code: reused, as many as needed, never stuck on one another."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from typing import Any

import pytest

from fastrtc.session.workers import Lane, call_sync, pool
from fastrtc.testing import run

variable: contextvars.ContextVar[int] = contextvars.ContextVar("variable", default=0)


def test_calls_one_after_the_other_reuse_a_thread() -> None:
    async def check() -> None:
        names = {await call_sync(threading.get_ident) for _ in range(20)}
        assert len(names) == 1

    run(check())


def test_threads_grow_with_need() -> None:
    """Pitfall 6's counterpart: blocked calls take threads, nothing else waits for them."""

    async def check() -> None:
        release = threading.Event()
        blocked = [asyncio.ensure_future(call_sync(release.wait)) for _ in range(60)]
        await asyncio.sleep(0)
        assert await call_sync(lambda: "free") == "free"
        release.set()
        assert await asyncio.gather(*blocked) == [True] * 60

    run(check())


def test_a_lane_keeps_its_context_from_call_to_call() -> None:
    async def check() -> None:
        lane = Lane(asyncio.get_running_loop(), contextvars.copy_context())
        await lane.call(variable.set, 5)
        assert await lane.call(variable.get) == 5
        assert variable.get() == 0

    run(check())


@pytest.mark.parametrize("error", [KeyError("a"), KeyboardInterrupt("b"), StopIteration("c")])
def test_what_a_call_raises_arrives_as_an_error(error: BaseException) -> None:
    def fails() -> None:
        raise error

    async def check() -> None:
        with pytest.raises(Exception, match=repr(error.args[0])):
            await call_sync(fails)

    run(check())


def test_an_abandoned_call_is_counted_its_result_dropped_and_its_sequel_run() -> None:
    async def check() -> None:
        release, after = threading.Event(), threading.Event()
        lane = Lane(asyncio.get_running_loop(), contextvars.copy_context())
        future: asyncio.Future[Any] = lane.call(release.wait)
        before = pool.abandoned
        assert lane.finish(after.set) is True
        assert pool.abandoned == before + 1
        assert future.cancelled()
        assert not after.is_set()
        release.set()
        assert after.wait(5)
        assert lane.finish() is False

    run(check())


def test_a_loop_that_is_gone_is_no_error_for_the_thread() -> None:
    release = threading.Event()
    loop = asyncio.new_event_loop()

    async def start() -> None:
        Lane(loop, contextvars.copy_context()).call(release.wait)

    loop.run_until_complete(start())
    loop.close()
    release.set()
    assert asyncio.run(call_sync(lambda: 1)) == 1
