"""A stream's part in its application's life: sessions end with it, and begin to at the signal.

Servers wait for open responses before they tell the application that it ends. A response that
streams a session's outputs is open as long as the session, so sessions have to leave when the
signal comes, not when the lifespan does. Handles no request.
"""

from __future__ import annotations

import asyncio
import signal
import threading
import weakref
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from types import FrameType
from typing import Any, Final, TypeAlias

from fastrtc.session.factory import SessionFactory
from fastrtc.session.workers import call_sync
from fastrtc.transports.media_plane import shutdown_media_plane

__all__ = ["leave_at_signal", "with_lifespan"]

DRAIN_S: Final = 1.0

Lifespan: TypeAlias = Callable[[Any], AbstractAsyncContextManager[Any]]

_running = 0
_leaving: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, weakref.WeakSet[SessionFactory]] = (
    weakref.WeakKeyDictionary()
)


def with_lifespan(
    inner: Lifespan, factory: SessionFactory, on_start: Callable[[], None]
) -> Lifespan:
    """``inner``, an application's lifespan, with the stream's sessions ended inside it.

    The last application of the process to end takes the media threads with it.

    Args:
        inner: the application's own.
        factory: has the stream's sessions.
        on_start: called when the application begins.
    """

    @asynccontextmanager
    async def lifespan(app: Any) -> AsyncIterator[Any]:
        global _running
        async with inner(app) as state:
            factory.reopen()
            on_start()
            _running += 1
            with _draining_at_signal(factory) as second_interrupt:
                try:
                    yield state
                finally:
                    _running -= 1
                    await _drain(factory, second_interrupt)
                    if _running == 0:
                        await call_sync(shutdown_media_plane)

    return lifespan


async def _drain(factory: SessionFactory, second_interrupt: asyncio.Event) -> None:
    """Waits for sessions to leave and handlers to shut down, until it is interrupted again."""
    draining = asyncio.ensure_future(factory.drain(DRAIN_S, every_loop=False))
    interrupted = asyncio.ensure_future(second_interrupt.wait())
    try:
        await asyncio.wait([draining, interrupted], return_when=asyncio.FIRST_COMPLETED)
    finally:
        interrupted.cancel()
    if draining.done():
        draining.result()
    else:
        draining.cancel()
        factory.begin_drain(0.0)


@contextmanager
def _draining_at_signal(factory: SessionFactory) -> Iterator[asyncio.Event]:
    """At SIGINT and SIGTERM sessions begin to leave; then the server's own handler runs.

    Yields:
        What is set when a SIGINT follows: the second Ctrl-C of who does not want to wait.
    """
    second_interrupt = asyncio.Event()
    if threading.current_thread() is not threading.main_thread():
        yield second_interrupt
        return
    loop = asyncio.get_running_loop()
    theirs: dict[int, Any] = {}
    is_first = True

    def handle(number: int, frame: FrameType | None) -> None:
        nonlocal is_first
        if is_first:
            loop.call_soon_threadsafe(factory.begin_drain, DRAIN_S)
        elif number == signal.SIGINT:
            loop.call_soon_threadsafe(second_interrupt.set)
        is_first = False
        theirs[number](number, frame)

    for number in (signal.SIGINT, signal.SIGTERM):
        handler = signal.getsignal(number)
        if callable(handler):
            theirs[number] = handler
            signal.signal(number, handle)
    try:
        yield second_interrupt
    finally:
        for told, handler in theirs.items():
            if signal.getsignal(told) is handle:
                signal.signal(told, handler)


def leave_at_signal(factory: SessionFactory) -> None:
    """Has a factory's sessions on the running loop leave at SIGINT and SIGTERM too; idempotent.

    For pages, whose server's lifespan is not ours and which have a response open for as long as a
    session lasts. Does nothing where the loop is not the main thread's, which gets no signals.
    """
    loop = asyncio.get_running_loop()
    factories = _leaving.get(loop)
    if factories is None:
        factories = _leaving[loop] = weakref.WeakSet()
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                _tell_before(number, loop, factories)
    factories.add(factory)


def _tell_before(
    number: int, loop: asyncio.AbstractEventLoop, factories: weakref.WeakSet[SessionFactory]
) -> None:
    theirs = signal.getsignal(number)
    if not callable(theirs):
        return

    def handle(told: int, frame: FrameType | None) -> None:
        if not loop.is_closed():
            for factory in list(factories):
                loop.call_soon_threadsafe(factory.begin_drain, DRAIN_S)
        theirs(told, frame)

    signal.signal(number, handle)
