"""``AdditionalOutputs`` between handlers and readers: kept, bounded, shared, ended."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from fastrtc import AdditionalOutputs, Stream
from fastrtc.errors import SessionClosed
from fastrtc.session.outbox import ENDED_IDS, KEPT, Outbox
from fastrtc.testing import MemoryClient, run
from mirrors import AsyncMirror, SyncMirror
from pictures import number_of, numbered


async def numbers(outbox: Outbox, webrtc_id: str = "me") -> list[int]:
    return [outputs.args[0] async for outputs in outbox.read(webrtc_id)]


def test_outputs_before_the_first_reader_are_kept_and_bounded() -> None:
    """Pitfall 41, both halves."""

    async def check() -> None:
        outbox = Outbox()
        outbox.opened("me")
        for number in range(KEPT + 10):
            outbox.put("me", AdditionalOutputs(number))
        assert len(outbox._boxes["me"].kept) == KEPT
        reading = asyncio.create_task(numbers(outbox))
        await asyncio.sleep(0)
        outbox.put("me", AdditionalOutputs("last"))
        outbox.closed("me")
        read = await reading
        assert read[-1] == "last"
        assert read[-2] == KEPT + 9
        assert len(read) in (KEPT, KEPT + 1)

    run(check())


def test_a_reader_may_come_before_the_session_and_several_get_all() -> None:
    async def check() -> None:
        outbox = Outbox()
        readers = [asyncio.create_task(numbers(outbox)) for _ in range(3)]
        await asyncio.sleep(1)
        outbox.opened("me")
        for number in range(5):
            outbox.put("me", AdditionalOutputs(number))
            await asyncio.sleep(0)
        outbox.closed("me")
        assert await asyncio.gather(*readers) == [[0, 1, 2, 3, 4]] * 3
        assert not outbox._boxes

    run(check())


def test_what_was_left_unread_can_be_read_after_the_end_but_not_for_ever() -> None:
    async def check() -> None:
        outbox = Outbox()
        outbox.put("me", AdditionalOutputs(1))
        outbox.closed("me")
        assert await numbers(outbox) == [1]
        outbox.put("me", AdditionalOutputs(2))
        outbox.closed("me")
        outbox.opened("me")
        outbox.put("me", AdditionalOutputs(3))
        outbox.closed("me")
        assert await numbers(outbox) == [3]

    run(check())


def test_who_comes_just_after_the_end_does_not_wait_for_ever() -> None:
    async def check() -> None:
        outbox = Outbox()
        outbox.opened("me")
        outbox.closed("me")
        assert await asyncio.wait_for(numbers(outbox), 1) == []
        with pytest.raises(SessionClosed):
            await asyncio.wait_for(outbox.latest("me"), 1)
        outbox.opened("me")
        reading = asyncio.create_task(numbers(outbox))
        await asyncio.sleep(0)
        outbox.put("me", AdditionalOutputs(1))
        outbox.closed("me")
        assert await reading == [1]
        for number in range(ENDED_IDS + 10):
            outbox.closed(str(number))
        assert len(outbox._ended) == ENDED_IDS
        assert not outbox._boxes

    run(check())


def test_a_reader_that_goes_leaves_nothing() -> None:
    async def check() -> None:
        outbox = Outbox()
        reading = asyncio.create_task(numbers(outbox))
        await asyncio.sleep(0)
        reading.cancel()
        await asyncio.wait([reading])
        assert not outbox._boxes

    run(check())


def test_latest_returns_each_newest_output_once() -> None:
    async def check() -> None:
        outbox = Outbox()
        outbox.put("me", AdditionalOutputs(1))
        outbox.put("me", AdditionalOutputs(2))
        assert (await outbox.latest("me")).args == (2,)
        waiting = asyncio.create_task(outbox.latest("me"))
        await asyncio.sleep(0)
        outbox.put("me", AdditionalOutputs(3))
        assert (await waiting).args == (3,)
        waiting = asyncio.create_task(outbox.latest("me"))
        await asyncio.sleep(0)
        assert not waiting.done()
        outbox.closed("me")
        with pytest.raises(SessionClosed):
            await waiting

    run(check())


@pytest.mark.parametrize("kind", [SyncMirror, AsyncMirror])
def test_a_handler_that_only_receives_can_tell(kind: Any) -> None:
    class Guest(kind):  # type: ignore[misc]
        def video_receive(self, frame: Any) -> Any:
            self.session.deliver_outputs(AdditionalOutputs(number_of(frame)))
            return super().video_receive(frame)

    async def check() -> None:
        served = Stream(Guest(), modality="audio-video", mode="send")
        async with MemoryClient(served, "me") as client:
            await client.send_video([numbered(4)])
            await client.listen(0.2)
            assert (await served.fetch_latest_output("me")).args == (4,)

    run(check())
