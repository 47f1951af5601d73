"""An event loop in virtual time: its clock stands while code runs and jumps when all wait.

Only the clock is virtual; tasks, timers and threads are asyncio's and Python's own.
"""

from __future__ import annotations

import asyncio
import selectors
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor
from pathlib import Path
from typing import Any, Final, TypeVar, TypeVarTuple, Unpack

from fastrtc.session.workers import pool
from fastrtc.turns.model_thread import awaited_by

__all__ = ["VirtualClockLoop", "run"]

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

PATIENCE_S: Final = 0.1
"""Real seconds that a call in a worker thread may take before it counts as blocked."""
MODEL_PATIENCE_S: Final = 2.0
"""The same for a model that was asked something."""
AGAIN_S: Final = 0.005
"""Real seconds that blocked calls get after each step, to notice what the step did."""
AT_WORK: Final = 0.1
"""Threads that spend this share of such a time running, or ready to, are at work."""
LONGEST_PATIENCE: Final = 20
"""How often those are extended for threads that are at work."""
STUCK_S: Final = 10.0
"""Real seconds after which a loop that nothing can wake is declared stuck."""


class _VirtualSelector(selectors.DefaultSelector):
    """Where an event loop would sleep, it moves the clock instead."""

    def __init__(self) -> None:
        super().__init__()
        self.now_s = 0.0
        self.calls_in_threads: Callable[[], list[object]] = list
        self.models_at_work: Callable[[], set[object]] = set
        self._known_to_block: set[object] = set()

    def select(self, timeout: float | None = None) -> Any:
        ready = super().select(0)
        if ready or (timeout is not None and timeout <= 0):
            return ready
        ready = self._wait_for_threads()
        if ready:
            return ready
        if timeout is None:
            ready = super().select(STUCK_S)
            if not ready:
                raise RuntimeError(
                    "virtual time is stuck: every task waits for something that neither a timer "
                    "nor a thread will bring"
                )
            return ready
        self.now_s += timeout
        return []

    def _wait_for_threads(self) -> Any:
        """Lets calls in threads come back before time goes on; a blocked one is not waited for."""
        models = self.models_at_work()
        calls = {*self.calls_in_threads(), *models}
        if not calls:
            return []
        if calls <= self._known_to_block:
            return self._select_patiently(AGAIN_S)
        asked = models - self._known_to_block
        ready = self._select_patiently(MODEL_PATIENCE_S if asked else PATIENCE_S)
        if not ready:
            self._known_to_block |= calls
        return ready

    def _select_patiently(self, patience_s: float) -> Any:
        """Waits again and again while a thread works, or waits for a core on a busy machine."""
        for _ in range(LONGEST_PATIENCE):
            before_ns = _at_work_ns()
            ready = super().select(patience_s)
            if ready or _at_work_ns() - before_ns < AT_WORK * patience_s * 1e9:
                return ready
        return []


def _at_work_ns() -> int:
    """How long this process's threads, the caller's left out, ran or waited for a core so far.

    0 where the kernel does not tell (``/proc/<pid>/task/<tid>/schedstat`` of Linux).
    """
    own = str(threading.get_native_id())
    total_ns = 0
    for stat in Path("/proc/self/task").glob("*/schedstat"):
        if stat.parent.name != own:
            try:
                ran_ns, waited_ns, _ = stat.read_text().split()
            except (FileNotFoundError, ProcessLookupError):
                continue  # it has ended
            total_ns += int(ran_ns) + int(waited_ns)
    return total_ns


class VirtualClockLoop(asyncio.SelectorEventLoop):
    """An event loop whose :meth:`time` starts at 0 and passes only when nothing can run.

    Models, and sync user code in worker threads, are waited for. A function that blocks, in
    ``queue.get()`` say, holds time up for 0.1 real seconds once; from then on each wait for it
    costs 0.005.
    """

    def __init__(self) -> None:
        self._virtual = _VirtualSelector()
        super().__init__(self._virtual)
        self._executor_calls: set[object] = set()
        self._virtual.calls_in_threads = self._calls_in_threads
        self._virtual.models_at_work = lambda: awaited_by(self)

    def time(self) -> float:
        """Virtual seconds since the loop was made."""
        return self._virtual.now_s

    def run_in_executor(
        self, executor: Executor | None, func: Callable[[Unpack[Ts]], T], *args: *Ts
    ) -> asyncio.Future[T]:
        """As in asyncio, and time stands while the call runs."""
        call = object()
        self._executor_calls.add(call)
        future = super().run_in_executor(executor, func, *args)
        future.add_done_callback(lambda _: self._executor_calls.discard(call))
        return future

    async def shutdown_default_executor(self, *args: Any, **kwargs: Any) -> None:
        """As in asyncio, and time stands while the executor's threads are joined."""
        call = object()
        self._executor_calls.add(call)
        try:
            await super().shutdown_default_executor(*args, **kwargs)
        finally:
            self._executor_calls.discard(call)

    def _calls_in_threads(self) -> list[object]:
        return [*(call.fn for call in pool.calls_of(self)), *self._executor_calls]


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Runs a coroutine to its end in virtual time; the counterpart of ``asyncio.run``.

    Raises:
        RuntimeError: everything waits for something that will not come.

    Example::

        run(asyncio.sleep(3600))  # at once
    """
    with asyncio.Runner(loop_factory=VirtualClockLoop) as runner:
        return runner.run(coroutine)
