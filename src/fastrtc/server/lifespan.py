"""A stream's part in its application's life: sessions end with it, and begin to at the signal.

Servers wait for open responses before they tell the application that it ends. A response that
streams a session's outputs is open as long as the session, so sessions have to leave when the
signal comes, not when the lifespan does. Handles no request.
"""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from types import FrameType
from typing import Any, Final, TypeAlias

from fastrtc.session.factory import SessionFactory
from fastrtc.session.workers import call_sync
from fastrtc.transports.media_plane import shutdown_media_plane

__all__ = ["with_lifespan"]

DRAIN_S: Final = 1.0

Lifespan: TypeAlias = Callable[[Any], AbstractAsyncContextManager[Any]]

_running = 0


def with_lifespan(inner: Lifespan, factory: SessionFactory) -> Lifespan:
    """``inner``, an application's lifespan, with the stream's sessions ended inside it.

    The last application of the process to end takes the media threads with it.
    """

    @asynccontextmanager
    async def lifespan(app: Any) -> AsyncIterator[Any]:
        global _running
        async with inner(app) as state:
            factory.reopen()
            _running += 1
            try:
                with _draining_at_signal(factory):
                    yield state
            finally:
                _running -= 1
                await factory.drain(DRAIN_S, every_loop=False)
                if _running == 0:
                    await call_sync(shutdown_media_plane)

    return lifespan


@contextmanager
def _draining_at_signal(factory: SessionFactory) -> Iterator[None]:
    """At SIGINT and SIGTERM sessions begin to leave; then the server's own handler runs."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    loop = asyncio.get_running_loop()
    theirs: dict[int, Any] = {}

    def handle(number: int, frame: FrameType | None) -> None:
        loop.call_soon_threadsafe(factory.begin_drain, DRAIN_S)
        theirs[number](number, frame)

    for number in (signal.SIGINT, signal.SIGTERM):
        handler = signal.getsignal(number)
        if callable(handler):
            theirs[number] = handler
            signal.signal(number, handle)
    try:
        yield
    finally:
        for told, handler in theirs.items():
            if signal.getsignal(told) is handle:
                signal.signal(told, handler)
