"""Names that subclasses written for FastRTC 0.0.34 use: ``event``, ``generator`` and their kin."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
import pytest
from fastrtc.reply_on_pause import AppState, ReplyOnPause

from conversation import RATE_HZ, SOUND, Talk, clip, contains, errors, silence
from fastrtc import Stream
from fastrtc.testing import MemoryClient, run

WORDS = clip("go-forward")
LONG = clip("austen-0880")


def serve(handler: Any) -> Stream:
    return Stream(handler, modality="audio")


class OwnState(AppState):
    """A state of a subclass's own."""


class Resetting(ReplyOnPause):
    """``reset`` as the original's subclass for stop words writes it."""

    def reset(self) -> None:
        super().reset()
        self.generator = None
        self.event.clear()
        self.state = OwnState()


class Receiving(ReplyOnPause):
    """``receive`` as the original has it, around a pause finder of its own."""

    def determine_pause(self, audio: Any, sampling_rate: int, state: AppState) -> bool:
        return super().determine_pause(audio, sampling_rate, state)

    def receive(self, frame: Any) -> None:
        if self.state.responding and not self.can_interrupt:
            return
        self.process_audio(frame, self.state)
        if self.state.pause_detected:
            self.event.set()
            if self.can_interrupt and self.state.responding:
                self._close_generator()
                self.generator = None
            if self.can_interrupt:
                self.clear_queue()


class Emitting(ReplyOnPause):
    """``emit`` that asks the generator itself."""

    def emit(self) -> Any:
        if not self.event.is_set():
            return None
        try:
            if self.is_async:
                coroutine = self.async_iterate(self.generator)
                return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result()
            return next(self.generator)
        except (StopIteration, StopAsyncIteration):
            self.reset()
            return None


class Greeting(ReplyOnPause):
    """``start_up`` as the original has it."""

    def start_up(self) -> None:
        assert not self._needs_additional_inputs
        self.generator = self.startup_fn(*())  # type: ignore[misc]
        self.event.set()


@pytest.mark.parametrize("kind", [Resetting, Receiving, Emitting])
@pytest.mark.parametrize("which", ["sync", "asynchronous"])
def test_turn_after_turn_is_answered(kind: type[ReplyOnPause], which: str) -> None:
    async def check() -> None:
        talk = Talk(5)
        handler = kind(getattr(talk, which), input_sample_rate=RATE_HZ)
        async with MemoryClient(serve(handler)) as client:
            for _ in range(3):
                await client.send_audio(np.concatenate((WORDS, silence(2.5))))
            assert (talk.begun, talk.closed) == (3, 3)
            assert all(contains(turn, WORDS) for turn in talk.turns)
            assert np.array_equal(client.heard(), np.tile(SOUND, 15))
            assert isinstance(client.handler, kind)
            assert client.handler.generator is None
            assert not client.handler.event.is_set()
            assert not errors(client)

    run(check())


def test_a_reset_of_ones_own_does_not_stop_the_reply_to_what_was_said_meanwhile() -> None:
    async def check() -> None:
        talk = Talk(20)
        handler = Resetting(talk.sync, input_sample_rate=RATE_HZ)
        async with MemoryClient(serve(handler)) as client:
            await client.send_audio(np.concatenate((WORDS, silence(1), LONG, silence(4))))
            assert talk.begun == talk.closed == 2
            assert contains(talk.turns[1], LONG)
            assert np.array_equal(client.heard()[-20 * len(SOUND) :], np.tile(SOUND, 20))

    run(check())


def test_an_interruption_found_in_a_receive_of_ones_own_is_answered() -> None:
    async def check() -> None:
        talk = Talk(100)
        handler = Receiving(talk.sync, input_sample_rate=RATE_HZ)
        async with MemoryClient(serve(handler)) as client:
            await client.send_audio(np.concatenate((WORDS, silence(2), LONG, silence(2))))
            assert (talk.begun, talk.closed) == (2, 1)
            assert contains(talk.turns[1], LONG[RATE_HZ:])
            assert client.handler.generator is not None  # type: ignore[attr-defined]

    run(check())


def test_a_generator_that_is_set_is_played_and_none_closes_it() -> None:
    closed: list[bool] = []

    def greet() -> Any:
        try:
            for _ in range(100):
                yield 24000, SOUND
        finally:
            closed.append(True)

    async def check() -> None:
        talk = Talk()
        handler = Greeting(talk.sync, greet, input_sample_rate=RATE_HZ)
        async with MemoryClient(serve(handler)) as client:
            await client.listen(1)
            assert client.heard().size >= 10 * SOUND.size
            assert client.handler.event.is_set()  # type: ignore[attr-defined]
            client.handler.generator = None  # type: ignore[attr-defined]
            await client.listen(0.5)
            assert closed == [True]
            assert talk.begun == 0
            heard = client.heard().size
            await client.listen(1)
            assert client.heard().size == heard
            client.handler.event.set()  # type: ignore[attr-defined]
            await client.listen(1)
            assert talk.begun == 1

    run(check())
