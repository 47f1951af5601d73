"""Daemon threads for user code that is not async, as many as are needed at the moment.

A call may block for ever: it costs its own thread, and neither another call, nor the end of its
session, nor the end of the process. Threads here never touch an object of the event loop except
through ``call_soon_threadsafe``.
"""

from __future__ import annotations

import asyncio
import contextvars
import os
import queue
import threading
from collections.abc import Callable
from typing import Any, Final

from fastrtc.errors import HandlerError

__all__ = ["Lane", "WorkerPool", "call_sync", "pool"]

IDLE_S: Final = 10.0
"""How long a thread without work stays for the next call."""


class _Call:
    """One call of user code, and what is to happen with its result."""

    __slots__ = (
        "after",
        "args",
        "context",
        "error",
        "fn",
        "future",
        "lock",
        "loop",
        "over",
        "value",
    )

    def __init__(
        self,
        future: asyncio.Future[Any],
        loop: asyncio.AbstractEventLoop,
        context: contextvars.Context,
        fn: Callable[..., Any],
        args: tuple[Any, ...],
    ) -> None:
        self.future = future
        self.loop = loop
        self.context = context
        self.fn = fn
        self.args = args
        self.value: Any = None
        self.error: BaseException | None = None
        self.after: Callable[[], Any] | None = None
        self.over = False
        self.lock = threading.Lock()

    def run(self) -> None:
        try:
            self.value = self.context.run(self.fn, *self.args)
        except (StopIteration, SystemExit, KeyboardInterrupt, GeneratorExit) as error:
            self.error = HandlerError(f"user code raised {error!r}, which cannot leave a handler")
            self.error.__cause__ = error
        except BaseException as error:  # noqa: BLE001
            self.error = error
        with self.lock:
            self.over = True
            after = self.after
        if after is not None:
            self.context.run(after)

    def post(self) -> None:
        try:
            self.loop.call_soon_threadsafe(self.deliver)
        except RuntimeError:
            pool.came_back(self)
            if not self.loop.is_closed():
                raise

    def deliver(self) -> None:
        pool.came_back(self)
        if self.future.done():
            return
        if self.error is not None:
            self.future.set_exception(self.error)
        else:
            self.future.set_result(self.value)


class _Worker(threading.Thread):
    def __init__(self, pool: WorkerPool, first: _Call) -> None:
        super().__init__(name="fastrtc-worker", daemon=True)
        self.inbox: queue.SimpleQueue[_Call] = queue.SimpleQueue()
        self.inbox.put(first)
        self._pool = pool

    def run(self) -> None:
        while True:
            try:
                call = self.inbox.get(timeout=IDLE_S)
            except queue.Empty:
                if self._pool.leave(self):
                    return
                continue
            call.run()
            self._pool.rest(self)
            call.post()
            del call


class WorkerPool:
    """The threads of one process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._idle: list[_Worker] = []
        self.in_flight: set[_Call] = set()
        self.abandoned = 0
        """Calls that outlived their session."""

    def submit(self, call: _Call) -> None:
        with self._lock:
            self.in_flight.add(call)
            worker = self._idle.pop() if self._idle else None
        if worker is None:
            _Worker(self, call).start()
        else:
            worker.inbox.put(call)

    def rest(self, worker: _Worker) -> None:
        with self._lock:
            self._idle.append(worker)

    def came_back(self, call: _Call) -> None:
        with self._lock:
            self.in_flight.discard(call)

    def leave(self, worker: _Worker) -> bool:
        """Whether the thread may end: not when a call was just given to it."""
        with self._lock:
            if worker in self._idle:
                self._idle.remove(worker)
                return True
            return False

    def abandon(self, call: _Call, after: Callable[[], Any] | None) -> bool:
        """Nobody waits for ``call`` any more; ``after`` runs in its thread once it is over.

        Returns:
            False when it is over already.
        """
        with call.lock:
            if call.over:
                return False
            call.after = after
        with self._lock:
            self.abandoned += 1
        return True

    def calls_of(self, loop: asyncio.AbstractEventLoop) -> list[_Call]:
        """Calls that have not come back to ``loop`` yet."""
        with self._lock:
            return [call for call in self.in_flight if call.loop is loop]

    def forget_threads(self) -> None:
        """In a forked child none of the parent's threads exist."""
        self._lock = threading.Lock()
        self._idle = []
        self.in_flight = set()


pool: Final = WorkerPool()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=pool.forget_threads)


class Lane:
    """Runs calls of one session and one direction beside the loop, one at a time.

    Args:
        loop: where results come back.
        context: context variables that the calls see; kept from call to call.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, context: contextvars.Context) -> None:
        self._loop = loop
        self._context = context.copy()
        self._current: _Call | None = None

    def call(self, fn: Callable[..., Any], *args: Any) -> asyncio.Future[Any]:
        """Calls ``fn(*args)`` in a thread; the future gets its result or exception."""
        future: asyncio.Future[Any] = self._loop.create_future()
        self._current = call = _Call(future, self._loop, self._context, fn, args)
        pool.submit(call)
        return future

    def finish(self, fn: Callable[..., Any] | None = None) -> bool:
        """The lane is needed no longer. A call under way is abandoned, its result dropped.

        Args:
            fn: runs once no call is under way, its result unread.

        Returns:
            Whether a call was abandoned.
        """
        call, self._current = self._current, None
        if call is not None and not call.over and pool.abandon(call, fn):
            call.future.cancel()
            return True
        if fn is not None:
            self.call(fn)
        return False


async def call_sync(fn: Callable[..., Any], *args: Any) -> Any:
    """Calls ``fn(*args)`` in a worker thread, with the caller's context variables."""
    return await Lane(asyncio.get_running_loop(), contextvars.copy_context()).call(fn, *args)
