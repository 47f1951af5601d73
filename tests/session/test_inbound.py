"""The queue of audio that waits for a handler."""

import asyncio

import pytest

from fastrtc.session.inbound import STALL_KEPT_S, InboundAudio
from fastrtc.testing import run


async def test_a_reader_woken_by_a_frame_that_a_close_dropped_keeps_waiting() -> None:
    inbound = InboundAudio(asyncio.get_running_loop(), channels=1)
    reader = asyncio.ensure_future(inbound.wait())
    await asyncio.sleep(0)
    inbound.put(bytearray(1920), 48_000)
    inbound.close()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(reader, 0.05)


async def test_the_oldest_frame_goes_when_five_seconds_wait() -> None:
    inbound = InboundAudio(asyncio.get_running_loop(), channels=1)
    for _ in range(255):
        inbound.put(bytearray(1920), 48_000)
    assert inbound.received == 255
    assert inbound.dropped == 5
    assert len(inbound.take_all()) == 250


def test_a_stall_is_known_for_a_while_by_the_audio_that_waited() -> None:
    async def check() -> None:
        inbound = InboundAudio(asyncio.get_running_loop(), channels=1)
        for frames, stall_s in [(50, 0.0), (200, 4.0), (100, 4.0), (300, 5.0)]:
            for _ in range(frames):
                inbound.put(bytearray(1920), 48_000)
            inbound.take_all()
            assert inbound.stall_s == stall_s
        await asyncio.sleep(STALL_KEPT_S - 0.1)
        assert inbound.stall_s == 5.0
        await asyncio.sleep(0.2)
        assert inbound.stall_s == 0.0

    run(check())
