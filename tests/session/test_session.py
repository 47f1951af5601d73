"""States, timers and what crosses a session's edges (LIFECYCLE.md), in virtual time."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import numpy as np
import pytest

from fastrtc import (
    AdditionalOutputs,
    AsyncStreamHandler,
    CloseStream,
    Context,
    Stream,
    Warning,
    WebRTCError,
    get_current_context,
)
from fastrtc.session.session import Session
from fastrtc.testing import MemoryClient, run
from fastrtc.transports.memory import MemoryTransport
from recorders import AsyncEcho, SyncEcho

SECOND = np.ones(24000, np.int16)


def stream(handler: Any, **options: Any) -> Stream:
    return Stream(handler, modality="audio", **options)


def memory(session: Session) -> MemoryTransport:
    return MemoryTransport(session, lambda text: None, lambda: None)


def test_a_session_that_never_connects_closes_after_30_s_and_shuts_its_handler_down() -> None:
    async def check() -> None:
        handler = AsyncEcho()
        session = Session("me", handler)
        session.open(memory)
        await asyncio.sleep(29.9)
        assert session.state == "connecting"
        await asyncio.sleep(0.2)
        assert session.state == "closed"
        await session.wait_ended()
        assert handler.events == ["shutdown"]

    run(check())


@pytest.mark.parametrize("handler", [AsyncEcho(), SyncEcho()])
def test_start_up_begins_before_receive_and_shutdown_comes_once(handler: Any) -> None:
    """Pitfall 19."""

    async def check() -> None:
        async with MemoryClient(stream(handler)) as client:
            await client.send_silence(0.1)
            await client.listen(0.1)
            events = client.handler.events  # type: ignore[attr-defined]
            client.session.close("first")
            client.session.close("second")
            client.session.on_closed("third")
            await client.session.wait_ended()
        assert events == ["start_up", *["receive"] * 5, "shutdown"]

    run(check())


def test_start_up_may_run_for_the_whole_session_and_is_cancelled_at_its_end() -> None:
    class Companion(AsyncEcho):
        async def start_up(self) -> None:
            try:
                await asyncio.sleep(10**6)
            except asyncio.CancelledError:
                self.events.append("cancelled")
                raise

    async def check() -> None:
        async with MemoryClient(stream(Companion())) as client:
            await client.send_silence(1)
            events = client.handler.events  # type: ignore[attr-defined]
        assert events[-2:] == ["cancelled", "shutdown"]

    run(check())


def test_disconnected_keeps_the_handler_and_asks_it_for_nothing() -> None:
    """Pitfall 32, our half: a dropped network does not end the conversation."""

    class Counts(AsyncEcho):
        asked = 0

        async def emit(self) -> None:
            self.asked += 1

    async def check() -> None:
        async with MemoryClient(stream(Counts())) as client:
            handler: Any = client.handler
            await client.listen(1)
            await client.disconnect()
            assert client.state == "disconnected"
            await client.listen(0.1)
            before = handler.asked
            await client.listen(20)
            assert handler.asked == before
            await client.reconnect()
            assert client.state == "live"
            await client.listen(1)
            assert handler.asked > before
            assert handler is client.handler
            assert handler.events == ["start_up"]

    run(check())


@pytest.mark.parametrize("seconds", [30.0, 5.0])
def test_disconnected_for_too_long_is_closed(seconds: float) -> None:
    async def check() -> None:
        async with MemoryClient(stream(AsyncEcho(), reconnect_timeout_s=seconds)) as client:
            await client.disconnect()
            await client.listen(seconds - 0.1)
            assert client.state == "disconnected"
            await client.listen(0.2)
            assert client.state == "closed"
            assert client.session.close_reason == "connection lost"

    run(check())


def test_the_time_limit_ends_the_session_and_tells_the_client() -> None:
    """Pitfall 27: the limit is the session's, whatever carries it."""

    async def check() -> None:
        async with MemoryClient(stream(AsyncEcho(), time_limit=60)) as client:
            await client.listen(59.9)
            assert client.state == "live"
            await client.wait_closed()
            assert client.messages == [{"type": "end_stream", "data": "Time limit of 60 s reached"}]

    run(check())


class SaysAndCloses(AsyncStreamHandler):
    async def receive(self, frame: Any) -> None: ...

    async def emit(self) -> Any:
        return (24000, SECOND), CloseStream("That was all")


def test_close_stream_lets_the_media_be_played_out_first() -> None:
    async def check() -> None:
        async with MemoryClient(stream(SaysAndCloses())) as client:
            await client.listen(0.9)
            assert client.state == "live"
            await client.wait_closed()
            assert len(client.heard()) == 24000
            assert client.messages == [{"type": "end_stream", "data": "That was all"}]
            assert len(client.played) == 1

    run(check())


def test_the_context_is_there_in_every_method() -> None:
    """Pitfall 24."""
    seen: dict[str, Context] = {}

    def note(name: str) -> None:
        seen[name] = get_current_context()

    class Sync(SyncEcho):
        def start_up(self) -> None:
            note("start_up")

        def receive(self, frame: Any) -> None:
            note("receive")

        def emit(self) -> None:
            note("emit")

        def on_message(self, text: str) -> None:
            note("on_message")

        def shutdown(self) -> None:
            note("shutdown")

    class Async(AsyncEcho):
        async def start_up(self) -> None:
            note("async start_up")

        async def receive(self, frame: Any) -> None:
            note("async receive")

        async def emit(self) -> None:
            note("async emit")

        async def on_message(self, text: str) -> None:
            note("async on_message")

        async def shutdown(self) -> None:
            note("async shutdown")

    async def check(handler: Any) -> None:
        async with MemoryClient(stream(handler), "me", principal="Ada") as client:
            await client.send_silence(0.1)
            await client.send_message("hello")
            await client.listen(0.1)

    run(check(Sync()))
    run(check(Async()))
    names = ["start_up", "receive", "emit", "on_message", "shutdown"]
    assert sorted(seen) == sorted(names + [f"async {name}" for name in names])
    assert all(context.webrtc_id == "me" for context in seen.values())
    assert all(context.principal == "Ada" for context in seen.values())
    assert all(context.session is not None for context in seen.values())
    with pytest.raises(RuntimeError, match="code that a session runs"):
        get_current_context()


def test_a_warning_is_shown_from_any_thread() -> None:
    class Warns(SyncEcho):
        def receive(self, frame: Any) -> None:
            Warning("careful")

    async def check() -> None:
        async with MemoryClient(stream(Warns())) as client:
            await client.send_silence(0.02)
            await client.listen(0.1)
            assert client.messages == [{"type": "warning", "message": "careful"}]

    run(check())


def test_a_warning_for_nobody_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    Warning("careful")
    assert "careful" in caplog.text


def test_text_waits_for_a_channel_that_is_not_open_yet_and_none_raises() -> None:
    """Pitfall 28: sending where nothing can be sent neither raises nor loses text at once."""

    async def check() -> None:
        async with MemoryClient(stream(AsyncEcho())) as client:
            transport: Any = client.session.transport
            transport.channel_open = False
            client.session.send_message('{"n": 1}')
            client.session.send_message('{"n": 2}')
            await client.listen(1)
            assert client.messages == []
            transport.channel_open = True
            client.session.on_channel_open()
            client.session.send_message('{"n": 3}')
            assert [message["n"] for message in client.messages] == [1, 2, 3]
            transport.channel_open = False
            for number in range(100):
                client.session.send_message(json.dumps({"late": number}))
            await client.listen(60)
            assert client.session.stats["messages_lost"] == 100
            await client.send_silence(0.1)
            await client.listen(0.1)
            assert len(client.heard()) > 0
        client.session.send_message("{}")

    run(check())


def test_clear_reports_what_was_sent_and_wakes_a_handler_that_was_held_back() -> None:
    class Endless(AsyncStreamHandler):
        async def receive(self, frame: Any) -> None: ...

        async def emit(self) -> Any:
            return 24000, SECOND

    async def check() -> None:
        async with MemoryClient(stream(Endless())) as client:
            await client.listen(0.25)
            assert client.handler.played_s == pytest.approx(0.25)
            assert client.handler.clear_queue() == pytest.approx(0.25)
            assert client.session.transport.queued_s == 0
            await client.listen(0)
            await client.listen(0)
            assert client.session.transport.queued_s > 1

    run(check())


def test_clear_works_from_a_worker_thread() -> None:
    sent: list[float] = []

    class Interrupts(SyncEcho):
        def receive(self, frame: Any) -> None:
            if not sent:
                sent.append(self.clear_queue())

        def emit(self) -> Any:
            return (24000, SECOND) if not sent else None

    async def check() -> None:
        async with MemoryClient(stream(Interrupts())) as client:
            await client.listen(0.5)
            await client.send_silence(0.02)
            await client.listen(0.1)
            assert sent == [pytest.approx(0.5, abs=0.03)]

    run(check())


def test_additional_outputs_reach_readers_and_the_client() -> None:
    class Reports(AsyncEcho):
        async def emit(self) -> Any:
            frame = await self.queue.get()
            return frame, AdditionalOutputs("heard")

    async def check() -> None:
        the_stream = stream(Reports())
        async with MemoryClient(the_stream, "me") as client:
            await client.send_silence(0.02)
            outputs = await the_stream.fetch_latest_output("me")
            assert outputs.args == ("heard",)
            assert client.messages == [{"type": "fetch_output", "data": []}]

    run(check())


def test_stats_are_kept_after_the_end() -> None:
    async def check() -> None:
        the_stream = stream(AsyncEcho())
        async with MemoryClient(the_stream, "me") as client:
            await client.send_silence(0.1)
            assert the_stream.sessions["me"].stats["frames_in"] == 5
        assert len(the_stream.sessions) == 0
        assert client.session.stats["frames_in"] == 5
        (closed,) = the_stream.sessions.drain_closed()
        assert closed.id == "me"
        assert closed.state == "closed"
        assert closed.stats["frames_in"] == 5
        assert the_stream.sessions.drain_closed() == []

    run(check())


def test_a_webrtc_error_is_shown_and_the_session_goes_on() -> None:
    class Complains(AsyncEcho):
        async def receive(self, frame: Any) -> None:
            raise WebRTCError("Your microphone is muted.")

    async def check() -> None:
        async with MemoryClient(stream(Complains())) as client:
            await client.send_silence(0.1)
            assert client.messages == [{"type": "error", "message": "Your microphone is muted."}]
            assert client.state == "live"

    run(check())
