"""``AdditionalOutputs`` on their way from handlers to whoever reads them.

Outputs produced before the first reader are kept, a reader may come before the session, several
readers each get all, and reading ends when the session does, at once for who comes just after.
Everything is bounded. Safe from any thread; owns no task.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import OrderedDict, deque
from collections.abc import AsyncIterator
from typing import Final

from fastrtc.errors import SessionClosed
from fastrtc.handlers.outputs import AdditionalOutputs

__all__ = ["Outbox"]

KEPT: Final = 256
"""Outputs that wait for one reader, or for the first one; beyond it the oldest is dropped."""
LEFT_S: Final = 30.0
"""How long unread outputs are kept after their session has ended..."""
ENDED_IDS: Final = 1024
"""...and of how many ids it is known that they have."""


class _Reader:
    """One reader, on its own loop."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.items: deque[AdditionalOutputs] = deque(maxlen=KEPT)
        self.ended = False
        self._waiter: asyncio.Future[None] | None = None

    def wake(self) -> None:
        if not self.loop.is_closed():
            self.loop.call_soon_threadsafe(self._resolve)

    def _resolve(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    async def next(self) -> AdditionalOutputs | None:
        while not self.items:
            if self.ended:
                return None
            self._waiter = self.loop.create_future()
            await self._waiter
        return self.items.popleft()


class _Box:
    """The outputs of one id."""

    def __init__(self) -> None:
        self.kept: deque[AdditionalOutputs] = deque(maxlen=KEPT)
        self.readers: list[_Reader] = []
        self.latest: AdditionalOutputs | None = None
        self.ended_at: float | None = None


class Outbox:
    """The outputs of all sessions of one stream."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._boxes: OrderedDict[str, _Box] = OrderedDict()
        self._ended: OrderedDict[str, float] = OrderedDict()
        """When sessions ended; a session of the same id that begins is another one."""

    def opened(self, webrtc_id: str) -> None:
        """A session with this id begins; what a former one of that id left is dropped."""
        with self._lock:
            self._ended.pop(webrtc_id, None)
            box = self._boxes.get(webrtc_id)
            if box is not None and box.ended_at is not None:
                del self._boxes[webrtc_id]
            self._drop_left()

    def put(self, webrtc_id: str, outputs: AdditionalOutputs) -> None:
        """A handler produced outputs."""
        with self._lock:
            box = self._boxes.setdefault(webrtc_id, _Box())
            box.latest = outputs
            if not box.readers:
                box.kept.append(outputs)
            for reader in box.readers:
                reader.items.append(outputs)
                reader.wake()

    def closed(self, webrtc_id: str) -> None:
        """The session has ended: readers get what is left, then end."""
        with self._lock:
            now = time.monotonic()
            self._ended[webrtc_id] = now
            self._ended.move_to_end(webrtc_id)
            if len(self._ended) > ENDED_IDS:
                self._ended.popitem(last=False)
            box = self._boxes.get(webrtc_id)
            if box is None:
                return
            box.ended_at = now
            for reader in box.readers:
                reader.ended = True
                reader.wake()
            if not box.kept:
                del self._boxes[webrtc_id]
            self._drop_left()

    async def read(self, webrtc_id: str) -> AsyncIterator[AdditionalOutputs]:
        """All outputs of a session from now on, and those that nobody has read yet."""
        reader = self._enter(webrtc_id)
        try:
            while (outputs := await reader.next()) is not None:
                yield outputs
        finally:
            self._leave(webrtc_id, reader)

    async def latest(self, webrtc_id: str) -> AdditionalOutputs:
        """The newest outputs that this method has not returned yet; waits for them.

        Raises:
            SessionClosed: the session ended and there are none.
        """
        with self._lock:
            box = self._boxes.get(webrtc_id)
            if box is not None and box.latest is not None:
                outputs, box.latest = box.latest, None
                if outputs in box.kept:
                    box.kept.clear()
                return outputs
        reader = self._enter(webrtc_id)
        try:
            outputs_or_none = await reader.next()
        finally:
            self._leave(webrtc_id, reader, seen_latest=True)
        if outputs_or_none is None:
            raise SessionClosed(f"session {webrtc_id!r} ended without further outputs")
        return outputs_or_none

    def _enter(self, webrtc_id: str) -> _Reader:
        reader = _Reader()
        with self._lock:
            box = self._boxes.setdefault(webrtc_id, _Box())
            reader.items.extend(box.kept)
            box.kept.clear()
            ended_at = self._ended.get(webrtc_id)
            is_over = ended_at is not None and time.monotonic() - ended_at <= LEFT_S
            reader.ended = is_over or box.ended_at is not None
            box.readers.append(reader)
        return reader

    def _leave(self, webrtc_id: str, reader: _Reader, seen_latest: bool = False) -> None:
        with self._lock:
            box = self._boxes.get(webrtc_id)
            if box is None or reader not in box.readers:
                return
            if seen_latest:
                box.latest = None
            box.readers.remove(reader)
            if not box.readers and not box.kept and box.latest is None:
                del self._boxes[webrtc_id]

    def _drop_left(self) -> None:
        now = time.monotonic()
        for webrtc_id, box in list(self._boxes.items()):
            if box.ended_at is not None and now - box.ended_at > LEFT_S and not box.readers:
                del self._boxes[webrtc_id]
