"""Runs a coroutine in its caller's own step, as far as it goes without waiting.

To send on a socket that has room waits for nothing, yet a task woken for it costs a turn of the
event loop. What does have to wait is left over as an awaitable, for a task to go on with.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Generator
from functools import partial
from typing import Any

__all__ = ["Rest", "begin"]


class Rest:
    """What is left of a coroutine that has begun; to be awaited once.

    Args:
        begun: the coroutine.
        waits_for: what its last step gave to the event loop.
    """

    def __init__(self, begun: Coroutine[Any, Any, None], waits_for: Any) -> None:
        self._begun = begun
        self._waits_for = waits_for

    def __await__(self) -> Generator[Any, Any, None]:
        waits_for = self._waits_for
        while True:
            step: Callable[[], Any]
            try:
                step = partial(self._begun.send, (yield waits_for))
            except BaseException as error:  # noqa: BLE001 - raised in the coroutine instead
                step = partial(self._begun.throw, error)
            try:
                waits_for = step()
            except StopIteration:
                return


def begin(coroutine: Coroutine[Any, Any, None]) -> Rest | None:
    """Runs it until it is done or has to wait.

    Returns:
        What is left of it; None when it is done. Whatever it raises is raised here.

    Example::

        rest = begin(websocket.send_text("now"))
    """
    try:
        waits_for = coroutine.send(None)
    except StopIteration:
        return None
    return Rest(coroutine, waits_for)
