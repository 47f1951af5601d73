"""Subclasses written for FastRTC 0.0.34: what they override is called as they know it."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest
from fastrtc.reply_on_pause import AppState, ReplyOnPause
from fastrtc.reply_on_stopwords import ReplyOnStopWords

from conversation import RATE_HZ, SOUND, Talk, clip, contains, errors, logs, silence
from fastrtc import AlgoOptions, Stream, create_message
from fastrtc.testing import MemoryClient, run

WORDS = clip("go-forward")
LONG = clip("austen-0880")


def serve(handler: Any) -> Stream:
    return Stream(handler, modality="audio")


class Chunky(ReplyOnPause):
    """Finds pauses itself, as the original's own method does."""

    def determine_pause(self, audio: Any, sampling_rate: int, state: AppState) -> bool:
        calls.append((audio.dtype, audio.ndim, len(audio) / sampling_rate, state))
        threads.add(threading.get_ident())
        if len(audio) / sampling_rate >= self.algo_options.audio_chunk_duration:
            dur_vad, chunks = self.model.vad((sampling_rate, audio), self.model_options)
            assert isinstance(chunks, list)
            if dur_vad > self.algo_options.started_talking_threshold and not state.started_talking:
                state.started_talking = True
                self.send_message_sync(create_message("log", "started_talking"))
            if state.started_talking:
                if state.stream is None:
                    state.stream = audio
                else:
                    state.stream = np.concatenate((state.stream, audio))
            state.buffer = None
            if dur_vad < self.algo_options.speech_threshold and state.started_talking:
                return True
        return False


class Inheriting(ReplyOnPause):
    """Adds to the built-in decision."""

    def determine_pause(self, audio: Any, sampling_rate: int, state: AppState) -> bool:
        calls.append((audio.dtype, audio.ndim, len(audio) / sampling_rate, state))
        threads.add(threading.get_ident())
        return super().determine_pause(audio, sampling_rate, state)


calls: list[Any] = []
threads: set[int] = set()


@pytest.mark.parametrize("kind", [Chunky, Inheriting])
def test_a_pause_finder_of_ones_own_is_fed_chunks(kind: type[ReplyOnPause]) -> None:
    calls.clear()
    threads.clear()

    async def check() -> None:
        talk = Talk(100)
        async with MemoryClient(serve(kind(talk.sync, input_sample_rate=RATE_HZ))) as client:
            await client.send_audio(np.concatenate((silence(1.5), WORDS, silence(1.3))))
            assert len(talk.turns) == 1
            assert contains(talk.turns[0], WORDS), "its pre-roll too"
            assert {(dtype, ndim) for dtype, ndim, _, _ in calls} == {(np.dtype(np.int16), 1)}
            assert all(duration_s == pytest.approx(0.6) for _, _, duration_s, _ in calls)
            assert all(isinstance(state, AppState) for *_, state in calls)
            assert threading.get_ident() not in threads
            # It interrupts once it has found that the user has started.
            start_s = client.session.loop.time()
            await client.send_audio(np.concatenate((LONG, silence(1.3))))
            assert talk.begun == 2
            assert max(p.end_s for p in client.played if p.at_s < start_s + 1) - start_s < 1.3
            assert contains(talk.turns[1], LONG[RATE_HZ:])
            log = logs(client)
            assert log == ["started_talking", "pause_detected", "response_starting"] * 2
            assert not errors(client)

    run(check())


def test_a_subclass_can_be_tested_without_a_session() -> None:
    handler = Inheriting(lambda audio: iter(()), input_sample_rate=RATE_HZ)
    assert not handler.determine_pause(WORDS, RATE_HZ, handler.state)
    assert handler.state.started_talking
    assert handler.determine_pause(silence(0.6), RATE_HZ, handler.state)
    handler.reset()
    assert not handler.state.started_talking
    assert handler.state.stream is None


class Busy(ReplyOnPause):
    """Keeps things of its own under names that ours could have."""

    def __init__(self, fn: Any, **options: Any) -> None:
        super().__init__(fn, **options)
        self.session = self.settings = self.turns = None  # type: ignore[assignment]
        self._session = self._turns = self._calls = self._heard = self._earlier = 0
        self._log = self._greet = self._said = "mine"

    def copy(self) -> Busy:
        return Busy(self.fn, input_sample_rate=self.input_sample_rate)


def test_attributes_of_a_subclass_are_its_own() -> None:
    async def check() -> None:
        talk = Talk(5)
        async with MemoryClient(serve(Busy(talk.sync, input_sample_rate=RATE_HZ))) as client:
            await client.send_audio(np.concatenate((WORDS, silence(1.5))))
            assert len(talk.turns) == 1
            assert logs(client) == ["started_talking", "pause_detected", "response_starting"]

    run(check())


def test_a_buffer_that_is_not_emptied_grows() -> None:
    lengths: list[float] = []

    class Growing(ReplyOnPause):
        def determine_pause(self, audio: Any, sampling_rate: int, state: AppState) -> bool:
            lengths.append(len(audio) / sampling_rate)
            state.stream = audio
            return len(audio) / sampling_rate > 1.5

    async def check() -> None:
        talk = Talk()
        async with MemoryClient(serve(Growing(talk.sync, input_sample_rate=RATE_HZ))) as client:
            await client.send_silence(2)
            assert lengths[0] == pytest.approx(0.6)
            assert max(lengths) == pytest.approx(1.52)
            assert lengths.count(lengths[0]) == 1
            assert len(talk.turns) == 1

    run(check())


def test_every_method_may_be_wrapped() -> None:
    seen: dict[str, int] = {}

    class Wrapping(ReplyOnPause):
        def __init__(self, fn: Any, greeting: str) -> None:
            super().__init__(fn, input_sample_rate=RATE_HZ)
            self.greeting = greeting

        def copy(self) -> ReplyOnPause:
            seen["copy"] = 1
            return Wrapping(self.fn, self.greeting)

        def start_up(self) -> None:
            seen[self.greeting] = 1
            super().start_up()

        def receive(self, frame: Any) -> None:
            seen["receive"] = seen.get("receive", 0) + 1
            super().receive(frame)

        def process_audio(self, audio: Any, state: AppState) -> None:
            rate_hz, samples = audio
            super().process_audio((rate_hz, samples // 2), state)

        def emit(self) -> Any:
            seen["emit"] = seen.get("emit", 0) + 1
            return super().emit()

        def reset(self) -> None:
            seen["reset"] = seen.get("reset", 0) + 1
            super().reset()

        def shutdown(self) -> None:
            seen["shutdown"] = 1

    async def check() -> None:
        talk = Talk(3)
        async with MemoryClient(serve(Wrapping(talk.sync, "hello"))) as client:
            assert isinstance(client.handler, Wrapping)
            for turn in (1, 2):
                await client.send_audio(np.concatenate((WORDS, silence(1.5))))
                assert len(talk.turns) == turn
                assert contains(talk.turns[-1], WORDS // 2)
                assert seen["reset"] == turn
            assert np.array_equal(client.heard(), np.tile(SOUND, 6))
            assert talk.closed == 2
            assert not errors(client)
        assert seen["copy"] == seen["hello"] == seen["shutdown"] == 1
        assert seen["receive"] > 200

    run(check())


def test_process_audio_may_decide_by_itself() -> None:
    class OnLoud(ReplyOnPause):
        def process_audio(self, audio: Any, state: AppState) -> None:
            samples = audio[1].reshape(-1)
            state.stream = (
                samples if state.stream is None else np.concatenate((state.stream, samples))
            )
            state.pause_detected = len(state.stream) >= RATE_HZ

    async def check() -> None:
        talk = Talk(2)
        handler = OnLoud(talk.asynchronous, input_sample_rate=RATE_HZ)
        async with MemoryClient(serve(handler)) as client:
            await client.send_silence(2.1)
            assert [len(turn) for turn in talk.turns] == [RATE_HZ, RATE_HZ]

    run(check())


def test_reset_forgets_and_falls_silent() -> None:
    async def check() -> None:
        talk = Talk(100)
        handler = ReplyOnPause(talk.sync, input_sample_rate=RATE_HZ)
        async with MemoryClient(serve(handler)) as client:
            await client.send_audio(np.concatenate((WORDS, silence(1))))
            handler_of_client: Any = client.handler
            handler_of_client.reset()
            await client.listen(0.05)
            heard = len(client.heard())
            assert (talk.begun, talk.closed) == (1, 1)
            await client.send_audio(LONG[: 2 * RATE_HZ])
            handler_of_client.reset()
            await client.send_silence(1)
            assert len(client.heard()) == heard
            assert talk.begun == 1
            await client.send_audio(np.concatenate((WORDS, silence(1))))
            assert talk.begun == 2
            assert not contains(talk.turns[1], LONG[RATE_HZ : RATE_HZ + 4000])

    run(check())


def test_the_state_tells_where_the_conversation_stands() -> None:
    async def check() -> None:
        talk = Talk(20)
        handler = ReplyOnPause(talk.sync, input_sample_rate=RATE_HZ)
        async with MemoryClient(serve(handler)) as client:
            handler_of_client: Any = client.handler
            await client.send_audio(WORDS)
            assert handler_of_client.state.started_talking
            assert not handler_of_client.state.responding
            await client.send_audio(silence(0.7))
            assert handler_of_client.state.responding
            assert handler_of_client.state.responded_audio
            assert not handler_of_client.state.started_talking
            await client.send_audio(silence(5))
            assert not handler_of_client.state.responding

    run(check())


def test_a_stop_word_finder_of_ones_own_is_fed_chunks_too() -> None:
    class Hears:
        def stt(self, audio: Any) -> str:
            return "hey computer" if contains(audio[1][0], WORDS[8000:12000]) else ""

    class Own(ReplyOnStopWords):
        def determine_pause(self, audio: Any, sampling_rate: int, state: Any) -> bool:
            return super().determine_pause(audio, sampling_rate, state)

    async def check() -> None:
        talk = Talk(3)
        handler = Own(talk.sync, ["computer"], input_sample_rate=RATE_HZ, stt=Hears())
        async with MemoryClient(serve(handler)) as client:
            await client.send_audio(np.concatenate((LONG, silence(1.2))))
            assert not talk.turns
            await client.send_audio(np.concatenate((WORDS, silence(1.3), LONG, silence(1.3))))
            assert len(talk.turns) == 1
            assert contains(talk.turns[0], WORDS[-RATE_HZ // 3 :])
            assert not contains(talk.turns[0], WORDS[:RATE_HZ])
            assert {"type": "stopword", "data": ""} in client.messages

    run(check())


def test_the_constructor_is_the_one_of_old_code() -> None:
    options = AlgoOptions(audio_chunk_duration=0.8)
    talk = Talk()
    handler = ReplyOnPause(
        talk.sync, None, options, None, False, "mono", 16000, None, 8000, None, True
    )
    copied = handler.copy()
    assert copied.algo_options is options
    assert (copied.can_interrupt, copied.needs_args) == (False, True)
    assert (copied.output_sample_rate, copied.input_sample_rate) == (16000, 8000)
    assert copied.fn == talk.sync
    words = ReplyOnStopWords(talk.sync, ["forward"], None, options, None, False)
    assert words.copy().stop_words == ["forward"]  # type: ignore[attr-defined]
    assert not words.can_interrupt


def test_attributes_set_after_construction_count() -> None:
    """In a subclass's own ``__init__``, and on a handler before it is served."""
    greeting, talk, never = Talk(3), Talk(3), Talk()

    def greet() -> Any:
        return greeting.sync((RATE_HZ, np.zeros((1, 0), np.int16)))

    class Own(ReplyOnPause):
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options)
            self.owner = self
            self.fn = self.respond
            self.algo_options = AlgoOptions(audio_chunk_duration=2.0)

        def respond(self, audio: Any) -> Any:
            assert self.owner is self
            yield from talk.sync(audio)

    async def check(handler: Any) -> None:
        handler.startup_fn = greet
        handler.can_interrupt = False
        talk.begun = greeting.begun = 0
        async with MemoryClient(serve(handler)) as client:
            await client.send_audio(np.concatenate((silence(1), WORDS, silence(1.5))))
            assert (greeting.begun, talk.begun) == (1, 0), "a window of two seconds"
            await client.send_audio(silence(0.6))
            assert talk.begun == 1
            assert not client.handler.can_interrupt  # type: ignore[attr-defined]
            assert not never.begun

    run(check(Own(never.sync, input_sample_rate=RATE_HZ)))
    handler = ReplyOnPause(never.sync, input_sample_rate=RATE_HZ)
    handler.fn = talk.sync
    handler.algo_options = AlgoOptions(audio_chunk_duration=2.0)
    run(check(handler))


@pytest.mark.parametrize(
    "options",
    [
        {"interrupt_min_words": 1, "stt": object()},
        {"resume_after_s": 1.0},
        {"eager_after_s": 0.2},
        {"end_of_turn": object()},
        {"incomplete_after_s": 1.0},
    ],
)
def test_what_a_determine_pause_of_ones_own_cannot_do_is_refused(options: Any) -> None:
    ReplyOnPause(Talk().sync, **options)
    name = next(iter(options))
    with pytest.raises(ValueError, match=rf"{name} does not work .*allowed with it are preroll_s"):
        Chunky(Talk().sync, **options)


@pytest.mark.parametrize("kind", [Chunky, Inheriting])
@pytest.mark.parametrize("is_altered", [False, True])
def test_stereo_reaches_the_function_whoever_finds_the_pause(kind: Any, is_altered: bool) -> None:
    class Altering(kind):  # type: ignore[misc]
        def determine_pause(self, audio: Any, sampling_rate: int, state: AppState) -> bool:
            over = super().determine_pause(audio, sampling_rate, state)
            if over and is_altered:
                state.stream = np.concatenate((state.stream, np.zeros(100, np.int16)))
            return bool(over)

    async def check() -> None:
        talk = Talk(3)
        handler = Altering(talk.sync, expected_layout="stereo", input_sample_rate=RATE_HZ)
        said = np.concatenate((silence(12), WORDS, silence(1.3)))
        both = np.stack((said, said // 4), axis=1).reshape(-1)
        async with MemoryClient(serve(handler)) as client:
            await client.send_audio(both)
            got = talk.turns[0].reshape(-1, 2)
            if is_altered:
                assert np.array_equal(got[:, 0], got[:, 1])
            else:
                assert contains(both, talk.turns[0])
                assert contains(np.ascontiguousarray(got[:, 0]), WORDS[:RATE_HZ])
            assert not errors(client)

    run(check())
