"""What aiortc's tracks and calls are to tests. Knows nothing of our own side."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from typing import Any

import aiortc

__all__ = ["LeavesAtTheEnd", "frames_of"]


async def frames_of(track: aiortc.MediaStreamTrack) -> AsyncIterator[Any]:
    """What a track brings, until it ends."""
    while True:
        try:
            frame = await track.recv()
        except aiortc.mediastreams.MediaStreamError:
            return
        yield frame


class LeavesAtTheEnd:
    """A contract test whose aiortc client hangs up whatever became of the check."""

    _link: Any

    def run(self, check: Coroutine[Any, Any, None]) -> None:
        """Runs one check."""

        async def then_leave() -> None:
            try:
                await check
            finally:
                await self._link.leave()
                await asyncio.sleep(0.1)

        asyncio.run(then_leave())
