"""What subclasses of ``ReplyOnPause`` see of the conversation, and the type of what it calls.

Data only.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Generator
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from fastrtc.handlers.outputs import AudioEmitType

__all__ = ["AppState", "ReplyFnGenerator"]

ReplyFnGenerator: TypeAlias = (
    Callable[..., Generator[AudioEmitType, None, None]]
    | Callable[..., AsyncGenerator[AudioEmitType, None]]
)
"""``fn((rate_hz, int16 of shape (1, n)), *inputs)``, sync or async, yielding what is played."""


@dataclass
class AppState:
    """Where the conversation stands; given to ``determine_pause``.

    Attributes:
        stream: what the current turn has gathered, int16 of shape ``(n,)``.
        sampling_rate: of ``stream`` and ``buffer``, in Hz; 0 before the first audio.
        pause_detected: the turn is over.
        started_talking: the user has started to speak.
        responding: a reply runs.
        stopped: unused; kept for old code.
        buffer: audio that has not been judged yet.
        responded_audio: the reply has given audio.
        interrupted: unused; kept for old code.
    """

    stream: npt.NDArray[np.int16] | None = None
    sampling_rate: int = 0
    pause_detected: bool = False
    started_talking: bool = False
    responding: bool = False
    stopped: bool = False
    buffer: npt.NDArray[np.int16] | None = None
    responded_audio: bool = False
    interrupted: asyncio.Event = field(default_factory=asyncio.Event)

    def new(self) -> AppState:
        """A fresh state for the next turn."""
        return type(self)()
