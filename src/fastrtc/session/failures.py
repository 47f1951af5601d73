"""What happens when user code raises: logged once, told to the client, fatal if it goes on.

What an exception says may be nobody's business: a path, a password in a URL. A client that is a
stranger is told what failed, and a reference that is found in the log beside the traceback; only a
:class:`WebRTCError` is meant for it and is shown as it is, though not for each frame.

Only judges and tells; the runner decides what is skipped, and the session ends itself.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable
from typing import Final

from fastrtc.errors import WebRTCError

__all__ = ["FATAL_AFTER", "Failures"]

logger = logging.getLogger("fastrtc")

FATAL_AFTER: Final = 100
"""Calls of one kind that may fail in a row before the session ends."""
REMEMBERED: Final = 64
"""Different failures of one session that are logged in full."""
TOLD_WITHIN_S: Final = 10.0
"""In this time, about as long as a page shows a message, a client is told a text once..."""
TOLD_TEXTS: Final = 8
"""...and so many different ones at most."""


class Failures:
    """The failures of one session's user code.

    Args:
        session_id: for the log.
        tell: shows the client a message.
        fatal: ends the session, given the reason.
        clock: seconds that only grow.
    """

    def __init__(
        self,
        session_id: str,
        tell: Callable[[str], None],
        fatal: Callable[[str], None],
        clock: Callable[[], float],
    ) -> None:
        self._session_id = session_id
        self._tell = tell
        self._fatal = fatal
        self._clock = clock
        self._seen: dict[tuple[str, str, int], str] = {}
        """What is logged in full, and its references."""
        self._told_at_s: dict[str, float] = {}
        """Texts that the client was told lately, and when."""
        self.in_a_row: dict[str, int] = {}
        """Failures since the last success, by method; empty while all is well."""
        self.total = 0

    def succeeded(self, where: str) -> None:
        """A call that failed before went well."""
        self.in_a_row.pop(where, None)

    def failed(self, where: str, error: BaseException, *, at_each_turn: bool = False) -> str:
        """User code raised ``error`` in the method or function called ``where``.

        Args:
            where: what it is called in the log and to the client.
            error: what it raised.
            at_each_turn: it is called at a human pace: the client is told each time, and the
                session goes on however often it fails.

        Returns:
            What the client may know of it.
        """
        self.total += 1
        in_a_row = 1 if at_each_turn else self.in_a_row.get(where, 0) + 1
        if not at_each_turn:
            self.in_a_row[where] = in_a_row
        key = (where, type(error).__qualname__, _line_of(error))
        new = key not in self._seen and len(self._seen) < REMEMBERED
        if new:
            self._seen[key] = secrets.token_hex(4)
        if isinstance(error, WebRTCError):
            told = error.message
            wanted = at_each_turn or not self._was_told(told)
            if new:
                logger.info("session %s: %s raised %r", self._session_id, where, error)
        else:
            reference = f" (error {self._seen[key]})" if key in self._seen else ""
            told = f"{where} failed{reference}"
            wanted = new or at_each_turn
            if new:
                logger.error(
                    "session %s: %s raised (error %s); further failures at this line are counted "
                    "only",
                    self._session_id,
                    where,
                    self._seen[key],
                    exc_info=error,
                )
        if wanted:
            self._tell(told)
        if in_a_row == FATAL_AFTER:
            reason = f"{where} failed {FATAL_AFTER} times in a row"
            logger.error("session %s: %s; the session ends", self._session_id, reason)
            self._fatal(reason)
        return told

    def _was_told(self, text: str) -> bool:
        """Whether the client was told this lately, or too much; if not, it is told now."""
        now_s = self._clock()
        told = {t: at_s for t, at_s in self._told_at_s.items() if now_s - at_s < TOLD_WITHIN_S}
        self._told_at_s = told
        if text in told or len(told) >= TOLD_TEXTS:
            return True
        told[text] = now_s
        return False


def _line_of(error: BaseException) -> int:
    line, step = 0, error.__traceback__
    while step is not None:
        line, step = step.tb_lineno, step.tb_next
    return line
