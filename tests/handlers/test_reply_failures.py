"""What fails in a conversation is told, once, and the conversation goes on where it can."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import pytest

from conversation import RATE_HZ, SOUND, Talk, clip, contains, errors, silence, stream
from fastrtc import (
    AlgoOptions,
    ReplyOnPause,
    WebRTCError,
)
from fastrtc.testing import MemoryClient, run


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


def test_a_model_that_fails_is_loud(caplog: pytest.LogCaptureFixture) -> None:
    """Pitfall 14."""

    class Broken:
        def vad(self, audio: Any, options: Any) -> Any:
            raise RuntimeError("no weights")

        def warmup(self) -> None: ...

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
            hearing = client.handler._fastrtc_taker._hearing  # type: ignore[attr-defined]
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
