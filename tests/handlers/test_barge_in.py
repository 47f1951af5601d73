"""Interruptions: at the onset of speech, and whatever the generator is doing. In virtual time."""

from __future__ import annotations

import asyncio
import contextlib
import random
import threading
import time
from collections import Counter
from typing import Any

import numpy as np
import pytest

from conversation import RATE_HZ, SOUND, Talk, clip, contains, errors, silence, stream
from fastrtc import Stream, get_current_context
from fastrtc.handlers.reply_on_pause import ReplyOnPause
from fastrtc.testing import MemoryClient, run

WORDS = clip("go-forward")
LONG = clip("austen-0880")
OTHER = clip("austen-0930")


async def begin(client: MemoryClient) -> None:
    """Has the client speak a turn, and the reply begin."""
    await client.send_audio(np.concatenate((WORDS, silence(1))))
    assert client.played


def played_until(client: MemoryClient) -> float:
    return client.played[-1].end_s


@pytest.mark.parametrize("which", ["sync", "asynchronous"])
def test_the_reply_stops_at_the_onset_of_speech(which: str) -> None:
    """Pitfall 9."""

    async def check(offset: int) -> float:
        talk = Talk(100)
        async with MemoryClient(stream(getattr(talk, which))) as client:
            await begin(client)
            await client.send_audio(silence(0.5 + offset / RATE_HZ))
            onset_s = client.session.loop.time()
            await client.send_audio(WORDS)
            stopped_s = played_until(client)
            assert (talk.begun, talk.closed) == (1, 1)
            await client.send_audio(silence(1))
            assert len(talk.turns) == 2
            assert contains(talk.turns[1], WORDS)
            assert not errors(client)
            return stopped_s - onset_s

    delays_s = [run(check(offset)) for offset in range(0, 512, 73)]
    assert max(delays_s) < 0.29, delays_s
    assert np.median(delays_s) < 0.25, delays_s


def test_what_is_said_counts_not_noise() -> None:
    async def check() -> None:
        talk = Talk(30)
        noise = (np.random.default_rng(1).normal(0, 500, RATE_HZ * 2)).astype(np.int16)
        async with MemoryClient(stream(talk.sync)) as client:
            await begin(client)
            await client.send_audio(noise)
            await client.send_audio(silence(2))
            assert np.array_equal(client.heard(), np.tile(SOUND, 30))

    run(check())


@pytest.mark.parametrize("which", ["sync", "asynchronous"])
def test_what_was_played_is_known_in_the_clean_up(which: str) -> None:
    """Pitfall 16."""
    played: list[float] = []

    def note() -> None:
        session = get_current_context().session
        assert session is not None
        played.append(session.played_s)

    def sync(audio: Any) -> Any:
        try:
            yield 24000, np.tile(SOUND, 200)
            yield 24000, SOUND
        finally:
            note()

    async def asynchronous(audio: Any) -> Any:
        try:
            yield 24000, np.tile(SOUND, 200)
            yield 24000, SOUND
        finally:
            note()

    async def check() -> None:
        async with MemoryClient(stream(sync if which == "sync" else asynchronous)) as client:
            await begin(client)
            heard = []
            for _ in range(3):
                await client.send_audio(np.concatenate((silence(0.7), WORDS[: RATE_HZ // 2])))
                heard.append(len(client.heard()) / 24000)
                await client.send_audio(silence(1.2))
            assert played == pytest.approx(np.diff([0, *heard]), abs=0.001)

    run(check())


@pytest.mark.parametrize("by_client", [False, True])
@pytest.mark.parametrize("is_async", [False, True])
def test_what_was_played_is_known_after_a_hang_up(is_async: bool, by_client: bool) -> None:
    played: list[float] = []

    def note() -> None:
        session = get_current_context().session
        assert session is not None
        played.append(session.played_s)

    def sync(audio: Any) -> Any:
        try:
            while True:
                yield 24000, SOUND
        finally:
            note()

    async def asynchronous(audio: Any) -> Any:
        try:
            while True:
                yield 24000, SOUND
        finally:
            note()

    async def check() -> None:
        async with MemoryClient(stream(asynchronous if is_async else sync)) as client:
            await begin(client)
            await client.listen(1)
            heard_s = len(client.heard()) / 24000
            if by_client:
                await client.close()
            else:
                client.session.close("enough")
                await client.session.wait_ended()
            await client.listen(0.1)
            assert played == [pytest.approx(heard_s, abs=0.001)]
            assert heard_s > 1

    run(check())


class Deciding(ReplyOnPause):
    """A subclass with a ``determine_pause`` of its own."""

    def determine_pause(self, audio: Any, sampling_rate: int, state: Any) -> bool:
        return super().determine_pause(audio, sampling_rate, state)


@pytest.mark.parametrize("kind", [ReplyOnPause, Deciding])
def test_what_is_said_into_a_reply_that_may_not_be_interrupted_is_dropped(kind: Any) -> None:
    async def check() -> None:
        talk = Talk(50)
        handler = kind(talk.sync, can_interrupt=False, input_sample_rate=RATE_HZ)
        async with MemoryClient(Stream(handler, modality="audio")) as client:
            await client.send_audio(np.concatenate((WORDS, silence(1.5))))
            await client.send_audio(np.concatenate((WORDS, silence(0.8))))
            assert np.array_equal(client.heard()[: 24000 * 3], np.tile(SOUND, 30))
            await client.send_audio(silence(4))
            assert np.array_equal(client.heard(), np.tile(SOUND, 50))
            assert talk.begun == 1
            await client.send_audio(np.concatenate((LONG, silence(1.5))))
            assert talk.begun == 2, "words after its end count"
            assert contains(talk.turns[1], LONG[RATE_HZ // 2 : RATE_HZ])
            assert not contains(talk.turns[1], WORDS[RATE_HZ // 2 : RATE_HZ])

    run(check())


def test_a_reply_that_may_not_be_interrupted_does_not_answer_its_own_echo() -> None:
    async def check() -> None:
        talk = Talk(20)
        async with MemoryClient(stream(talk.sync, can_interrupt=False)) as client:
            await begin(client)
            while client.session.queued_s:
                await client.send_audio(LONG[: RATE_HZ // 10])
            await client.send_audio(silence(5))
            assert talk.begun == 1

    run(check())


def test_whether_a_reply_may_be_interrupted_can_change_while_it_speaks() -> None:
    async def check() -> None:
        talk = Talk(100)
        async with MemoryClient(stream(talk.sync)) as client:
            await begin(client)
            client.handler.can_interrupt = False  # type: ignore[attr-defined]
            await client.send_audio(np.concatenate((WORDS, silence(1))))
            assert (talk.begun, talk.closed) == (1, 0)
            client.handler.can_interrupt = True  # type: ignore[attr-defined]
            await client.send_audio(np.concatenate((WORDS, silence(1))))
            assert talk.begun == 2

    run(check())


def test_what_was_said_before_a_greeting_that_may_not_be_interrupted_is_answered_after_it() -> None:
    async def check() -> None:
        talk, greeting = Talk(3), Talk(20)

        async def greet(lane: Any) -> Any:
            return greeting.asynchronous((RATE_HZ, np.zeros((1, 0), np.int16)))

        async with MemoryClient(stream(talk.sync, can_interrupt=False)) as client:
            await client.send_audio(WORDS[:RATE_HZ])
            client.handler._fastrtc_taker.speak(greet)  # type: ignore[attr-defined]
            await client.send_audio(np.concatenate((LONG[:RATE_HZ], silence(1.5))))
            assert (greeting.closed, talk.begun) == (1, 1)
            assert contains(talk.turns[0], WORDS[: RATE_HZ // 2])

    run(check())


class Blocking:
    """A sync reply that is busy in user code, where nothing can stop it."""

    def __init__(self) -> None:
        self.go_on = threading.Event()
        self.closed = 0
        self.turns = 0

    def reply(self, audio: Any) -> Any:
        self.turns += 1
        try:
            yield 24000, SOUND
            if self.turns == 1:
                self.go_on.wait(20)
            yield 24000, -SOUND
        finally:
            self.closed += 1


def test_a_generator_busy_in_a_thread_is_closed_when_it_returns_and_plays_nothing() -> None:
    """Pitfall 10."""

    async def check() -> None:
        blocking = Blocking()
        async with MemoryClient(stream(blocking.reply)) as client:
            await begin(client)
            await client.send_audio(np.concatenate((WORDS, silence(1))))
            assert (blocking.turns, blocking.closed) == (2, 1), "the next reply need not wait"
            before = client.heard()
            assert np.array_equal(before, np.concatenate((SOUND, SOUND, -SOUND)))
            blocking.go_on.set()
            for _ in range(1000):
                await client.listen(0.01)
                if blocking.closed == 2:
                    break
            assert blocking.closed == 2
            await client.listen(1)
            assert np.array_equal(client.heard(), before)
            assert not errors(client)

    run(check())


def test_a_reply_begins_after_the_clean_up_of_the_one_before() -> None:
    events: list[str] = []

    def reply(audio: Any) -> Any:
        number = len([event for event in events if event.startswith("begun")])
        events.append(f"begun {number}")
        try:
            while True:
                yield 24000, SOUND
        finally:
            time.sleep(0.05)
            events.append(f"closed {number}")

    async def check() -> None:
        async with MemoryClient(stream(reply)) as client:
            for _ in range(3):
                client.handler.trigger_response()  # type: ignore[attr-defined]
                await client.listen(1)
            assert events == ["begun 0", "closed 0", "begun 1", "closed 1", "begun 2"]

    run(check())


def test_an_async_generator_is_cancelled_where_it_waits() -> None:
    events: list[str] = []

    async def reply(audio: Any) -> Any:
        yield 24000, SOUND
        try:
            async with asyncio.timeout(60):
                await asyncio.sleep(50)
        except asyncio.CancelledError:
            events.append("cancelled")
            raise
        finally:
            await asyncio.sleep(0.01)
            events.append("cleaned up")

    async def check() -> None:
        async with MemoryClient(stream(reply)) as client:
            await begin(client)
            await client.send_audio(WORDS[: RATE_HZ // 2])
            await client.listen(2)
            assert events == ["cancelled", "cleaned up"]
            assert not errors(client)

    run(check())


def test_an_async_generator_that_swallows_its_cancellation_is_closed_all_the_same() -> None:
    closed: list[int] = []

    async def reply(audio: Any) -> Any:
        try:
            yield 24000, SOUND
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(50)
            yield 24000, -SOUND
        finally:
            closed.append(1)

    async def check() -> None:
        async with MemoryClient(stream(reply)) as client:
            await begin(client)
            await client.send_audio(WORDS[: RATE_HZ // 2])
            await client.listen(2)
            assert closed == [1]
            assert not contains(client.heard(), -SOUND)

    run(check())


@pytest.mark.parametrize("where", ["after the last yield", "finally"])
def test_an_interrupted_reply_has_time_to_clean_up(where: str) -> None:
    """The user speaks into what is queued, while the generator saves a history, say."""
    saved_s: list[float] = []

    async def save() -> None:
        await asyncio.sleep(2)
        saved_s.append(asyncio.get_running_loop().time())

    async def reply(audio: Any) -> Any:
        try:
            yield 24000, np.tile(SOUND, 15)
            if where == "after the last yield":
                await save()
        finally:
            if where == "finally":
                await save()

    async def check() -> None:
        async with MemoryClient(stream(reply)) as client:
            await begin(client)
            await client.send_audio(np.concatenate((WORDS[: RATE_HZ // 2], silence(0.1))))
            assert client.session.queued_s == 0
            interrupted_s = client.session.loop.time()
            await client.listen(4)
            # Later it would be the next reply that saved.
            assert interrupted_s + 0.3 < saved_s[0] < interrupted_s + 2

    run(check())


def test_clean_up_that_raises_is_told() -> None:
    async def reply(audio: Any) -> Any:
        try:
            for _ in range(60):
                yield 24000, SOUND
        finally:
            raise ValueError("lost the file")

    async def check() -> None:
        async with MemoryClient(stream(reply)) as client:
            await begin(client)
            await client.send_audio(WORDS[: RATE_HZ // 2])
            (told,) = errors(client)
            assert told.startswith("the reply function failed (error ")

    run(check())


def test_back_to_back_words_are_all_given_to_the_function() -> None:
    async def check() -> None:
        talk = Talk(100)
        async with MemoryClient(stream(talk.sync)) as client:
            parts = [WORDS, LONG, clip("austen-0930"), WORDS]
            for part in parts:
                await client.send_audio(np.concatenate((part, silence(0.8))))
            assert len(talk.turns) == len(parts)
            for part, turn in zip(parts, talk.turns, strict=True):
                assert contains(turn, part)
            assert (talk.begun, talk.closed) == (4, 3)

    run(check())


@pytest.mark.parametrize("is_async", [False, True])
def test_a_reply_that_is_interrupted_before_it_began_leaves_its_words_to_the_next(
    is_async: bool,
) -> None:
    async def check() -> None:
        talk = Talk(100)

        def reply(audio: Any, voice: str = "amy") -> Any:
            yield from talk.sync(audio)

        async def reply_async(audio: Any, voice: str = "amy") -> Any:
            async for item in talk.asynchronous(audio):
                yield item

        served = stream(reply_async if is_async else reply)
        async with MemoryClient(served) as client:
            # The client is asked for the voice, and says something else instead.
            await client.send_audio(np.concatenate((WORDS, silence(0.5), OTHER)))
            assert talk.begun == 0
            await client.send_audio(silence(2))
            assert talk.begun == 1
            assert contains(talk.turns[0], WORDS)
            assert contains(talk.turns[0], OTHER)
            client.handler.trigger_response()  # type: ignore[attr-defined]
            client.handler.trigger_response()  # type: ignore[attr-defined]
            await client.listen(2)
            assert talk.begun == 2
            assert len(talk.turns[1]) == 0

    run(check())


class Emitting(ReplyOnPause):
    """A subclass with an ``emit`` of its own, as code for the original has; it runs in a thread."""

    def emit(self) -> Any:
        output = super().emit()
        time.sleep(0.002)
        return output


class Ledger:
    """What 200 interruptions may not break, noted by the generators themselves."""

    def __init__(self, seed: int, busy_s: float) -> None:
        self.random = random.Random(seed)
        self.busy_s = busy_s
        """How long a sync generator blocks at most, and half of how long it closes."""
        self.begun = 0
        self.closed = 0
        self.failures: list[str] = []
        self.doing = ""
        """What the newest generator is doing: nothing, or it blocks, or it closes."""
        self.struck: Counter[str] = Counter()
        """How many interruptions met what."""

    def strike(self, since_s: float) -> None:
        """An interruption comes, so long after the one before."""
        self.struck[self.doing] += 1
        self.struck["starting"] += self.begun == 1 and not self.closed
        self.struck["twice in 50 ms"] += since_s < 0.05

    def sound(self, number: int) -> Any:
        return 24000, np.full(2400, number, np.int16)

    def sync(self, audio: Any = None) -> Any:
        self.begun += 1
        number = self.begun
        closed = 0
        try:
            for _ in range(self.random.randrange(1, 12)):
                if self.random.random() < 0.4:
                    self.doing = "blocks"
                    time.sleep(self.random.random() * self.busy_s)
                    self.doing = ""
                yield self.sound(number)
        finally:
            closed += 1
            if closed > 1:
                self.failures.append(f"reply {number} was closed twice")
            if self.random.random() < 0.5:
                self.doing = "closes"
                time.sleep(self.busy_s / 2)
                self.doing = ""
            self.closed += 1

    async def asynchronous(self, audio: Any = None) -> Any:
        self.begun += 1
        number = self.begun
        closed = 0
        try:
            for _ in range(self.random.randrange(1, 12)):
                if self.random.random() < 0.4:
                    self.doing = "blocks"
                    await asyncio.sleep(self.random.random() * 0.3)
                    self.doing = ""
                yield self.sound(number)
        finally:
            closed += 1
            if closed > 1:
                self.failures.append(f"reply {number} was closed twice")
            if self.random.random() < 0.3:
                self.doing = "closes"
                await asyncio.sleep(0.05)
                self.doing = ""
            self.closed += 1


@pytest.mark.parametrize(
    ("which", "kind", "clock", "pace", "talks"),
    [
        ("sync", ReplyOnPause, run, 1.0, 15),
        ("asynchronous", ReplyOnPause, run, 1.0, 15),
        ("sync", ReplyOnPause, asyncio.run, 0.05, 15),
        ("asynchronous", Emitting, asyncio.run, 0.05, 5),
    ],
)
def test_two_hundred_interruptions_at_random_moments(
    which: str, kind: Any, clock: Any, pace: float, talks: int, caplog: pytest.LogCaptureFixture
) -> None:
    """During ``startup_fn``, while the generator waits, blocks or closes, twice in 50 ms; in
    virtual time, and in real time, in which threads are interrupted too."""

    struck: Counter[str] = Counter()

    async def check(seed: int) -> int:
        ledger = Ledger(seed, 0.02 if clock is asyncio.run else 0.002)
        moments = random.Random(seed + 1)
        fn = getattr(ledger, which)
        served = Stream(kind(fn, startup_fn=fn), modality="audio")
        interruptions: list[tuple[float, int]] = []
        async with MemoryClient(served) as client:
            turns = client.handler._fastrtc_taker  # type: ignore[attr-defined]
            for _ in range(10):
                await client.listen(moments.random() * 0.3 * pace)
                for _ in range(1 + (moments.random() < 0.4)):
                    begun = ledger.begun
                    now_s = client.session.loop.time()
                    ledger.strike(now_s - interruptions[-1][0] if interruptions else 1.0)
                    if moments.random() < 0.5:
                        turns.barge_in()
                    else:
                        turns.trigger()
                    interruptions.append((client.session.loop.time(), begun))
                    await client.listen(moments.random() * 0.05 * pace)
            for _ in range(300):
                await client.listen(0.05)
                if ledger.begun == ledger.closed and not turns.is_replying:
                    break
            assert ledger.begun == ledger.closed, "a generator leaked"
            assert not ledger.failures
            assert not errors(client)
            numbers = [int(played.audio.samples[0]) for played in client.played]
            assert numbers == sorted(numbers), "an older reply was heard after a newer one"
            for now_s, begun in interruptions:
                for played in client.played:
                    if played.end_s > now_s + 1e-4:
                        assert int(played.audio.samples[0]) > begun, "stale sound"
        struck.update(ledger.struck)
        return len(interruptions)

    total = sum(clock(check(seed)) for seed in range(talks))
    assert total >= 200 * talks / 15
    is_met = which == "asynchronous" or clock is asyncio.run
    for state in ("starting", "blocks", "closes") if is_met else ():
        # A sync generator and virtual time take turns, so there nothing meets it at work.
        assert struck[state], f"none of {total} interruptions met it {state}"
    assert struck["twice in 50 ms"]
    assert not [record for record in caplog.records if record.levelname in ("ERROR", "CRITICAL")]
