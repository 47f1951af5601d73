"""The life of one reply: a generator function that is called, asked, held back, closed.

Belongs to the session's event loop; a sync generator runs in a thread of its own lane. Decides
nothing about who speaks, and plays nothing.

A reply is closed safely in every state. One that waits at a ``yield`` gets GeneratorExit there. One
that awaits something on the loop is cancelled there, but 2 s later, unless it has yielded or
ended by then: it may be cleaning up already, which nobody can see. One that is busy in a thread is
closed as soon as that call returns. Its ``finally`` runs once, and what it yields after
:meth:`Reply.close` goes nowhere.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import Any, Final, TypeAlias

from fastrtc.errors import OutputError
from fastrtc.handlers.base import CallLane, CountedPassage, HandlerSession
from fastrtc.handlers.outputs import split_outputs

__all__ = ["ENDED", "Begin", "Reply", "audio_s", "current_passage"]

ENDED: Final = object()
"""What :meth:`Reply.next` returns when there is nothing more."""
AHEAD_S: Final = 5.0
"""Audio that a reply which is held back produces at most..."""
AHEAD_ITEMS: Final = 256
"""...and how many items, if they are short or none is audio."""
BEFORE_NEXT_S: Final = 0.2
"""How long a reply waits for the clean-up of the one before it."""
CLEAN_UP_S: Final = 2.0
"""How long an async generator that awaits something may go on before it is cancelled."""

Begin: TypeAlias = Callable[[CallLane], Awaitable[Any]]
"""Calls the user's function; what it returns, an iterator or None."""

current_passage: ContextVar[CountedPassage | None] = ContextVar("fastrtc_passage", default=None)
"""In a reply's code: what of it was played."""


class Reply:
    """One reply.

    Args:
        session: whose it is.
        begin: calls the generator function.
        passage: counts what is played of it.
        held: begins held back: it produces ahead, up to 5 s, and gives nothing away.
        is_answer: to something that was said; a greeting is not.
        after: the reply before it, which was closed: its clean-up comes first, for a while.
        on_done: called once, when nothing of it runs any more, with what it raised or None.

    Attributes:
        held: whether its items are held back.
        ended: the generator has nothing more; items may still wait.
        closed: :meth:`close` was called.
        generator: what the user's function returned, once it has.
        has_begun: the generator's own code has run; what it was given has arrived.
        gave_audio: audio of it was given away.

    Raises:
        SessionClosed: the session has ended.
    """

    def __init__(
        self,
        session: HandlerSession,
        begin: Begin,
        *,
        passage: CountedPassage | None = None,
        held: bool = False,
        is_answer: bool = True,
        after: Reply | None = None,
        on_done: Callable[[Reply, BaseException | None], None],
    ) -> None:
        self.passage = passage
        self.held = held
        self.ended = False
        self.closed = False
        self.is_answer = is_answer
        self.has_begun = False
        self.generator: Any = None
        self.gave_audio = False
        self._session = session
        self._on_done = on_done
        self._items: deque[Any] = deque()
        self._ahead_s = 0.0
        self._is_asked = False
        self._is_beginning = False
        self._is_awaiting = False
        self._patience: asyncio.TimerHandle | None = None
        self._producer: asyncio.Future[None] | None = None
        self._consumer: asyncio.Future[None] | None = None
        self._task = session.spawn(self._run(begin, after))
        self._task.add_done_callback(self._done)

    @property
    def played_s(self) -> float:
        """Seconds of it that were sent to the client."""
        return 0.0 if self.passage is None else self.passage.played_s

    @property
    def ended_elsewhere(self) -> bool:
        """Whether the generator was asked to its end by somebody else."""
        frames = (getattr(self.generator, name, self) for name in ("gi_frame", "ag_frame"))
        return not self.ended and None in frames

    async def next(self) -> Any:
        """The next item, or :data:`ENDED`; also when the reply is closed meanwhile."""
        while not self.closed:
            if self._items and not self.held:
                return self._items.popleft()
            if self.ended and not self._items:
                break
            self._is_asked = True
            _resolve(self._producer)
            self._consumer = self._session.loop.create_future()
            await self._consumer
        return ENDED

    def release(self) -> None:
        """Gives away what was held back."""
        self.held = False
        _resolve(self._consumer)

    def close(self) -> None:
        """Ends it: nothing it still yields is given away. Returns at once; idempotent."""
        if self.closed:
            return
        self.closed = True
        self._items.clear()
        _resolve(self._consumer)
        _resolve(self._producer)
        if self._is_beginning:
            self._task.cancel()
        elif self._is_awaiting:
            self._patience = self._session.loop.call_later(CLEAN_UP_S, self._task.cancel)

    # The producer: the one task in which an async generator lives.

    async def _run(self, begin: Begin, after: Reply | None) -> None:
        if after is not None and not after.ended:
            await asyncio.wait([after._task], timeout=BEFORE_NEXT_S)
        if self.closed:
            return
        current_passage.set(_OwnPassage(self))
        lane = self._session.lane()
        self._is_beginning = True
        items = await begin(lane)
        self._is_beginning = False
        self.generator = items
        if hasattr(items, "__anext__"):
            await self._produce(items)
        elif hasattr(items, "__next__"):
            await self._produce_beside(items, lane)
        elif items is not None:
            raise OutputError(
                f"the reply function returned a {type(items).__name__}; it has to be a generator "
                "function: use yield"
            )

    async def _produce(self, items: Any) -> None:
        try:
            while await self._wanted():
                self.has_begun = self._is_awaiting = True
                try:
                    item = await anext(items)
                except StopAsyncIteration:
                    return
                finally:
                    self._is_awaiting = False
                    if self._patience is not None:
                        self._patience.cancel()
                self._put(item)
        finally:
            if hasattr(items, "aclose"):
                await items.aclose()

    async def _produce_beside(self, items: Any, lane: CallLane) -> None:
        close = getattr(items, "close", _nothing)
        try:
            while await self._wanted():
                self.has_begun = True
                item = await lane.call(next, items, ENDED)
                if item is ENDED:
                    return
                self._put(item)
            done, close = close, _nothing
            await lane.call(done)
        except asyncio.CancelledError:
            self._session.abandon(lane, close)
            raise

    async def _wanted(self) -> bool:
        """Waits until an item is wanted; False when no more will be."""
        while not self.closed:
            ahead = self.held and self._ahead_s < AHEAD_S and len(self._items) < AHEAD_ITEMS
            if ahead or (self._is_asked and not self._items):
                self._is_asked = False
                return True
            self._producer = self._session.loop.create_future()
            await self._producer
        return False

    def _put(self, item: Any) -> None:
        if self.closed:
            return
        self._items.append(item)
        if self.held:
            self._ahead_s += audio_s(item)
        _resolve(self._consumer)

    def _done(self, task: asyncio.Task[None]) -> None:
        self.ended = True
        _resolve(self._consumer)
        self._on_done(self, None if task.cancelled() else task.exception())


class _OwnPassage:
    """What a reply's own code reads; a reply that nobody has heard yet has no passage."""

    def __init__(self, reply: Reply) -> None:
        self._reply = reply

    @property
    def played_s(self) -> float:
        return self._reply.played_s


def audio_s(item: Any) -> float:
    """Roughly how long an item sounds; 0 for one that is not audio."""
    try:
        media: Any = split_outputs(item).media
    except OutputError:
        return 0.0
    if isinstance(media, tuple) and len(media) > 1 and isinstance(media[0], int) and media[0] > 0:
        return float(getattr(media[1], "size", 0) / media[0])
    return 0.0


def _nothing() -> None:
    """Closes an iterator that needs no closing."""


def _resolve(waiter: asyncio.Future[None] | None) -> None:
    if waiter is not None and not waiter.done():
        waiter.set_result(None)
