"""Helpers for the ``emit`` methods that users write."""

from __future__ import annotations

import asyncio
from typing import TypeVar

__all__ = ["wait_for_item"]

T = TypeVar("T")


async def wait_for_item(queue: asyncio.Queue[T], timeout: float = 0.1) -> T | None:
    """The next item of ``queue``, or None if none comes within ``timeout`` seconds.

    Makes no task, and loses no item when the time is up.

    Example::

        async def emit(self):
            return await wait_for_item(self.queue)
    """
    try:
        return queue.get_nowait()
    except asyncio.QueueEmpty:
        pass
    try:
        async with asyncio.timeout(timeout):
            return await queue.get()
    except TimeoutError:
        return None
