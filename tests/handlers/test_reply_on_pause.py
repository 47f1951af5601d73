"""A conversation with real speech and the real model, in virtual time."""

from __future__ import annotations

import asyncio
import functools
import gc
import logging
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
    WebRTCData,
    WebRTCError,
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


def test_inputs_fit_the_function() -> None:
    async def reply(audio: Any, a: int, b: int = 2) -> Any:
        got.append((a, b))
        yield 24000, SOUND

    got: list[Any] = []

    async def check() -> None:
        served = stream(reply)
        async with MemoryClient(served, "me") as client:
            served.set_input("me", 1, 7, 8)
            await client.send_audio(np.concatenate((clip("go-forward"), silence(2))))
            assert {"type": "send_input", "data": []} in client.messages
            served.set_input("me", 3)
            await client.send_audio(np.concatenate((clip("go-forward"), silence(2))))
            assert got == [(1, 7), (3, 2)]

    run(check())


@pytest.mark.parametrize("needs_args", [False, True])
def test_after_an_interruption_the_inputs_are_new(needs_args: bool) -> None:
    got: list[int] = []

    async def reply(audio: Any, number: int = 0) -> Any:
        got.append(number)
        while True:
            yield 24000, SOUND

    async def answer(served: Stream, client: MemoryClient) -> None:
        answered = 0
        while True:
            asked = sum(message["type"] == "send_input" for message in client.messages)
            if asked > answered:
                answered = asked
                await asyncio.sleep(0.05)
                served.set_input("me", answered)
            await asyncio.sleep(0.01)

    async def check() -> None:
        served = stream(reply, needs_args=needs_args)
        async with MemoryClient(served, "me") as client:
            page = asyncio.create_task(answer(served, client))
            for _ in range(3):
                await client.send_audio(np.concatenate((clip("go-forward"), silence(1.5))))
            page.cancel()
            assert got == [1, 2, 3]

    run(check())


def test_optional_inputs_are_not_waited_for_long() -> None:
    async def check() -> None:
        voices = []

        async def reply(audio: Any, voice: str = "amy") -> Any:
            voices.append(voice)
            yield 24000, SOUND

        async with MemoryClient(stream(reply)) as client:
            await client.send_audio(np.concatenate((clip("go-forward"), silence(2))))
            assert voices == ["amy"]

    run(check())


def test_required_inputs_that_never_come_are_an_error_and_the_session_goes_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def reply(audio: Any, voice: str) -> Any:
        yield 24000, SOUND

    async def check() -> None:
        served = stream(reply)
        async with MemoryClient(served, "me") as client:
            await client.send_audio(np.concatenate((clip("go-forward"), silence(70))))
            assert any("failed (" in text for text in errors(client))
            served.set_input("me", "amy")
            await client.send_audio(np.concatenate((clip("go-forward"), silence(2))))
            assert client.played

    run(check())
    assert "sent no inputs" in caplog.text


def test_needs_args_survives_the_copy() -> None:
    """Pitfall 23."""

    async def check() -> None:
        served = stream(Talk().asynchronous, needs_args=True)
        async with MemoryClient(served) as client:
            assert client.handler.needs_args  # type: ignore[attr-defined]
            await client.send_audio(np.concatenate((clip("go-forward"), silence(1))))
            assert {"type": "send_input", "data": []} in client.messages
            assert not client.played

    run(check())


def test_textbox_and_trigger() -> None:
    got: list[Any] = []

    async def reply(data: WebRTCData) -> Any:
        got.append(data)
        yield 24000, SOUND

    async def check() -> None:
        served = stream(reply)
        async with MemoryClient(served, "me") as client:
            served.set_input("me", WebRTCData("me", "hello"))
            client.handler.trigger_response()  # type: ignore[attr-defined]
            await client.listen(1)
            await client.send_audio(np.concatenate((clip("go-forward"), silence(1))))
            assert [data.textbox for data in got] == ["hello", ""]
            assert got[0].audio[1].shape == (1, 0)
            assert contains(got[1].audio[1][0], clip("go-forward"))
            assert isinstance(client.handler.latest_args[0], WebRTCData)

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


def test_the_telephone_gives_defaults_then_what_was_yielded() -> None:
    got: list[Any] = []

    def reply(audio: Any, count: int = 0, name: str = "?") -> Any:
        got.append((count, name))
        yield (24000, SOUND), AdditionalOutputs(count + 1, "amy", "surplus")

    async def check() -> None:
        async with MemoryClient(stream(reply)) as client:
            client.handler.phone_mode = True
            for _ in range(3):
                await client.send_audio(np.concatenate((clip("go-forward"), silence(1))))
            assert got == [(0, "?"), (1, "amy"), (2, "amy")]
            assert not any(message["type"] == "send_input" for message in client.messages)

    run(check())


@pytest.mark.parametrize("is_async", [False, True])
def test_a_greeting_is_played(is_async: bool) -> None:
    async def hello() -> Any:
        yield 24000, SOUND

    def hello_sync() -> Any:
        yield 24000, SOUND

    async def check() -> None:
        served = stream(Talk().sync, startup_fn=hello if is_async else hello_sync)
        async with MemoryClient(served) as client:
            await client.listen(0.5)
            assert np.array_equal(client.heard(), SOUND)
            assert logs(client) == ["response_starting"]

    run(check())


def test_a_greeting_waits_for_the_inputs_of_the_function() -> None:
    async def hello(name: str) -> Any:
        names.append(name)
        yield 24000, SOUND

    names: list[str] = []

    async def check() -> None:
        def reply(audio: Any, name: str) -> Any:
            yield 24000, SOUND

        served = stream(reply, startup_fn=hello)
        async with MemoryClient(served, "me") as client:
            await client.listen(1)
            assert not names
            served.set_input("me", "amy")
            await client.listen(1)
            assert names == ["amy"]

    run(check())


@pytest.mark.parametrize("is_async", [False, True])
def test_a_generator_that_raises_is_told_once_and_the_next_turn_comes(
    is_async: bool, caplog: pytest.LogCaptureFixture
) -> None:
    async def check() -> None:
        talk = Talk()

        def failing(audio: Any) -> Any:
            yield from talk.sync(audio)
            raise RuntimeError("no more ideas")

        async def failing_async(audio: Any) -> Any:
            async for item in talk.asynchronous(audio):
                yield item
            raise RuntimeError("no more ideas")

        served = stream(failing_async if is_async else failing)
        async with MemoryClient(served) as client:
            for turns in (1, 2):
                await client.send_audio(np.concatenate((clip("go-forward"), silence(4))))
                assert len(talk.turns) == turns
                told = [error.partition(" (error ")[0] for error in errors(client)]
                assert told == ["the reply function failed"] * turns
            assert len(client.heard()) == 2 * 20 * len(SOUND)

    with caplog.at_level(logging.ERROR):
        run(check())
    assert len([record for record in caplog.records if record.exc_info]) == 1


def test_a_function_that_is_no_generator_is_told_what_to_do(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def check() -> None:
        async with MemoryClient(stream(lambda audio: audio)) as client:
            await client.send_audio(np.concatenate((clip("go-forward"), silence(1))))
            assert errors(client)[0].startswith("the reply function failed (")

    run(check())
    assert "use yield" in caplog.text


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


def test_a_model_that_fails_is_loud(caplog: pytest.LogCaptureFixture) -> None:
    """Pitfall 14."""

    class Broken:
        def vad(self, audio: Any, options: Any) -> Any:
            raise RuntimeError("no weights")

        def warmup(self) -> None:
            raise AssertionError

    async def check() -> None:
        talk = Talk()
        async with MemoryClient(stream(talk.sync, model=Broken())) as client:
            await client.send_audio(np.concatenate((clip("go-forward"), silence(2))))
            assert len(errors(client)) == 2, "it is asked once more"
            assert errors(client)[0].startswith("voice activity detection failed (")
            assert client.state == "closed"
            assert not talk.turns

    run(check())
    assert "no weights" in caplog.text


class Failing:
    """Loud windows are speech; each stream of it fails after so many windows."""

    def __init__(self, *lengths: int) -> None:
        self.lengths = list(lengths)

    def stream(self) -> Any:
        model = self

        class Stream:
            left = model.lengths.pop(0)

            def push(self, window: Any) -> float:
                self.left -= 1
                if self.left < 0:
                    raise RuntimeError("out of memory")
                return float(np.abs(window).max() > 0.02)

            def reset(self) -> None:
                pass

        return Stream()


def test_a_model_that_fails_is_asked_once_more_and_no_turn_hangs() -> None:
    """It fails in the middle of the first turn."""

    async def check() -> None:
        talk = Talk()
        words = clip("austen-0870")[: 2 * RATE_HZ]
        async with MemoryClient(stream(talk.sync, model=Failing(50, 10_000))) as client:
            await client.send_audio(np.concatenate((words, silence(3))))
            assert contains(talk.turns[0], words[:RATE_HZ])
            before = len(talk.turns)
            await client.send_audio(np.concatenate((clip("go-forward"), silence(2))))
            assert len(talk.turns) == before + 1
            assert contains(talk.turns[-1], clip("go-forward"))
            assert len(errors(client)) == 1
            hearing = client.handler.turns._hearing  # type: ignore[attr-defined]
            assert hearing.audio.end_s - hearing.audio.start_s < 2

    run(check())


def test_a_model_that_fails_again_ends_the_session() -> None:
    async def check() -> None:
        async with MemoryClient(stream(Talk().sync, model=Failing(50, 50))) as client:
            await client.send_audio(np.concatenate((clip("austen-0870"), silence(5))))
            assert client.state == "closed"
            assert len(errors(client)) == 2
            assert client.session.close_reason == "voice activity detection failed again"

    run(check())


def test_a_model_that_fails_in_a_pause_of_the_reply_lets_it_go_on() -> None:
    async def check() -> None:
        talk = Talk(50)
        said = np.concatenate((clip("go-forward"), silence(1.5)))
        served = stream(
            talk.sync,
            # In the cough, after what pauses the reply.
            model=Failing(round((len(said) / RATE_HZ + 0.3) / 0.032), 10_000),
            resume_after_s=0.5,
            algo_options=AlgoOptions(started_talking_threshold=0.5),
        )
        async with MemoryClient(served) as client:
            await client.send_audio(said)
            assert client.played
            await client.send_audio(clip("go-forward")[: RATE_HZ * 4 // 10])
            paused_at = len(client.heard())
            await client.listen(0.2)
            assert len(client.heard()) == paused_at
            await client.listen(8)
            assert np.array_equal(client.heard(), np.tile(SOUND, 50))
            assert len(errors(client)) == 1

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


@pytest.mark.parametrize(
    "options",
    [
        {"preroll_s": -1},
        {"interrupt_after_s": 0},
        {"interrupt_min_words": 2},
        {"interrupt_min_words": -1},
        {"resume_after_s": "soon"},
        {"on_idle": print},
        {"idle_after_s": 3},
        {"expected_layout": "5.1"},
        {"model": object()},
    ],
)
def test_options_that_make_no_sense_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        ReplyOnPause(Talk().sync, **options)


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
                turns: Any = client.handler.turns  # type: ignore[attr-defined]
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


def test_an_error_for_the_user_is_shown_each_time(caplog: pytest.LogCaptureFixture) -> None:
    def reply(audio: Any) -> Any:
        raise WebRTCError("I did not get that.")
        yield

    async def check() -> None:
        async with MemoryClient(stream(reply)) as client:
            for turns in (1, 2):
                await client.send_audio(np.concatenate((clip("go-forward"), silence(1))))
                assert errors(client) == ["I did not get that."] * turns

    with caplog.at_level(logging.ERROR):
        run(check())
    assert not caplog.records


def test_a_hundred_failing_replies_end_no_session() -> None:
    def reply(audio: Any) -> Any:
        raise ValueError("no")
        yield

    async def check() -> None:
        async with MemoryClient(stream(reply)) as client:
            for _ in range(120):
                client.handler.trigger_response()  # type: ignore[attr-defined]
                await client.listen(0.1)
            assert len(errors(client)) == 120
            assert client.state == "live"

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
