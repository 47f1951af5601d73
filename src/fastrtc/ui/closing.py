"""Calls leave when a page's server is told to close: ``launch()``'s hears no signal.

Gradio runs that server in a thread and closes it from the main one, at Ctrl-C as well as with
``close()``; at SIGTERM the process ends without a word to anybody, so that its handler here tells
the calls and then does what was to be done before. Nothing else of Gradio's life is watched;
servers that get signals themselves are ``server/lifespan.py``'s.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import logging
import os
import signal
import threading
import weakref
from types import FrameType
from typing import Any, Final

from fastrtc.session.factory import SessionFactory

__all__ = ["leave_at_close", "leave_at_sigterm"]

logger = logging.getLogger("fastrtc")

DRAIN_S: Final = 1.0
"""How long clients get to go by themselves."""
PATIENCE_S: Final = 2.0
"""How long the server's end waits for that and for handlers' ``shutdown``."""

_launched: weakref.WeakKeyDictionary[Any, _Launched] = weakref.WeakKeyDictionary()
_is_watching = False


def leave_at_close(app: Any, factory: SessionFactory) -> None:
    """Has a factory's sessions leave before the server that Gradio launched closes; idempotent.

    Args:
        app: Gradio's application; nothing happens for one that it did not launch.
        factory: has the sessions, on the running loop.
    """
    get_blocks = getattr(app, "get_blocks", None)
    server = None if get_blocks is None else getattr(get_blocks(), "server", None)
    if server is None:
        return
    if server not in _launched:
        _launched[server] = _Launched(asyncio.get_running_loop())
        _leave_first(server, _launched[server])
    _launched[server].factories.add(factory)


def leave_at_sigterm() -> None:
    """Has calls of launched pages leave at SIGTERM, before what else is done there; idempotent.

    Called where pages are made: the main thread alone can set a signal's handler, and nothing
    happens in others. A handler that the application sets later takes the place of this one.
    """
    global _is_watching
    if _is_watching or threading.current_thread() is not threading.main_thread():
        return
    _is_watching = True
    theirs = signal.getsignal(signal.SIGTERM)
    if theirs is None or theirs is signal.SIG_IGN:
        return
    process = os.getpid()

    def handle(number: int, frame: FrameType | None) -> None:
        # A second signal, of who does not want to wait, shall find only theirs.
        signal.signal(signal.SIGTERM, theirs)
        try:
            # In a forked child no thread runs its parent's loops.
            if os.getpid() == process:
                _leave_now(list(_launched.values()))
        finally:
            if callable(theirs):
                theirs(number, frame)
            else:
                signal.raise_signal(number)

    signal.signal(signal.SIGTERM, handle)


class _Launched:
    """What one launched server has to end.

    Args:
        loop: the server's.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.factories: weakref.WeakSet[SessionFactory] = weakref.WeakSet()

    async def leave(self) -> None:
        factories = list(self.factories)
        await asyncio.gather(*(each.drain(DRAIN_S, every_loop=False) for each in factories))


def _leave_first(server: Any, launched: _Launched) -> None:
    close = server.close

    def leave_and_close() -> None:
        _leave_now([launched])
        close()

    server.close = leave_and_close


def _leave_now(servers: list[_Launched]) -> None:
    """Waits, in a thread that is none of theirs, for calls to have left."""
    leaving = [
        asyncio.run_coroutine_threadsafe(each.leave(), each.loop)
        for each in servers
        if not each.loop.is_closed()
    ]
    _, late = concurrent.futures.wait(leaving, PATIENCE_S)
    if late:
        logger.warning("handlers were still shutting down when the server closed")
    for left in set(leaving) - late:
        error = left.exception()
        if error is not None:
            logger.error("calls could not be ended before the server closed", exc_info=error)
