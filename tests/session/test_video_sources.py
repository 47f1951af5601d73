"""Pictures that nobody sent: how generators are paced, and how they end. In virtual time."""

from __future__ import annotations

import logging
import threading
from typing import Any

import numpy as np
import pytest

from fastrtc import Stream, VideoStreamHandler
from fastrtc.testing import MemoryClient, run
from pictures import number_of, numbered, numbers


def stream(handler: Any, **options: Any) -> Stream:
    return Stream(handler, **{"modality": "video", **options})


def sync_source(first: int = 0) -> Any:
    for number in range(first, first + 40):
        yield numbered(number)


async def async_source(first: int = 0) -> Any:
    for number in range(first, first + 40):
        yield numbered(number)


@pytest.mark.parametrize("source", [sync_source, async_source])
def test_a_source_is_paced_without_drift(source: Any) -> None:
    async def check() -> None:
        handler = VideoStreamHandler(source, fps=25)
        async with MemoryClient(stream(handler, mode="receive")) as client:
            await client.wait_closed()
            assert numbers(client.seen()) == list(range(40))
            at_s = [shown.at_s for shown in client.shown]
            assert at_s == pytest.approx([at_s[0] + n / 25 for n in range(40)])
            times = [shown.rtp_time for shown in client.shown]
            assert times == [times[0] + 3600 * n for n in range(40)]
            assert client.messages[-1] == {"type": "end_stream", "data": "Stream ended"}

    run(check())


def test_a_source_waits_for_inputs_that_were_declared() -> None:
    async def check() -> None:
        served = stream(sync_source, mode="receive", additional_inputs=["a component"])
        async with MemoryClient(served) as client:
            await client.wait_for_message("send_input")
            await client.listen(1)
            assert not client.shown
            served.set_input("memory-client", 100)
            await client.wait_closed()
            assert numbers(client.seen())[0] == 100

    run(check())


def test_a_source_that_raises_ends_the_stream(caplog: pytest.LogCaptureFixture) -> None:
    def failing() -> Any:
        yield numbered(0)
        yield np.zeros(3)
        yield numbered(2)
        raise RuntimeError("no more film")

    async def check() -> None:
        async with MemoryClient(stream(failing, mode="receive")) as client:
            await client.wait_closed()
            assert numbers(client.seen()) == [0, 2]
            kinds = [m["type"] for m in client.messages]
            assert kinds == ["error", "error", "end_stream"]
            last = client.messages[2]["data"]
            assert last == client.messages[1]["message"]
            assert last.startswith("the handler function failed (error ")

    with caplog.at_level(logging.ERROR, "fastrtc"):
        run(check())
    assert "no more film" in caplog.text


def test_an_endless_source_ends_with_its_session() -> None:
    ended = threading.Event()

    def endless() -> Any:
        try:
            while True:
                yield numbered(1)
        finally:
            ended.set()

    async def check() -> None:
        async with MemoryClient(stream(endless, mode="receive")) as client:
            await client.listen(1)
        assert 29 <= len(client.shown) <= 32
        await client.listen(0.1)
        assert ended.is_set()

    run(check())


def test_a_lost_client_is_not_shown_anything() -> None:
    async def check() -> None:
        async with MemoryClient(stream(lambda: sync_source(), mode="receive")) as client:
            await client.listen(0.5)
            await client.disconnect()
            await client.listen(0.1)
            before = len(client.shown)
            await client.listen(3)
            assert len(client.shown) == before
            await client.reconnect()
            await client.wait_closed()
            assert numbers(client.seen()) == list(range(40))

    run(check())


def test_a_source_may_change_its_size() -> None:
    sizes = [(48, 64), (64, 48), (47, 63), (1, 1), (480, 640)]

    def changing() -> Any:
        for number, size in enumerate(sizes):
            yield numbered(number, *size)

    async def check() -> None:
        async with MemoryClient(stream(changing, mode="receive")) as client:
            await client.wait_closed()
            assert [picture.shape[:2] for picture in client.seen()] == sizes

    run(check())


def test_a_generator_for_one_picture_that_raises_leaves_the_next_its_turn(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def burst(frame: Any) -> Any:
        number = number_of(frame)
        yield frame
        if number == 0:
            raise RuntimeError("torn film")
        yield numbered(number + 1)

    async def check() -> None:
        async with MemoryClient(stream(VideoStreamHandler(burst, fps=30))) as client:
            await client.send_video([numbered(0)])
            await client.listen(0.3)
            await client.send_video([numbered(50)])
            await client.listen(0.3)
            assert numbers(client.seen()) == [0, 50, 51]
            assert [m["type"] for m in client.messages] == ["error"]

    with caplog.at_level(logging.ERROR, "fastrtc"):
        run(check())
    assert len(caplog.records) == 1
    assert "torn film" in caplog.text


def test_the_largest_picture_is_shown() -> None:
    """8K: 7680x4320."""

    def once() -> Any:
        yield np.full((4_320, 7_680, 3), 90, np.uint8)

    async def check() -> None:
        async with MemoryClient(stream(once, mode="receive")) as client:
            await client.wait_closed()
            [picture] = client.seen()
            assert picture.shape == (4_320, 7_680, 3)
            assert abs(int(picture[4_000, 7_000, 1]) - 90) <= 2

    run(check())
