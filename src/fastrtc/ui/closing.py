"""Calls leave when a page's server is told to close: ``launch()``'s hears no signal.

Gradio runs that server in a thread and closes it from the main one, at Ctrl-C as well as with
``close()``. Nothing else of Gradio's life is watched here; servers that get signals themselves are
``server/lifespan.py``'s.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import logging
import weakref
from typing import Any, Final

from fastrtc.session.factory import SessionFactory

__all__ = ["leave_at_close"]

logger = logging.getLogger("fastrtc")

DRAIN_S: Final = 1.0
"""How long clients get to go by themselves."""
PATIENCE_S: Final = 2.0
"""How long the server's end waits for that and for handlers' ``shutdown``."""

_leaving: weakref.WeakKeyDictionary[Any, weakref.WeakSet[SessionFactory]] = (
    weakref.WeakKeyDictionary()
)


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
    if server not in _leaving:
        _leaving[server] = weakref.WeakSet()
        _leave_first(server, asyncio.get_running_loop())
    _leaving[server].add(factory)


def _leave_first(server: Any, loop: asyncio.AbstractEventLoop) -> None:
    close = server.close

    async def leave() -> None:
        factories = list(_leaving[server])
        await asyncio.gather(*(each.drain(DRAIN_S, every_loop=False) for each in factories))

    def leave_and_close() -> None:
        if not loop.is_closed():
            left = asyncio.run_coroutine_threadsafe(leave(), loop)
            try:
                left.result(PATIENCE_S)
            except concurrent.futures.TimeoutError:
                logger.warning("handlers were still shutting down when the server closed")
            except Exception:
                logger.exception("calls could not be ended before the server closed")
        close()

    server.close = leave_and_close
