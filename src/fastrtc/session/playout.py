"""Where a handler's outputs go: media to the transport, values to readers, and back-pressure.

Owns no task. Waits here are futures that a timer computed from the queue's length resolves.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import numpy as np

from fastrtc.audio.convert import AudioChunk, normalise_audio
from fastrtc.handlers.outputs import split_outputs

if TYPE_CHECKING:
    from fastrtc.session.session import Session

__all__ = ["HIGH_WATER_S", "LOW_WATER_S", "Playout"]

HIGH_WATER_S: Final = 2.0
"""Once this much waits in the transport, the handler is not asked for more..."""
LOW_WATER_S: Final = 1.0
"""...until the queue has fallen to this."""
SHORTEST_WAIT_S: Final = 0.02


class Playout:
    """The way out of one session.

    Args:
        session: whose transport plays.
        heard: whether the client hears media at all; in mode "send" it is dropped.
    """

    def __init__(self, session: Session, heard: bool) -> None:
        self._session = session
        self._heard = heard
        self._waiter: asyncio.Future[None] | None = None
        self.played_chunks = 0

    def put(self, value: object) -> bool:
        """Plays and delivers what a handler returned.

        Returns:
            Whether the handler may be asked for more at once; False when nothing came of it, as
            with empty audio, or with media in a mode in which the client does not hear.

        Raises:
            OutputError: it is nothing that a handler may return.
        """
        if type(value) is tuple and len(value) == 2 and type(value[1]) is np.ndarray:
            return self._heard and self._play(normalise_audio(value))
        outputs = split_outputs(value)
        chunk = None
        if outputs.media is not None and self._heard:
            chunk = normalise_audio(outputs.media)
        if outputs.additional is not None:
            self._session.deliver_outputs(outputs.additional)
        played = chunk is not None and self._play(chunk)
        if outputs.close is not None:
            self._session.finish(outputs.close.msg)
        return played or outputs.additional is not None

    def _play(self, chunk: AudioChunk) -> bool:
        if not len(chunk.samples):
            return False
        self.played_chunks += 1
        self._session.transport.play(chunk)
        return True

    async def room(self) -> None:
        """Returns when the handler may be asked for more."""
        if self._session.transport.queued_s > HIGH_WATER_S:
            await self.fallen_to(LOW_WATER_S)

    async def fallen_to(self, level_s: float) -> None:
        """Returns when at most ``level_s`` seconds wait to be sent."""
        while (surplus_s := self._session.transport.queued_s - level_s) > 0:
            self._waiter = waiter = self._session.loop.create_future()
            timer = self._session.loop.call_later(max(surplus_s, SHORTEST_WAIT_S), _resolve, waiter)
            try:
                await waiter
            finally:
                timer.cancel()

    def cleared(self) -> None:
        """The transport's queue was dropped: who waits for it may look again."""
        if self._waiter is not None:
            _resolve(self._waiter)


def _resolve(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)
