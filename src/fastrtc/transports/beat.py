"""One clock for all that an event loop paces: alarms go off together, on a shared grid.

A timer of its own for each frame of each session wakes the loop thousands of times a second for
nothing but order. Here alarms wait in the slot of their beat, and one timer serves them all.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable
from typing import Final
from weakref import WeakKeyDictionary, proxy

__all__ = ["BEAT_S", "Alarm", "Beat", "beat_of"]

logger = logging.getLogger("fastrtc")

BEAT_S: Final = 0.01
"""From one beat to the next, and so the most by which an alarm may be late by design."""


class Alarm:
    """A call that is to come; :meth:`cancel` it when it is not wanted any more."""

    __slots__ = ("call",)

    def __init__(self, call: Callable[[], None]) -> None:
        self.call: Callable[[], None] | None = call

    def cancel(self) -> None:
        """Has the call not come; idempotent."""
        self.call = None


class Beat:
    """The alarms of one event loop; nothing wakes the loop while there are none."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        # The loop is the key under which this is kept, which would keep it alive for ever.
        self._loop: asyncio.AbstractEventLoop = proxy(loop)
        self._slots: dict[int, list[Alarm]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._next = 0
        """The slot for which the timer is set."""
        self._struck = -1
        """The newest slot whose alarms went off."""

    def call_at(self, at_s: float, call: Callable[[], None]) -> Alarm:
        """Has ``call`` called at the first beat that is not before ``at_s`` on the loop's clock."""
        alarm = Alarm(call)
        # What is set while a beat strikes has to wait for the next: time may not go on meanwhile.
        slot = max(math.ceil(at_s / BEAT_S), self._struck + 1)
        self._slots.setdefault(slot, []).append(alarm)
        if self._timer is None or slot < self._next:
            self._set(slot)
        return alarm

    def _set(self, slot: int) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._next = slot
        self._timer = self._loop.call_at(slot * BEAT_S, self._strike)

    def _strike(self) -> None:
        self._timer = None
        # The loop may call a hair early, and has been called for this slot.
        self._struck = max(self._next, math.floor(self._loop.time() / BEAT_S))
        for slot in sorted(slot for slot in self._slots if slot <= self._struck):
            for alarm in self._slots.pop(slot):
                call, alarm.call = alarm.call, None
                if call is not None:
                    try:
                        call()
                    except Exception:
                        logger.exception("what was to happen at a beat failed")
        # A call may have set the timer for an alarm of its own, later than others that wait.
        if self._slots and (self._timer is None or min(self._slots) < self._next):
            self._set(min(self._slots))


_beats: WeakKeyDictionary[asyncio.AbstractEventLoop, Beat] = WeakKeyDictionary()


def beat_of(loop: asyncio.AbstractEventLoop) -> Beat:
    """The clock that all sessions of a loop share."""
    found = _beats.get(loop)
    if found is None:
        found = _beats[loop] = Beat(loop)
    return found
