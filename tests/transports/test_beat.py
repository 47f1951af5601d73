"""One clock for many alarms: never early, a beat late at most, and silent when nothing waits."""

from __future__ import annotations

import asyncio
import gc
import logging
import weakref

import pytest

from fastrtc.testing import run
from fastrtc.transports.beat import BEAT_S, beat_of
from fastrtc.transports.stepping import begin


def test_alarms_go_off_in_order_and_at_most_a_beat_late() -> None:
    async def check() -> None:
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        gone_off: list[tuple[float, float]] = []

        def note(due_s: float) -> None:
            gone_off.append((due_s, loop.time()))

        dues = [began_s + number * 0.0037 for number in (40, 3, 3, 17, 1, 90)]
        for due_s in dues:
            beat_of(loop).call_at(due_s, lambda due_s=due_s: note(due_s))
        await asyncio.sleep(1)
        assert [due_s for due_s, _ in gone_off] == sorted(dues)
        assert all(-1e-6 <= at_s - due_s <= BEAT_S + 1e-6 for due_s, at_s in gone_off)

    run(check())


def test_an_alarm_that_is_set_again_holds_no_other_up() -> None:
    async def check() -> None:
        loop = asyncio.get_running_loop()
        beat = beat_of(loop)
        began_s = loop.time()
        struck_s: list[float] = []
        beat.call_at(began_s, lambda: beat.call_at(began_s + 0.2, lambda: None))
        beat.call_at(began_s + 0.02, lambda: struck_s.append(loop.time() - began_s))
        await asyncio.sleep(0.5)
        assert struck_s == [pytest.approx(0.02, abs=BEAT_S + 1e-6)]

    run(check())


def test_a_cancelled_alarm_is_silent_and_a_failing_one_harms_no_other(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def check() -> None:
        loop = asyncio.get_running_loop()
        heard: list[str] = []
        beat_of(loop).call_at(loop.time(), lambda: 1 / 0)
        alarm = beat_of(loop).call_at(loop.time(), lambda: heard.append("cancelled"))
        beat_of(loop).call_at(loop.time(), lambda: heard.append("kept"))
        alarm.cancel()
        await asyncio.sleep(0.1)
        assert heard == ["kept"]

    with caplog.at_level(logging.ERROR, "fastrtc"):
        run(check())
    assert "ZeroDivisionError" in caplog.text


def test_a_loop_that_has_ended_is_not_kept() -> None:
    async def find() -> weakref.ref[asyncio.AbstractEventLoop]:
        loop = asyncio.get_running_loop()
        beat_of(loop).call_at(loop.time(), lambda: None)
        await asyncio.sleep(0.05)
        return weakref.ref(loop)

    ended = asyncio.run(find())
    gc.collect()
    assert ended() is None


def test_a_coroutine_goes_as_far_as_it_can_and_the_rest_is_awaited() -> None:
    async def check() -> None:
        loop = asyncio.get_running_loop()
        steps: list[str] = []
        room: asyncio.Future[str] = loop.create_future()

        async def send() -> None:
            steps.append("begun")
            steps.append(await room)
            await asyncio.sleep(0.01)
            steps.append("done")

        rest = begin(send())
        assert steps == ["begun"]
        assert rest is not None
        loop.call_later(0.1, room.set_result, "room")
        await rest
        assert steps == ["begun", "room", "done"]

        async def at_once() -> None:
            steps.append("at once")

        assert begin(at_once()) is None
        assert steps[-1] == "at once"

    run(check())


def test_the_rest_is_cancelled_and_fails_like_the_whole() -> None:
    async def check() -> None:
        loop = asyncio.get_running_loop()
        ends: list[str] = []
        broken: asyncio.Future[None] = loop.create_future()

        async def send(on: asyncio.Future[None]) -> None:
            try:
                await on
            except asyncio.CancelledError:
                ends.append("cancelled")
                raise

        rest = begin(send(loop.create_future()))
        assert rest is not None

        async def go_on() -> None:
            await rest

        task = asyncio.ensure_future(go_on())
        await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
        assert ends == ["cancelled"]

        failing = begin(send(broken))
        assert failing is not None
        broken.set_exception(OSError("gone"))
        with pytest.raises(OSError, match="gone"):
            await failing

    run(check())
