"""What of a reply was sent, and taking back what was not. In virtual time, in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import numpy as np
import pytest

from fastrtc import Stream
from fastrtc.session.playout import HIGH_WATER_S, Playout
from fastrtc.testing import MemoryClient, run
from recorders import AsyncEcho

SECOND = (np.arange(24000) % 30000 + 1).astype(np.int16)


def with_playout(check: Callable[[Playout, MemoryClient], Awaitable[None]]) -> None:
    async def go() -> None:
        async with MemoryClient(Stream(AsyncEcho(), modality="audio")) as client:
            await check(client.session.runner.playout, client)

    run(go())


def put(playout: Playout, *chunks: Any, rate_hz: int = 24000) -> None:
    for chunk in chunks:
        playout.put((rate_hz, chunk))


def test_each_passage_counts_its_own_seconds() -> None:
    async def check(playout: Playout, client: MemoryClient) -> None:
        first = playout.begin_passage(recallable=False)
        put(playout, SECOND, SECOND)
        second = playout.begin_passage(recallable=False)
        put(playout, SECOND)
        await client.listen(1.5)
        assert (first.played_s, second.played_s) == pytest.approx((1.5, 0.0))
        await client.listen(0.75)
        assert (first.played_s, second.played_s) == pytest.approx((2.0, 0.25))
        await client.listen(5)
        assert (first.played_s, second.played_s) == pytest.approx((2.0, 1.0))
        third = playout.begin_passage(recallable=False)
        assert third.played_s == 0.0
        put(playout, SECOND)
        await client.listen(0.5)
        assert third.played_s == pytest.approx(0.5)
        assert second.played_s == pytest.approx(1.0)

    with_playout(check)


def test_a_clear_settles_all_passages_for_good() -> None:
    async def check(playout: Playout, client: MemoryClient) -> None:
        first = playout.begin_passage(recallable=False)
        put(playout, SECOND)
        second = playout.begin_passage(recallable=False)
        put(playout, SECOND)
        await client.listen(1.25)
        assert playout.clear() == pytest.approx(1.25)
        put(playout, SECOND)
        await client.listen(0.5)
        assert first.played_s == pytest.approx(1.0)
        assert second.played_s == pytest.approx(0.25 + 0.5), "what is put later is its own too"
        assert playout.sent_s == pytest.approx(0.5)

    with_playout(check)


@pytest.mark.parametrize("piece", [24000, 480, 7001])
def test_what_is_held_goes_on_exactly_where_it_stopped(piece: int) -> None:
    async def check(playout: Playout, client: MemoryClient) -> None:
        passage = playout.begin_passage(recallable=True)
        samples = np.tile(SECOND, 3)
        put(playout, *np.split(samples, range(piece, len(samples), piece)))
        for wait_s in (0.31, 0.7, 1.1234):
            await client.listen(wait_s)
            before_s = passage.played_s
            playout.hold()
            playout.hold()
            heard = len(client.heard())
            await client.listen(2)
            assert len(client.heard()) == heard
            assert passage.played_s == pytest.approx(before_s, abs=1e-4)
            playout.resume()
            playout.resume()
        await client.listen(5)
        assert np.array_equal(client.heard(), samples)
        assert passage.played_s == pytest.approx(3.0, abs=1e-3)

    with_playout(check)


def test_what_is_put_while_holding_waits_and_so_does_the_handler() -> None:
    async def check(playout: Playout, client: MemoryClient) -> None:
        playout.begin_passage(recallable=True)
        playout.hold()
        put(playout, SECOND)
        room = asyncio.ensure_future(playout.room())
        await client.listen(HIGH_WATER_S + 1)
        assert not room.done()
        assert playout.queued_s == pytest.approx(1.0)
        assert not len(client.heard())
        playout.resume()
        await room
        await client.listen(1.1)
        assert np.array_equal(client.heard(), SECOND)

    with_playout(check)


def test_a_clear_drops_what_is_held() -> None:
    async def check(playout: Playout, client: MemoryClient) -> None:
        playout.begin_passage(recallable=True)
        put(playout, SECOND)
        await client.listen(0.25)
        playout.hold()
        room = asyncio.ensure_future(playout.room())
        await client.listen(0.1)
        assert playout.clear() == pytest.approx(0.25)
        await room
        playout.resume()
        await client.listen(2)
        assert len(client.heard()) == 6000
        assert playout.queued_s == 0.0

    with_playout(check)


def test_stereo_is_cut_between_its_frames() -> None:
    async def check(playout: Playout, client: MemoryClient) -> None:
        playout.begin_passage(recallable=True)
        stereo = np.stack((SECOND, -SECOND))
        playout.put((24000, stereo, "stereo"))
        await client.listen(0.33333)
        playout.hold()
        playout.resume()
        await client.listen(1)
        assert np.array_equal(client.heard(), stereo.T.reshape(-1))

    with_playout(check)


def test_a_session_that_ends_while_holding_plays_what_was_said_before_its_end() -> None:
    async def check(playout: Playout, client: MemoryClient) -> None:
        playout.begin_passage(recallable=True)
        put(playout, SECOND)
        playout.hold()
        client.session.finish("bye")
        await client.wait_closed()
        assert np.array_equal(client.heard(), SECOND)

    with_playout(check)
