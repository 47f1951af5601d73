"""Which user code is run, with which inputs, and where its outputs go. In virtual time."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fastrtc import (
    AdditionalOutputs,
    CloseStream,
    Stream,
)
from fastrtc.testing import MemoryClient, run
from recorders import AsyncEcho, SyncEcho

TONE = (np.sin(np.arange(48000) / 20) * 9000).astype(np.int16)


def stream(handler: Any, **options: Any) -> Stream:
    return Stream(handler, modality="audio", **options)


def sync_function(frame: Any) -> Any:
    return frame


async def async_function(frame: Any) -> Any:
    return frame


def sync_generator(frame: Any) -> Any:
    rate, samples = frame
    yield rate, samples[:, :400]
    yield rate, samples[:, 400:]


async def async_generator(frame: Any) -> Any:
    rate, samples = frame
    yield rate, samples[:, :400]
    yield rate, samples[:, 400:]


class Methods:
    def method(self, frame: Any) -> Any:
        return frame

    async def __call__(self, frame: Any) -> Any:
        return frame


ECHOES = [
    AsyncEcho(),
    SyncEcho(),
    sync_function,
    async_function,
    sync_generator,
    async_generator,
    Methods().method,
    Methods(),
]


@pytest.mark.parametrize("handler", ECHOES)
def test_every_kind_of_handler_echoes(handler: Any) -> None:
    """Pitfall 23: bound methods are handlers too."""

    async def check() -> None:
        async with MemoryClient(stream(handler)) as client:
            await client.send_audio(TONE)
            await client.listen(2)
            assert np.array_equal(client.heard(), TONE)

    run(check())


def yields(*inputs: Any) -> Any:
    for start in range(0, len(TONE), 4800):
        yield 48000, TONE[start : start + 4800]


async def yields_async(*inputs: Any) -> Any:
    for item in yields():
        yield item


class Source:
    def method(self) -> Any:
        return yields()


@pytest.mark.parametrize("handler", [yields, yields_async, Source().method, lambda: yields()])
def test_a_generator_is_heard_in_receive_mode_until_it_ends(handler: Any) -> None:
    async def check() -> None:
        async with MemoryClient(stream(handler, mode="receive")) as client:
            await client.wait_closed()
            assert np.array_equal(client.heard(), TONE)
            assert client.messages[-1]["type"] == "end_stream"

    run(check())


def test_receive_mode_waits_for_declared_inputs() -> None:
    heard: list[Any] = []

    def source(name: str, times: int = 1) -> Any:
        heard.append((name, times))
        yield 48000, TONE

    async def check() -> None:
        the_stream = stream(source, mode="receive", additional_inputs=["box"])
        async with MemoryClient(the_stream, "me") as client:
            await client.wait_for_message("send_input")
            await client.listen(5)
            assert not client.played
            the_stream.set_input("me", "Ada", 2, "surplus")
            await client.wait_closed()
        assert heard == [("Ada", 2)]

    run(check())


def test_receive_mode_does_not_wait_for_inputs_for_ever(caplog: pytest.LogCaptureFixture) -> None:
    async def check() -> None:
        the_stream = stream(yields, mode="receive", additional_inputs=["box"])
        async with MemoryClient(the_stream) as client:
            await client.wait_closed(timeout_s=70)
            assert "waiting for inputs failed" in str(client.messages)

    run(check())
    assert "sent no inputs within 60 s" in caplog.text


def test_a_function_in_receive_mode_that_yields_nothing_is_an_error(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def check() -> None:
        async with MemoryClient(stream(lambda: 5, mode="receive")) as client:
            await client.wait_closed()
            assert client.messages[0]["message"].startswith("the handler function failed (")

    run(check())
    assert "use yield" in caplog.text


def test_in_send_mode_media_is_dropped_and_outputs_are_kept() -> None:
    async def function(frame: Any) -> Any:
        return frame, AdditionalOutputs("counted")

    async def check(handler: Any) -> None:
        the_stream = stream(handler, mode="send")
        async with MemoryClient(the_stream, "me") as client:
            await client.send_silence(0.1)
            assert (await the_stream.fetch_latest_output("me")).args == ("counted",)
            assert client.played == []

    class Handler(AsyncEcho):
        async def emit(self) -> Any:
            return await self.queue.get(), AdditionalOutputs("counted")

    run(check(function))
    run(check(Handler()))


def test_inputs_reach_functions_surplus_ones_dropped_and_missing_ones_defaulted() -> None:
    """Pitfalls 27a and 40, for audio: called from the first frame, inputs or not."""
    calls: list[tuple[Any, ...]] = []

    def function(frame: Any, volume: float = 0.5, name: str = "nobody") -> None:
        calls.append((volume, name))

    async def check() -> None:
        the_stream = stream(function)
        async with MemoryClient(the_stream, "me") as client:
            await client.send_silence(0.02)
            the_stream.set_input("me", 0.9)
            await client.send_silence(0.02)
            the_stream.set_input("me", 0.1, "Ada", "surplus", "more")
            await client.send_silence(0.02)
            await client.listen(0.1)

    run(check())
    assert calls == [(0.5, "nobody"), (0.9, "nobody"), (0.1, "Ada")]


def test_the_first_input_reaches_the_first_call_even_before_the_session() -> None:
    """Pitfall 27a."""
    calls: list[Any] = []

    async def check() -> None:
        the_stream = stream(lambda frame, name: calls.append(name))
        the_stream.set_input("me", "early")
        async with MemoryClient(the_stream, "me") as client:
            await client.send_silence(0.02)
            await client.listen(0.1)

    run(check())
    assert calls == ["early"]


def test_a_function_that_needs_inputs_has_the_client_asked_for_them() -> None:
    calls: list[Any] = []

    async def check() -> None:
        the_stream = stream(lambda frame, name: calls.append(name))
        async with MemoryClient(the_stream, "me") as client:
            await client.send_silence(5)
            assert client.messages == [{"type": "send_input", "data": []}]
            assert calls == []
            the_stream.set_input("me", "Ada")
            await client.send_silence(0.02)
            await client.listen(0.1)

    run(check())
    assert calls == ["Ada"]


def test_close_stream_from_a_function_stops_asking_it() -> None:
    calls = 0

    def function(frame: Any) -> Any:
        nonlocal calls
        calls += 1
        return frame, CloseStream("bye")

    async def check() -> None:
        async with MemoryClient(stream(function)) as client:
            await client.send_silence(0.5)
            await client.wait_closed()
            assert calls == 1
            assert client.messages[-1] == {"type": "end_stream", "data": "bye"}

    run(check())


def test_stereo_frames_are_interleaved_in_one_row() -> None:
    shapes: list[Any] = []

    class Stereo(AsyncEcho):
        def __init__(self) -> None:
            super(AsyncEcho, self).__init__(expected_layout="stereo", input_sample_rate=48000)
            self.events = []

        async def receive(self, frame: Any) -> None:
            shapes.append((frame[0], frame[1].shape))

        async def emit(self) -> None: ...

    async def check() -> None:
        async with MemoryClient(stream(Stereo())) as client:
            await client.send_silence(0.1)

    run(check())
    assert shapes == [(48000, (1, 1920))] * 5
