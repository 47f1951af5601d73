"""A wait that ends when something happens, or when its time is up. For one task on one loop."""

from __future__ import annotations

import asyncio

__all__ = ["Idle"]


class Idle:
    """Where a task rests that has nothing to do.

    Args:
        loop: the task's.

    Attributes:
        waiter: there while somebody rests.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.waiter: asyncio.Future[None] | None = None

    async def rest(self, at_most_s: float | None = None) -> None:
        """Returns after :meth:`wake`, or when the time is up."""
        self.waiter = waiter = self._loop.create_future()
        timer = None if at_most_s is None else self._loop.call_later(at_most_s, self.wake)
        try:
            await waiter
        finally:
            self.waiter = None
            if timer is not None:
                timer.cancel()

    def wake(self) -> None:
        """Ends the rest, if there is one."""
        if self.waiter is not None and not self.waiter.done():
            self.waiter.set_result(None)
