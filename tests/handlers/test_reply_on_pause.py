"""A conversation with real speech and the real model, in virtual time."""

from __future__ import annotations

import asyncio
import functools
import gc
import threading
import time
import weakref
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from conversation import RATE_HZ, SOUND, Talk, clip, contains, errors, logs, silence, stream
from fastrtc import (
    AdditionalOutputs,
    AlgoOptions,
    CloseStream,
    ReplyOnPause,
    Stream,
    get_current_context,
    get_smart_turn_model,
)
from fastrtc.testing import MemoryClient, run

CLIPS = ["austen-0870", "austen-0880", "austen-0930", "go-forward"]


def loud(samples: Any) -> Any:
    return np.abs(samples.astype(int)) > 600


def both(talk: Talk) -> list[Any]:
    return [talk.sync, talk.asynchronous]


@pytest.mark.parametrize("name", CLIPS)
def test_a_turn_is_answered_at_once_and_whole_at_every_phase(name: str) -> None:
    """Pitfalls 12 and 13; offsets of the speech against windows and frames."""
    words = clip(name)

    async def check(offset: int) -> float:
        talk = Talk()
        async with MemoryClient(stream(talk.asynchronous)) as client:
            said = np.concatenate((silence(0.5), np.zeros(offset, np.int16), words, silence(1.2)))
            ends_s = (8000 + offset + len(words)) / RATE_HZ
            await client.send_audio(said)
            assert logs(client) == ["started_talking", "pause_detected", "response_starting"]
            assert len(talk.turns) == 1
            assert contains(talk.turns[0], words[: RATE_HZ // 10]), "the first 100 ms are missing"
            assert contains(talk.turns[0], words)
            return client.played[0].at_s - ends_s

    offsets = range(0, 27 * 19, 19 if name == "go-forward" else 95)
    delays_s = [run(check(offset)) for offset in offsets]
    assert max(delays_s) < 0.65, delays_s
    assert np.median(delays_s) < 0.56, delays_s


def test_sync_and_async_functions_are_heard_alike() -> None:
    async def check(which: int) -> Any:
        talk = Talk(30)
        async with MemoryClient(stream(both(talk)[which])) as client:
            await client.send_audio(np.concatenate((silence(0.2), clip("go-forward"), silence(4))))
            await client.listen(1)
            assert talk.closed == 1
            return client.played[0].at_s, client.heard()

    (sync_at_s, sync_heard), (async_at_s, async_heard) = run(check(0)), run(check(1))
    assert sync_at_s == pytest.approx(async_at_s, abs=0.03)
    assert np.array_equal(sync_heard, async_heard)
    assert np.array_equal(sync_heard, np.tile(SOUND, 30))


@pytest.mark.parametrize("pause_s", [0.2, 0.35, 0.5, 0.8, 1.5, 3.0])
def test_no_word_is_lost_between_turns(pause_s: float) -> None:
    parts = [clip(name) for name in CLIPS]
    pieces = [silence(0.3)]
    for part in parts:
        pieces += [part, silence(pause_s)]
    pieces.append(silence(1))

    async def check() -> None:
        talk = Talk()
        async with MemoryClient(stream(talk.asynchronous)) as client:
            await client.send_audio(np.concatenate(pieces))
            if pause_s >= 0.8:
                assert len(talk.turns) >= len(parts)
            # Each loud sample once: nothing is missing, nothing came twice.
            joined = np.concatenate(parts)
            assert np.array_equal(talk.said[loud(talk.said)], joined[loud(joined)])

    run(check())


def test_silence_costs_no_emit() -> None:
    """Pitfalls 1 and 2: an idle session wakes nobody."""

    async def check() -> None:
        async with MemoryClient(stream(Talk().sync)) as client:
            await client.send_silence(0.1)
            calls = 0
            loop = client.session.loop
            original = loop.call_later

            def counted(*args: Any, **kwargs: Any) -> Any:
                nonlocal calls
                calls += 1
                return original(*args, **kwargs)

            loop.call_later = counted  # type: ignore[method-assign]
            await client.listen(60)
            assert calls <= 2

    run(check())


def test_trigger_answers_what_was_said_so_far() -> None:
    async def check() -> None:
        talk = Talk()
        words = clip("austen-0870")[: 2 * RATE_HZ]
        async with MemoryClient(stream(talk.sync)) as client:
            await client.send_audio(words)
            client.handler.trigger_response()  # type: ignore[attr-defined]
            await client.listen(0.1)
            assert len(talk.turns) == 1
            assert contains(talk.turns[0], words[: len(words) - 1024])

    run(check())


@pytest.mark.parametrize("which", [0, 1])
def test_the_context_is_there_and_so_is_what_was_played(which: int) -> None:
    seen: list[Any] = []

    def note() -> None:
        context = get_current_context()
        assert context.session is not None
        seen.append((context.webrtc_id, context.session.played_s))

    def reply(audio: Any) -> Any:
        note()
        for _ in range(40):
            yield 24000, SOUND
        note()

    async def reply_async(audio: Any) -> Any:
        note()
        for _ in range(40):
            yield 24000, SOUND
        note()

    async def check() -> None:
        async with MemoryClient(stream([reply, reply_async][which]), "me") as client:
            for _ in range(2):
                await client.send_audio(np.concatenate((clip("go-forward"), silence(6))))
            assert [name for name, _ in seen] == ["me"] * 4
            assert [seen[0][1], seen[2][1]] == [0, 0]
            # The last item is asked for once at most two seconds wait to be sent.
            for _, played_s in (seen[1], seen[3]):
                assert 2.0 - 1e-6 <= played_s <= 3.01
            assert client.handler.played_s == pytest.approx(4.0)

    run(check())


def test_close_stream_lets_the_words_before_it_be_heard() -> None:
    def reply(audio: Any) -> Any:
        yield 24000, SOUND
        yield (24000, SOUND), CloseStream("bye")

    async def check() -> None:
        async with MemoryClient(stream(reply)) as client:
            await client.send_audio(np.concatenate((clip("go-forward"), silence(2))))
            await client.wait_closed()
            assert np.array_equal(client.heard(), np.tile(SOUND, 2))
            assert client.messages[-1] == {"type": "end_stream", "data": "bye"}

    run(check())


def test_a_long_reply_neither_stops_nor_doubles() -> None:
    """Pitfall 11: over sixty seconds."""

    async def check() -> None:
        talk = Talk(700)
        async with MemoryClient(stream(talk.sync)) as client:
            await client.send_audio(np.concatenate((clip("go-forward"), silence(75))))
            assert np.array_equal(client.heard(), np.tile(SOUND, 700))
            assert talk.begun == talk.closed == 1

    run(check())


def test_a_client_that_stops_sending_has_paused() -> None:
    async def check() -> None:
        talk = Talk()
        async with MemoryClient(stream(talk.sync)) as client:
            await client.send_audio(clip("go-forward"))
            await client.listen(2)
            assert len(talk.turns) == 1
            assert contains(talk.turns[0], clip("go-forward"))

    run(check())


@pytest.mark.parametrize("sent_s", [0.0, 0.2])
def test_a_client_that_does_not_send_its_silence_is_answered_as_soon_as_others(
    sent_s: float,
) -> None:
    """Opus with DTX: after 0.2 s of silence nothing, or a packet each 0.4 s. Of that silence the
    model may take the beginning for speech."""

    async def answered_s(how: str) -> float:
        talk = Talk()
        async with MemoryClient(stream(talk.sync)) as client:
            await client.send_audio(np.concatenate((clip("go-forward"), silence(sent_s))))
            spoken_s = client.session.loop.time() - sent_s
            for _ in range(4):
                if how == "all sent":
                    await client.send_audio(silence(0.4))
                    continue
                await client.listen(0.38)
                if how == "refreshed":
                    await client.send_audio(silence(0.02))
            assert len(talk.turns) == 1
            assert len(talk.turns[0]) - len(clip("go-forward")) < 0.8 * RATE_HZ
            return client.played[0].at_s - spoken_s

    usual_s = run(answered_s("all sent"))
    for how in ("refreshed", "nothing sent"):
        assert run(answered_s(how)) <= usual_s + 0.07


def test_a_burst_of_losses_in_the_middle_of_a_word_ends_no_turn() -> None:
    async def check() -> None:
        talk = Talk()
        words = clip("austen-0880")
        loud = np.abs(words.astype(int))
        middle = RATE_HZ + int(np.convolve(loud, np.ones(3200), "valid")[RATE_HZ:-RATE_HZ].argmax())
        middle += 3200
        async with MemoryClient(stream(talk.sync)) as client:
            await client.send_audio(words[:middle])
            await client.listen(0.9)
            await client.send_audio(np.concatenate((words[middle:], silence(2))))
            assert len(talk.turns) == 1
            assert contains(talk.turns[0], words[:middle])
            assert contains(talk.turns[0], words[middle:])

    run(check())


def test_a_limit_to_continuous_speech_answers_while_the_user_goes_on() -> None:
    async def check() -> None:
        talk = Talk(5)
        words = clip("austen-0870")
        options = AlgoOptions(max_continuous_speech_s=2.5)
        async with MemoryClient(stream(talk.sync, algo_options=options)) as client:
            await client.send_audio(np.concatenate((words, silence(2))))
            assert len(talk.turns) >= 3
            assert contains(talk.said, words)
            assert len(talk.turns[0]) / RATE_HZ == pytest.approx(2.5, abs=0.35)

    run(check())


def test_the_tail_of_a_turn_that_was_cut_is_no_turn() -> None:
    async def check() -> None:
        talk = Talk(40)
        options = AlgoOptions(max_continuous_speech_s=2.0)
        words = clip("austen-0870")[RATE_HZ // 2 : RATE_HZ]
        served = stream(talk.sync, model=Loudness(), algo_options=options)
        async with MemoryClient(served) as client:
            said = np.tile(words, 5)[: round(2.1 * RATE_HZ)]
            await client.send_audio(np.concatenate((said, silence(5))))
            assert talk.begun == 1
            assert np.array_equal(client.heard(), np.tile(SOUND, 40))

    run(check())


class Loudness:
    """A user's own model: whatever is loud is speech."""

    def vad(self, audio: Any, options: Any) -> Any:
        rate_hz, samples = audio
        assert samples.ndim == 1
        loud = np.abs(samples.astype(float)).reshape(-1)[: len(samples) // 160 * 160]
        seconds = float((loud.reshape(-1, 160).mean(axis=1) > 300).sum() * 160 / rate_hz)
        return seconds, []

    def warmup(self) -> None:
        pass


def test_a_model_with_only_the_old_protocol_works() -> None:
    async def check() -> None:
        talk = Talk()
        async with MemoryClient(stream(talk.sync, model=Loudness())) as client:
            words = clip("go-forward")
            await client.send_audio(np.concatenate((silence(0.5), words, silence(2))))
            assert len(talk.turns) == 1
            assert contains(talk.turns[0], words)

    run(check())


@pytest.mark.parametrize("threshold", [3000.0, -30.0])
def test_a_threshold_of_another_model_is_its_own(threshold: float) -> None:
    @dataclass
    class Options:
        threshold: float

    async def check() -> None:
        talk = Talk()
        served = stream(talk.sync, model=Loudness(), model_options=Options(threshold))
        async with MemoryClient(served) as client:
            await client.send_audio(np.concatenate((silence(0.5), clip("go-forward"), silence(2))))
            assert len(talk.turns) == 1

    run(check())


def test_stereo_reaches_the_function_interleaved() -> None:
    async def check() -> None:
        talk = Talk()
        words = np.repeat(clip("go-forward"), 2)
        async with MemoryClient(stream(talk.sync, expected_layout="stereo")) as client:
            await client.send_audio(np.concatenate((silence(1), words, silence(2.4))))
            assert len(talk.turns) == 1
            assert contains(talk.turns[0], words)

    run(check())


def test_the_end_of_the_session_closes_the_generator() -> None:
    async def check(which: int) -> None:
        talk = Talk(100)
        async with MemoryClient(stream(both(talk)[which])) as client:
            await client.send_audio(np.concatenate((clip("go-forward"), silence(1))))
            assert talk.begun == 1
        await asyncio.sleep(0.1)
        assert talk.closed == 1

    for which in (0, 1):
        run(check(which))


def test_noise_hides_no_turn() -> None:
    """Speech over noise at 10 dB SNR, after two seconds of noise alone."""
    words = np.concatenate((silence(2), clip("austen-0880"), silence(2))).astype(float)
    level = np.sqrt((clip("austen-0880").astype(float) ** 2).mean()) / 10**0.5
    noise = np.random.default_rng(3).normal(0, level, len(words))
    said = np.clip(words + noise, -32768, 32767).astype(np.int16)

    async def check() -> None:
        talk = Talk()
        async with MemoryClient(stream(talk.sync)) as client:
            await client.send_audio(said)
            assert len(talk.turns) == 1
            assert contains(talk.turns[0], said[2 * RATE_HZ + 4000 : -3 * RATE_HZ])

    run(check())


def test_smart_turn_answers_complete_sentences_sooner() -> None:
    async def check(name: str, model: Any) -> float:
        talk = Talk()
        async with MemoryClient(stream(talk.sync, end_of_turn=model)) as client:
            await client.send_audio(np.concatenate((silence(0.5), clip(name), silence(1.2))))
            assert contains(talk.said, clip(name))
            return client.played[-1].at_s

    gains_s = [
        run(check(name, None)) - run(check(name, get_smart_turn_model()))
        for name in ("austen-0880", "austen-0930", "go-forward")
    ]
    assert min(gains_s) > -0.05
    assert max(gains_s) > 0.2


def test_a_stream_that_only_listens_calls_the_function_too() -> None:
    got: list[Any] = []

    def reply(audio: Any) -> Any:
        got.append(audio[1].shape)
        yield 24000, SOUND
        yield AdditionalOutputs("heard")

    async def check() -> None:
        served = Stream(
            ReplyOnPause(reply, input_sample_rate=RATE_HZ), modality="audio", mode="send"
        )
        outputs = served.output_stream("me")
        async with MemoryClient(served, "me") as client:
            await client.send_audio(np.concatenate((clip("go-forward"), silence(1))))
            assert (await anext(outputs)).args == ("heard",)
            assert len(got) == 1
            assert not client.played

    run(check())


@pytest.mark.parametrize("which", [0, 1])
def test_nothing_of_a_session_stays(which: int) -> None:
    """Pitfall 7."""

    async def check() -> list[weakref.ref[Any]]:
        served = stream(both(Talk(60))[which], eager_after_s=0.2, idle_after_s=9, on_idle=Talk)
        gone = []
        for number in range(3):
            async with MemoryClient(served, str(number)) as client:
                await client.send_audio(np.concatenate((clip("go-forward"), silence(1))))
                assert client.played
                await client.send_audio(clip("go-forward"))
                gone += [weakref.ref(client.handler), weakref.ref(client.session)]
                turns: Any = client.handler._fastrtc_taker  # type: ignore[attr-defined]
                gone += [weakref.ref(turns), weakref.ref(turns._hearing)]
            del client, turns
        return gone

    gone = run(check())
    for _ in range(100):
        gc.collect()
        if all(ref() is None for ref in gone):
            break
        # The model's thread is just about to end.
        time.sleep(0.05)
    assert [ref() for ref in gone] == [None] * 12


class Speaker:
    """Reply functions of every shape."""

    def method(self, audio: Any) -> Any:
        yield 24000, SOUND

    async def async_method(self, audio: Any) -> Any:
        yield 24000, SOUND

    def __call__(self, audio: Any) -> Any:
        yield 24000, SOUND

    def returns_iterator(self, audio: Any) -> Any:
        return iter([(24000, SOUND), None, AdditionalOutputs("done")])

    async def returns_generator(self, audio: Any) -> Any:
        return self.async_method(audio)


@pytest.mark.parametrize(
    "fn",
    [
        Speaker().method,
        Speaker().async_method,
        Speaker(),
        Speaker().returns_iterator,
        Speaker().returns_generator,
        functools.partial(Speaker.method, None),
        functools.partial(Speaker.async_method, None),
    ],
)
def test_functions_of_every_shape_reply(fn: Any) -> None:
    """Pitfall 23."""

    async def check() -> None:
        async with MemoryClient(stream(fn)) as client:
            await client.send_audio(np.concatenate((clip("go-forward"), silence(1))))
            assert np.array_equal(client.heard(), SOUND)
            assert not errors(client)

    run(check())


def test_a_generator_that_blocks_when_the_session_ends_is_closed_once_it_returns() -> None:
    go_on = threading.Event()
    events: list[str] = []

    def reply(audio: Any) -> Any:
        try:
            yield 24000, SOUND
            events.append("blocks")
            go_on.wait(20)
            yield 24000, SOUND
        finally:
            events.append("closed")

    async def check() -> None:
        async with MemoryClient(stream(reply)) as client:
            await client.send_audio(np.concatenate((clip("go-forward"), silence(1))))
            assert events == ["blocks"]
        assert client.session.stats["calls_abandoned"] == 1
        go_on.set()
        for _ in range(1000):
            await asyncio.sleep(0.01)
            if len(events) > 1:
                break
        assert events == ["blocks", "closed"]

    run(check())
