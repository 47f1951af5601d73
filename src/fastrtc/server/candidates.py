"""Candidates that arrive before their offer, held for a while. Pure: the clock is an argument."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

__all__ = ["EarlyCandidates"]

HELD_PER_ID: Final = 32
HELD_S: Final = 10.0
IDS: Final = 1024
"""Ids remembered, so that a client that never made its offer is told so; the oldest goes."""


class EarlyCandidates:
    """At most 32 candidates for each of 1024 ids, for 10 seconds."""

    def __init__(self) -> None:
        self._held: OrderedDict[str, tuple[float, list[str]]] = OrderedDict()

    def hold(self, webrtc_id: str, candidate: str, now_s: float) -> bool:
        """Holds a candidate; False when the time or the room for this id is used up."""
        first_s, held = self._held.setdefault(webrtc_id, (now_s, []))
        while len(self._held) > IDS:
            self._held.popitem(last=False)
        if now_s - first_s > HELD_S:
            held.clear()
            return False
        if len(held) >= HELD_PER_ID:
            return False
        held.append(candidate)
        return True

    def take(self, webrtc_id: str, now_s: float) -> list[str]:
        """What was held for an id that has arrived now; forgets it."""
        first_s, held = self._held.pop(webrtc_id, (now_s, []))
        return held if now_s - first_s <= HELD_S else []
