"""Asks the app ``e2e.apps.witness`` what became of a connection. Knows nothing of clients."""

import time
from collections.abc import Callable
from typing import Any

import httpx

from e2e.apps.witness import Life, Testimony

PATIENCE_S = 15.0


def account(url: str, webrtc_id: str) -> Testimony:
    """What the app knows of a connection now."""
    answer = httpx.get(f"{url}/witness/{webrtc_id}", timeout=PATIENCE_S)
    answer.raise_for_status()
    told: Any = answer.json()
    return told  # type: ignore[no-any-return]


def life(url: str, webrtc_id: str) -> Life:
    """The one handler of a connection.

    Raises:
        AssertionError: it had none, or several.
    """
    handlers = account(url, webrtc_id)["handlers"]
    assert len(handlers) == 1, handlers
    return handlers[0]


def wait_for_life(
    url: str, webrtc_id: str, condition: Callable[[Life], bool], timeout_s: float = PATIENCE_S
) -> Life:
    """Waits until the connection's one handler fulfils a condition.

    Raises:
        TimeoutError: with the last state in it.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        handlers = account(url, webrtc_id)["handlers"]
        if len(handlers) == 1 and condition(handlers[0]):
            return handlers[0]
        if time.monotonic() > deadline:
            raise TimeoutError(f"after {timeout_s} s the handlers are {handlers}")
        time.sleep(0.05)
