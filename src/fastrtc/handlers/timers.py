"""Timers by name, on one event loop: setting one again puts it off."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

__all__ = ["SHORTEST_WAIT_S", "Timers"]

SHORTEST_WAIT_S: Final = 0.001
"""Timers are not set for the rounding errors of a clock."""


class Timers:
    """The timers of one session's turns."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._handles: dict[str, asyncio.TimerHandle] = {}
        self._closed = False

    def after(self, name: str, delay_s: float, fn: Callable[[], None]) -> None:
        """Calls ``fn`` in ``delay_s``, and not when the timer of this name would have run out."""
        self.cancel(name)
        if not self._closed:
            self._handles[name] = self._loop.call_later(max(delay_s, SHORTEST_WAIT_S), fn)

    def cancel(self, name: str) -> None:
        """The timer of this name, if there is one, does not run out."""
        handle = self._handles.pop(name, None)
        if handle is not None:
            handle.cancel()

    def close(self) -> None:
        """None runs out any more."""
        self._closed = True
        for name in list(self._handles):
            self.cancel(name)
