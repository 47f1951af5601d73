"""The attributes and methods that API.md gives to every handler."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from fastrtc import AsyncStreamHandler, Stream
from fastrtc.errors import HandlerError, InputsTimeout, SessionClosed
from fastrtc.handlers.base import StreamHandlerBase
from fastrtc.testing import MemoryClient, run
from recorders import AsyncEcho, SyncEcho


class Greeter(AsyncEcho):
    def __init__(self, name: str, *, loud: bool = False) -> None:
        super().__init__()
        self.name = name
        self.loud = loud


class Counted(AsyncEcho):
    copies = 0

    def copy(self) -> Counted:
        Counted.copies += 1
        return Counted()


def test_the_defaults_are_the_originals() -> None:
    handler = AsyncEcho()
    assert handler.expected_layout == "mono"
    assert handler.output_sample_rate == 24000
    assert handler.input_sample_rate == 48000
    assert handler.output_frame_size == 480
    assert handler.fps == 30
    assert handler.latest_args == ["__webrtc_value__"]
    assert not handler.args_set.is_set()
    assert not handler.channel_set.is_set()
    assert handler.channel is None
    assert handler.phone_mode is False


class Configured(SyncEcho):
    def __init__(self, **options: Any) -> None:
        super(SyncEcho, self).__init__(**options)


def test_a_different_frame_size_warns() -> None:
    with pytest.warns(UserWarning, match="output_frame_size=960 has no effect"):
        Configured(output_frame_size=960)
    Configured(output_frame_size=480)


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"input_sample_rate": 44101}, "input_sample_rate is 44101"),
        ({"output_sample_rate": 0}, "positive multiple of 50"),
        ({"expected_layout": "quad"}, "'quad'"),
    ],
)
def test_rates_and_layouts_are_checked(options: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        Configured(**options)


def test_a_copy_is_the_same_class_with_the_same_arguments_and_nothing_shared() -> None:
    """Pitfall 43: nothing that is bound to a loop is shared between copies."""
    first = Greeter("Ada", loud=True)
    second = first.copy()
    assert type(second) is Greeter
    assert (second.name, second.loud) == ("Ada", True)
    assert second.args_set is not first.args_set
    assert second.channel_set is not first.channel_set
    assert second.queue is not first.queue
    assert second.copy().name == "Ada"


def test_each_client_gets_its_own_copy_by_the_users_method() -> None:
    async def check() -> None:
        stream = Stream(Counted(), modality="audio", concurrency_limit=2)
        async with MemoryClient(stream, "one") as one, MemoryClient(stream, "two") as two:
            assert one.handler is not two.handler
            assert one.handler is not stream.event_handler
            assert stream.handlers["one"] is one.handler
        assert Counted.copies == 2

    run(check())


def test_before_a_session_the_handler_says_so() -> None:
    with pytest.raises(HandlerError, match="serves no client yet"):
        _ = AsyncEcho().loop


class Connected(AsyncEcho):
    """Has attributes of its own, as any subclass may that was written before there was ours."""

    def __init__(self) -> None:
        super().__init__()
        self.session: Any = None
        self._session = self.played_s = self._calls = self._turns = None

    async def start_up(self) -> None:
        self.session = "a connection to a service"


def test_new_names_leave_room_for_attributes_of_ones_own() -> None:
    async def check() -> None:
        async with MemoryClient(Stream(Connected(), modality="audio")) as client:
            await client.send_silence(0.2)
            await client.listen(0.2)
            assert client.handler.session == "a connection to a service"
            client.handler.clear_queue()
            await client.handler.send_message('{"type": "log", "data": "still here"}')
            assert client.handler.loop is client.session.loop
            assert len(client.heard())
        assert "serves" in (StreamHandlerBase.session.__doc__ or "")

    run(check())


class Line:
    """A channel of the user's own."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.used = asyncio.Event()

    def send(self, message: str) -> None:
        self.texts.append(message)
        self.used.set()


async def test_a_handler_can_be_driven_without_a_session() -> None:
    """By a robot's loudspeaker, a server of the user's own, or a unit test."""
    handler, line, cleared = SyncEcho(), Line(), []
    await handler.send_message("to nobody")
    handler.send_message_sync("to nobody")
    assert handler._clear_queue is None
    with pytest.raises(HandlerError, match="serves no client yet"):
        _ = handler.clear_queue
    handler._clear_queue = lambda: cleared.append(True)
    handler._loop = asyncio.get_running_loop()
    handler.set_channel(line)
    handler.clear_queue()
    waiting = asyncio.create_task(asyncio.to_thread(handler.wait_for_args_sync, 5))
    await line.used.wait()
    handler.set_args(["loud"])
    await waiting
    handler.send_message_sync("well then")
    assert (cleared, handler.loop, handler.latest_args[1]) == ([True], handler._loop, "loud")
    assert line.texts == ['{"type": "send_input", "data": []}', "well then"]


def test_the_session_sets_what_a_driver_would() -> None:
    async def check() -> None:
        async with MemoryClient(Stream(AsyncEcho(), modality="audio")) as client:
            handler = client.handler
            assert handler._clear_queue == handler.clear_queue == client.session.clear
            assert handler._loop is handler.loop is client.session.loop

    run(check())


def test_set_args_takes_a_list_and_reset_forgets() -> None:
    handler = AsyncEcho()
    handler.set_args([1, "b"])
    assert handler.latest_args == ["__webrtc_value__", 1, "b"]
    assert handler.args_set.is_set()
    handler.reset()
    assert not handler.args_set.is_set()
    with pytest.raises(TypeError, match="takes a list"):
        handler.set_args("ab")  # type: ignore[arg-type]


class AsksForInputs(AsyncEcho):
    async def start_up(self) -> None:
        await self.wait_for_args()
        self.events.append(f"inputs {self.latest_args[1:]}")


class AsksSync(SyncEcho):
    timeout_s: float | None = None

    def emit(self) -> Any:
        if not self.events or self.events[-1] == "start_up":
            try:
                self.wait_for_args_sync(timeout_s=self.timeout_s)
                self.events.append(f"inputs {self.latest_args[1:]}")
            except (InputsTimeout, SessionClosed) as error:
                self.events.append(type(error).__name__)
        return super().emit()


@pytest.mark.parametrize("handler", [AsksForInputs(), AsksSync()])
def test_inputs_are_asked_for_and_awaited(handler: Any) -> None:
    async def check() -> None:
        stream = Stream(handler, modality="audio")
        async with MemoryClient(stream, "me") as client:
            assert await client.wait_for_message("send_input")
            stream.set_input("me", 0.7, "x")
            await client.listen(0.1)
            assert "inputs [0.7, 'x']" in client.handler.events  # type: ignore[attr-defined]

    run(check())


def test_a_silent_client_does_not_pin_a_thread() -> None:
    """Pitfall 25: waiting for inputs has a time-out."""

    class Impatient(AsksSync):
        timeout_s = 5.0

    async def check() -> None:
        async with MemoryClient(Stream(Impatient(), modality="audio")) as client:
            await client.listen(6)
            assert "InputsTimeout" in client.handler.events  # type: ignore[attr-defined]

    run(check())


def test_the_end_of_the_session_ends_a_wait_in_a_thread() -> None:
    """Pitfall 25, second half: not even without a time-out does the wait outlive the session."""

    async def check() -> list[str]:
        async with MemoryClient(Stream(AsksSync(), modality="audio")) as client:
            await client.listen(1)
            events: list[str] = client.handler.events  # type: ignore[attr-defined]
        return events

    events = run(check())
    # The thread was told; when it runs is for the machine to say.
    until_s = time.monotonic() + 20
    while "SessionClosed" not in events and time.monotonic() < until_s:
        time.sleep(0.01)
    assert "SessionClosed" in events


def test_on_a_phone_inputs_are_not_waited_for() -> None:
    async def check() -> None:
        async with MemoryClient(Stream(AsyncEcho(), modality="audio")) as client:
            client.handler.phone_mode = True
            await client.handler.wait_for_args()
            assert client.messages == []

    run(check())


def test_a_sync_method_on_the_loop_is_an_error_instead_of_a_deadlock() -> None:
    async def check() -> None:
        async with MemoryClient(Stream(AsyncEcho(), modality="audio")) as client:
            with pytest.raises(RuntimeError, match="await the async one"):
                client.handler.wait_for_args_sync()

    run(check())


class Talks(AsyncStreamHandler):
    async def start_up(self) -> None:
        assert self.channel is not None
        assert self.channel_set.is_set()
        assert self.loop is asyncio.get_running_loop()
        await self.send_message('{"type": "log", "data": "1"}')
        self.send_message_sync('{"type": "log", "data": "2"}')
        self.channel.send('{"type": "log", "data": "3"}')

    async def receive(self, frame: Any) -> None: ...
    async def emit(self) -> None: ...


def test_messages_reach_the_client_in_order() -> None:
    async def check() -> None:
        async with MemoryClient(Stream(Talks(), modality="audio")) as client:
            await client.listen(0.1)
            assert [message["data"] for message in client.messages] == ["1", "2", "3"]

    run(check())
