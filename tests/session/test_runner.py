"""How user code is run: order, threads, emptiness, back-pressure, failure. In virtual time."""

from __future__ import annotations

import asyncio
import logging
import queue
import re
import threading
import time
from typing import Any

import numpy as np
import pytest

from fastrtc import (
    AdditionalOutputs,
    AsyncStreamHandler,
    CloseStream,
    Stream,
    StreamHandler,
    WebRTCError,
)
from fastrtc.session.playout import HIGH_WATER_S, LOW_WATER_S
from fastrtc.session.workers import pool
from fastrtc.testing import MemoryClient, run
from recorders import AsyncEcho, SyncEcho

TONE = (np.sin(np.arange(48000) / 20) * 9000).astype(np.int16)


def stream(handler: Any, **options: Any) -> Stream:
    return Stream(handler, modality="audio", **options)


def sync_function(frame: Any) -> Any:
    return frame


async def async_function(frame: Any) -> Any:
    return frame


def sync_generator(frame: Any) -> Any:
    rate, samples = frame
    yield rate, samples[:, :400]
    yield rate, samples[:, 400:]


async def async_generator(frame: Any) -> Any:
    rate, samples = frame
    yield rate, samples[:, :400]
    yield rate, samples[:, 400:]


class Methods:
    def method(self, frame: Any) -> Any:
        return frame

    async def __call__(self, frame: Any) -> Any:
        return frame


ECHOES = [
    AsyncEcho(),
    SyncEcho(),
    sync_function,
    async_function,
    sync_generator,
    async_generator,
    Methods().method,
    Methods(),
]


@pytest.mark.parametrize("handler", ECHOES)
def test_every_kind_of_handler_echoes(handler: Any) -> None:
    """Pitfall 23: bound methods are handlers too."""

    async def check() -> None:
        async with MemoryClient(stream(handler)) as client:
            await client.send_audio(TONE)
            await client.listen(2)
            assert np.array_equal(client.heard(), TONE)

    run(check())


def yields(*inputs: Any) -> Any:
    for start in range(0, len(TONE), 4800):
        yield 48000, TONE[start : start + 4800]


async def yields_async(*inputs: Any) -> Any:
    for item in yields():
        yield item


class Source:
    def method(self) -> Any:
        return yields()


@pytest.mark.parametrize("handler", [yields, yields_async, Source().method, lambda: yields()])
def test_a_generator_is_heard_in_receive_mode_until_it_ends(handler: Any) -> None:
    async def check() -> None:
        async with MemoryClient(stream(handler, mode="receive")) as client:
            await client.wait_closed()
            assert np.array_equal(client.heard(), TONE)
            assert client.messages[-1]["type"] == "end_stream"

    run(check())


def test_receive_mode_waits_for_declared_inputs() -> None:
    heard: list[Any] = []

    def source(name: str, times: int = 1) -> Any:
        heard.append((name, times))
        yield 48000, TONE

    async def check() -> None:
        the_stream = stream(source, mode="receive", additional_inputs=["box"])
        async with MemoryClient(the_stream, "me") as client:
            await client.wait_for_message("send_input")
            await client.listen(5)
            assert not client.played
            the_stream.set_input("me", "Ada", 2, "surplus")
            await client.wait_closed()
        assert heard == [("Ada", 2)]

    run(check())


def test_receive_mode_does_not_wait_for_inputs_for_ever(caplog: pytest.LogCaptureFixture) -> None:
    async def check() -> None:
        the_stream = stream(yields, mode="receive", additional_inputs=["box"])
        async with MemoryClient(the_stream) as client:
            await client.wait_closed(timeout_s=70)
            assert "waiting for inputs failed" in str(client.messages)

    run(check())
    assert "sent no inputs within 60 s" in caplog.text


def test_a_function_in_receive_mode_that_yields_nothing_is_an_error(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def check() -> None:
        async with MemoryClient(stream(lambda: 5, mode="receive")) as client:
            await client.wait_closed()
            assert client.messages[0]["message"].startswith("the handler function failed (")

    run(check())
    assert "use yield" in caplog.text


def test_in_send_mode_media_is_dropped_and_outputs_are_kept() -> None:
    async def function(frame: Any) -> Any:
        return frame, AdditionalOutputs("counted")

    async def check(handler: Any) -> None:
        the_stream = stream(handler, mode="send")
        async with MemoryClient(the_stream, "me") as client:
            await client.send_silence(0.1)
            assert (await the_stream.fetch_latest_output("me")).args == ("counted",)
            assert client.played == []

    class Handler(AsyncEcho):
        async def emit(self) -> Any:
            return await self.queue.get(), AdditionalOutputs("counted")

    run(check(function))
    run(check(Handler()))


def test_inputs_reach_functions_surplus_ones_dropped_and_missing_ones_defaulted() -> None:
    """Pitfalls 27a and 40, for audio: called from the first frame, inputs or not."""
    calls: list[tuple[Any, ...]] = []

    def function(frame: Any, volume: float = 0.5, name: str = "nobody") -> None:
        calls.append((volume, name))

    async def check() -> None:
        the_stream = stream(function)
        async with MemoryClient(the_stream, "me") as client:
            await client.send_silence(0.02)
            the_stream.set_input("me", 0.9)
            await client.send_silence(0.02)
            the_stream.set_input("me", 0.1, "Ada", "surplus", "more")
            await client.send_silence(0.02)
            await client.listen(0.1)

    run(check())
    assert calls == [(0.5, "nobody"), (0.9, "nobody"), (0.1, "Ada")]


def test_the_first_input_reaches_the_first_call_even_before_the_session() -> None:
    """Pitfall 27a."""
    calls: list[Any] = []

    async def check() -> None:
        the_stream = stream(lambda frame, name: calls.append(name))
        the_stream.set_input("me", "early")
        async with MemoryClient(the_stream, "me") as client:
            await client.send_silence(0.02)
            await client.listen(0.1)

    run(check())
    assert calls == ["early"]


def test_a_function_that_needs_inputs_has_the_client_asked_for_them() -> None:
    calls: list[Any] = []

    async def check() -> None:
        the_stream = stream(lambda frame, name: calls.append(name))
        async with MemoryClient(the_stream, "me") as client:
            await client.send_silence(5)
            assert client.messages == [{"type": "send_input", "data": []}]
            assert calls == []
            the_stream.set_input("me", "Ada")
            await client.send_silence(0.02)
            await client.listen(0.1)

    run(check())
    assert calls == ["Ada"]


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
            assert loop_thread not in client.handler.threads  # type: ignore[attr-defined]

    run(check())


def test_an_emit_that_blocks_for_ever_ends_with_neither_the_session_nor_the_pool_stuck() -> None:
    """Pitfall 42."""
    release = queue.Queue[None]()

    class Blocks(SyncEcho):
        def emit(self) -> Any:
            release.get()
            return 24000, np.zeros(480, np.int16)

    async def check() -> None:
        before = pool.abandoned
        clients = [MemoryClient(the_stream, str(n)) for n in range(50)]
        for client in clients:
            await client.connect()
        await clients[0].listen(0.2)
        started = time.monotonic()
        for client in clients:
            await client.close()
            assert client.handler.events == ["start_up", "shutdown"]  # type: ignore[attr-defined]
        assert time.monotonic() - started < 5
        assert pool.abandoned - before == 50
        assert clients[0].session.stats["calls_abandoned"] == 1
        for _ in clients:
            release.put(None)
        await asyncio.sleep(0.5)
        assert not clients[0].played

    the_stream = stream(Blocks(), concurrency_limit=None)
    run(check())


def test_a_generator_at_work_when_the_session_ends_is_closed_afterwards() -> None:
    """Pitfall 10: no "generator already executing", and its chunk is not played."""
    closed: list[str] = []
    entered, release = threading.Event(), threading.Event()

    def source() -> Any:
        try:
            entered.set()
            release.wait()
            yield 24000, np.zeros(480, np.int16)
        except GeneratorExit:
            closed.append("closed")
            raise

    async def check() -> None:
        client = MemoryClient(stream(source, mode="receive"))
        await client.connect()
        await client.listen(0.1)
        assert entered.is_set()
        await client.close()
        release.set()
        for _ in range(100):
            if closed:
                break
            await asyncio.to_thread(time.sleep, 0.01)
        assert closed == ["closed"]
        assert not client.played

    run(check())


def test_an_idle_generator_is_closed_with_the_session() -> None:
    closed: list[str] = []

    def source() -> Any:
        try:
            while True:
                yield 24000, np.zeros(24000, np.int16)
        finally:
            closed.append("sync")

    async def source_async() -> Any:
        try:
            while True:
                yield 24000, np.zeros(24000, np.int16)
        finally:
            closed.append("async")

    async def check(handler: Any) -> None:
        async with MemoryClient(stream(handler, mode="receive")) as client:
            await client.listen(0.5)
        await asyncio.sleep(0.1)

    run(check(source))
    run(check(source_async))
    assert closed == ["sync", "async"]


class Raises(AsyncEcho):
    async def receive(self, frame: Any) -> None:
        if len(self.events) % 2:
            self.events.append("failed")
            raise KeyError("oh no")
        await super().receive(frame)


class RaisesSync(SyncEcho):
    def receive(self, frame: Any) -> None:
        if len(self.events) % 2:
            self.events.append("failed")
            raise KeyError("oh no")
        super().receive(frame)


@pytest.mark.parametrize("handler", [Raises(), RaisesSync()])
def test_a_failure_skips_its_frame_is_logged_once_and_shown(
    handler: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """Pitfall 26: an error in a thread is judged on the loop, by the session it belongs to.

    What it says is for the log alone: the client may be anybody.
    """
    told: list[str] = []

    async def check() -> None:
        async with MemoryClient(stream(handler)) as client:
            await client.send_audio(TONE)
            await client.listen(2)
            assert client.session.stats["handler_failures"] == 25
            (message,) = client.messages
            assert message["type"] == "error"
            told.append(message["message"])
            assert len(client.heard()) == 25 * 960

    with caplog.at_level(logging.ERROR, "fastrtc"):
        run(check())
    (record,) = caplog.records
    assert record.exc_info is not None
    found = re.fullmatch(r"receive failed \((error [0-9a-f]{8})\)", told[0])
    assert found, told
    assert found[1] in record.getMessage()


@pytest.mark.parametrize(
    "output",
    ["text", (24000, np.zeros(480, np.int32)), (24000, np.zeros((3, 5), np.int16)), 7],
)
def test_an_output_that_is_no_audio_is_named_in_the_log(
    output: Any, caplog: pytest.LogCaptureFixture
) -> None:
    class Wrong(AsyncEcho):
        async def emit(self) -> Any:
            await asyncio.sleep(1)
            return output

    async def check() -> None:
        async with MemoryClient(stream(Wrong())) as client:
            await client.listen(1.5)
            assert client.messages[0]["message"].startswith("emit failed (")
            assert client.state == "live"

    run(check())
    assert "allowed" in caplog.text


def test_a_handler_that_only_fails_ends_its_session() -> None:
    class Broken(AsyncEcho):
        async def emit(self) -> None:
            raise RuntimeError("broken")

    async def check() -> None:
        async with MemoryClient(stream(Broken())) as client:
            await client.wait_closed()
            assert 1.5 < asyncio.get_running_loop().time() < 2.5
            assert client.messages[-1]["type"] == "end_stream"
            assert client.messages[-1]["data"] == "emit failed 100 times in a row"
            assert client.handler.events == ["start_up", "shutdown"]  # type: ignore[attr-defined]

    run(check())


def test_a_bad_item_skips_itself_and_a_failing_generator_ends_its_stream() -> None:
    def source() -> Any:
        yield 24000, "no array"
        yield 24000, np.zeros(2400, np.int16)
        raise WebRTCError("enough")

    async def check() -> None:
        async with MemoryClient(stream(source, mode="receive")) as client:
            await client.wait_closed()
            assert len(client.heard()) == 2400
            kinds = [message["type"] for message in client.messages]
            assert kinds == ["error", "error", "end_stream"]
            assert client.messages[1]["message"] == "enough"

    run(check())


def test_user_code_that_exits_does_not_take_the_server_along(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Exits(SyncEcho):
        def receive(self, frame: Any) -> None:
            raise SystemExit(3)

    async def check() -> None:
        async with MemoryClient(stream(Exits())) as client:
            await client.send_silence(0.02)
            await client.listen(0.1)
            assert "failed (" in client.messages[0]["message"]
            assert client.state == "live"

    run(check())
    assert "SystemExit" in caplog.text


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_a_failing_shutdown_is_logged_and_nothing_else(
    kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    class Sync(SyncEcho):
        def shutdown(self) -> None:
            raise RuntimeError("late")

    class Async(AsyncEcho):
        async def shutdown(self) -> None:
            raise RuntimeError("late")

    async def check() -> None:
        the_stream = stream(Sync() if kind == "sync" else Async())
        async with MemoryClient(the_stream):
            pass
        assert len(the_stream.sessions) == 0

    run(check())
    assert "shutdown raised" in caplog.text


def test_close_stream_from_a_function_stops_asking_it() -> None:
    calls = 0

    def function(frame: Any) -> Any:
        nonlocal calls
        calls += 1
        return frame, CloseStream("bye")

    async def check() -> None:
        async with MemoryClient(stream(function)) as client:
            await client.send_silence(0.5)
            await client.wait_closed()
            assert calls == 1
            assert client.messages[-1] == {"type": "end_stream", "data": "bye"}

    run(check())


def test_stereo_frames_are_interleaved_in_one_row() -> None:
    shapes: list[Any] = []

    class Stereo(AsyncEcho):
        def __init__(self) -> None:
            super(AsyncEcho, self).__init__(expected_layout="stereo", input_sample_rate=48000)
            self.events = []

        async def receive(self, frame: Any) -> None:
            shapes.append((frame[0], frame[1].shape))

        async def emit(self) -> None: ...

    async def check() -> None:
        async with MemoryClient(stream(Stereo())) as client:
            await client.send_silence(0.1)

    run(check())
    assert shapes == [(48000, (1, 1920))] * 5


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
