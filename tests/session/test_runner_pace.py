"""How often user code is asked, in which order and in which threads. In virtual time."""

from __future__ import annotations

import asyncio
import threading
import time
from contextlib import AsyncExitStack
from typing import Any

import numpy as np
import pytest

from fastrtc import (
    AdditionalOutputs,
    AsyncStreamHandler,
    Stream,
    StreamHandler,
)
from fastrtc.session.playout import HIGH_WATER_S, LOW_WATER_S
from fastrtc.session.workers import pool
from fastrtc.testing import MemoryClient, run
from recorders import AsyncEcho, SyncEcho


def stream(handler: Any, **options: Any) -> Stream:
    return Stream(handler, modality="audio", **options)


class CountsEmits(AsyncStreamHandler):
    def __init__(self) -> None:
        super().__init__()
        self.asked_at: list[float] = []

    async def receive(self, frame: Any) -> None: ...

    async def emit(self) -> None:
        self.asked_at.append(asyncio.get_running_loop().time())


def test_an_emit_that_returns_none_is_asked_again_after_20_ms() -> None:
    """Pitfall 1: not 21,000 times a second."""

    async def check() -> None:
        async with MemoryClient(stream(CountsEmits())) as client:
            await client.listen(1)
            asked: list[float] = client.handler.asked_at  # type: ignore[attr-defined]
            assert 49 <= len(asked) <= 51
            assert np.allclose(np.diff(asked), 0.02)

    run(check())


def test_an_emit_that_returns_none_is_asked_again_when_a_frame_came_or_it_was_woken() -> None:
    async def check() -> None:
        async with MemoryClient(stream(CountsEmits())) as client:
            asked: list[float] = client.handler.asked_at  # type: ignore[attr-defined]
            await client.listen(0.01)
            client.session.on_audio(bytearray(1920), 48000)
            await client.listen(0.005)
            assert asked == [0.0, 0.01]
            client.session.wake()
            await client.listen(0.002)
            assert asked == [0.0, 0.01, 0.015]

    run(check())


class Endless(AsyncStreamHandler):
    def __init__(self) -> None:
        super().__init__()
        self.asked = 0

    async def receive(self, frame: Any) -> None: ...

    async def emit(self) -> Any:
        self.asked += 1
        return 24000, np.zeros(480, np.int16)


class EndlessSync(StreamHandler):
    def __init__(self) -> None:
        super().__init__()
        self.asked = 0

    def receive(self, frame: Any) -> None: ...

    def emit(self) -> Any:
        self.asked += 1
        return 24000, np.zeros(480, np.int16)


@pytest.mark.parametrize("handler", [Endless(), EndlessSync()])
def test_a_fast_handler_is_held_back_and_let_go_by_one_timer(handler: Any) -> None:
    """Back-pressure: no more than the high-water mark is ever queued, without polling."""

    async def check() -> None:
        async with MemoryClient(stream(handler)) as client:
            transport = client.session.transport
            counted: Any = client.handler
            await client.listen(0.1)
            high = transport.queued_s
            assert HIGH_WATER_S - 0.2 < high <= HIGH_WATER_S + 0.02
            asked = counted.asked
            await client.listen(transport.queued_s - LOW_WATER_S - 0.03)
            assert counted.asked == asked
            await client.listen(0.06)
            assert transport.queued_s > LOW_WATER_S + 0.5
            await client.listen(10)
            assert transport.queued_s <= HIGH_WATER_S + 0.02

    run(check())


@pytest.mark.parametrize("handler", [AsyncEcho(), SyncEcho(), lambda frame: frame])
def test_an_echo_hands_over_at_once_all_that_waited_while_it_stalled(handler: Any) -> None:
    """Held back, what it is late by would hide in its own queue, for the rest of the call."""

    async def check() -> None:
        async with MemoryClient(stream(handler)) as client:
            await client.listen(0.1)
            for _ in range(240):
                client.session.on_audio(bytearray(1920), 48000)
            await client.listen(0.1)
            for _ in range(50):
                client.session.on_audio(bytearray(1920), 48000)
                await client.listen(0.02)
            assert 4.6 < client.session.transport.queued_s < 4.9

    run(check())


def test_a_reply_after_a_stall_is_held_back_too() -> None:
    async def check() -> None:
        async with MemoryClient(stream(Endless())) as client:
            transport = client.session.transport
            for _ in range(240):
                client.session.on_audio(bytearray(1920), 48000)
            await client.listen(3)
            assert transport.queued_s <= HIGH_WATER_S + 4.8 + 0.02
            await client.listen(20)
            assert transport.queued_s <= HIGH_WATER_S + 0.02

    run(check())


def test_an_endless_generator_is_held_back_too() -> None:
    made = 0

    def source() -> Any:
        nonlocal made
        while True:
            made += 1
            yield 24000, np.zeros(2400, np.int16)

    async def check() -> None:
        async with MemoryClient(stream(source, mode="receive")) as client:
            await client.listen(0.5)
            assert made < 30

    run(check())


def test_an_emit_that_never_waits_lets_other_sessions_run() -> None:
    class Chatter(AsyncEcho):
        async def emit(self) -> Any:
            return AdditionalOutputs(1)

    async def check() -> None:
        the_stream = stream(Chatter())
        async with MemoryClient(the_stream, "me") as client:
            for _ in range(100):
                await asyncio.sleep(0)
            assert client.state == "live"

    run(check())


def test_a_slow_handler_gets_the_newest_five_seconds_the_rest_is_counted() -> None:
    """Pitfall 4, for audio: what comes in is bounded."""

    class Slow(AsyncEcho):
        async def receive(self, frame: Any) -> None:
            self.events.append("receive")
            await asyncio.sleep(10**6)

    async def check() -> None:
        async with MemoryClient(stream(Slow())) as client:
            await client.send_silence(20)
            stats = client.session.stats
            assert stats["frames_in"] == 1000
            assert stats["frames_dropped"] == 1000 - 1 - 250

    run(check())


def test_frames_never_overlap_and_keep_their_order_in_threads() -> None:
    class Checks(StreamHandler):
        def __init__(self) -> None:
            super().__init__()
            self.inside = 0
            self.numbers: list[int] = []

        def receive(self, frame: Any) -> None:
            self.inside += 1
            assert self.inside == 1
            time.sleep(0.001)
            self.numbers.append(int(frame[1][0, 0]))
            self.inside -= 1

        def emit(self) -> None: ...

    async def check() -> None:
        async with MemoryClient(stream(Checks())) as client:
            for number in range(50):
                frame = np.full(960, number, np.int16)
                client.session.on_audio(bytearray(frame.tobytes()), 48000)
            await client.listen(1)
            checks: Any = client.handler
            assert checks.numbers == list(range(50))
            assert client.session.stats["handler_failures"] == 0

    run(check())


def test_frames_that_wait_are_handed_to_a_thread_in_one_visit() -> None:
    visits: list[int] = []

    class Visited(SyncEcho):
        def receive(self, frame: Any) -> None:
            visits.append(threading.get_ident())
            time.sleep(0.002)

    async def check() -> None:
        async with MemoryClient(stream(Visited())) as client:
            submitted = 0
            submit = pool.submit

            def counting(call: Any) -> None:
                nonlocal submitted
                submitted += call.fn.__name__ == "call_each"
                submit(call)

            pool.submit = counting  # type: ignore[method-assign]
            try:
                for _ in range(20):
                    client.session.on_audio(bytearray(1920), 48000)
                await client.listen(0.5)
            finally:
                pool.submit = submit  # type: ignore[method-assign]
            assert len(visits) == 20
            assert submitted <= 2

    run(check())


def test_sync_code_never_runs_on_the_event_loop() -> None:
    """Pitfall 3's rule, for audio."""

    async def check() -> None:
        loop_thread = threading.get_ident()
        async with MemoryClient(stream(SyncEcho())) as client:
            await client.send_silence(0.1)
            await client.listen(0.1)
            threads = client.handler.threads  # type: ignore[attr-defined]
            assert threads
            assert loop_thread not in threads

    run(check())


@pytest.mark.parametrize("kind", ["function", "generator", "source"])
def test_sync_functions_never_run_on_the_event_loop(kind: str) -> None:
    """Pitfall 3's rule, for functions of audio."""
    threads: list[int] = []

    def function(frame: Any) -> Any:
        threads.append(threading.get_ident())
        return frame

    def generator(frame: Any) -> Any:
        threads.append(threading.get_ident())
        yield frame

    def source() -> Any:
        threads.append(threading.get_ident())
        yield 24000, np.zeros(480, np.int16)
        threads.append(threading.get_ident())

    async def check() -> None:
        handler = {"function": function, "generator": generator, "source": source}[kind]
        served = stream(handler, mode="receive" if kind == "source" else "send-receive")
        async with MemoryClient(served) as client:
            await client.send_silence(0.1)
            await client.listen(0.1)
            assert len(client.heard()) > 0
        assert len(threads) > 1
        assert threading.get_ident() not in threads

    run(check())


def test_an_async_handler_makes_no_task_timer_or_thread_per_frame() -> None:
    async def check() -> None:
        async with MemoryClient(stream(AsyncEcho())) as client:
            await client.send_silence(0.1)
            tasks, threads = len(asyncio.all_tasks()), threading.active_count()
            for _ in range(10):
                await client.send_silence(0.1)
                assert len(asyncio.all_tasks()) == tasks
            assert threading.active_count() <= threads

    run(check())


def test_a_hundred_calls_need_no_hundred_threads() -> None:
    """Pitfall 6. A few threads make the handlers."""

    async def check() -> None:
        served = stream(AsyncEcho(), concurrency_limit=None)
        before = threading.active_count()
        async with AsyncExitStack() as calls:
            clients = [MemoryClient(served, f"call {number}") for number in range(100)]
            for client in clients:
                await calls.enter_async_context(client)
            for client in clients:
                await client.send_silence(0.02)
            await clients[0].listen(0.1)
            assert all(len(client.heard()) > 0 for client in clients)
            assert threading.active_count() <= before + 4

    run(check())
