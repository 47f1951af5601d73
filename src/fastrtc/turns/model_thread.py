"""The threads in which models run: they wait for work, take all there is, and end with the process.

They touch nothing of an event loop except through ``call_soon_threadsafe``.
"""

from __future__ import annotations

import asyncio
import atexit
import os
import queue
import threading
import weakref
from collections.abc import Callable
from typing import Any, Final, Generic, TypeVar

__all__ = ["ModelThread", "awaited_by"]

T = TypeVar("T")

GRACE_S: Final = 2.0
"""How long the end of the process waits for a model. A thread inside of native code must not
outlive the interpreter, one that hangs must not keep it."""


class ModelThread(Generic[T]):
    """A daemon thread that runs ``work`` with everything that was put since the last time.

    Args:
        name: of the thread.
        work: must not raise.
    """

    def __init__(self, name: str, work: Callable[[list[T]], None]) -> None:
        self._inbox: queue.SimpleQueue[T | None] = queue.SimpleQueue()
        self._work = work
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()
        _running.add(self)

    def put(self, item: T) -> None:
        """Work to do; from any thread."""
        self._inbox.put(item)

    def take(self) -> list[T]:
        """Everything that waits; for ``work`` itself, when it goes on."""
        items: list[T] = []
        while True:
            try:
                item = self._inbox.get_nowait()
            except queue.Empty:
                return items
            if item is None:
                self._inbox.put(None)
                return items
            items.append(item)

    def stop(self, wait_s: float = 0.0) -> None:
        """Ends the thread after what it does now; idempotent."""
        self._inbox.put(None)
        if wait_s and self._thread is not threading.current_thread():
            self._thread.join(wait_s)

    def _run(self) -> None:
        while (item := self._inbox.get()) is not None:
            self._work([item, *self.take()])


_running: weakref.WeakSet[ModelThread[Any]] = weakref.WeakSet()


@atexit.register
def _stop_all() -> None:
    threads = list(_running)
    for thread in threads:
        thread.stop()
    for thread in threads:
        thread.stop(GRACE_S)


def _forget_threads() -> None:
    """In a forked child none of the parent's threads exist."""
    global _running
    _running = weakref.WeakSet()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_threads)


_awaited: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, set[object]] = (
    weakref.WeakKeyDictionary()
)


def awaited_by(loop: asyncio.AbstractEventLoop) -> set[object]:
    """What models still owe to a loop, an object for each answer; changed on that loop only.

    A virtual clock stands still meanwhile.
    """
    awaited = _awaited.get(loop)
    if awaited is None:
        awaited = _awaited.setdefault(loop, set())
    return awaited
