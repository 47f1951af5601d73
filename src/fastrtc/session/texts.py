"""Text for a client that cannot be reached at the moment: kept in order, tried again, given up.

Owns one timer; knows no transport and no state of a session.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final

__all__ = ["PENDING_TEXTS", "PendingTexts"]

PENDING_TEXTS: Final = 64
RETRY_S: Final = 0.05
RETRY_LIMIT_S: Final = 10.0


class PendingTexts:
    """The texts of one session.

    Args:
        loop: whose timers are used.
        send: sends a text; False when there is no open way.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, send: Callable[[str], bool]) -> None:
        self._loop = loop
        self._send = send
        self._texts: deque[str] = deque(maxlen=PENDING_TEXTS)
        self._timer: asyncio.TimerHandle | None = None
        self._may_retry = False
        self.lost = 0

    def send(self, text: str) -> None:
        """Sends a text behind those that wait."""
        if not self._texts and self._send(text):
            return
        if len(self._texts) == PENDING_TEXTS:
            self.lost += 1
        self._texts.append(text)
        if self._may_retry and self._timer is None:
            self._retry_after(RETRY_S)

    def begin(self) -> None:
        """There is a client now: what waits is sent, and tried again when that fails."""
        self._may_retry = True
        self.flush()

    def flush(self) -> None:
        """Sends what waits, as far as it goes."""
        while self._texts and self._send(self._texts[0]):
            self._texts.popleft()

    def stop(self) -> None:
        """Tries nothing again."""
        self._may_retry = False
        if self._timer is not None:
            self._timer.cancel()

    def _retry_after(self, wait_s: float) -> None:
        self._timer = self._loop.call_later(wait_s, self._retry, wait_s)

    def _retry(self, waited_s: float) -> None:
        self._timer = None
        self.flush()
        if not self._texts:
            return
        if waited_s > RETRY_LIMIT_S:
            self.lost += len(self._texts)
            self._texts.clear()
            return
        self._retry_after(waited_s * 2)
