"""The handler classes: one object per client, with what it may ask of its session.

No task, no thread and no transport is made here; the session runs what is defined here.
"""

from __future__ import annotations

import asyncio
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine
from typing import Any, Final, Generic, Protocol, Self, TypeVar, cast

from fastrtc.errors import HandlerError, InputsTimeout
from fastrtc.handlers.outputs import AdditionalOutputs, AudioEmitType
from fastrtc.types import AudioInput, DataChannel, Layout, WebRTCData
from fastrtc.wire.messages import create_message

__all__ = ["AsyncStreamHandler", "HandlerSession", "StreamHandler", "StreamHandlerBase"]

INPUTS_TIMEOUT_S: Final = 60.0
WEBRTC_VALUE: Final = "__webrtc_value__"
"""What stands at index 0 of ``latest_args`` where the Gradio component has no value of its own."""
RATE_STEP_HZ: Final = 50

T = TypeVar("T")


class CallLane(Protocol):
    """Runs sync user code beside the loop, one call at a time."""

    def call(self, fn: Callable[..., Any], *args: Any) -> asyncio.Future[Any]: ...


class CountedPassage(Protocol):
    """A stretch of what a session plays."""

    @property
    def played_s(self) -> float: ...


class HandlerSession(Protocol):
    """What a handler may ask of the session it serves: up to ``run_from_thread`` from any thread,
    the rest on its event loop."""

    @property
    def id(self) -> str: ...
    @property
    def loop(self) -> asyncio.AbstractEventLoop: ...
    @property
    def state(self) -> str: ...
    @property
    def is_phone(self) -> bool: ...
    @property
    def played_s(self) -> float: ...
    def send_message(self, text: str) -> None: ...
    def deliver_outputs(self, outputs: AdditionalOutputs) -> None: ...
    def clear(self) -> float: ...
    def wake(self) -> None: ...
    def run_from_thread(self, coroutine: Coroutine[Any, Any, T]) -> T: ...
    @property
    def queued_s(self) -> float: ...
    def begin_passage(self, recallable: bool) -> CountedPassage: ...
    def hold(self) -> None: ...
    def resume(self) -> None: ...
    def bundle_audio(self, span_s: float) -> None: ...
    def lane(self) -> CallLane: ...
    def abandon(self, lane: Any, fn: Callable[[], Any]) -> None: ...
    def spawn(self, coroutine: Coroutine[Any, Any, T]) -> asyncio.Task[T]: ...
    def failed(self, where: str, error: BaseException) -> None: ...
    def fail(self, reason: str) -> None: ...


class _Channel:
    """The ``channel`` attribute: text to the client, from any thread."""

    def __init__(self, session: HandlerSession) -> None:
        self._session = session

    def send(self, message: str) -> None:
        self._session.send_message(message)


class Shadowable(Generic[T]):
    """A property in whose place a subclass may put an attribute, as any name was free to
    subclasses written for FastRTC 0.0.34 that this library has since given a meaning.

    What is not for subclasses is called ``_fastrtc_...`` for the same reason.
    """

    def __init__(self, get: Callable[[Any], T]) -> None:
        self._get = get
        self.__doc__ = get.__doc__

    def __get__(self, handler: Any, kind: type[Any]) -> T:
        return self if handler is None else self._get(handler)  # type: ignore[return-value]


class StreamHandlerBase(ABC):
    """What all handlers share. Subclass :class:`StreamHandler` or :class:`AsyncStreamHandler`.

    Args:
        expected_layout: channels of the audio that ``receive`` gets.
        output_sample_rate: the rate announced for ``emit``; a chunk may have another.
        output_frame_size: has no effect; warns if it is not a 50th of the output rate.
        input_sample_rate: the rate of the audio that ``receive`` gets, in Hz.
        fps: video frames per second, for handlers with video.

    Attributes:
        latest_args: the client's inputs from index 1 on.
        args_set: set once inputs have arrived; ``reset`` clears it.
        channel_set: set once text can reach the client.

    Raises:
        ValueError: a rate is not a positive multiple of 50, or the layout is unknown.
    """

    _fastrtc_init_call: tuple[tuple[Any, ...], dict[str, Any]]

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        self = super().__new__(cls)
        self._fastrtc_init_call = (args, kwargs)
        return self

    def __init__(
        self,
        expected_layout: Layout = "mono",
        output_sample_rate: int = 24000,
        output_frame_size: int | None = None,
        input_sample_rate: int = 48000,
        fps: int = 30,
    ) -> None:
        if expected_layout not in ("mono", "stereo"):
            raise ValueError(f"expected_layout is {expected_layout!r}; allowed: 'mono', 'stereo'")
        for name, rate_hz in (
            ("output_sample_rate", output_sample_rate),
            ("input_sample_rate", input_sample_rate),
        ):
            if rate_hz <= 0 or rate_hz % RATE_STEP_HZ:
                raise ValueError(
                    f"{name} is {rate_hz}; it must be a positive multiple of {RATE_STEP_HZ} Hz"
                )
        frame_size = output_sample_rate // RATE_STEP_HZ
        if output_frame_size is not None and output_frame_size != frame_size:
            warnings.warn(
                f"output_frame_size={output_frame_size} has no effect: chunks may have any "
                f"length and are sent in frames of 20 ms ({frame_size} samples at "
                f"{output_sample_rate} Hz)",
                UserWarning,
                stacklevel=2,
            )
        self.expected_layout: Layout = expected_layout
        self.output_sample_rate = output_sample_rate
        self.output_frame_size = frame_size
        self.input_sample_rate = input_sample_rate
        self.fps = fps
        self.latest_args: list[Any] = [WEBRTC_VALUE]
        self.args_set = asyncio.Event()
        self.channel_set = asyncio.Event()
        self._fastrtc_session: HandlerSession | None = None
        self._channel: DataChannel | None = None
        self._phone_mode = False
        # Whoever drives a handler without a session sets these two, as FastRTC 0.0.34's users do.
        self._clear_queue: Callable[[], Any] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    # What the session does with a handler.

    def attach(self, session: HandlerSession) -> None:
        """Gives the handler its session; called once, before any other method."""
        self._fastrtc_session = session
        self._phone_mode = session.is_phone
        self._clear_queue = session.clear
        self._loop = session.loop

    def detach(self) -> None:  # noqa: B027
        """The session has ended: called once, on its loop, before :meth:`shutdown`."""

    def receive_entry(self) -> Callable[[AudioInput], Any]:
        """What the session hands audio to: a coroutine function runs on the loop, any other
        beside it."""
        receive: Callable[[AudioInput], Any] = self.receive  # type: ignore[attr-defined]
        return receive

    def emit_entry(self) -> Callable[[], Any]:
        """What the session asks for audio; as :meth:`receive_entry`."""
        emit: Callable[[], Any] = self.emit  # type: ignore[attr-defined]
        return emit

    def set_channel(self, channel: DataChannel) -> None:
        """Tells the handler that text can reach the client from now on."""
        self._channel = channel
        self.channel_set.set()

    def open_channel(self) -> None:
        """The session's client can be sent text now."""
        if self._fastrtc_session is not None and self._channel is None:
            self.set_channel(_Channel(self._fastrtc_session))

    # What user code asks.

    @property
    def _fastrtc_live(self) -> HandlerSession:
        if self._fastrtc_session is None:
            raise HandlerError(
                f"{type(self).__name__} serves no client yet; use this from start_up() on"
            )
        return self._fastrtc_session

    @Shadowable
    def session(self) -> HandlerSession:
        """The session this handler serves; free for an attribute of a subclass's own.

        Raises:
            HandlerError: it serves none yet: in ``__init__``, say.
        """
        return self._fastrtc_live

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The event loop that the session lives on."""
        return self._fastrtc_live.loop if self._loop is None else self._loop

    @property
    def channel(self) -> DataChannel | None:
        """Where text for the client goes, once there is a way."""
        return self._channel

    @property
    def phone_mode(self) -> bool:
        """Whether the client is a telephone."""
        return self._phone_mode

    @phone_mode.setter
    def phone_mode(self, value: bool) -> None:
        self._phone_mode = value

    @Shadowable
    def played_s(self) -> float:
        """Seconds of the current reply that were really sent to the client."""
        return self._fastrtc_live.played_s

    @property
    def clear_queue(self) -> Callable[[], Any]:
        """Call it to drop the audio that waits to be sent; returns the seconds already sent."""
        return self._fastrtc_live.clear if self._clear_queue is None else self._clear_queue

    def copy(self) -> StreamHandlerBase:
        """A handler for one more client: the same class, made with the same arguments.

        Override it where construction alone does not give a client what it needs.
        """
        args, kwargs = self._fastrtc_init_call
        return type(self)(*args, **kwargs)

    def shutdown(self) -> Any:  # noqa: B027
        """Called exactly once, when the session has ended. May be ``async``."""

    def on_message(self, text: str) -> Any:  # noqa: B027
        """Called with each text that the client sends. May be ``async``."""

    def on_dtmf(self, digit: str) -> Any:  # noqa: B027
        """Called with each key pressed on a telephone: "0" to "9", "*", "#". May be ``async``."""

    def reset(self) -> None:
        """Forgets that inputs have arrived, so that the next wait asks for new ones."""
        self.args_set.clear()

    def set_args(self, args: list[Any]) -> None:
        """Takes the client's inputs; the next call of the handler sees them.

        A :class:`WebRTCData` in front becomes index 0 of ``latest_args``.

        Raises:
            TypeError: ``args`` is not a list.
        """
        if not isinstance(args, list):
            raise TypeError(f"set_args() takes a list, received a {type(args).__name__}")
        has_value = bool(args) and isinstance(args[0], WebRTCData)
        self.latest_args = list(args) if has_value else [WEBRTC_VALUE, *args]
        self.args_set.set()
        if self._fastrtc_session is not None:
            self._fastrtc_session.wake()

    async def fetch_args(self) -> None:
        """Asks the client to send its inputs."""
        self.__tell(create_message("send_input", []))

    async def wait_for_args(self, timeout_s: float | None = INPUTS_TIMEOUT_S) -> None:
        """Asks the client for its inputs and waits for them; on a telephone returns at once.

        Args:
            timeout_s: how long to wait; None waits as long as the session lives.

        Raises:
            InputsTimeout: they did not come in time.
        """
        if self.phone_mode:
            self.args_set.set()
            return
        await self.fetch_args()
        try:
            async with asyncio.timeout(timeout_s):
                await self.args_set.wait()
        except TimeoutError:
            raise InputsTimeout(
                f"the client sent no inputs within {timeout_s:g} s; it has to answer "
                '{"type": "send_input"} by posting them to your input hook (set_input)'
            ) from None

    def wait_for_args_sync(self, timeout_s: float | None = INPUTS_TIMEOUT_S) -> None:
        """:meth:`wait_for_args` for sync handlers.

        Raises:
            InputsTimeout: they did not come in time.
            SessionClosed: the session ended meanwhile.
        """
        if self._fastrtc_session is None:
            loop = self.loop
            asyncio.run_coroutine_threadsafe(self.wait_for_args(timeout_s), loop).result()
        else:
            self._fastrtc_session.run_from_thread(self.wait_for_args(timeout_s))

    async def send_message(self, msg: str) -> None:
        """Sends text to the client, if there is one; see :func:`fastrtc.create_message`."""
        self.__tell(msg)

    def send_message_sync(self, msg: str) -> None:
        """:meth:`send_message` for sync handlers; returns without waiting for the network."""
        self.__tell(msg)

    def __tell(self, msg: str) -> None:
        """To the session's client; without a session to the channel that was set, or to nobody."""
        if self._fastrtc_session is not None:
            self._fastrtc_session.send_message(msg)
        elif self._channel is not None:
            self._channel.send(msg)


class StreamHandler(StreamHandlerBase):
    """A handler of blocking methods; each runs in a worker thread, never on the event loop.

    ``receive`` and ``emit`` run beside each other; neither overlaps itself. ``emit`` may block.

    Example::

        class Echo(StreamHandler):
            def __init__(self): super().__init__(); self.queue = queue.Queue()
            def receive(self, frame): self.queue.put(frame)
            def emit(self): return self.queue.get()
    """

    @abstractmethod
    def receive(self, frame: AudioInput) -> None:
        """Takes what the client said: ``(rate, int16 of shape (1, n))``, about 20 ms."""

    @abstractmethod
    def emit(self) -> AudioEmitType:
        """Returns what the client shall hear, or None for nothing at the moment."""

    def start_up(self) -> None:
        """Called when the client is connected, before the first ``receive``."""

    def copy(self) -> StreamHandler:
        return cast(StreamHandler, super().copy())


class AsyncStreamHandler(StreamHandlerBase):
    """A handler of coroutines, which run on the event loop and therefore must not block it.

    ``shutdown``, ``on_message`` and ``on_dtmf`` run there too, async or not.

    Example::

        class Echo(AsyncStreamHandler):
            def __init__(self): super().__init__(); self.queue = asyncio.Queue()
            async def receive(self, frame): self.queue.put_nowait(frame)
            async def emit(self): return await wait_for_item(self.queue)
    """

    @abstractmethod
    async def receive(self, frame: AudioInput) -> None:
        """Takes what the client said: ``(rate, int16 of shape (1, n))``, about 20 ms."""

    @abstractmethod
    async def emit(self) -> AudioEmitType:
        """Returns what the client shall hear, or None for nothing at the moment."""

    async def start_up(self) -> None:
        """Called when the client is connected; may run for the whole session."""

    def copy(self) -> AsyncStreamHandler:
        return cast(AsyncStreamHandler, super().copy())
