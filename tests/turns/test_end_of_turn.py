"""The end-of-turn model is asked beside the loop, and only what somebody still wants to know."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any

import numpy as np
import pytest

from clips import RATE_HZ, clip
from fastrtc.errors import ModelError
from fastrtc.testing import run
from fastrtc.turns.end_of_turn import MAX_THREADS, ask
from fastrtc.turns.model_thread import awaited_by
from fastrtc.turns.smart_turn import get_smart_turn_model


def moment() -> Any:
    return RATE_HZ, np.zeros((1, 1600), np.int16)


class Slow:
    """Answers after a while, and counts."""

    def __init__(self, answer: Any = 0.5, takes_s: float = 0.02) -> None:
        self.answer = answer
        self.takes_s = takes_s
        self.asked = 0
        self.threads: set[str] = set()

    def complete(self, audio: Any) -> float:
        self.asked += 1
        self.threads.add(threading.current_thread().name)
        time.sleep(self.takes_s)
        if isinstance(self.answer, BaseException):
            raise self.answer
        answer: float = self.answer
        return answer


def test_the_model_answers_beside_the_loop() -> None:
    model = Slow(0.25)

    made_in: list[str] = []

    def audio() -> Any:
        made_in.append(threading.current_thread().name)
        return moment()

    async def asking() -> float:
        return await ask(model, audio)

    assert run(asking()) == 0.25
    assert model.threads == {"fastrtc-end-of-turn"}
    assert made_in == ["fastrtc-end-of-turn"]


def test_smart_turn_answers_as_it_does_alone() -> None:
    audio = (RATE_HZ, clip("go-forward")[None])

    async def asking() -> float:
        return await ask(get_smart_turn_model(), lambda: audio)

    assert run(asking()) == get_smart_turn_model().complete(audio)


def test_virtual_time_stands_while_the_model_thinks() -> None:
    async def asking() -> float:
        await ask(Slow(takes_s=0.3), moment)
        return asyncio.get_running_loop().time()

    assert run(asking()) == 0


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (RuntimeError("lost"), r"end-of-turn model Slow failed: RuntimeError\('lost'\)"),
        (SystemExit(3), r"end-of-turn model Slow failed: SystemExit\(3\)"),
        (1.5, "answered 1.5; allowed is a probability, 0 to 1"),
        (float("nan"), "answered nan"),
        ("yes", "ValueError"),
    ],
)
def test_a_model_that_fails_is_an_error_not_a_verdict(answer: Any, told: str) -> None:
    async def asking() -> None:
        with pytest.raises(ModelError, match=told) as raised:
            await ask(Slow(answer), moment)
        if isinstance(answer, BaseException):
            assert raised.value.__cause__ is answer
        assert await ask(Slow(0.5), moment) == 0.5

    run(asking())


def test_a_question_that_nobody_waits_for_is_not_put() -> None:
    model = Slow(takes_s=0.1)

    async def asking() -> None:
        questions = [ask(model, moment) for _ in range(MAX_THREADS + 50)]
        for question in questions[MAX_THREADS:]:
            question.cancel()
        await asyncio.gather(*questions[:MAX_THREADS])
        assert await ask(model, moment) == 0.5
        assert not awaited_by(asyncio.get_running_loop())

    run(asking())
    assert model.asked == MAX_THREADS + 1


def test_many_sessions_share_a_few_threads() -> None:
    async def asking() -> list[float]:
        return await asyncio.gather(*(ask(Slow(takes_s=0.005), moment) for _ in range(100)))

    assert run(asking()) == [0.5] * 100
    names = [thread.name for thread in threading.enumerate()]
    assert 1 <= names.count("fastrtc-end-of-turn") <= MAX_THREADS


def test_an_answer_for_a_closed_loop_is_dropped() -> None:
    async def leave() -> None:
        ask(Slow(takes_s=0.1), moment)

    async def stay() -> float:
        return await ask(Slow(0.75), moment)

    asyncio.run(leave())
    assert asyncio.run(stay()) == 0.75
