"""One client, from accepted offer to closed: its state, timers, and what crosses its edges.

Transports tell it what the client does; handlers ask it for what the client shall get. It owns
timers but no task (``runner.py`` does), and knows nothing of how bytes travel.

States: ``connecting -> live <-> disconnected``, and from each of them ``closed``, for good.
"""

from __future__ import annotations

import asyncio
import contextvars
import time
from collections.abc import Callable, Coroutine
from typing import Any, Final, Literal, TypeAlias, TypeVar

from fastrtc.errors import HandlerError, SessionClosed
from fastrtc.handlers.base import StreamHandlerBase
from fastrtc.handlers.outputs import AdditionalOutputs
from fastrtc.handlers.reply import current_passage
from fastrtc.session.calls import quietly
from fastrtc.session.context import Context, current_context
from fastrtc.session.playout import Passage
from fastrtc.session.runner import Runner
from fastrtc.session.texts import PendingTexts
from fastrtc.session.transport import Stats, Transport
from fastrtc.session.workers import Lane
from fastrtc.types import StreamMode
from fastrtc.wire.messages import create_message

__all__ = ["CONNECT_TIMEOUT_S", "RECONNECT_TIMEOUT_S", "Session", "SessionState"]

CONNECT_TIMEOUT_S: Final = 30.0
"""From the answer to the first media or open channel."""
RECONNECT_TIMEOUT_S: Final = 30.0
"""How long a client that is not heard keeps its session."""
PLAYOUT_GRACE_S: Final = 0.2
"""After the last packet has left it still travels, and waits in the client's jitter buffer."""
LEAVE_MESSAGE: Final = "The server is shutting down"

SessionState: TypeAlias = Literal["connecting", "live", "disconnected", "closed"]
T = TypeVar("T")


class Session:
    """One client.

    Methods are called on the session's event loop unless they say "from any thread".

    Args:
        id: the client's name for it (``webrtc_id``).
        handler: its own handler, already a copy.
        mode: directions, named from the client.
        time_limit_s: seconds from live to the end; None for no limit.
        reconnect_timeout_s: how long it may stay disconnected.
        principal: what ``authorize`` returned.
        websocket: for ``get_current_context()``.
        on_closed: called once, when the state has become "closed".
        on_outputs: takes the handler's ``AdditionalOutputs``.
    """

    def __init__(
        self,
        id: str,  # noqa: A002
        handler: StreamHandlerBase,
        *,
        mode: StreamMode = "send-receive",
        time_limit_s: float | None = None,
        reconnect_timeout_s: float = RECONNECT_TIMEOUT_S,
        principal: Any = None,
        websocket: Any = None,
        on_closed: Callable[[Session], None] | None = None,
        on_outputs: Callable[[Session, AdditionalOutputs], None] | None = None,
    ) -> None:
        self.id = id
        self.handler = handler
        self.principal = principal
        self.loop = asyncio.get_running_loop()
        self.state: SessionState = "connecting"
        self.started_at = time.time()
        self.close_reason = ""
        self._time_limit_s = time_limit_s
        self._reconnect_timeout_s = reconnect_timeout_s
        self._on_closed = on_closed
        self._on_outputs = on_outputs
        self._transport: Transport | None = None
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._texts = PendingTexts(self.loop, self._send_now)
        self._last_stats: Stats = {}
        self._began = False
        self._gone: asyncio.Future[None] | None = None
        self.variables = contextvars.copy_context()
        self.variables.run(current_context.set, Context(id, websocket, self, principal))
        self.runner = Runner(self, handler, mode)
        self.on_audio = self.runner.inbound.put
        self.video = self.runner.video

    def __repr__(self) -> str:
        return f"<Session {self.id!r} {self.state}>"

    # What a transport calls.

    def open(self, attach: Callable[[Session], Transport]) -> None:
        """Gives the session its transport, which may call back from within ``attach``."""
        transport = attach(self)
        self._transport = transport
        self.handler.attach(self)
        if self.state == "closed":
            transport.close(self.close_reason)
        elif self.state == "live":
            self._begin()
        else:
            self._after("connect", CONNECT_TIMEOUT_S, self.close, "never connected")

    def on_live(self) -> None:
        """Media flows or a channel is open; again after :meth:`on_disconnected`."""
        if self.state == "disconnected":
            self.on_reconnected()
        elif self.state == "connecting":
            self.state = "live"
            self._cancel("connect")
            if self._transport is not None:
                self._begin()

    def on_channel_open(self) -> None:
        """Text can reach the client from now on. Optional: without it, sending is tried again."""
        self._texts.flush()

    def on_disconnected(self) -> None:
        """The client has not been heard for a while."""
        if self.state == "live":
            self.state = "disconnected"
            self.runner.pause()
            self._after("reconnect", self._reconnect_timeout_s, self.close, "connection lost")

    def on_reconnected(self) -> None:
        """The client is heard again."""
        if self.state == "disconnected":
            self.state = "live"
            self._cancel("reconnect")
            self.runner.resume()

    on_audio: Callable[[Any, int], None]
    """``on_audio(samples, rate_hz)``: int16 as a writable buffer, interleaved, at the handler's
    input rate and layout. The queue's own method, to save a call per frame."""

    def on_message(self, text: str) -> None:
        """Text from the client."""
        self._texts.flush()
        self.runner.text("on_message", text)

    def on_dtmf(self, digit: str) -> None:
        """A key was pressed on a telephone."""
        self.runner.text("on_dtmf", digit)

    def on_closed(self, reason: str) -> None:
        """The transport has ended, whoever ended it."""
        self.close(reason)

    # What handlers and the application ask. From any thread.

    @property
    def transport(self) -> Transport:
        """What carries the session's bytes.

        Raises:
            HandlerError: the session has none yet.
        """
        if self._transport is None:
            raise HandlerError(f"session {self.id!r} is not connected yet")
        return self._transport

    @property
    def transport_or_none(self) -> Transport | None:
        """:attr:`transport`, or None before there is one."""
        return self._transport

    @property
    def transport_name(self) -> str:
        """What kind of transport it has; "" before there is one."""
        return "" if self._transport is None else self._transport.name

    @property
    def is_phone(self) -> bool:
        """Whether the client is a telephone."""
        return self.transport_name == "phone"

    @property
    def played_s(self) -> float:
        """Seconds of the current reply that were really sent; in a reply's generator of its own,
        also after an interruption. Without replies: seconds since the last :meth:`clear`."""
        passage = current_passage.get() or self.runner.playout.passage
        return self.runner.playout.sent_s if passage is None else passage.played_s

    def send_message(self, text: str) -> None:
        """Sends text to the client; kept for a while when it cannot be reached yet."""
        self._on_loop(self._send, text)

    def clear(self) -> float:
        """Drops the audio that waits to be sent, now.

        Returns:
            Seconds of it that were sent since the last call.
        """
        if self._is_on_loop():
            return self.runner.playout.clear()
        return self.run_from_thread(self._clear_soon())

    @property
    def queued_s(self) -> float:
        """Seconds that wait to be sent."""
        return 0.0 if self.state == "closed" else self.runner.playout.queued_s

    def begin_passage(self, recallable: bool) -> Passage:
        """What the handler plays from now on is counted by itself; see :meth:`Playout.hold`."""
        return self.runner.playout.begin_passage(recallable)

    def hold(self) -> None:
        """Takes back the audio that waits to be sent, and keeps it. On the loop."""
        self.runner.playout.hold()

    def resume(self) -> None:
        """Sends what :meth:`hold` took back, from where it stopped. On the loop."""
        self.runner.playout.resume()

    def bundle_audio(self, span_s: float) -> None:
        """See :meth:`Transport.bundle_audio`. On the loop."""
        if self._transport is not None:
            self._transport.bundle_audio(span_s)

    def lane(self) -> Lane:
        """A way to call sync user code beside the loop, with the caller's context variables."""
        return Lane(self.loop, contextvars.copy_context())

    def abandon(self, lane: Lane, fn: Callable[[], Any]) -> None:
        """Nobody waits for ``lane`` any more: ``fn`` runs in it once no call is under way."""
        self.runner.abandoned_calls += lane.finish(quietly(fn))

    def spawn(self, coroutine: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Runs a coroutine that ends with the session at the latest. On the loop.

        Raises:
            SessionClosed: it has ended.
        """
        if self.state == "closed":
            coroutine.close()
            raise SessionClosed(f"session {self.id!r} has ended")
        return self.runner.adopt(coroutine)

    def failed(self, where: str, error: BaseException) -> None:
        """User code raised in ``where``: logged, and the client is told. On the loop."""
        self.runner.failures.failed(where, error, at_each_turn=True)

    def wake(self) -> None:
        """Has an ``emit`` that returned None asked again at once."""
        self._on_loop(self.runner.wake)

    def set_args(self, args: list[Any]) -> None:
        """Gives the handler the client's inputs; its next call sees them."""
        self._on_loop(self.handler.set_args, args)

    def run_from_thread(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Runs a coroutine on the session's loop and waits for it in the calling thread.

        Raises:
            SessionClosed: the session ended before the coroutine did.
            RuntimeError: called on the loop itself, which would wait for ever.
        """
        if self._is_on_loop():
            coroutine.close()
            raise RuntimeError("a *_sync method was called on the event loop: await the async one")
        return asyncio.run_coroutine_threadsafe(self._guarded(coroutine), self.loop).result()

    async def _guarded(self, coroutine: Coroutine[Any, Any, T]) -> T:
        if self.state == "closed":
            coroutine.close()
            raise SessionClosed(f"session {self.id!r} has ended")
        task = self.runner.adopt(coroutine)
        await asyncio.wait([task])
        if task.cancelled():
            raise SessionClosed(f"session {self.id!r} ended meanwhile")
        result: T = task.result()
        return result

    # What the handler's outputs do.

    def deliver_outputs(self, outputs: AdditionalOutputs) -> None:
        """Hands values to whoever reads this session's outputs, and tells the client. From any
        thread."""
        self._on_loop(self._deliver, outputs)

    def finish(self, message: str) -> None:
        """Ends the session once what is queued was played out."""
        self.runner.finish(lambda: self.close(message, message), PLAYOUT_GRACE_S)

    def fail(self, reason: str) -> None:
        """Ends the session because its handler cannot go on."""
        self.close(reason, reason)

    def close(self, reason: str, message: str | None = None) -> None:
        """Ends the session now; idempotent.

        Args:
            reason: for logs and :attr:`close_reason`.
            message: told to the client as ``end_stream``; None tells it nothing.
        """
        if self.state == "closed":
            return
        if message is not None:
            self._send(create_message("end_stream", message))
        self._last_stats = self.stats
        self.state = "closed"
        self.close_reason = reason
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        self._texts.stop()
        self.runner.playout.end()
        if self._transport is not None:
            self._transport.close(reason)
        self.handler.detach()
        self.runner.stop()
        if self._gone is not None and not self._gone.done():
            self._gone.set_result(None)
        if self._on_closed is not None:
            self._on_closed(self)

    async def leave(self, drain_s: float) -> None:
        """Asks the client to go, waits for it up to ``drain_s``, then ends the session."""
        self.begin_leaving(drain_s)
        if self.state != "closed":
            self._gone = self.loop.create_future()
            await self._gone
        await self.wait_ended()

    def begin_leaving(self, drain_s: float) -> None:
        """Asks the client to go, and ends the session ``drain_s`` later; idempotent, but that 0
        ends it now all the same."""
        if self.state == "closed" or ("drain" in self._timers and drain_s > 0):
            return
        if "drain" not in self._timers:
            self._send(create_message("end_stream", LEAVE_MESSAGE))
        if drain_s > 0:
            self._after("drain", drain_s, self.close, LEAVE_MESSAGE)
        else:
            self.close(LEAVE_MESSAGE)

    async def wait_ended(self) -> None:
        """After :meth:`close`: returns when the handler's ``shutdown`` is over too."""
        await asyncio.shield(self.runner.stop())

    @property
    def stats(self) -> Stats:
        """Counters of the session and its transport; kept after the end."""
        if self.state == "closed":
            return {**self._last_stats, "calls_abandoned": self.runner.abandoned_calls}
        own: Stats = {
            "frames_in": self.runner.inbound.received,
            "frames_dropped": self.runner.inbound.dropped,
            "chunks_played": self.runner.playout.played_chunks,
            "handler_failures": self.runner.failures.total,
            "messages_lost": self._texts.lost,
            "calls_abandoned": self.runner.abandoned_calls,
        }
        if self.video is not None:
            own.update(self.video.stats())
        return own if self._transport is None else {**own, **self._transport.stats()}

    # Inside.

    def _begin(self) -> None:
        if self._began:
            return
        self._began = True
        self.handler.open_channel()
        self._texts.begin()
        if self._time_limit_s is not None:
            message = f"Time limit of {self._time_limit_s:g} s reached"
            self._after("time_limit", self._time_limit_s, self.close, message, message)
        self.runner.start()

    def _send(self, text: str) -> None:
        if self.state != "closed":
            self._texts.send(text)

    def _deliver(self, outputs: AdditionalOutputs) -> None:
        if self.state == "closed":
            return
        if self._on_outputs is not None:
            self._on_outputs(self, outputs)
        self._send(create_message("fetch_output", []))

    def _send_now(self, text: str) -> bool:
        return self._transport is not None and self._transport.send_message(text)

    async def _clear_soon(self) -> float:
        return self.runner.playout.clear()

    def _is_on_loop(self) -> bool:
        return asyncio._get_running_loop() is self.loop

    def _on_loop(self, fn: Callable[..., object], *args: Any) -> None:
        if self._is_on_loop():
            fn(*args)
        elif not self.loop.is_closed():
            self.loop.call_soon_threadsafe(fn, *args)

    def _after(self, name: str, delay_s: float, fn: Callable[..., object], *args: Any) -> None:
        self._cancel(name)
        self._timers[name] = self.loop.call_later(delay_s, fn, *args)

    def _cancel(self, name: str) -> None:
        timer = self._timers.pop(name, None)
        if timer is not None:
            timer.cancel()
