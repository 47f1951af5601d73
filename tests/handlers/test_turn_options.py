"""What API.md adds to ReplyOnPause: resumption, words, eager start, idleness, end of turn."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
import pytest

from conversation import (
    RATE_HZ,
    SOUND,
    Talk,
    clip,
    contains,
    errors,
    logs,
    silence,
    stream,
    take_time,
)
from fastrtc import AlgoOptions, ReplyOnPause, Stream, WebRTCData
from fastrtc.testing import MemoryClient, run

WORDS = clip("go-forward")
LONG = clip("austen-0870")
COUGH = WORDS[: RATE_HZ * 3 // 10]
PATIENT = AlgoOptions(audio_chunk_duration=1.0, started_talking_threshold=0.6)


def ramp(duration_s: float) -> Any:
    """Sound in which every sample says where it stands."""
    return 24000, (np.arange(round(duration_s * 24000)) % 30000 + 1).astype(np.int16)


async def begin(client: MemoryClient) -> None:
    await client.send_audio(np.concatenate((WORDS, silence(1.5))))
    assert client.played


@pytest.mark.parametrize("chunk_s", [5.0, 0.05])
def test_a_cough_only_pauses_the_reply(chunk_s: float) -> None:
    """Pitfall 15."""
    samples = ramp(5)[1]
    events: list[str] = []

    def reply(audio: Any) -> Any:
        try:
            for piece in np.split(samples, round(5 / chunk_s)):
                yield 24000, piece
        finally:
            events.append("closed")

    async def check() -> None:
        served = stream(reply, resume_after_s=1.0, algo_options=PATIENT)
        async with MemoryClient(served) as client:
            await begin(client)
            await client.send_audio(COUGH)
            paused_s = client.session.loop.time()
            before = len(client.heard())
            await client.send_audio(silence(0.6))
            assert len(client.heard()) == before, "it has to fall silent"
            assert client.handler.played_s == pytest.approx(before / 24000, abs=0.001)
            await client.send_audio(silence(6))
            assert np.array_equal(client.heard(), samples), "it goes on exactly where it was"
            assert events == ["closed"]
            resumed_s = next(p.at_s for p in client.played if p.at_s > paused_s)
            assert resumed_s - paused_s < 1.0
            assert client.handler.played_s == pytest.approx(5.0)

    run(check())


def test_a_real_turn_ends_a_paused_reply() -> None:
    async def check() -> None:
        talk = Talk(60)
        served = stream(talk.asynchronous, resume_after_s=1.0, algo_options=PATIENT)
        async with MemoryClient(served) as client:
            await begin(client)
            start_s = client.session.loop.time()
            await client.send_audio(LONG[: 3 * RATE_HZ])
            await client.send_audio(silence(0.5))
            assert client.played[-1].end_s < start_s + 0.6, "no resumption within a turn"
            await client.send_audio(silence(1))
            assert (talk.begun, talk.closed) == (2, 1)
            assert contains(talk.turns[1], LONG[: 3 * RATE_HZ])

    run(check())


class Words:
    """Recognises as many words as it was told to, after ``delay_s``."""

    def __init__(self, *counts: int, delay_s: float = 0.0) -> None:
        self.counts = list(counts)
        self.delay_s = delay_s
        self.asked: list[Any] = []

    def stt(self, audio: Any) -> str:
        rate_hz, samples = audio
        assert samples.shape[0] == 1
        self.asked.append(samples.size / rate_hz)
        if self.delay_s:
            take_time(self.delay_s)
        return "word " * (self.counts.pop(0) if len(self.counts) > 1 else self.counts[0])


def test_too_few_words_do_not_interrupt_and_are_kept() -> None:
    async def check() -> None:
        talk = Talk(50)
        served = stream(talk.sync, interrupt_min_words=2, stt=Words(1))
        async with MemoryClient(served) as client:
            await begin(client)
            await client.send_audio(np.concatenate((COUGH, silence(5))))
            assert np.array_equal(client.heard(), np.tile(SOUND, 50))
            assert talk.begun == 1
            await client.send_audio(np.concatenate((WORDS, silence(1))))
            assert talk.begun == 2
            assert contains(talk.turns[1], WORDS)
            assert contains(talk.turns[1], COUGH)

    run(check())


def test_noise_without_a_word_is_not_kept() -> None:
    async def check() -> None:
        talk = Talk(50)
        async with MemoryClient(stream(talk.sync, interrupt_min_words=2, stt=Words(0))) as client:
            await begin(client)
            await client.send_audio(np.concatenate((COUGH, silence(6))))
            assert np.array_equal(client.heard(), np.tile(SOUND, 50))
            await client.send_audio(np.concatenate((LONG, silence(1))))
            assert talk.begun == 2
            assert contains(talk.turns[1], LONG)
            assert not contains(talk.turns[1], COUGH[RATE_HZ // 10 :])

    run(check())


@pytest.mark.parametrize("which", ["sync", "asynchronous"])
@pytest.mark.parametrize(("repeats", "is_slow"), [(True, True), (True, False), (False, True)])
def test_a_sentence_that_goes_on_before_its_reply_was_heard(
    which: str, repeats: bool, is_slow: bool
) -> None:
    turns: list[Any] = []

    def sync(audio: Any) -> Any:
        turns.append(audio[1][0])
        if is_slow and len(turns) == 1:
            take_time(3)
        yield 24000, np.tile(SOUND, 50)

    async def asynchronous(audio: Any) -> Any:
        turns.append(audio[1][0])
        if is_slow and len(turns) == 1:
            await asyncio.sleep(3)
        yield 24000, np.tile(SOUND, 50)

    async def check() -> None:
        fn = sync if which == "sync" else asynchronous
        async with MemoryClient(stream(fn, repeat_unheard=repeats)) as client:
            await client.send_audio(np.concatenate((WORDS, silence(1.2), LONG, silence(3))))
            assert len(turns) == 2
            assert contains(turns[0], WORDS)
            assert contains(turns[1], LONG)
            assert contains(turns[1], WORDS) == (repeats and is_slow)
            assert not errors(client)

    run(check())


def test_words_are_not_counted_any_more_when_the_turn_is_over() -> None:
    async def check() -> None:
        talk = Talk(80)
        words = Words(1)
        async with MemoryClient(stream(talk.sync, interrupt_min_words=2, stt=words)) as client:
            await begin(client)
            await client.send_audio(np.concatenate((WORDS, silence(0.1))))
            while_talking = len(words.asked)
            await client.send_audio(silence(3))
            assert client.session.queued_s > 0
            assert while_talking >= 2
            # While the pause lasts, and once more for the whole turn.
            assert len(words.asked) <= while_talking + 3
            assert max(words.asked) == words.asked[-1]

    run(check())


def test_a_slow_recogniser_neither_changes_the_order_of_turns_nor_talks_over_the_user() -> None:
    """The reply ends, and the user speaks again, while it still counts the words of a cough."""

    async def check() -> None:
        talk = Talk(20)
        words = Words(1, delay_s=1.0)
        async with MemoryClient(stream(talk.sync, interrupt_min_words=3, stt=words)) as client:
            await begin(client)
            await client.send_audio(np.concatenate((COUGH, silence(0.7))))
            start_s = client.session.loop.time()
            await client.send_audio(LONG[: 3 * RATE_HZ])
            assert not [p for p in client.played if p.at_s > start_s + 0.2]
            await client.send_audio(silence(4))
            assert talk.begun == 2
            assert contains(talk.turns[1], LONG[: 3 * RATE_HZ])
            assert contains(talk.turns[1], COUGH)
            cough_at = talk.turns[1].tobytes().find(COUGH.tobytes())
            assert cough_at < talk.turns[1].tobytes().find(LONG[: 3 * RATE_HZ].tobytes())

    run(check())


def test_a_turn_waits_for_the_judgement_on_the_one_before() -> None:
    """The recogniser is so slow that a whole turn passes, and the reply ends, meanwhile."""

    async def check() -> None:
        talk = Talk(20)
        words = Words(1, delay_s=4.0)
        async with MemoryClient(stream(talk.sync, interrupt_min_words=3, stt=words)) as client:
            await begin(client)
            await client.send_audio(np.concatenate((COUGH, silence(0.7), WORDS, silence(14))))
            assert talk.begun == 2
            cough_at = talk.turns[1].tobytes().find(COUGH.tobytes())
            assert 0 <= cough_at < talk.turns[1].tobytes().find(WORDS.tobytes())

    run(check())


def test_no_words_interrupt_a_reply_that_may_not_be_interrupted() -> None:
    async def check() -> None:
        talk = Talk(100)
        words = Words(9)
        served = stream(talk.sync, can_interrupt=False, interrupt_min_words=1, stt=words)
        async with MemoryClient(served) as client:
            await begin(client)
            turns = client.handler._fastrtc_taker  # type: ignore[attr-defined]
            turns.take_turn(WORDS)
            await client.send_audio(np.concatenate((WORDS, silence(0.5))))
            assert not words.asked
            assert (talk.begun, talk.closed) == (1, 0)
            await client.listen(10)
            assert talk.begun == 2
            assert contains(talk.turns[1], WORDS)

    run(check())


def test_enough_words_interrupt_while_they_are_said() -> None:
    async def check() -> None:
        talk = Talk(100)
        words = Words(1, 3)
        served = stream(talk.sync, interrupt_min_words=3, stt=words)
        async with MemoryClient(served) as client:
            await begin(client)
            start_s = client.session.loop.time()
            await client.send_audio(np.concatenate((LONG, silence(1))))
            assert len(words.asked) == 2
            stopped_s = max(p.end_s for p in client.played if p.at_s < start_s + 3)
            assert 0.4 < stopped_s - start_s < 0.9
            assert talk.begun == 2
            assert contains(talk.turns[1], LONG)

    run(check())


def test_words_and_resumption_together() -> None:
    async def check() -> None:
        talk = Talk(50)
        served = stream(talk.sync, interrupt_min_words=2, resume_after_s=3, stt=Words(1))
        async with MemoryClient(served) as client:
            await begin(client)
            await client.send_audio(COUGH)
            at_s = len(client.heard())
            await client.send_audio(silence(0.3))
            assert len(client.heard()) == at_s
            await client.send_audio(silence(6))
            assert np.array_equal(client.heard(), np.tile(SOUND, 50))

    run(check())


def test_a_recogniser_that_fails_lets_the_user_interrupt_and_is_told() -> None:
    class Broken:
        def stt(self, audio: Any) -> str:
            raise RuntimeError("no model")

    async def check() -> None:
        talk = Talk(50)
        async with MemoryClient(stream(talk.sync, interrupt_min_words=2, stt=Broken())) as client:
            await begin(client)
            await client.send_audio(np.concatenate((WORDS, silence(1))))
            assert talk.begun == 2
            assert any(told.startswith("speech recognition failed (") for told in errors(client))

    run(check())


def test_an_eager_reply_is_there_when_the_turn_is_over() -> None:
    async def check(eager_after_s: float | None) -> float:
        async def slow(audio: Any) -> Any:
            await asyncio.sleep(0.35)
            async for item in talk.asynchronous(audio):
                yield item

        talk = Talk(80)
        async with MemoryClient(stream(slow, eager_after_s=eager_after_s)) as client:
            await client.send_audio(np.concatenate((silence(0.5), WORDS, silence(2))))
            assert talk.begun == 1
            assert contains(talk.turns[0], WORDS)
            assert logs(client) == ["started_talking", "pause_detected", "response_starting"]
            await client.listen(9)
            assert np.array_equal(client.heard(), np.tile(SOUND, 80))
            return client.played[0].at_s - 0.5 - len(WORDS) / RATE_HZ

    eager_s, patient_s = run(check(0.2)), run(check(None))
    assert patient_s - eager_s > 0.25
    assert eager_s < 0.62


@pytest.mark.parametrize("which", ["sync", "asynchronous"])
def test_an_eager_reply_is_dropped_when_the_user_goes_on(which: str) -> None:
    async def check() -> None:
        talk = Talk(200)
        async with MemoryClient(stream(getattr(talk, which), eager_after_s=0.15)) as client:
            await client.send_audio(np.concatenate((WORDS, silence(0.35), WORDS)))
            assert not client.played, "nothing of it may be heard"
            assert talk.begun == talk.closed >= 1
            await client.send_audio(silence(1))
            assert client.played
            assert talk.begun == talk.closed + 1
            assert contains(talk.turns[-1], np.concatenate((WORDS, silence(0.35), WORDS)))
            assert not errors(client)

    run(check())


def test_a_turn_that_paused_the_reply_is_answered_eagerly_too() -> None:
    async def check(eager_after_s: float | None) -> float:
        talk = Talk(100)

        async def slow(audio: Any) -> Any:
            await asyncio.sleep(0.35)
            async for item in talk.asynchronous(audio):
                yield item

        served = stream(slow, eager_after_s=eager_after_s, resume_after_s=1.0)
        async with MemoryClient(served) as client:
            await begin(client)
            await client.send_audio(np.concatenate((silence(0.5), WORDS)))
            end_s = client.session.loop.time()
            await client.send_audio(silence(2))
            assert talk.begun == 2
            assert contains(talk.turns[1], WORDS)
            return next(p.at_s for p in client.played if p.at_s > end_s) - end_s

    assert run(check(None)) - run(check(0.2)) > 0.25


@pytest.mark.parametrize(
    ("allowed", "options"),
    [
        (False, {"eager_after_s": 0.5}),
        (True, {"eager_after_s": 0.45}),
        (True, {"eager_after_s": 0.5, "algo_options": AlgoOptions(audio_chunk_duration=0.8)}),
        (False, {"eager_after_s": 0.6, "incomplete_after_s": 1.0}),
    ],
)
def test_an_eager_start_after_the_end_of_the_turn_is_refused(allowed: bool, options: Any) -> None:
    if allowed:
        stream(Talk().sync, **options)
        return
    with pytest.raises(ValueError, match=r"eager_after_s is .*allowed is less than 0\.5 s"):
        stream(Talk().sync, **options)


def test_what_was_typed_belongs_to_the_reply_that_is_heard() -> None:
    got: list[str] = []

    async def reply(data: WebRTCData, name: str = "") -> Any:
        got.append(data.textbox)
        yield 24000, SOUND

    async def check() -> None:
        served = stream(reply, eager_after_s=0.2)
        async with MemoryClient(served, "me") as client:
            served.set_input("me", WebRTCData("me", "hello"), "amy")
            await client.send_audio(np.concatenate((WORDS, silence(0.35))))
            assert got == ["hello"], "begun eagerly"
            await client.send_audio(WORDS)
            await client.send_audio(silence(2))
            assert got[-1] == "hello"
            count = len(got)
            await client.send_audio(np.concatenate((WORDS, silence(2))))
            assert set(got[count:]) == {""}

    run(check())


def test_an_eager_reply_does_not_run_ahead_without_bound() -> None:
    async def check() -> None:
        produced = 0

        async def reply(audio: Any) -> Any:
            nonlocal produced
            while True:
                produced += 1
                yield 24000, SOUND

        options = AlgoOptions(audio_chunk_duration=3.0)
        async with MemoryClient(stream(reply, eager_after_s=0.2, algo_options=options)) as client:
            await client.send_audio(np.concatenate((WORDS, silence(2.5))))
            assert not client.played
            assert produced in (50, 51)

    run(check())


@pytest.mark.parametrize("kind", ["generator", "plain", "async generator"])
def test_an_idle_user_is_spoken_to(kind: str) -> None:
    calls: list[float] = []

    async def check() -> None:
        loop = asyncio.get_running_loop()

        def generator() -> Any:
            calls.append(loop.time())
            yield ramp(1)

        async def async_generator() -> Any:
            calls.append(loop.time())
            yield ramp(1)

        def plain() -> str:
            calls.append(loop.time())
            return "called"

        on_idle = {"generator": generator, "plain": plain, "async generator": async_generator}
        served = stream(Talk(10).sync, on_idle=on_idle[kind], idle_after_s=5)
        async with MemoryClient(served) as client:
            await client.send_audio(np.concatenate((silence(3), WORDS, silence(20))))
            reply_end_s = client.played[0].at_s + 1.0
            between_s = 5.0 if kind == "plain" else 6.0
            expected = [reply_end_s + 5, reply_end_s + 5 + between_s]
            assert calls[:2] == pytest.approx(expected, abs=0.05)
            assert len(client.heard()) == 24000 * (1 if kind == "plain" else 1 + len(calls))
            assert not errors(client)

    run(check())


class Deciding(ReplyOnPause):
    """A subclass with a ``determine_pause`` of its own."""

    def determine_pause(self, audio: Any, sampling_rate: int, state: Any) -> bool:
        return super().determine_pause(audio, sampling_rate, state)


@pytest.mark.parametrize("kind", [ReplyOnPause, Deciding])
def test_nobody_is_idle_who_talks_or_is_not_connected(kind: Any) -> None:
    calls: list[float] = []

    async def check() -> None:
        loop = asyncio.get_running_loop()
        handler = kind(
            Talk(3).sync,
            on_idle=lambda: calls.append(loop.time()),
            idle_after_s=2,
            input_sample_rate=RATE_HZ,
        )
        client = MemoryClient(Stream(handler, modality="audio"))
        factory = client._stream.factory
        client.session = factory.admit("me", await factory.new_handler())
        client.session.open(client._attach)
        await client.listen(10)
        assert client.state == "connecting"
        client.session.on_live()
        speech = np.concatenate([LONG[RATE_HZ // 2 : RATE_HZ]] * 14)
        await client.send_audio(speech)
        assert not calls
        await client.disconnect()
        await client.listen(10)
        assert not calls
        await client.reconnect()
        await client.send_silence(6)
        assert calls
        await client.close()

    run(check())


class Judge:
    """An end-of-turn model that answers as it was told to."""

    def __init__(self, *answers: float) -> None:
        self.answers = list(answers)
        self.heard: list[Any] = []

    def complete(self, audio: Any) -> float:
        self.heard.append(audio)
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


async def delay_of(judge: Any, **options: Any) -> tuple[float, Any]:
    talk = Talk()
    async with MemoryClient(stream(talk.sync, end_of_turn=judge, **options)) as client:
        await client.send_audio(np.concatenate((silence(0.5), WORDS, silence(3))))
        assert len(talk.turns) == 1
        assert contains(talk.turns[0], WORDS)
        return client.played[0].at_s - 0.5 - len(WORDS) / RATE_HZ, client


def test_a_complete_utterance_is_answered_at_once() -> None:
    judge = Judge(0.9)
    delay_s, _ = run(delay_of(judge))
    assert delay_s < run(delay_of(None))[0] - 0.25
    rate_hz, samples = judge.heard[-1]
    assert rate_hz == RATE_HZ
    assert samples.dtype == np.int16
    assert contains(samples[0], WORDS[: -RATE_HZ // 10])


def test_an_utterance_that_is_doubted_is_judged_again_in_the_same_pause() -> None:
    judge = Judge(0.1, 0.1, 0.9)
    delay_s, _ = run(delay_of(judge))
    at_once_s, _ = run(delay_of(Judge(0.9)))
    assert 0.05 < delay_s - at_once_s < 0.15
    assert len(judge.heard) >= 3
    lengths = [len(samples[0]) for _, samples in judge.heard[-3:]]
    assert lengths == sorted(lengths)


def test_the_model_says_what_counts_as_complete() -> None:
    doubtful = Judge(0.4)
    as_ever_s, _ = run(delay_of(doubtful))
    doubtful.complete_at = 0.3  # type: ignore[attr-defined]
    delay_s, _ = run(delay_of(doubtful))
    assert delay_s < as_ever_s - 0.25


class Loudness:
    """A voice activity model that hears what is loud."""

    def reset(self) -> None:
        pass

    def push(self, samples: Any) -> float:
        return float(np.abs(samples).max() > 0.01)


def test_a_gap_within_words_ends_no_turn_however_complete_they_sound() -> None:
    async def check(phase_s: float) -> bool:
        talk, judge = Talk(), Judge(0.9)
        loud = (3000 * np.sin(np.arange(RATE_HZ) / 4)).astype(np.int16)
        parts = (silence(1 + phase_s), loud, silence(0.155), loud, silence(1))
        served = stream(talk.sync, end_of_turn=judge, model=Loudness())
        async with MemoryClient(served) as client:
            await client.send_audio(np.concatenate(parts))
            assert len(talk.turns) == 1
            assert client.played[0].at_s > 3.1
        return len(judge.heard) > 1

    asked_in_the_gap = [run(check(phase / 1000)) for phase in range(0, 32, 4)]
    assert any(asked_in_the_gap)


def test_an_incomplete_one_waits_for_the_window_or_longer() -> None:
    as_ever_s, _ = run(delay_of(Judge(0.1)))
    assert as_ever_s == pytest.approx(run(delay_of(None))[0])
    longer_s, _ = run(delay_of(Judge(0.1), incomplete_after_s=1.5))
    assert longer_s - as_ever_s == pytest.approx(1.0, abs=0.05)


def test_a_model_of_meaning_that_fails_is_told_and_the_window_decides(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Broken:
        def complete(self, audio: Any) -> float:
            raise RuntimeError("no weights")

    delay_s, client = run(delay_of(Broken(), incomplete_after_s=2.0))
    assert delay_s < 0.65
    assert len([text for text in errors(client) if "failed (" in text]) == 1
    assert "no weights" in caplog.text


def test_the_preroll_is_as_long_as_asked() -> None:
    async def check(preroll_s: float) -> int:
        talk = Talk()
        async with MemoryClient(stream(talk.sync, preroll_s=preroll_s)) as client:
            await client.send_audio(np.concatenate((silence(2), WORDS, silence(1))))
            return len(talk.turns[0])

    assert (run(check(1.0)) - run(check(0.2))) / RATE_HZ == pytest.approx(0.8, abs=0.04)
