"""How pictures get through a handler: order, threads, age, failure, end. In virtual time."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from fastrtc import (
    AdditionalOutputs,
    CloseStream,
    Stream,
    VideoStreamHandler,
    get_current_context,
)
from fastrtc.session.frame_clock import CLOCK_RATE_HZ
from fastrtc.session.video import ENCODED_BOUND, WAITING_BOUND
from fastrtc.testing import MemoryClient, run
from pictures import camera, number_of, numbered, numbers


def stream(handler: Any, **options: Any) -> Stream:
    return Stream(handler, **{"modality": "video", **options})


def sync_function(frame: Any) -> Any:
    return frame


async def async_function(frame: Any) -> Any:
    return frame


def sync_generator(frame: Any) -> Any:
    yield frame


async def async_generator(frame: Any) -> Any:
    yield frame


class Methods:
    def method(self, frame: Any) -> Any:
        return frame

    async def __call__(self, frame: Any) -> Any:
        return frame


@pytest.mark.parametrize(
    "handler",
    [
        sync_function,
        async_function,
        sync_generator,
        async_generator,
        Methods().method,
        Methods(),
        VideoStreamHandler(sync_function),
        VideoStreamHandler(async_function, skip_frames=True),
    ],
)
def test_every_kind_of_function_gets_every_picture(handler: Any) -> None:
    """Pitfall 23: bound methods are handlers too. 27a: from the first picture, inputs or not."""

    async def check() -> None:
        async with MemoryClient(stream(handler)) as client:
            await client.send_video(camera(30))
            await client.listen(0.2)
            assert numbers(client.seen()) == list(range(30))
            steps = np.diff([shown.rtp_time for shown in client.shown])
            assert np.abs(steps - CLOCK_RATE_HZ / 30).max() <= 1

    run(check())


def test_the_picture_is_what_opencv_takes() -> None:
    seen: list[Any] = []

    def look(frame: Any) -> Any:
        seen.append(frame)
        frame[:, :, 2] = 255  # writable
        return np.flip(frame, axis=0)  # any strides

    async def check() -> None:
        async with MemoryClient(stream(look)) as client:
            picture = numbered(10, height=48, width=64)
            picture[:24] = (255, 0, 0)
            await client.send_video([picture])
            await client.listen(0.1)
            frame = seen[0]
            assert frame.dtype == np.uint8
            assert frame.shape == (48, 64, 3)
            assert frame.flags.c_contiguous
            blue, green, red = client.seen()[0][40, 32].astype(int)
            assert blue > 200, "the half that was above is below"
            assert red > 200
            assert green < 50

    run(check())


@pytest.mark.parametrize(
    ("pixel_format", "shape"),
    [("bgr24", (48, 64, 3)), ("rgb24", (48, 64, 3)), ("gray8", (48, 64)), ("yuv420p", (72, 64))],
)
def test_other_pixel_formats(pixel_format: Any, shape: tuple[int, ...]) -> None:
    shapes: list[Any] = []

    def look(frame: Any) -> Any:
        shapes.append(frame.shape)
        return frame

    async def check() -> None:
        handler = VideoStreamHandler(look, pixel_format=pixel_format)
        async with MemoryClient(stream(handler)) as client:
            await client.send_video([numbered(77)])
            await client.listen(0.1)
            assert shapes == [shape]
            assert number_of(client.seen()[0]) == 77

    run(check())


def test_sync_code_never_runs_on_the_loop_and_never_beside_itself() -> None:
    """Pitfall 3."""
    threads: set[int] = set()
    inside = [0, 0]

    def work(frame: Any) -> Any:
        inside[0] += 1
        inside[1] = max(inside)
        threads.add(threading.get_ident())
        time.sleep(0.001)
        inside[0] -= 1
        assert get_current_context().webrtc_id == "memory-client"
        return frame

    async def check() -> None:
        async with MemoryClient(stream(work)) as client:
            await client.send_video(camera(10))
            await client.listen(0.1)
            assert len(client.shown) == 10
            assert threading.get_ident() not in threads
            assert inside == [0, 1]

    run(check())


@pytest.mark.parametrize("skip_frames", [False, True])
def test_what_a_slow_handler_shows_is_fresh(skip_frames: bool) -> None:
    """Pitfall 4: 200 ms for each picture of 30 a second."""

    async def slow(frame: Any) -> Any:
        await asyncio.sleep(0.2)
        return frame

    async def check() -> None:
        handler = VideoStreamHandler(slow, skip_frames=skip_frames)
        async with MemoryClient(stream(handler)) as client:
            # It ends between two pictures of the handler, when no thread is at work.
            await client.send_video(camera(182))
            stats = client.session.stats
            ages_s = [
                shown.at_s - number_of(picture) / 30
                for shown, picture in zip(client.shown, client.seen(), strict=True)
            ]
            assert 28 <= len(ages_s) <= 31, "it is never idle"
            bound_s = 0.45 if not skip_frames else 0.25
            assert max(ages_s) < bound_s
            assert stats["video_age_max_ms"] == pytest.approx(1e3 * max(ages_s), abs=1)
            assert stats["video_frames_in"] == 182
            waiting = 1 if skip_frames else WAITING_BOUND
            in_hand = 1 + 6 + waiting
            assert stats["video_frames_dropped"] >= 182 - len(ages_s) - in_hand
            order = numbers(client.seen())
            assert order == sorted(order)

    run(check())


def test_what_waits_for_a_handler_that_does_not_return_is_bounded() -> None:
    """Pitfall 4."""
    held = threading.Event()
    seen: list[int] = []

    def stuck(frame: Any) -> Any:
        seen.append(number_of(frame))
        held.wait()
        return frame

    async def check() -> None:
        async with MemoryClient(stream(stuck)) as client:
            await client.send_video(camera(200))
            video = client.session.video
            assert video is not None
            assert len(video._encoded) <= ENCODED_BOUND
            assert client.session.stats["video_frames_dropped"] >= 200 - ENCODED_BOUND - 2
            held.set()
            await client.listen(0.1)
            assert seen[-1] == 199, "it goes on with the newest"
            assert len(seen) <= 1 + WAITING_BOUND

    run(check())


def test_surplus_inputs_are_dropped_and_missing_ones_have_their_defaults() -> None:
    """Pitfalls 27a and 40."""
    calls: list[Any] = []

    def with_default(frame: Any, threshold: float = 0.3) -> Any:
        calls.append(threshold)
        return frame

    async def check() -> None:
        served = stream(with_default)
        async with MemoryClient(served) as client:
            await client.send_video(camera(2))
            served.set_input("memory-client", 0.7, "surplus")
            await client.send_video(camera(2))
        assert calls == [0.3, 0.3, 0.7, 0.7]
        async with MemoryClient(stream(sync_function)) as client:
            client.session.set_args([0.5])
            await client.send_video(camera(2))
            await client.listen(0.1)
            assert len(client.shown) == 2

    run(check())


def test_an_input_without_default_is_asked_for() -> None:
    def needs(frame: Any, threshold: float) -> Any:
        return frame if threshold else None

    async def check() -> None:
        served = stream(needs)
        async with MemoryClient(served) as client:
            await client.send_video(camera(5))
            assert [m["type"] for m in client.messages] == ["send_input"]
            assert not client.shown
            served.set_input("memory-client", 1)
            await client.send_video(camera(5))
            await client.listen(0.1)
            assert numbers(client.seen()) == list(range(5))

    run(check())


def test_outputs_beside_pictures_and_instead_of_them() -> None:
    def handle(frame: Any) -> Any:
        number = number_of(frame)
        if number == 0:
            return frame, AdditionalOutputs("both")
        if number == 1:
            return AdditionalOutputs("alone")
        if number == 2:
            return None
        return frame, CloseStream("enough")

    async def check() -> None:
        served = stream(handle)
        async with MemoryClient(served) as client:
            outputs = []

            async def read() -> None:
                async for output in served.output_stream("memory-client"):
                    outputs.append(output.args)

            reading = asyncio.create_task(read())
            await client.send_video(camera(10))
            await client.wait_closed()
            await reading
            assert outputs == [("both",), ("alone",)]
            assert numbers(client.seen()) == [0, 3]
            assert client.messages[-1] == {"type": "end_stream", "data": "enough"}

    run(check())


def test_several_pictures_for_one() -> None:
    def burst(frame: Any) -> Any:
        number = number_of(frame)
        for more in range(3):
            yield numbered(number + more)

    async def check() -> None:
        async with MemoryClient(stream(VideoStreamHandler(burst, fps=20))) as client:
            await client.send_video([numbered(0)])
            await client.listen(1)
            await client.send_video([numbered(100)])
            await client.listen(1)
            assert numbers(client.seen()) == [0, 1, 2, 100, 101, 102]
            at_s = np.array([shown.at_s for shown in client.shown])
            assert np.allclose(np.diff(at_s)[[0, 1, 3, 4]], 0.05), "they are seen one by one"
            times_s = np.array([shown.rtp_time for shown in client.shown]) / CLOCK_RATE_HZ
            assert np.allclose(np.diff(times_s), np.diff(at_s), atol=1e-3)

    run(check())


BAD: list[tuple[Callable[[Any], Any], str]] = [
    (lambda frame: frame.astype(np.float32) * np.nan, "uint8"),
    (lambda frame: frame[:, :, 0], "shape"),
    (lambda frame: frame[:0], "no pixels"),
    (lambda frame: "picture", "numpy array"),
    (lambda frame: np.zeros((1, 40_000, 3), np.uint8), "larger"),
    (lambda frame: (frame, frame), "tuple"),
]


@pytest.mark.parametrize(("spoil", "complaint"), BAD)
def test_what_is_no_picture_is_told_once(
    spoil: Callable[[Any], Any], complaint: str, caplog: pytest.LogCaptureFixture
) -> None:
    def handle(frame: Any) -> Any:
        return spoil(frame) if number_of(frame) % 2 else frame

    async def check() -> None:
        async with MemoryClient(stream(handle)) as client:
            await client.send_video(camera(10))
            await client.listen(0.1)
            assert numbers(client.seen()) == [0, 2, 4, 6, 8], "the others are shown"
            assert [m["type"] for m in client.messages] == ["error"]
            assert client.session.stats["handler_failures"] == 5

    with caplog.at_level(logging.ERROR, "fastrtc"):
        run(check())
    assert len(caplog.records) == 1
    assert complaint in caplog.text


@pytest.mark.parametrize("size", [(47, 63), (1, 1), (2, 2), (720, 1280)])
def test_any_size_comes_back_and_may_change(size: tuple[int, int]) -> None:
    async def check() -> None:
        async with MemoryClient(stream(sync_function)) as client:
            await client.send_video([numbered(1), numbered(2, *size), numbered(3)])
            await client.listen(0.2)
            assert [p.shape[:2] for p in client.seen()] == [(48, 64), size, (48, 64)]

    run(check())


def test_a_handler_that_raises_skips_a_picture(caplog: pytest.LogCaptureFixture) -> None:
    def fragile(frame: Any) -> Any:
        if number_of(frame) == 3:
            raise RuntimeError("secret detail")
        return frame

    async def check() -> None:
        async with MemoryClient(stream(fragile)) as client:
            await client.send_video(camera(6))
            await client.listen(0.1)
            assert numbers(client.seen()) == [0, 1, 2, 4, 5]
            assert "secret" not in str(client.messages)

    with caplog.at_level(logging.ERROR, "fastrtc"):
        run(check())
    assert len(caplog.records) == 1
    assert "secret detail" in caplog.text


def test_what_a_function_returns_in_mode_send_is_not_shown() -> None:
    seen: list[int] = []

    def watch(frame: Any) -> Any:
        seen.append(number_of(frame))
        return frame, AdditionalOutputs(len(seen))

    async def check() -> None:
        served = stream(watch, mode="send")
        async with MemoryClient(served) as client:
            await client.send_video(camera(5))
            await client.listen(0.1)
            assert (await served.fetch_latest_output("memory-client")).args == (5,)
            assert seen == list(range(5))
            assert not client.shown

    run(check())
