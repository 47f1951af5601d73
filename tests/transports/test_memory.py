"""The in-memory transport passes the contract that every transport has to pass."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

import numpy as np
import numpy.typing as npt

from fastrtc import testing
from fastrtc.session.session import Session
from fastrtc.testing.contract import TransportContract
from fastrtc.transports.memory import MemoryTransport


class MemoryLink:
    """The client's end of a memory transport."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._texts: list[str] = []
        self.transport: MemoryTransport
        session.open(self._attach)
        session.on_live()

    def _attach(self, session: Session) -> MemoryTransport:
        self.transport = MemoryTransport(session, self._texts.append, lambda: None)
        return self.transport

    async def say(self, samples: npt.NDArray[np.int16]) -> None:
        for first in range(0, len(samples), 480):
            self._session.on_audio(bytearray(samples[first : first + 480].tobytes()), 24000)

    async def send(self, text: str) -> None:
        self._session.on_message(text)

    async def texts(self) -> list[str]:
        return self._texts

    async def leave(self) -> None:
        self.transport.close("the client left")


class TestMemoryTransport(TransportContract):
    tolerance_s = 0.001

    async def connect(self, session: Session) -> MemoryLink:
        return MemoryLink(session)

    def run(self, check: Coroutine[Any, Any, None]) -> None:
        testing.run(check)
