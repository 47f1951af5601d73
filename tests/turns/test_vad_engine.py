"""Sessions' audio comes back as probabilities on their own loops, whatever a model does."""

from __future__ import annotations

import asyncio
import contextvars
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from clips import RATE_HZ, Samples, clip, silence
from fastrtc.audio.convert import audio_to_float32
from fastrtc.audio.resample import resample
from fastrtc.errors import ModelError
from fastrtc.testing import run
from fastrtc.turns import vad_engine
from fastrtc.turns.model_thread import awaited_by
from fastrtc.turns.protocol import WINDOW_SAMPLES, Window
from fastrtc.turns.silero import get_silero_model
from fastrtc.turns.vad_engine import VadFeed, open_vad


class Ear:
    """What one session was told."""

    def __init__(self, model: Any = None, rate_hz: int = RATE_HZ) -> None:
        self.heard: list[float] = []
        self.errors: list[ModelError] = []
        self.feed = open_vad(
            model or get_silero_model(),
            rate_hz,
            deliver=self.heard.extend,
            on_error=self.errors.append,
        )


class Scripted:
    """A user's streaming model, which answers as it is told."""

    def __init__(self, answer: Callable[[Window], float]) -> None:
        self.answer = answer

    def stream(self) -> Scripted:
        return self

    def reset(self) -> None: ...

    def push(self, samples: Window) -> float:
        return self.answer(samples)


def alone(samples: Samples) -> list[float]:
    """What Silero hears when nobody else is there."""
    stream = get_silero_model().stream()
    whole = len(samples) // WINDOW_SAMPLES * WINDOW_SAMPLES
    return [
        stream.push(window)
        for window in audio_to_float32(samples[:whole]).reshape(-1, WINDOW_SAMPLES)
    ]


async def settled() -> None:
    """Everything that was pushed is answered."""
    while awaited_by(asyncio.get_running_loop()):  # noqa: ASYNC110
        await asyncio.sleep(0.001)


def test_each_window_is_heard_in_order_and_with_its_past() -> None:
    async def listen() -> list[float]:
        ear = Ear()
        for first in range(0, len(clip("austen-0880")), 320):
            ear.feed.push(clip("austen-0880")[None, first : first + 320])
            await asyncio.sleep(0.02)
        ear.feed.close()
        return ear.heard

    assert run(listen()) == pytest.approx(alone(clip("austen-0880")), abs=1e-5)


@pytest.mark.parametrize("rate_hz", [8000, 24_000, 44_100, 48_000])
def test_other_rates_hear_the_same_speech(rate_hz: int) -> None:
    spoken = resample(clip("austen-0930"), RATE_HZ, rate_hz)
    samples = (spoken * 32767).clip(-32768, 32767).astype(np.int16)

    async def listen() -> list[float]:
        ear = Ear(rate_hz=rate_hz)
        for first in range(0, len(samples), rate_hz // 50):
            ear.feed.push(samples[first : first + rate_hz // 50])
        await settled()
        ear.feed.close()
        return ear.heard

    heard = np.array(run(listen()))
    expected = np.array(alone(clip("austen-0930")))[: len(heard)]
    assert len(heard) >= len(alone(clip("austen-0930"))) - 1
    assert np.mean((heard > 0.5) == (expected > 0.5)) > 0.93


def test_two_hundred_sessions_share_batches_and_keep_their_own_past() -> None:
    samples = clip("austen-0870")
    offsets = [480 * session for session in range(200)]
    length = 20 * WINDOW_SAMPLES

    async def listen() -> tuple[list[Ear], int]:
        ears = [Ear() for _ in offsets]
        loop = asyncio.get_running_loop()
        calls = 0
        call_soon_threadsafe = loop.call_soon_threadsafe

        def counted(*args: Any, **kwargs: Any) -> asyncio.Handle:
            nonlocal calls
            calls += 1
            return call_soon_threadsafe(*args, **kwargs)

        loop.call_soon_threadsafe = counted  # type: ignore[method-assign]
        for first in range(0, length, 320):
            for ear, offset in zip(ears, offsets, strict=True):
                ear.feed.push(samples[offset + first : offset + min(first + 320, length)])
            await asyncio.sleep(0.02)
        await settled()
        for ear in ears:
            ear.feed.close()
        return ears, calls

    ears, calls = run(listen())
    assert [len(ear.heard) for ear in ears] == [20] * 200
    assert calls < 200 * 20 / 4
    for session in (0, 63, 64, 65, 131, 199):
        expected = alone(samples[offsets[session] :][:length])
        assert ears[session].heard == pytest.approx(expected, abs=1e-3)
    assert not any(ear.errors for ear in ears)


def test_frames_of_any_length_lose_nothing() -> None:
    samples = clip("go-forward")
    lengths = random.Random(3)

    async def listen() -> list[float]:
        ear = Ear()
        first = 0
        while first < len(samples):
            length = lengths.choice([0, 1, 7, 160, 511, 512, 513, 3000])
            ear.feed.push(samples[first : first + length])
            first += length
            if lengths.random() < 0.3:
                await asyncio.sleep(0)
        await settled()
        ear.feed.close()
        return ear.heard

    assert run(listen()) == pytest.approx(alone(samples), abs=1e-5)


def test_after_a_reset_nothing_old_is_delivered() -> None:
    async def listen() -> list[float]:
        ear = Ear()
        ear.feed.push(clip("austen-0880"))
        ear.feed.reset()
        ear.feed.push(clip("go-forward"))
        await settled()
        ear.feed.close()
        return ear.heard

    assert run(listen()) == pytest.approx(alone(clip("go-forward")), abs=1e-5)


def test_resets_at_any_moment_leave_windows_aligned() -> None:
    moments = random.Random(5)
    samples = clip("austen-0880")

    async def listen() -> list[float]:
        ear = Ear()
        for _ in range(60):
            ear.feed.push(samples[: moments.randrange(3000)])
            if moments.random() < 0.5:
                await asyncio.sleep(0)
            ear.feed.reset()
            ear.heard.clear()
        ear.feed.push(samples)
        await settled()
        ear.feed.close()
        return ear.heard

    assert run(listen()) == pytest.approx(alone(samples), abs=1e-5)


def test_a_model_that_raises_is_reported_once_with_its_cause() -> None:
    def broken(window: Window) -> float:
        raise ZeroDivisionError("no such luck")

    async def listen() -> Ear:
        ear = Ear(Scripted(broken))
        for _ in range(10):
            ear.feed.push(silence(0.1))
            await asyncio.sleep(0.1)
        return ear

    ear = run(listen())
    (error,) = ear.errors
    assert (
        str(error) == "the voice activity model Scripted failed: ZeroDivisionError('no such luck')"
    )
    assert isinstance(error.__cause__, ZeroDivisionError)
    assert ear.heard == []


@pytest.mark.parametrize("answer", [float("nan"), -0.1, 1.1])
def test_an_answer_that_is_no_probability_is_an_error(answer: float) -> None:
    async def listen() -> Ear:
        ear = Ear(Scripted(lambda window: answer))
        ear.feed.push(silence(1))
        await settled()
        return ear

    (error,) = run(listen()).errors
    assert "allowed is a probability, 0 to 1" in str(error)


def test_a_batch_that_fails_fails_loudly_for_all_in_it() -> None:
    class Batches(Scripted):
        def push_many(self, streams: list[Any], windows: list[Window]) -> list[float]:
            return [0.5] * (len(streams) + 1)

    async def listen() -> list[Ear]:
        model = Batches(lambda window: 0.5)
        ears = [Ear(model) for _ in range(5)]
        for ear in ears:
            ear.feed.push(silence(0.1))
        await settled()
        return ears

    assert [len(ear.errors) for ear in run(listen())] == [1] * 5


def test_one_sessions_model_does_not_hold_up_anothers() -> None:
    release = threading.Event()

    def stuck(window: Window) -> float:
        release.wait(30)
        return 0.0

    async def listen() -> tuple[Ear, Ear]:
        blocked, free = Ear(Scripted(stuck)), Ear()
        blocked.feed.push(silence(0.1))
        free.feed.push(clip("go-forward"))
        started_s = time.monotonic()
        while len(free.heard) < len(alone(clip("go-forward"))):
            assert time.monotonic() - started_s < 20
            await asyncio.sleep(0.01)
        blocked.feed.push(silence(59))
        assert not blocked.errors
        blocked.feed.push(silence(2))
        free.feed.close()
        return blocked, free

    try:
        blocked, free = asyncio.run(listen())
    finally:
        release.set()
    (error,) = blocked.errors
    assert "60 s behind" in str(error)
    assert not free.errors


def test_a_model_with_only_vad_hears_too() -> None:
    class Loudness:
        def vad(self, audio: tuple[int, Samples], options: Any) -> tuple[float, list[Any]]:
            return float((np.abs(audio[1]) > 1000).sum()) / audio[0], []

        def warmup(self) -> None: ...

    async def listen() -> list[float]:
        ear = Ear(Loudness(), rate_hz=48_000)
        for level in (0, 5000, 0):
            for _ in range(75):
                ear.feed.push(np.full((1, 960), level, np.int16))
                await asyncio.sleep(0.02)
        ear.feed.close()
        return ear.heard

    heard = run(listen())
    assert len(heard) == int(4.5 / 0.096) * 3
    assert sum(heard) * 0.032 == pytest.approx(1.5, abs=0.1)


def test_a_session_is_told_in_its_own_context() -> None:
    name = contextvars.ContextVar("name", default="nobody")
    seen: list[str] = []

    async def session(who: str) -> None:
        name.set(who)
        feed = open_vad(
            get_silero_model(),
            RATE_HZ,
            deliver=lambda _: seen.append(name.get()),
            on_error=lambda _: None,
        )
        feed.push(silence(0.04))
        await settled()
        feed.close()

    async def both() -> None:
        await asyncio.gather(session("Ann"), session("Bob"))

    run(both())
    assert sorted(seen) == ["Ann", "Bob"]


def test_a_session_that_fails_to_take_an_answer_keeps_none_from_others() -> None:
    reported: list[dict[str, Any]] = []

    def refuse(_: list[float]) -> None:
        raise LookupError("not now")

    async def listen() -> Ear:
        asyncio.get_running_loop().set_exception_handler(lambda _, what: reported.append(what))
        other = open_vad(get_silero_model(), RATE_HZ, deliver=refuse, on_error=lambda _: None)
        ear = Ear()
        for feed in (other, ear.feed):
            feed.push(silence(0.04))
        await settled()
        other.close()
        ear.feed.close()
        return ear

    assert len(run(listen()).heard) == 1
    assert isinstance(reported[0]["exception"], LookupError)


def test_a_closed_feed_hears_and_says_nothing_and_the_last_one_ends_the_thread() -> None:
    model = Scripted(lambda window: 0.5)

    async def listen() -> tuple[Ear, Ear, threading.Thread]:
        closed, other = Ear(model), Ear(model)
        thread = vad_engine._engines[id(model)].thread._thread
        closed.feed.push(silence(0.1))
        closed.feed.close()
        closed.feed.close()
        closed.feed.push(silence(0.1))
        closed.feed.reset()
        other.feed.push(silence(0.1))
        await settled()
        other.feed.close()
        return closed, other, thread

    closed, other, thread = run(listen())
    assert (closed.heard, other.heard) == ([], [0.5] * 3)
    thread.join(20)
    assert not thread.is_alive()
    assert id(model) not in vad_engine._engines


def test_two_loops_are_each_told_on_their_own() -> None:
    heard: dict[str, tuple[list[float], set[str]]] = {}

    def serve(name: str) -> None:
        async def listen() -> None:
            told_in: set[str] = set()
            found: list[float] = []

            def deliver(probabilities: list[float]) -> None:
                told_in.add(threading.current_thread().name)
                found.extend(probabilities)

            feed = open_vad(get_silero_model(), RATE_HZ, deliver=deliver, on_error=lambda _: None)
            feed.push(clip(name))
            await settled()
            feed.close()
            heard[name] = found, told_in

        asyncio.run(listen())

    servers = [
        threading.Thread(target=serve, args=(name,), name=name)
        for name in ("go-forward", "austen-0880")
    ]
    for server in servers:
        server.start()
    for server in servers:
        server.join(30)
    for name, (found, told_in) in heard.items():
        assert found == pytest.approx(alone(clip(name)), abs=1e-5)
        assert told_in == {name}
    assert len(heard) == 2


def test_a_loop_that_was_closed_takes_its_feeds_with_it() -> None:
    go = threading.Event()
    left: list[VadFeed] = []

    def wait(window: Window) -> float:
        go.wait(30)
        return 0.0

    model = Scripted(wait)

    async def leave() -> None:
        ear = Ear(model)
        ear.feed.push(silence(0.1))
        left.append(ear.feed)

    async def stay() -> list[float]:
        ear = Ear(model)
        go.set()
        ear.feed.push(silence(0.1))
        await settled()
        ear.feed.close()
        return ear.heard

    asyncio.run(leave())
    assert asyncio.run(stay()) == [0.0] * 3
    assert id(model) not in vad_engine._engines


def test_a_forked_child_hears_by_itself() -> None:
    program = """
import asyncio, os
import numpy as np
from fastrtc.turns.silero import get_silero_model
from fastrtc.turns.vad_engine import open_vad

async def listen():
    heard = []
    feed = open_vad(get_silero_model(), 16000, deliver=heard.extend, on_error=print)
    feed.push(np.zeros(5120, np.int16))
    while len(heard) < 10:
        await asyncio.sleep(0.005)
    return len(heard), feed

parents = asyncio.run(listen())
child = os.fork()
windows, feed = asyncio.run(listen())
if child == 0:
    os._exit(windows)
feed.close()
print(windows, os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    ran = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert ran.stdout == "10 10\n"


def test_a_model_that_hangs_does_not_keep_the_process() -> None:
    program = """
import asyncio, time
import numpy as np
from fastrtc.turns.vad_engine import open_vad

class Hangs:
    def stream(self): return self
    def reset(self): pass
    def push(self, samples): time.sleep(600)

async def listen():
    feed = open_vad(Hangs(), 16000, deliver=print, on_error=print)
    feed.push(np.zeros(5120, np.int16))
    await asyncio.sleep(0.05)

asyncio.run(listen())
print("end")
"""
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=True
    )
    assert (ran.stdout, ran.stderr) == ("end\n", "")


def test_a_quiet_session_is_asked_less_often_and_speech_ends_that() -> None:
    """After 1.6 s of quiet windows come three at a time, all of them; singly with speech."""
    groups: list[tuple[float, list[float]]] = []
    quiet, spoken = silence(4.0), clip("go-forward")

    async def listen() -> None:
        loop = asyncio.get_running_loop()
        feed = open_vad(
            get_silero_model(),
            RATE_HZ,
            deliver=lambda heard: groups.append((loop.time(), heard)),
            on_error=lambda _: None,
        )
        samples = np.concatenate((quiet, spoken))
        for first in range(0, len(samples), 320):
            feed.push(samples[first : first + 320])
            await asyncio.sleep(0.02)
        feed.close()

    run(listen())
    heard = [probability for _, group in groups for probability in group]
    assert heard == pytest.approx(alone(np.concatenate((quiet, spoken)))[: len(heard)], abs=1e-5)
    assert {len(group) for at_s, group in groups if at_s < 1.6} == {1}
    assert {len(group) for at_s, group in groups if 1.8 < at_s < 4.0} == {3}
    onset = next(i for i, probability in enumerate(heard) if probability > 0.5)
    told_s = next(at_s for at_s, group in groups if max(group) > 0.5)
    assert told_s <= (onset + 3) * 0.032 + 0.02
    assert {len(group) for at_s, group in groups if told_s < at_s} == {1}
