"""An app that plays long pieces of sound, and in which somebody else can hold the GIL.

``POST /hold`` holds it for ``seconds``, ``times`` times with short pauses, as a handler does whose
C code forgot to release it.
"""

import asyncio
import ctypes
from typing import Any

import numpy as np
from fastapi import FastAPI

from apps.loopback import stay_on_loopback
from e2e.apps.echo import Echo
from fastrtc import Stream

RATE_HZ = 48000
PIECE_S = 4
PAUSE_S = 0.5
PIECE = (6000 * np.sin(2 * np.pi * 300 * np.arange(RATE_HZ * PIECE_S) / RATE_HZ)).astype(np.int16)

stay_on_loopback()


class Player(Echo):
    """Plays a tone for ever, seconds of it at a time."""

    async def receive(self, frame: tuple[int, Any]) -> None:
        pass

    async def emit(self) -> Any:
        await asyncio.sleep(0)
        return RATE_HZ, PIECE.reshape(1, -1)

    def copy(self) -> "Player":
        return Player()


stream = Stream(Player(), modality="audio", mode="send-receive", concurrency_limit=100)
app = FastAPI()
stream.mount(app)


@app.post("/hold")
async def hold(seconds: float, times: int) -> str:
    """Returns at once; the holding begins a moment later."""

    async def holding() -> None:
        for _ in range(times):
            await asyncio.sleep(PAUSE_S)
            # PyDLL, unlike CDLL, keeps the GIL during the call.
            ctypes.PyDLL(None).usleep(int(seconds * 1e6))

    app.state.holding = asyncio.create_task(holding())
    return "held"
