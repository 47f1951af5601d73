"""Runs voice activity models beside the event loops: one thread for each model of a process.

A session opens a feed, pushes audio as it comes and gets one probability for each 32 ms of it, on
its own event loop. Whenever the thread is free it takes what waits in all feeds and runs it as one
batch; then each event loop is called once. Nothing waits to fill a batch, nothing polls.

A feed that has heard no speech for a while is relaxed: it is asked every third window, three at a
time, which halves what a silent session costs. The first speech ends that. Windows are never late
by more than two, and only those around the onset: whatever needs 0.1 s of speech, or ends a turn,
is decided at the same moment as without. Who pushes larger pieces meanwhile gets larger answers.

Bound: a feed holds at most ``MAX_BEHIND_S`` of audio that its model has not answered. Beyond that
the model hangs or is slower than speech, and the feed fails. A feed that failed says so once,
through ``on_error``, and hears no more.
"""

from __future__ import annotations

import asyncio
import contextvars
import os
import threading
from collections import deque
from collections.abc import Callable
from itertools import islice
from typing import Any, Final, NamedTuple, TypeAlias, cast

import numpy as np
import numpy.typing as npt

from fastrtc.errors import ModelError
from fastrtc.turns.ears import Ears, WindowEars, ears_for
from fastrtc.turns.model_thread import ModelThread, awaited_by
from fastrtc.turns.options import ModelOptions
from fastrtc.turns.protocol import WINDOW_S, BatchingModel

__all__ = ["VadFeed", "open_vad"]

MAX_BEHIND_S: Final = 60.0
MAX_BATCH: Final = 64
"""Larger batches save nothing more per window, and keep their first ones waiting."""
RELAXED_WINDOWS: Final = 3
MAX_ROUND: Final = 5
"""Windows of one feed that are put to the model together when more wait."""
QUIET: Final = 0.2
"""Windows below this probability are no speech under any threshold that makes sense."""
QUIET_S: Final = 1.0
"""So much quiet, beyond the detector's sliding window, relaxes a feed."""

Deliver: TypeAlias = Callable[[list[float]], None]
OnError: TypeAlias = Callable[[ModelError], None]


def open_vad(
    model: Any,
    rate_hz: int,
    *,
    deliver: Deliver,
    on_error: OnError,
    options: ModelOptions = None,
    span_s: float = 0.6,
) -> VadFeed:
    """Opens the feed of one session; called on the session's event loop.

    Args:
        model: a ``StreamingModel`` such as :func:`~fastrtc.turns.silero.get_silero_model`, or a
            user's with only ``vad``, which is asked every 96 ms about the last ``span_s`` seconds.
        rate_hz: of the audio that will be pushed, 4000 to 384000 Hz.
        deliver: called on this loop with the probabilities of the next windows of 32 ms, in order,
            none left out: number ``i`` since the opening or the last reset is that of the sound
            from ``i * 0.032`` s on. (The resampler delays that by 5 ms, by 10 for unusual rates.)
        on_error: called on this loop, once, when the model failed; nothing is delivered after it.
        options: given to a user's ``vad``.
        span_s: ``AlgoOptions.audio_chunk_duration``.

    Raises:
        TypeError: the model has no protocol that is known here.
        ValueError: a rate out of range.

    Example::

        feed = open_vad(get_silero_model(), 48000, deliver=detector.hear, on_error=session.fail)
        feed.push(np.zeros(960, np.int16))
    """
    ears = ears_for(model, rate_hz, options, span_s)
    with _lock:
        engine = _engines.get(id(model))
        if engine is None:
            engine = _engines[id(model)] = _Engine(model)
        feed = VadFeed(engine, ears, rate_hz, span_s, deliver, on_error)
        engine.feeds.add(feed)
    return feed


class _Answer(NamedTuple):
    feed: VadFeed
    generation: int
    heard: int
    """Samples since the reset that are answered for, or 0 while more of them wait."""
    result: list[float] | ModelError


class VadFeed:
    """One session's way to its model. All public methods are called on the session's event loop."""

    def __init__(
        self,
        engine: _Engine,
        ears: Ears,
        rate_hz: int,
        span_s: float,
        deliver: Deliver,
        on_error: OnError,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._context = contextvars.copy_context()
        self._engine = engine
        self._window_samples = WINDOW_S * rate_hz
        self._deliver = deliver
        self._on_error = on_error
        self._open = True
        self._generation = 0
        self._samples_in = 0
        self._answered = 0
        self._quiet = 0
        self._relaxed_after = round((span_s + QUIET_S) / WINDOW_S)
        self._debt: object | None = None
        self._debt_samples = 0
        # Audio, or the number of the generation that begins; filled here, emptied by the engine.
        self._inbox: deque[npt.NDArray[np.int16] | int] = deque()
        self._announced = False
        self._ears = ears
        self._ears_generation = 0
        self._ears_heard = 0

    @property
    def behind_s(self) -> float:
        """Seconds of audio not answered yet, the beginning of the next window included."""
        return (self._samples_in / self._window_samples - self._answered) * WINDOW_S

    @property
    def is_relaxed(self) -> bool:
        """Whether no speech was heard for a while."""
        return self._quiet >= self._relaxed_after

    def push(self, samples: npt.NDArray[np.int16]) -> None:
        """Takes the next samples; ignored once closed or failed.

        Args:
            samples: mono int16 of shape ``(n,)`` or ``(1, n)``. It is kept without a copy: do not
                write to it afterwards.
        """
        if not self._open:
            return
        flat = samples.reshape(-1)
        self._inbox.append(flat)
        self._samples_in += len(flat)
        hop = RELAXED_WINDOWS if self.is_relaxed else 1
        if int(self._samples_in / self._window_samples) < self._answered + hop:
            return
        if self.behind_s > MAX_BEHIND_S:
            self._fail(
                ModelError(
                    f"the voice activity model is {MAX_BEHIND_S:g} s behind: it hangs, or takes "
                    "longer than the speech it is given. Use a faster model, or fewer sessions"
                )
            )
            return
        if self._debt is None:
            self._debt = object()
            awaited_by(self._loop).add(self._debt)
        self._debt_samples = self._samples_in
        if not self._announced:
            self._announced = True
            self._engine.thread.put(self)

    def reset(self) -> None:
        """Starts afresh, as if just opened; windows of what was pushed before are not delivered."""
        if not self._open:
            return
        self._generation += 1
        self._samples_in = self._answered = self._quiet = 0
        self._settle()
        self._inbox.clear()
        self._inbox.append(self._generation)

    def close(self) -> None:
        """Nothing is delivered any more; idempotent."""
        if self._open:
            self._open = False
            self._inbox.clear()
            self._settle()
            self._engine.remove(self)

    def _settle(self) -> None:
        if self._debt is not None:
            awaited_by(self._loop).discard(self._debt)
            self._debt = None

    def _fail(self, error: ModelError) -> None:
        self.close()
        self._context.run(self._on_error, error)

    def _take(self, answer: _Answer) -> None:
        """What the engine brings, on the loop."""
        if not self._open:
            return
        if isinstance(answer.result, ModelError):
            self._fail(answer.result)
        elif answer.generation == self._generation:
            self._answered += len(answer.result)
            if answer.heard >= self._debt_samples:
                self._settle()
            for probability in answer.result:
                self._quiet = self._quiet + 1 if probability < QUIET else 0
            if answer.result:
                self._context.run(self._deliver, answer.result)


class _Engine:
    """A model, its feeds and its thread, in which all methods but ``remove`` run."""

    def __init__(self, model: Any) -> None:
        self.model = model
        self.feeds: set[VadFeed] = set()
        self._batching = model if isinstance(model, BatchingModel) else None
        self.thread: ModelThread[VadFeed] = ModelThread("fastrtc-vad", self._work)

    def remove(self, feed: VadFeed) -> None:
        """Forgets a feed; without any left the thread ends."""
        with _lock:
            self.feeds.discard(feed)
            if not self.feeds and _engines.get(id(self.model)) is self:
                del _engines[id(self.model)]
                self.thread.stop()

    def _work(self, arrived: list[VadFeed]) -> None:
        active: dict[VadFeed, None] = {}
        while arrived or active:
            active.update(dict.fromkeys(arrived))
            batch = list(islice(active, MAX_BATCH))
            for feed in batch:
                del active[feed]
            answers = self._answers(batch)
            # Whoever has more windows waits behind the others.
            active.update(
                dict.fromkeys(
                    answer.feed
                    for answer in answers
                    if not answer.heard and isinstance(answer.result, list)
                )
            )
            self._post(answers)
            arrived = self.thread.take()

    def _answers(self, batch: list[VadFeed]) -> list[_Answer]:
        """What is ready of each feed that is still open, but no more than a few windows."""
        results: dict[VadFeed, list[float] | ModelError] = {}
        for feed in batch:
            if feed._open:
                results[feed] = []
                try:
                    _listen(feed)
                except BaseException as error:  # noqa: BLE001
                    results[feed] = self._error(error)
        for _ in range(MAX_ROUND):
            for feed, answer in self._step(self._skimmed(results)).items():
                earlier = results[feed]
                if isinstance(answer, list) and isinstance(earlier, list):
                    earlier.extend(answer)
                else:
                    results[feed] = answer
        return [
            _Answer(
                feed,
                feed._ears_generation,
                0 if feed._ears.ready() else feed._ears_heard,
                result,
            )
            for feed, result in results.items()
        ]

    def _skimmed(self, results: dict[VadFeed, list[float] | ModelError]) -> list[VadFeed]:
        """Adds what is known without the model; who has a window that it must be asked about."""
        ready: list[VadFeed] = []
        for feed, result in results.items():
            if isinstance(result, list) and feed._ears.ready():
                try:
                    result.extend(feed._ears.skim())
                except BaseException as error:  # noqa: BLE001
                    results[feed] = self._error(error)
                else:
                    if feed._ears.ready():
                        ready.append(feed)
        return ready

    def _step(self, feeds: list[VadFeed]) -> dict[VadFeed, list[float] | ModelError]:
        if self._batching is None or not feeds:
            return {feed: self._ask(feed) for feed in feeds}
        return self._ask_at_once(self._batching, feeds)

    def _ask_at_once(
        self, model: BatchingModel, feeds: list[VadFeed]
    ) -> dict[VadFeed, list[float] | ModelError]:
        ears = [cast(WindowEars, feed._ears) for feed in feeds]
        try:
            answers = model.push_many([ear.stream for ear in ears], [e.next_window() for e in ears])
            return {
                feed: self._checked([answer]) for feed, answer in zip(feeds, answers, strict=True)
            }
        except BaseException as error:  # noqa: BLE001
            return dict.fromkeys(feeds, self._error(error))

    def _ask(self, feed: VadFeed) -> list[float] | ModelError:
        try:
            return self._checked(feed._ears.step())
        except BaseException as error:  # noqa: BLE001
            return self._error(error)

    def _checked(self, probabilities: list[float]) -> list[float] | ModelError:
        for probability in probabilities:
            if not 0 <= probability <= 1:
                return ModelError(
                    f"the voice activity model {type(self.model).__name__} answered "
                    f"{probability!r}; allowed is a probability, 0 to 1"
                )
        return probabilities

    def _error(self, cause: BaseException) -> ModelError:
        error = ModelError(
            f"the voice activity model {type(self.model).__name__} failed: {cause!r}"
        )
        error.__cause__ = cause
        return error

    def _post(self, answers: list[_Answer]) -> None:
        """Brings each loop its answers in one call."""
        loops: dict[asyncio.AbstractEventLoop, list[_Answer]] = {}
        for answer in answers:
            loops.setdefault(answer.feed._loop, []).append(answer)
        for loop, its_answers in loops.items():
            try:
                loop.call_soon_threadsafe(_bring, loop, its_answers)
            except RuntimeError:
                if not loop.is_closed():
                    raise
                for answer in its_answers:
                    self.remove(answer.feed)


def _listen(feed: VadFeed) -> None:
    """Lets the ears hear what was pushed; in the engine's thread."""
    # Before the inbox is emptied: what comes from now on is announced again.
    feed._announced = False
    pieces: list[npt.NDArray[np.int16]] = []
    while feed._inbox:
        try:
            item = feed._inbox.popleft()
        except IndexError:
            break
        if isinstance(item, int):
            pieces.clear()
            feed._ears_generation = item
            feed._ears_heard = 0
            feed._ears.reset()
        else:
            pieces.append(item)
    if pieces:
        heard = pieces[0] if len(pieces) == 1 else np.concatenate(pieces)
        feed._ears_heard += len(heard)
        feed._ears.hear(heard)


def _bring(loop: asyncio.AbstractEventLoop, answers: list[_Answer]) -> None:
    for answer in answers:
        try:
            answer.feed._take(answer)
        except Exception as error:  # noqa: BLE001
            # One session's mistake must not keep the others' answers.
            loop.call_exception_handler(
                {"message": "a session failed to take a probability", "exception": error}
            )


_lock = threading.Lock()
_engines: dict[int, _Engine] = {}


def _start_afresh() -> None:
    """In a forked child no engine has a thread, and whoever held the lock does not exist."""
    global _lock
    _lock = threading.Lock()
    _engines.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_start_afresh)
