"""The pictures of one session: in, through its handler, and out.

Decoding, conversion, sync user code and encoding share one worker thread at a time, never the
event loop. Whatever comes in is decoded, because pictures build on each other; a handler that is
slower than the camera gets the newest ones. The runner owns the tasks; codecs stand behind
:class:`~fastrtc.session.transport.VideoWay`.
"""

from __future__ import annotations

import asyncio
import inspect
from collections import deque
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from fastrtc.errors import OutputError
from fastrtc.handlers.audio_video import AsyncAudioVideoStreamHandler, AudioVideoStreamHandler
from fastrtc.handlers.base import StreamHandlerBase
from fastrtc.handlers.outputs import Outputs
from fastrtc.handlers.video import VideoSource, VideoStreamHandler
from fastrtc.session.calls import closer_of, is_iterator
from fastrtc.session.frame_clock import FrameClock, InputClock, TakeRate
from fastrtc.session.idle import Idle
from fastrtc.session.transport import InboundPicture, Stats, VideoWay
from fastrtc.session.video_work import Stamp, Taken, VideoWork
from fastrtc.session.workers import Lane
from fastrtc.types import StreamMode

if TYPE_CHECKING:
    from fastrtc.session.runner import Runner
    from fastrtc.session.session import Session

__all__ = ["ENCODED_BOUND", "WAITING_BOUND", "Video", "video_of"]

ENCODED_BOUND: Final = 90
"""Encoded pictures that wait for a handler that does not return; beyond it all are dropped, and
the client is asked to begin anew."""
WAITING_BOUND: Final = 3
"""Decoded pictures that wait for a busy handler."""
CATCH_UP_S: Final = 1.0
"""How late ``video_emit`` may be and still be asked for what it owes, so that pictures that wait
in a queue of its own do not stay late for ever."""
IDLE_EMIT_S: Final = 0.02

AudioVideoHandler: TypeAlias = AudioVideoStreamHandler | AsyncAudioVideoStreamHandler
VideoHandler: TypeAlias = VideoStreamHandler | VideoSource | AudioVideoHandler
FUNCTION: Final = "the handler function"
_END: Final = object()


def video_of(
    session: Session, runner: Runner, handler: StreamHandlerBase, mode: StreamMode
) -> Video | None:
    """The video of a session; None when its handler has none."""
    if isinstance(
        handler,
        (VideoStreamHandler, VideoSource, AudioVideoStreamHandler, AsyncAudioVideoStreamHandler),
    ):
        return Video(session, runner, handler, mode)
    return None


class Video:
    """The video of one session.

    Args:
        session: for its loop and what leads out of it.
        runner: for its tasks and threads.
        handler: whose methods are called.
        mode: which directions there are, named from the client.
    """

    def __init__(
        self, session: Session, runner: Runner, handler: VideoHandler, mode: StreamMode
    ) -> None:
        self._session = session
        self._runner = runner
        self._handler = handler
        self._loop = session.loop
        self.takes = mode != "receive" and not isinstance(handler, VideoSource)
        self.shows = mode != "send"
        self.fps = handler.fps
        newest_only = isinstance(handler, VideoStreamHandler) and handler.skip_frames
        self._work = VideoWork(
            handler.pixel_format,
            shows=self.shows,
            keep=1 if newest_only else WAITING_BOUND,
            clock=self._loop.time,
            rate=None if isinstance(handler, VideoStreamHandler) else TakeRate(self.fps),
        )
        self._encoded: deque[InboundPicture] = deque()
        self._gap = False
        self._input_clock = InputClock()
        self._arrival = Idle(self._loop)
        self._emit_idle = Idle(self._loop)

    # What the transport calls, on the loop.

    def open(self, way: VideoWay) -> None:
        """How pictures are decoded and sent; called before the session begins."""
        self._work.way = way

    def on_picture(self, arrival: InboundPicture) -> None:
        """A picture came in, in whatever form the transport decodes."""
        if not self.takes or not self._runner.inbound.is_open:
            return
        work = self._work
        work.received += 1
        if len(self._encoded) >= ENCODED_BOUND:
            work.dropped += len(self._encoded)
            self._encoded.clear()
            self._gap = True
        if self._gap:
            self._gap = False
            arrival = arrival._replace(contiguous=False)
        self._encoded.append(arrival)
        self._arrival.wake()

    def stats(self) -> Stats:
        """Counters and gauges, by name."""
        return self._work.stats()

    # What the runner calls.

    def start(self) -> None:
        """The session is live: each direction begins, but that of a source, which is played."""
        handler = self._handler
        if isinstance(handler, VideoStreamHandler):
            self._runner.spawn(self._call_per_picture(handler))
        elif not isinstance(handler, VideoSource):
            if self.takes:
                self._runner.spawn(self._receive(handler))
            if self.shows:
                self._runner.spawn(self._emit(handler))

    async def play(self, items: Any, lane: Lane) -> None:
        """Shows what a source generates, ``fps`` each second, until it ends."""
        clock = FrameClock(self.fps)
        await self._show_each(items, lane, clock, clock.stamp, None)

    def wake(self) -> None:
        """Something happened that an idle ``video_emit`` may have been waiting for."""
        self._emit_idle.wake()

    # The directions.

    async def _call_per_picture(self, handler: VideoStreamHandler) -> None:
        runner, work = self._runner, self._work
        await runner.begun()
        lane = runner.lane()
        asked = False
        while True:
            await self._arrived()
            if handler.missing_inputs():
                await lane.call(work.drop_waiting, self._take_all())
                if not asked:
                    asked = True
                    await handler.fetch_args()
                continue
            try:
                if handler.is_async:
                    taken, array = await lane.call(work.take, self._take_all())
                    result = None if taken is None else handler.call(array)
                else:
                    taken, result = await lane.call(
                        work.call_and_send, self._take_all(), handler.call, self._stamp_of
                    )
                if taken is not None:
                    await self._settle(result, taken, lane)
                    runner.failures.succeeded(FUNCTION)
            except Exception as error:  # noqa: BLE001
                runner.failures.failed(FUNCTION, error)

    async def _settle(self, result: Any, taken: Taken, lane: Lane) -> None:
        """Sees to what a function returned and is not sent yet, or not sent at all."""
        if inspect.isawaitable(result):
            result = await result
        if result is None:
            return
        if is_iterator(result):
            clock = FrameClock(self.fps)
            await self._show_each(result, lane, clock, self._stamp_of(taken, clock), taken)
        else:
            if not isinstance(result, Outputs):
                result = await lane.call(self._work.send, result, self._stamp_of(taken), taken)
            self._deliver(result)

    def _stamp_of(self, taken: Taken, pace: FrameClock | None = None) -> Stamp:
        """Gives what is made of a picture its time; ``pace`` learns when it was sent."""
        clock = self._input_clock
        times = 0

        def stamp(now_s: float) -> int:
            nonlocal times
            times += 1
            if pace is not None:
                pace.stamp(now_s)
            return clock.stamp(taken.rtp_time, now_s) if times == 1 else clock.stamp_more(now_s)

        return stamp

    async def _show_each(
        self, items: Any, lane: Lane, clock: FrameClock, stamp: Stamp, taken: Taken | None
    ) -> None:
        """Sends each item of a generator when it is due.

        Args:
            items: sync or async iterator.
            lane: where it runs and is encoded.
            clock: when its items are due.
            stamp: gives them their time, and the clock its.
            taken: the picture they are made of, if any; its age is that of the first.
        """
        runner, work = self._runner, self._work
        is_async = hasattr(items, "__anext__")
        try:
            while True:
                await runner.heard()
                await asyncio.sleep(clock.wait_s(self._loop.time()))
                try:
                    if is_async:
                        item = await anext(items, _END)
                        if item is _END:
                            return
                        outputs = await lane.call(work.send, item, stamp, taken, self._take_all())
                    else:
                        outputs = await lane.call(
                            work.send_next, items, stamp, taken, self._take_all()
                        )
                        if outputs is None:
                            return
                except OutputError as error:
                    runner.failures.failed(FUNCTION, error)
                    continue
                runner.failures.succeeded(FUNCTION)
                taken = None  # What comes later is not old because of that.
                await self._deliver_and_rest(outputs, clock.period_s)
        except asyncio.CancelledError:
            if not is_async:
                runner.abandoned_calls += lane.finish(closer_of(items))
            raise
        finally:
            if hasattr(items, "aclose"):
                await items.aclose()

    async def _receive(self, handler: AudioVideoHandler) -> None:
        runner = self._runner
        await runner.begun()
        receive: Any = handler.video_receive
        on_loop = inspect.iscoroutinefunction(receive)
        lane = runner.lane()
        while True:
            await self._arrived()
            try:
                taken, result = await lane.call(
                    self._work.take, self._take_all(), None if on_loop else receive
                )
                if taken is None:
                    continue
                if on_loop:
                    result = receive(result)
                if inspect.isawaitable(result):
                    await result
                runner.failures.succeeded("video_receive")
            except Exception as error:  # noqa: BLE001
                runner.failures.failed("video_receive", error)
            runner.wake()

    async def _emit(self, handler: AudioVideoHandler) -> None:
        runner, work = self._runner, self._work
        await runner.begun()
        emit: Any = handler.video_emit
        on_loop = inspect.iscoroutinefunction(emit)
        lane = runner.lane()
        clock = FrameClock(self.fps, CATCH_UP_S)
        while True:
            await runner.heard()
            await asyncio.sleep(clock.wait_s(self._loop.time()))
            outputs = Outputs(None, None, None)
            try:
                if on_loop:
                    value = await emit()
                else:
                    value = await lane.call(work.ask_and_send, emit, clock.stamp)
                    if inspect.isawaitable(value):
                        value = await value
                if value is not None:
                    if not isinstance(value, Outputs):
                        value = await lane.call(work.send, value, clock.stamp)
                    outputs = value
                runner.failures.succeeded("video_emit")
            except Exception as error:  # noqa: BLE001
                runner.failures.failed("video_emit", error)
            await self._deliver_and_rest(outputs, IDLE_EMIT_S)

    # Between them.

    async def _deliver_and_rest(self, outputs: Outputs, rest_s: float) -> None:
        """Passes on what came beside a picture; after nothing at all, waits for better."""
        self._deliver(outputs)
        if outputs.media is None and outputs.additional is None:
            await self._emit_idle.rest(rest_s)

    def _deliver(self, outputs: Outputs) -> None:
        if outputs.additional is not None:
            self._session.deliver_outputs(outputs.additional)
        if outputs.close is not None:
            self._session.finish(outputs.close.msg)

    async def _arrived(self) -> None:
        while not self._encoded and not self._work.waiting:
            await self._arrival.rest()

    def _take_all(self) -> list[InboundPicture]:
        arrivals = list(self._encoded)
        self._encoded.clear()
        return arrivals
