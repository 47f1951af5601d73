"""What is known about a call of user code before it is made, and what it came to.

Called by the runner; nothing here awaits, and nothing decides where a call runs.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable
from typing import Any, NamedTuple

from fastrtc.handlers.base import AsyncStreamHandler, StreamHandlerBase
from fastrtc.types import AudioInput

__all__ = [
    "Raised",
    "call_each",
    "closer_of",
    "is_iterator",
    "is_unfinished",
    "overrides",
    "quietly",
    "runs_on_loop",
]

logger = logging.getLogger("fastrtc")


class Raised(NamedTuple):
    """The outcome of a call that raised."""

    error: Exception


def call_each(method: Callable[[AudioInput], Any], frames: list[AudioInput]) -> list[Any]:
    """Hands frames over in one visit to a thread; what raises skips only its own frame.

    Returns:
        For each frame what the method returned, or :class:`Raised`.
    """
    outcomes: list[Any] = []
    for frame in frames:
        try:
            outcomes.append(method(frame))
        except Exception as error:  # noqa: BLE001
            outcomes.append(Raised(error))
    return outcomes


def overrides(handler: StreamHandlerBase, name: str) -> bool:
    """Whether a handler's class has a method of its own, so that calling it does something."""
    own = getattr(type(handler), name, None)
    base = getattr(StreamHandlerBase, name, None)
    return own is not None and own is not base and not _is_default(own)


def _is_default(method: Any) -> bool:
    return getattr(method, "__module__", "") == StreamHandlerBase.__module__


def runs_on_loop(handler: StreamHandlerBase, method: Callable[..., Any]) -> bool:
    """Whether an occasional method (not ``receive``, not ``emit``) is called on the event loop.

    Async ones are. So are the others of an async handler, since they touch the same tasks and
    queues as its coroutines.
    """
    return isinstance(handler, AsyncStreamHandler) or inspect.iscoroutinefunction(method)


def quietly(close: Callable[[], Any]) -> Callable[[], None]:
    """A generator's ``close`` for when nobody waits for it: what it raises is logged."""

    def run() -> None:
        try:
            close()
        except Exception:
            logger.exception("a generator raised while it was closed at the end of its session")

    return run


def closer_of(items: object) -> Callable[[], None]:
    """:func:`quietly` for an iterator, which may have no ``close``."""
    return quietly(getattr(items, "close", _nothing))


def is_iterator(value: object) -> bool:
    """Whether a call returned an iterator of outputs, sync or async."""
    return hasattr(value, "__next__") or hasattr(value, "__anext__")


def is_unfinished(value: object) -> bool:
    """Whether what a call returned is still to be awaited or iterated."""
    return inspect.isawaitable(value) or is_iterator(value)


def _nothing() -> None:
    """Closes an iterator that needs no closing."""
