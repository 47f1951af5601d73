"""What our server hears and does, with the times: for ``chromium.py``, through ``serve_reply.py``.

The newest session's notes; a new session begins new ones. Times are ``time.monotonic()``.
"""

import io
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from fastapi import Response

from fastrtc import ReplyOnPause, get_smart_turn_model


class Notes:
    """One session's."""

    def __init__(self) -> None:
        self.frames: list[Any] = []
        self.frame_s: list[float] = []
        self.events: list[tuple[str, float]] = []

    def note(self, event: str) -> None:
        """Something happens now."""
        self.events.append((event, time.monotonic()))


current = Notes()


class Noted(ReplyOnPause):
    """Notes when frames come and what is done about them."""

    def attach(self, session: Any) -> None:
        global current
        current = self.notes = Notes()
        super().attach(session)

    def receive_entry(self) -> Callable[[Any], Any]:
        take = super().receive_entry()

        async def noted(frame: Any) -> None:
            self.notes.frame_s.append(time.monotonic())
            self.notes.frames.append(frame[1].reshape(-1).copy())
            await take(frame)

        return noted

    def on_pause(self) -> None:
        self.notes.note("turn over")
        super().on_pause()

    def on_response(self) -> None:
        self.notes.note("first sound")
        super().on_response()

    def on_responding(self, responding: bool) -> None:
        if not responding:
            self.notes.note("silent")
        super().on_responding(responding)


class Asked:
    """Smart Turn, noted."""

    def __init__(self) -> None:
        self._model = get_smart_turn_model()
        self.complete_at = self._model.complete_at

    def complete(self, audio: tuple[int, Any]) -> float:
        """As the model says."""
        notes = current
        notes.note("asked")
        probability = self._model.complete(audio)
        notes.note("complete" if probability >= self.complete_at else "incomplete")
        return probability


def notes() -> Response:
    """All of it, as an npz file."""
    file = io.BytesIO()
    np.savez(
        file,
        samples=np.concatenate([np.zeros(0, np.int16), *current.frames]),
        frame_ends=np.cumsum([len(frame) for frame in current.frames]),
        frame_s=np.array(current.frame_s),
        events=np.array([event for event, _ in current.events], dtype=str),
        event_s=np.array([at_s for _, at_s in current.events]),
    )
    return Response(file.getvalue(), media_type="application/octet-stream")
