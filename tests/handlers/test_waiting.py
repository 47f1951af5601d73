"""``wait_for_item`` gives the item or None, and never loses one."""

from __future__ import annotations

import asyncio

from fastrtc import wait_for_item
from fastrtc.testing import run


def test_items_come_at_once_or_when_they_arrive() -> None:
    async def check() -> None:
        queue: asyncio.Queue[int] = asyncio.Queue()
        queue.put_nowait(1)
        assert await wait_for_item(queue) == 1
        asyncio.get_running_loop().call_later(0.05, queue.put_nowait, 2)
        assert await wait_for_item(queue) == 2
        assert asyncio.get_running_loop().time() == 0.05

    run(check())


def test_none_after_the_timeout_and_no_item_is_lost() -> None:
    async def check() -> None:
        queue: asyncio.Queue[int] = asyncio.Queue()
        loop = asyncio.get_running_loop()
        assert await wait_for_item(queue, timeout=0.1) is None
        assert loop.time() == 0.1
        for number in range(20):
            loop.call_later(0.1, queue.put_nowait, number)
            items = [await wait_for_item(queue, timeout=0.1), await wait_for_item(queue, 0.2)]
            assert number in items

    run(check())


def test_no_task_is_made() -> None:
    async def check() -> None:
        queue: asyncio.Queue[int] = asyncio.Queue()
        before = len(asyncio.all_tasks())
        counts: list[int] = []
        loop = asyncio.get_running_loop()
        loop.call_later(0.01, lambda: counts.append(len(asyncio.all_tasks())))
        await wait_for_item(queue, timeout=0.05)
        assert counts == [before]

    run(check())
