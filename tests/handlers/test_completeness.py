"""When an end-of-turn model is asked, where its answers take longer than the pauses between."""

from __future__ import annotations

import asyncio
import threading
from types import SimpleNamespace
from typing import Any

import numpy as np

from fastrtc.handlers.completeness import Completeness
from fastrtc.handlers.turn_settings import ASKS_AT_S


class Slow:
    """Doubts, once it is let go."""

    def __init__(self) -> None:
        self.let_go = threading.Event()
        self.asked = 0

    def complete(self, audio: Any) -> float:
        self.asked += 1
        assert self.let_go.wait(10)
        return 0.1


async def asked_by(*after_s: float) -> int:
    """How often a model was asked that answered the first question only after these silences."""
    model: Any = Slow()
    settings: Any = SimpleNamespace(end_of_turn=model, incomplete_after_s=None)
    hearing: Any = SimpleNamespace(
        detector=SimpleNamespace(be_patient=lambda wait_s: None),
        mixed=lambda pieces: (16_000, np.zeros((1, 160), np.int16)),
    )
    session: Any = None  # Is told of failures only, and there is none.
    completeness = Completeness(session, settings, hearing, list, lambda: None)
    for silence_s in after_s:
        completeness.on_silence(silence_s)
    model.let_go.set()
    while completeness._question is not None:
        await asyncio.wait([completeness._question])
        await asyncio.sleep(0)
    return int(model.asked)


async def test_a_question_that_falls_into_another_is_put_after_it() -> None:
    first, second, third = ASKS_AT_S
    assert await asked_by(first) == 1
    assert await asked_by(first, second) == 2
    assert await asked_by(first, second, third) == 2
