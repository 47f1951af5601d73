"""Makes sessions for one stream, whatever transport they come by: handler, slot, inputs, outputs.

The one way into the registry. Knows no wire format and no transport.
"""

from __future__ import annotations

import asyncio
import logging
import time
import weakref
from collections import OrderedDict
from typing import Any, Final

from fastrtc.errors import ConnectionClosed
from fastrtc.handlers.base import StreamHandlerBase
from fastrtc.handlers.outputs import AdditionalOutputs
from fastrtc.session.outbox import Outbox
from fastrtc.session.registry import Registry
from fastrtc.session.session import RECONNECT_TIMEOUT_S, Session
from fastrtc.session.workers import call_sync
from fastrtc.types import StreamMode

__all__ = ["SessionFactory"]

logger = logging.getLogger("fastrtc")

EARLY_INPUTS_S: Final = 60.0
EARLY_INPUTS_IDS: Final = 256


class SessionFactory:
    """What all sessions of one stream have in common.

    Args:
        prototype: the handler that each session gets a copy of.
        mode: directions, named from the client.
        limit: sessions at once; None for no limit.
        time_limit_s: how long a session may be live; None for no limit.
        reconnect_timeout_s: how long a session may be disconnected.
    """

    def __init__(
        self,
        prototype: StreamHandlerBase,
        *,
        mode: StreamMode,
        limit: int | None,
        time_limit_s: float | None = None,
        reconnect_timeout_s: float = RECONNECT_TIMEOUT_S,
    ) -> None:
        self.prototype = prototype
        self.mode: StreamMode = mode
        self.time_limit_s = time_limit_s
        self.reconnect_timeout_s = reconnect_timeout_s
        self.registry = Registry(limit)
        self.outbox = Outbox()
        self._early_inputs: OrderedDict[str, tuple[float, list[Any]]] = OrderedDict()
        self._draining: weakref.WeakSet[asyncio.AbstractEventLoop] = weakref.WeakSet()
        self._is_shut_down = False

    def check_open(self) -> None:
        """Raises what :meth:`admit` would raise now, before work is done in vain.

        Raises:
            ConcurrencyLimitReached: all slots are taken.
            ConnectionClosed: the stream shuts down.
        """
        if self._is_shut_down or asyncio.get_running_loop() in self._draining:
            raise ConnectionClosed("the server is shutting down")
        self.registry.check_room()

    async def new_handler(self) -> StreamHandlerBase:
        """A handler for one more client. User code: it runs beside the loop and may raise."""
        handler = await call_sync(self.prototype.copy)
        if not isinstance(handler, StreamHandlerBase):
            raise TypeError(
                f"{type(self.prototype).__name__}.copy() returned a {type(handler).__name__}; "
                "it has to return a handler"
            )
        return handler

    def admit(
        self,
        webrtc_id: str,
        handler: StreamHandlerBase,
        *,
        principal: Any = None,
        websocket: Any = None,
        mode: StreamMode | None = None,
    ) -> Session:
        """Takes a slot for a client whose offer was accepted; its session gives it back.

        Args:
            webrtc_id: the client's name.
            handler: its own.
            principal: what ``authorize`` returned.
            websocket: for ``get_current_context()``.
            mode: directions of a client that uses fewer than the stream has.

        Raises:
            ConnectionAlreadyExists: a session has that id.
            ConcurrencyLimitReached: all slots are taken.
            ConnectionClosed: the stream shuts down.
        """
        session = Session(
            webrtc_id,
            handler,
            mode=mode or self.mode,
            time_limit_s=self.time_limit_s,
            reconnect_timeout_s=self.reconnect_timeout_s,
            principal=principal,
            websocket=websocket,
            on_closed=self._on_closed,
            on_outputs=self._on_outputs,
        )
        try:
            self.check_open()
            self.registry.admit(session)
        except Exception:
            session.close("refused")
            raise
        self.outbox.opened(webrtc_id)
        early = self._early_inputs.pop(webrtc_id, None)
        if early is not None and early[0] > time.monotonic():
            session.set_args(early[1])
        return session

    def set_input(self, webrtc_id: str, inputs: list[Any]) -> None:
        """Gives a session its inputs; they are held a while for one that has not begun."""
        session = self.registry.get(webrtc_id)
        if session is not None:
            session.set_args(inputs)
            return
        self._early_inputs[webrtc_id] = (time.monotonic() + EARLY_INPUTS_S, inputs)
        self._early_inputs.move_to_end(webrtc_id)
        while len(self._early_inputs) > EARLY_INPUTS_IDS:
            self._early_inputs.popitem(last=False)

    def reopen(self) -> None:
        """The running loop's application starts: new sessions are welcome."""
        self._is_shut_down = False
        self._draining.discard(asyncio.get_running_loop())

    def begin_drain(self, drain_s: float) -> None:
        """Takes no new sessions on the running loop, and has those there leave."""
        loop = asyncio.get_running_loop()
        self._draining.add(loop)
        for session in self.registry.all():
            if session.loop is loop:
                session.begin_leaving(drain_s)

    async def drain(self, drain_s: float, *, every_loop: bool) -> None:
        """Takes no new sessions, tells the clients, waits for them to go, then ends the rest.

        Args:
            drain_s: how long clients get to go by themselves.
            every_loop: take no new sessions on other event loops either, and end theirs too.
        """
        self._is_shut_down = self._is_shut_down or every_loop
        self.begin_drain(drain_s)
        loop = asyncio.get_running_loop()
        leaving = [s for s in self.registry.all() if every_loop or s.loop is loop]
        await asyncio.gather(*(_in_loop_of(session, session.leave(drain_s)) for session in leaving))

    def _on_closed(self, session: Session) -> None:
        if self.registry.release(session):
            self.outbox.closed(session.id)
            logger.info("session %s closed: %s", session.id, session.close_reason)

    def _on_outputs(self, session: Session, outputs: AdditionalOutputs) -> None:
        self.outbox.put(session.id, outputs)


async def _in_loop_of(session: Session, coroutine: Any) -> None:
    if session.loop is asyncio.get_running_loop():
        await coroutine
    elif session.loop.is_closed():
        coroutine.close()
    else:
        await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(coroutine, session.loop))
