"""Asks a model whether a turn is over, beside the event loop.

A question that was cancelled is not put to the model. A few threads answer for all sessions, since
one answer takes tens of milliseconds and a pause of the speaker is no longer than some hundred.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable
from typing import Final, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from fastrtc.errors import ModelError
from fastrtc.turns.model_thread import ModelThread, awaited_by
from fastrtc.turns.protocol import EndOfTurnModel

__all__ = ["ask"]

Audio: TypeAlias = tuple[int, npt.NDArray[np.int16]]
MAX_THREADS: Final = min(4, os.cpu_count() or 1)


class _Question(NamedTuple):
    model: EndOfTurnModel
    audio: Callable[[], Audio]
    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[float]


def ask(model: EndOfTurnModel, audio: Callable[[], Audio]) -> asyncio.Future[float]:
    """Asks ``model.complete(audio)`` in a thread; called on an event loop.

    A session has one question at a time: it cancels the future when the speaker goes on.

    Args:
        model: the model.
        audio: called in the thread, since putting minutes of audio together takes long:
            ``(rate_hz, samples)``, mono int16 of shape ``(1, n)``.

    Returns:
        A future of the probability, 0 to 1, or of a :class:`~fastrtc.errors.ModelError`.

    Example::

        probability = await ask(get_smart_turn_model(), lambda: (16000, samples))
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[float] = loop.create_future()
    awaited = awaited_by(loop)
    awaited.add(future)
    future.add_done_callback(awaited.discard)
    _least_busy().put(_Question(model, audio, loop, future))
    return future


class _Answerer:
    """One thread, and how many questions wait for it."""

    def __init__(self) -> None:
        self.waiting = 0
        self._thread: ModelThread[_Question] = ModelThread("fastrtc-end-of-turn", self._work)

    def put(self, question: _Question) -> None:
        self._thread.put(question)

    def _work(self, questions: list[_Question]) -> None:
        for question in questions:
            if not question.future.cancelled():
                self._answer(question)
            with _lock:
                self.waiting -= 1

    def _answer(self, question: _Question) -> None:
        answer = _judge(question)
        try:
            question.loop.call_soon_threadsafe(_bring, question.future, answer)
        except RuntimeError:
            if not question.loop.is_closed():
                raise


def _judge(question: _Question) -> float | ModelError:
    name = type(question.model).__name__
    try:
        probability = float(question.model.complete(question.audio()))
    except BaseException as cause:  # noqa: BLE001
        error = ModelError(f"the end-of-turn model {name} failed: {cause!r}")
        error.__cause__ = cause
        return error
    if not 0 <= probability <= 1:
        return ModelError(
            f"the end-of-turn model {name} answered {probability!r}; allowed is a probability, "
            "0 to 1"
        )
    return probability


def _bring(future: asyncio.Future[float], answer: float | ModelError) -> None:
    if future.done():
        return
    if isinstance(answer, ModelError):
        future.set_exception(answer)
    else:
        future.set_result(answer)


_lock = threading.Lock()
_answerers: list[_Answerer] = []


def _least_busy() -> _Answerer:
    with _lock:
        idle = min(_answerers, key=lambda answerer: answerer.waiting, default=None)
        if idle is None or (idle.waiting and len(_answerers) < MAX_THREADS):
            idle = _Answerer()
            _answerers.append(idle)
        idle.waiting += 1
        return idle


def _start_afresh() -> None:
    """In a forked child no thread exists, and whoever held the lock does not either."""
    global _lock
    _lock = threading.Lock()
    _answerers.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_start_afresh)
