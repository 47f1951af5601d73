"""Runs one session's user code: the only place of the package that owns tasks.

One long-lived task per direction, waiting on a bare future. No task, timer or thread is made per
frame for async handlers; sync code runs in lanes (``workers.py``). The runner knows neither
transports nor states; its session starts, pauses and stops it.
"""

from __future__ import annotations

import asyncio
import inspect
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from typing import TYPE_CHECKING, Any, Final

from fastrtc.errors import InputsTimeout, OutputError
from fastrtc.handlers.base import StreamHandlerBase
from fastrtc.handlers.functions import FrameFunction, SourceFunction
from fastrtc.session.calls import (
    Raised,
    call_each,
    closer_of,
    is_iterator,
    overrides,
    runs_on_loop,
)
from fastrtc.session.failures import Failures
from fastrtc.session.idle import Idle
from fastrtc.session.inbound import InboundAudio
from fastrtc.session.playout import Playout
from fastrtc.session.video import video_of
from fastrtc.session.workers import Lane
from fastrtc.types import StreamMode
from fastrtc.wire.messages import error_message

if TYPE_CHECKING:
    from fastrtc.session.session import Session

__all__ = ["Runner"]

IDLE_EMIT_S: Final = 0.02
"""How long after a None the handler is asked again if nothing happens meanwhile."""
TEXTS_BOUND: Final = 256
OUTPUTS_BETWEEN_YIELDS: Final = 16
"""An ``emit`` that never waits lets the loop's other tasks run after this many outputs."""
STOP_PATIENCE_S: Final = 2.0
"""How long cancelled code may take to clean up before it is abandoned."""
SHUTDOWN_PATIENCE_S: Final = 10.0

_END: Final = object()


class Runner:
    """The tasks of one session.

    Args:
        session: for its loop, context and transport.
        handler: whose methods run.
        mode: which directions there are, named from the client.
    """

    def __init__(self, session: Session, handler: StreamHandlerBase, mode: StreamMode) -> None:
        self._session = session
        self._handler = handler
        self._mode = mode
        self._loop = session.loop
        self.failures = Failures(
            session.id,
            lambda text: session.send_message(error_message(text)),
            session.fail,
            session.loop.time,
        )
        self.inbound = InboundAudio(session.loop, 2 if handler.expected_layout == "stereo" else 1)
        self.playout = Playout(session, self.inbound, heard=mode != "send")
        self._tasks: set[asyncio.Task[None]] = set()
        self._lanes: list[Lane] = []
        self.video = video_of(session, self, handler, mode)
        self._emit_idle = Idle(session.loop)
        self._text_idle = Idle(session.loop)
        self._resumed: asyncio.Future[None] | None = None
        self._begun: asyncio.Future[None] | None = None
        self._texts: deque[tuple[str, str]] = deque(maxlen=TEXTS_BOUND)
        self._takes_texts = overrides(handler, "on_message") or overrides(handler, "on_dtmf")
        self._ending = False
        self.ended: asyncio.Task[None] | None = None
        self.abandoned_calls = 0

    # What the session calls.

    def start(self) -> None:
        """The session is live: ``start_up`` begins, then both directions."""
        handler = self._handler
        if overrides(handler, "start_up"):
            self._begun = self._loop.create_future()
            self.spawn(self._start_up())
        if self.video is not None:
            self.video.start()
        if isinstance(handler, SourceFunction):
            self.inbound.close()
            self.spawn(self._play_source(handler))
        elif not isinstance(handler, FrameFunction):
            if self._mode == "receive":
                self.inbound.close()
            else:
                self.spawn(self._receive())
            if self._mode != "send" or self.video is None:
                self.spawn(self._emit())
        elif self.video is None:
            self.spawn(self._call_per_frame(handler))
        if self._takes_texts:
            self.spawn(self._hand_over_texts())

    def text(self, method: str, text: str) -> None:
        """Text from the client for ``on_message``, or a digit for ``on_dtmf``."""
        if self._takes_texts:
            self._texts.append((method, text))
        self._text_idle.wake()

    def pause(self) -> None:
        """The client is not heard: ``emit`` is not asked until :meth:`resume`."""
        if self._resumed is None:
            self._resumed = self._loop.create_future()

    def resume(self) -> None:
        """The client is heard again."""
        resumed, self._resumed = self._resumed, None
        if resumed is not None:
            resumed.set_result(None)

    def wake(self) -> None:
        """Something happened that an idle emit method may have been waiting for."""
        if self.video is not None:
            self.video.wake()
        self._emit_idle.wake()

    def finish(self, then: Callable[[], None], grace_s: float) -> None:
        """Asks the handler for nothing more; calls ``then`` once everything was played out."""
        if self._ending:
            return
        self._ending = True
        self.inbound.close()
        for task in self._tasks:
            task.cancel()

        async def play_out() -> None:
            self.playout.resume()
            await self.playout.fallen_to(0.0)
            await asyncio.sleep(grace_s)
            then()

        self.spawn(play_out())

    def adopt(self, coroutine: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Runs a coroutine that shall not outlive the session; the caller takes its result."""
        task = self._loop.create_task(coroutine, context=self._session.variables.copy())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def stop(self) -> asyncio.Task[None]:
        """Cancels everything, abandons what cannot be cancelled, then runs ``shutdown`` once.

        Returns:
            The task that is done when nothing of the session runs any more.
        """
        if self.ended is None:
            self._ending = True
            self.inbound.close()
            self.ended = self._loop.create_task(
                self._stop(), context=self._session.variables.copy()
            )
        return self.ended

    async def _stop(self) -> None:
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            _, pending = await asyncio.wait(tasks, timeout=STOP_PATIENCE_S)
            self.abandoned_calls += len(pending)
        for lane in self._lanes:
            self.abandoned_calls += lane.finish()
        if overrides(self._handler, "shutdown"):
            try:
                async with asyncio.timeout(SHUTDOWN_PATIENCE_S):
                    await self._run("shutdown", self._handler.shutdown)
            except TimeoutError:
                self.abandoned_calls += 1

    # The directions.

    async def _start_up(self) -> None:
        method = self._handler.start_up  # type: ignore[attr-defined]
        begun = self._begun
        assert begun is not None
        if runs_on_loop(self._handler, method):
            begun.set_result(None)
            await self._run("start_up", method)
            return

        def begin() -> Any:
            self._loop.call_soon_threadsafe(_resolve, begun)
            return method()

        try:
            result = await self.lane().call(begin)
            if inspect.isawaitable(result):
                await result
        except Exception as error:  # noqa: BLE001
            _resolve(begun)
            self.failures.failed("start_up", error)

    async def _receive(self) -> None:
        await self.begun()
        receive: Any = self._handler.receive_entry()
        failures = self.failures
        inbound = self.inbound
        idle = self._emit_idle
        lane = None if inspect.iscoroutinefunction(receive) else self.lane()
        while True:
            if not inbound:
                await inbound.wait()
            if lane is not None:
                for outcome in await lane.call(call_each, receive, inbound.take_all()):
                    await self._settle("receive", outcome)
            else:
                try:
                    await receive(inbound.take())
                    if failures.in_a_row:
                        failures.succeeded("receive")
                except Exception as error:  # noqa: BLE001
                    failures.failed("receive", error)
            if idle.waiter is not None:
                idle.wake()

    async def _emit(self) -> None:
        await self.begun()
        emit: Any = self._handler.emit_entry()
        failures = self.failures
        put = self.playout.put
        lane = None if inspect.iscoroutinefunction(emit) else self.lane()
        outputs = 0
        while not self._ending:
            await self.heard()
            try:
                output = await (emit() if lane is None else lane.call(emit))
                if inspect.isawaitable(output):
                    output = await output
                more = output is not None and put(output)
                if failures.in_a_row:
                    failures.succeeded("emit")
            except Exception as error:  # noqa: BLE001
                failures.failed("emit", error)
                more = False
            if not more:
                await self._emit_idle.rest(IDLE_EMIT_S)
                continue
            await self.playout.room()
            outputs += 1
            if outputs % OUTPUTS_BETWEEN_YIELDS == 0:
                await asyncio.sleep(0)

    async def _call_per_frame(self, handler: FrameFunction) -> None:
        await self.begun()
        lane = self.lane()
        asked = False
        while not self._ending:
            await self.inbound.wait()
            if handler.missing_inputs():
                self.inbound.take_all()
                if not asked:
                    asked = True
                    await handler.fetch_args()
                continue
            if handler.is_async:
                outcomes = call_each(handler.call, [self.inbound.take()])
            else:
                outcomes = await lane.call(call_each, handler.call, self.inbound.take_all())
            for outcome in outcomes:
                try:
                    if isinstance(outcome, Raised):
                        raise outcome.error
                    await self._deliver(outcome, lane)
                    if self.failures.in_a_row:
                        self.failures.succeeded("the handler function")
                except Exception as error:  # noqa: BLE001
                    self.failures.failed("the handler function", error)

    async def _play_source(self, handler: SourceFunction) -> None:
        lane = self.lane()
        why = "Stream ended"
        try:
            if handler.wants_inputs and not handler.args_set.is_set():
                await handler.wait_for_args()
            result = handler.call() if handler.is_async else await lane.call(handler.call)
            if inspect.isawaitable(result):
                result = await result
            if not is_iterator(result):
                raise OutputError(
                    f"the handler function of a stream in mode 'receive' returned a "
                    f"{type(result).__name__}; it has to be a generator function: use yield"
                )
            await (self._deliver if self.video is None else self.video.play)(result, lane)
        except InputsTimeout as error:
            why = self.failures.failed("waiting for inputs", error)
        except Exception as error:  # noqa: BLE001
            why = self.failures.failed("the handler function", error)
        self._session.finish(why)

    async def _hand_over_texts(self) -> None:
        await self.begun()
        lane = self.lane()
        while True:
            if not self._texts:
                await self._text_idle.rest()
                continue
            name, text = self._texts.popleft()
            method = getattr(self._handler, name)
            await self._run(name, method, text, lane=lane)
            self.wake()

    # How user code is called.

    async def _deliver(self, result: Any, lane: Lane) -> None:
        """Plays what a function returned, or each item of what it generates."""
        if inspect.isawaitable(result):
            result = await result
        if hasattr(result, "__anext__"):
            await self._deliver_async(result)
        elif hasattr(result, "__next__"):
            await self._deliver_sync(result, lane)
        elif result is not None and self.playout.put(result):
            await self.playout.room()

    async def _deliver_async(self, items: AsyncIterator[Any]) -> None:
        try:
            async for item in items:
                await self._deliver_item(item)
        finally:
            if hasattr(items, "aclose"):
                await items.aclose()

    async def _deliver_sync(self, items: Iterator[Any], lane: Lane) -> None:
        try:
            while (item := await lane.call(next, items, _END)) is not _END:
                await self._deliver_item(item)
        except asyncio.CancelledError:
            self.abandoned_calls += lane.finish(closer_of(items))
            raise

    async def _deliver_item(self, item: Any) -> None:
        await self.heard()
        try:
            more = item is not None and self.playout.put(item)
        except OutputError as error:
            self.failures.failed("the handler function", error)
            more = False
        if more:
            await self.playout.room()
        await asyncio.sleep(0)

    async def _run(
        self, name: str, method: Callable[..., Any], *args: Any, lane: Lane | None = None
    ) -> None:
        try:
            if runs_on_loop(self._handler, method):
                result = method(*args)
            else:
                result = await (lane or self.lane()).call(method, *args)
            if inspect.isawaitable(result):
                await result
        except Exception as error:  # noqa: BLE001
            self.failures.failed(name, error)

    async def begun(self) -> None:
        """Returns once ``start_up`` has begun."""
        if self._begun is not None:
            await asyncio.shield(self._begun)

    async def heard(self) -> None:
        """Returns once the client is heard."""
        if self._resumed is not None:
            await asyncio.shield(self._resumed)

    def lane(self) -> Lane:
        """A lane that ends with the session."""
        lane = Lane(self._loop, self._session.variables)
        self._lanes.append(lane)
        return lane

    def spawn(self, coroutine: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Runs one of the session's own tasks; what it raises is a failure."""
        task = self._loop.create_task(coroutine, context=self._session.variables.copy())
        self._tasks.add(task)
        task.add_done_callback(self._over)
        return task

    def _over(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.failures.failed("session task", error)

    async def _settle(self, name: str, outcome: object) -> None:
        """Takes what one call in a lane came to: an error, an awaitable, or nothing."""
        try:
            if isinstance(outcome, Raised):
                raise outcome.error
            if inspect.isawaitable(outcome):
                await outcome
            if self.failures.in_a_row:
                self.failures.succeeded(name)
        except Exception as error:  # noqa: BLE001
            self.failures.failed(name, error)


def _resolve(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)
