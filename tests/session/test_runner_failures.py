"""What user code that blocks, raises or exits costs. In virtual time."""

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
    Stream,
    WebRTCError,
)
from fastrtc.session.workers import pool
from fastrtc.testing import MemoryClient, run
from recorders import AsyncEcho, SyncEcho


def stream(handler: Any, **options: Any) -> Stream:
    return Stream(handler, modality="audio", **options)


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
            await client.send_silence(1)
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
            # Whoever reads the last message alone learns why all the same.
            assert client.messages[2]["data"] == "enough"

    run(check())


class Complains(AsyncEcho):
    """Raises what ``complaints`` says of each second frame."""

    complaints: tuple[str, ...]

    async def receive(self, frame: Any) -> None:
        self.events.append("frame")
        if len(self.events) % 2:
            raise WebRTCError(self.complaints[len(self.events) % len(self.complaints)])


def test_what_a_handler_complains_of_now_and_then_is_shown_once_in_ten_seconds() -> None:
    class Louder(Complains):
        complaints = ("too loud",)

    async def check() -> None:
        async with MemoryClient(stream(Louder())) as client:
            await client.send_silence(9.9)
            assert [message["message"] for message in client.messages] == ["too loud"]
            await client.send_silence(20)
            assert [message["message"] for message in client.messages] == ["too loud"] * 3
            # All are counted, shown or not.
            assert client.session.stats["handler_failures"] == 29.9 / 0.02 // 2

    run(check())


def test_complaints_that_differ_each_time_are_shown_up_to_eight_in_ten_seconds() -> None:
    class Numbers(Complains):
        complaints = tuple(f"no frame {n}" for n in range(100))

    async def check() -> None:
        async with MemoryClient(stream(Numbers())) as client:
            await client.send_silence(9.9)
            shown = [message["message"] for message in client.messages]
            assert len(shown) == len(set(shown)) == 8
            await client.send_silence(1)
            assert 8 < len(client.messages) <= 16

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
