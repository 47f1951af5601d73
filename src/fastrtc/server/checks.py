"""Checks of what a stream is made with. Pure; the messages say what is allowed."""

from __future__ import annotations

from typing import Final

__all__ = ["MODALITIES", "MODES", "check_limit", "check_one_of"]

MODES: Final = ("send-receive", "receive", "send")
MODALITIES: Final = ("video", "audio", "audio-video")


def check_one_of(name: str, value: object, allowed: tuple[str, ...]) -> None:
    """Raises:
    ValueError: ``value`` is none of ``allowed``.
    """
    if value not in allowed:
        raise ValueError(f"{name} is {value!r}; allowed: {', '.join(map(repr, allowed))}")


def check_limit(limit: object) -> int | None:
    """A ``concurrency_limit`` as a number, None for no limit.

    Raises:
        ValueError: it is neither a positive int nor "default" nor None.
    """
    if limit == "default":
        return 1
    if limit is None or (isinstance(limit, int) and not isinstance(limit, bool) and limit > 0):
        return limit
    raise ValueError(
        f"concurrency_limit is {limit!r}; allowed: a positive int, 'default' (1) or None (no limit)"
    )
