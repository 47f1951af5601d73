"""The in-memory client that the package ships for its users' tests."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from fastrtc import Stream
from fastrtc.errors import ConcurrencyLimitReached
from fastrtc.testing import MemoryClient, run
from recorders import AsyncEcho


def test_the_example_of_the_package_runs() -> None:
    stream = Stream(AsyncEcho(), modality="audio")
    question = np.ones(4800, np.int16)

    async def conversation() -> None:
        async with MemoryClient(stream) as client:
            await client.send_audio(question)
            await client.listen(2.0)
            assert client.heard().any()

    run(conversation())


def test_speech_takes_its_time_and_what_is_heard_has_a_timeline() -> None:
    async def check() -> None:
        async with MemoryClient(Stream(AsyncEcho(), modality="audio")) as client:
            loop = asyncio.get_running_loop()
            await client.send_audio(np.ones(48000, np.int16))
            assert loop.time() == pytest.approx(1.0)
            assert client.played[0].at_s == 0
            assert client.played[-1].end_s == pytest.approx(1.0)
            assert len(client.heard()) == 48000

    run(check())


def test_it_counts_like_any_other_client() -> None:
    """Pitfall 18: one counter over all transports."""

    async def check() -> None:
        stream = Stream(AsyncEcho(), modality="audio")
        async with MemoryClient(stream, "one"):
            with pytest.raises(ConcurrencyLimitReached):
                await MemoryClient(stream, "two").connect()
        async with MemoryClient(stream, "two"):
            assert [session.transport for session in stream.sessions] == ["memory"]

    run(check())


def test_only_int16_is_sent_and_messages_are_awaited_with_a_timeout() -> None:
    async def check() -> None:
        async with MemoryClient(Stream(AsyncEcho(), modality="audio")) as client:
            with pytest.raises(TypeError, match="float64"):
                await client.send_audio(np.zeros(960))  # type: ignore[arg-type]
            with pytest.raises(TimeoutError):
                await client.wait_for_message("log", timeout_s=1)
            with pytest.raises(TimeoutError):
                await client.wait_closed(timeout_s=1)

    run(check())
