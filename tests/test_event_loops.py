"""Several event loops in one process, and processes that end (LIFECYCLE.md)."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import textwrap
import threading
import time
from typing import Any

import numpy as np
from fastapi import FastAPI

from fastrtc import AdditionalOutputs, Stream
from fastrtc.testing import MemoryClient
from memory_door import MemoryDoor, offer
from recorders import AsyncEcho


class Server:
    """An event loop in a thread of its own."""

    def __enter__(self) -> asyncio.AbstractEventLoop:
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever)
        self.thread.start()
        return self.loop

    def __exit__(self, *_: object) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()


def call(loop: asyncio.AbstractEventLoop, coroutine: Any) -> Any:
    return asyncio.run_coroutine_threadsafe(coroutine, loop).result(10)


class Reports(AsyncEcho):
    def set_args(self, args: list[Any]) -> None:
        assert asyncio.get_running_loop() is self.loop
        super().set_args(args)

    async def emit(self) -> Any:
        frame = await self.queue.get()
        return frame, AdditionalOutputs(self.latest_args[1:])


def test_one_stream_serves_two_loops() -> None:
    """Pitfall 43."""
    stream = Stream(Reports(), modality="audio", concurrency_limit=2)

    async def talk(webrtc_id: str, heard: list[int]) -> None:
        async with MemoryClient(stream, webrtc_id) as client:
            await client.send_audio(np.ones(9600, np.int16))
            await client.listen(0.1)
            heard.append(len(client.heard()))

    heard: list[int] = []
    with Server() as first, Server() as second:
        talks = [
            asyncio.run_coroutine_threadsafe(talk(name, heard), loop)
            for name, loop in (("one", first), ("two", second))
        ]
        for each in talks:
            each.result(10)
    assert heard == [9600, 9600]
    assert len(stream.sessions) == 0


def test_inputs_and_outputs_cross_loops() -> None:
    """Pitfall 43: a request on one server about a session on the other."""
    stream = Stream(Reports(), modality="audio")

    async def open_session() -> MemoryClient:
        client = MemoryClient(stream, "me")
        await client.connect()
        return client

    async def read_one() -> Any:
        async for outputs in stream.output_stream("me"):
            return outputs.args
        return None

    with Server() as first, Server() as second:
        client = call(first, open_session())
        reading = asyncio.run_coroutine_threadsafe(read_one(), second)
        stream.set_input("me", "from outside")
        time.sleep(0.05)
        call(first, client.send_silence(0.02))
        assert reading.result(5) == (["from outside"],)
        call(first, client.close())


def test_candidates_and_closing_cross_loops() -> None:
    stream = Stream(AsyncEcho(), modality="audio")
    door = MemoryDoor()
    stream._offers._door = door
    body: Any = {"type": "offer", "sdp": offer(), "webrtc_id": "me"}
    candidate: Any = {
        "type": "ice-candidate",
        "candidate": {"candidate": "candidate:1"},
        "webrtc_id": "me",
    }
    with Server() as first, Server() as second:
        call(first, stream.offer(body))
        assert call(second, stream.offer(candidate)) == {"status": "success"}
        assert door.transports["me"].candidates == ["candidate:1"]
        assert call(second, stream.offer(body))["sdp"] == "renegotiated answer"
        call(second, stream.shutdown(0))
        assert len(stream.sessions) == 0
        late = call(first, stream.offer({**body, "webrtc_id": "late"}))
        assert late["meta"]["error"] == "connection_closed"


def test_a_stream_that_was_shut_down_serves_the_next_application() -> None:
    stream = Stream(AsyncEcho(), modality="audio")
    app = FastAPI()
    stream.mount(app)

    async def live_and_end() -> None:
        await stream.shutdown(0)
        async with app.router.lifespan_context(app), MemoryClient(stream, "me") as client:
            assert client.state == "live"

    with Server() as server:
        call(server, live_and_end())


def test_an_application_that_ends_leaves_the_other_loops_sessions_alone() -> None:
    stream = Stream(AsyncEcho(), modality="audio", concurrency_limit=2)
    app = FastAPI()
    stream.mount(app)

    async def open_session(name: str) -> MemoryClient:
        client = MemoryClient(stream, name)
        await client.connect()
        return client

    async def live_and_end() -> None:
        async with app.router.lifespan_context(app):
            await open_session("mine")

    with Server() as first, Server() as second:
        other = call(second, open_session("other"))
        call(first, live_and_end())
        assert list(stream.connections) == ["other"]
        call(second, other.close())


def test_a_blocked_worker_does_not_keep_the_process_from_ending() -> None:
    """Pitfall 42: the interpreter exits at once though an emit blocks for ever."""
    program = textwrap.dedent(
        """
        import asyncio, queue
        from fastrtc import Stream, StreamHandler
        from fastrtc.testing import MemoryClient

        class Blocks(StreamHandler):
            def receive(self, frame): ...
            def emit(self): return queue.Queue().get()

        async def main():
            async with MemoryClient(Stream(Blocks(), modality="audio")) as client:
                await client.send_silence(0.1)

        asyncio.run(main())
        print("ended")
        """
    )
    started = time.monotonic()
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=False
    )
    assert ended.stdout == "ended\n"
    assert ended.stderr == ""
    assert ended.returncode == 0
    assert time.monotonic() - started < 10


def test_workers_start_afresh_in_a_forked_child() -> None:
    program = textwrap.dedent(
        """
        import asyncio, os
        from fastrtc.session.workers import call_sync
        assert asyncio.run(call_sync(len, "abc")) == 3
        child = os.fork()
        if child == 0:
            os._exit(asyncio.run(call_sync(len, "abcde")))
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        """
    )
    ended = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert ended.stdout == "5\n"
