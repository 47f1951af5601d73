"""How many sessions a server holds: upwards in steps, with doubtful ones tried again.

Measures nothing itself. One stall of a shared machine, of a tenth of a second, makes a session miss
its share, so the typical of :data:`TRIES` tries decides about a step.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

__all__ = ["TRIES", "Capacity", "Try", "find_capacity"]

TRIES = 3


@dataclass(frozen=True)
class Try:
    """One try of a step."""

    sessions: int
    held: int
    """Sessions that got their share of frames in time."""
    on_time: float
    """Share of all frames that came in time."""

    @property
    def ok(self) -> bool:
        """Whether every session was held."""
        return self.held == self.sessions


@dataclass
class Capacity:
    """What was found.

    Attributes:
        tries: all of them by step, in the order in which they were made.
        held: the highest step that the typical try held; 0 for none.
    """

    tries: dict[int, list[Try]] = field(default_factory=dict)
    held: int = 0

    @property
    def ended(self) -> str:
        """Why it ended there, for people."""
        above = [step for step in self.tries if step > self.held]
        if not above:
            return f"{self.held} is the last step, and was held"
        tries = self.tries[min(above)]
        below = ", ".join(str(t.sessions - t.held) for t in tries)
        shares = ", ".join(f"{t.on_time:.2%}" for t in tries)
        return f"ended at {min(above)}: {below} sessions below their share, {shares} of all frames"


def find_capacity(steps: Sequence[int], attempt: Callable[[int, int], Try]) -> Capacity:
    """The highest step that most of :data:`TRIES` tries hold.

    Args:
        steps: ascending numbers of sessions.
        attempt: tries so many sessions, given also how often they were tried before.
    """
    found = Capacity()

    def is_held(step: int, wanted: int) -> bool:
        """Tries until ``wanted`` tries held it, or so many failed that most of them did."""
        tries = found.tries.setdefault(step, [])
        while True:
            good = sum(t.ok for t in tries)
            if good >= wanted or len(tries) - good > TRIES // 2:
                return good >= wanted
            tries.append(attempt(step, len(tries)))

    # What was held once is worth a look at the next step. Only where it ends is it tried again.
    reached = []
    for step in steps:
        if not is_held(step, 1):
            break
        reached.append(step)
    for step in reversed(reached):
        if is_held(step, TRIES // 2 + 1):
            found.held = step
            break
    return found
