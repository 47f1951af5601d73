"""One run of a handler for all viewers of a stream: when it begins and ends, and who watches.

Each viewer is a session like any other, with a slot, a time limit and a principal of its own; its
handler is a :class:`Viewer`, which makes nothing. What it watches is made by one more session that
holds no slot: it lives from the first viewer to the last. What viewers get is encoded once by its
transport, which this room does not know.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import weakref
from collections.abc import Awaitable, Callable
from typing import Any, Protocol, TypeAlias

from fastrtc.handlers.base import StreamHandlerBase
from fastrtc.handlers.outputs import AdditionalOutputs
from fastrtc.session.factory import SessionFactory
from fastrtc.session.session import Session
from fastrtc.session.transport import Transport

__all__ = ["NOT_WATCHED", "Audience", "Broadcast", "OpenBroadcast", "SharedFactory", "Viewer"]

logger = logging.getLogger("fastrtc")

SHARED_ID = "shared"
NOT_WATCHED = "a shared stream is watched over WebRTC, by WHEP or an offer"


class Broadcast(Transport, Protocol):
    """The transport of the session that makes what viewers watch."""

    def add(self, seat: Any) -> None:
        """A viewer gets what is made from now on; ``seat`` is what its own transport gave it."""

    def remove(self, seat: Any) -> None:
        """It gets no more."""


OpenBroadcast: TypeAlias = Callable[[Session, Callable[[str], None]], Broadcast]
"""Makes the transport of a session; the other argument takes text for all viewers."""


class Viewer(StreamHandlerBase):
    """The handler of a session that watches: it makes nothing, and what comes in goes to the
    handler that all share.

    Args:
        audience: whom it belongs to.

    Attributes:
        seat: set by the viewer's transport; see :class:`Broadcast`.
        inputs: the client's, None while it sent none.
    """

    def __init__(self, audience: Audience) -> None:
        super().__init__()
        self.audience = audience
        self.seat: Any = None
        self.inputs: list[Any] | None = None

    async def start_up(self) -> None:
        await self.audience.join(self)

    async def emit(self) -> None:
        """Has nothing to say, ever."""
        await asyncio.get_running_loop().create_future()

    async def on_message(self, text: str) -> None:
        self.audience.on_message(text)

    def set_args(self, args: list[Any]) -> None:
        super().set_args(args)
        self.inputs = args
        self.audience.set_args(args)

    async def shutdown(self) -> None:
        await self.audience.leave(self)


class Audience:
    """The viewers of one stream on one event loop, and the session that they watch.

    Args:
        new_handler: makes the handler that they share.
        open_broadcast: makes its session's transport.
        put_outputs: takes ``AdditionalOutputs`` for a viewer, by its id.
    """

    def __init__(
        self,
        new_handler: Callable[[], Awaitable[StreamHandlerBase]],
        open_broadcast: OpenBroadcast,
        put_outputs: Callable[[str, AdditionalOutputs], None],
    ) -> None:
        self._new_handler = new_handler
        self._open_broadcast = open_broadcast
        self._put_outputs = put_outputs
        self._viewers: dict[Viewer, Session] = {}
        self._turn = asyncio.Lock()
        self._source: Session | None = None
        self._last: Session | None = None
        self._broadcast: Broadcast | None = None

    @property
    def source(self) -> Session | None:
        """The session that makes what they watch, while there is one."""
        return self._source

    async def join(self, viewer: Viewer) -> None:
        """A viewer is live: it watches from now on. The first one has the handler begin."""
        session: Any = viewer.session
        if viewer.seat is None:
            session.fail(NOT_WATCHED)
            return
        async with self._turn:
            if self._source is None:
                await self._wait_for_last()
                try:
                    self._begin(await self._new_handler(), viewer.inputs)
                except Exception:
                    logger.exception("a shared stream could not begin")
                    session.fail("the stream could not begin")
                    if self._source is not None:
                        self._source.close("the stream could not begin")
                    return
            self._viewers[viewer] = session
            assert self._broadcast is not None
            self._broadcast.add(viewer.seat)

    async def leave(self, viewer: Viewer) -> None:
        """A viewer's session has ended. With the last one the handler ends, and this waits for
        its ``shutdown``."""
        watched = self._viewers.pop(viewer, None) is not None
        if watched and self._broadcast is not None:
            self._broadcast.remove(viewer.seat)
        async with self._turn:
            if not self._viewers and self._source is not None:
                self._source.close("the last viewer left")
            if not self._viewers:
                await self._wait_for_last()

    def on_message(self, text: str) -> None:
        """A viewer says something to the handler."""
        if self._source is not None:
            self._source.on_message(text)

    def set_args(self, args: list[Any]) -> None:
        """Inputs of any viewer are those of the handler: the last ones hold."""
        if self._source is not None:
            self._source.set_args(args)

    def _begin(self, handler: StreamHandlerBase, inputs: list[Any] | None) -> None:
        # In a context of its own: what the first viewer's request set concerns no other viewer.
        source = contextvars.Context().run(
            Session,
            SHARED_ID,
            handler,
            mode="receive",
            on_closed=self._on_closed,
            on_outputs=self._on_outputs,
        )
        broadcast = self._open_broadcast(source, self._tell)
        self._source, self._broadcast = source, broadcast
        source.open(lambda _: broadcast)
        if inputs is not None:
            handler.set_args(inputs)
        source.on_live()

    async def _wait_for_last(self) -> None:
        """What the handler holds, a camera say, is free only after its ``shutdown``."""
        last = self._last
        if last is not None:
            await last.wait_ended()
            if self._last is last:
                self._last = None

    def _tell(self, text: str) -> None:
        for session in list(self._viewers.values()):
            session.send_message(text)

    def _on_outputs(self, source: Session, outputs: AdditionalOutputs) -> None:
        for session in self._viewers.values():
            if session.state != "closed":
                self._put_outputs(session.id, outputs)

    def _on_closed(self, source: Session) -> None:
        self._last, self._source, self._broadcast = source, None, None
        for session in list(self._viewers.values()):
            session.close(source.close_reason)
        self._viewers.clear()


class SharedFactory(SessionFactory):
    """Makes the sessions of viewers. One audience for each event loop that has some.

    Args:
        open_broadcast: see :class:`Audience`.
        options: of :class:`SessionFactory`.
    """

    def __init__(self, *args: Any, open_broadcast: OpenBroadcast, **options: Any) -> None:
        super().__init__(*args, **options)
        self._open_broadcast = open_broadcast
        self._audiences: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Audience] = (
            weakref.WeakKeyDictionary()
        )

    async def new_handler(self) -> StreamHandlerBase:
        """A :class:`Viewer`; runs no user code."""
        return Viewer(self.audience())

    def audience(self) -> Audience:
        """The viewers on the running event loop."""
        loop = asyncio.get_running_loop()
        audience = self._audiences.get(loop)
        if audience is None:
            audience = self._audiences[loop] = Audience(
                super().new_handler, self._open_broadcast, self.outbox.put
            )
        return audience
