"""One hub for each event loop, for as long as the loop lives."""

from __future__ import annotations

import asyncio
import gc
import weakref

from fastrtc.transports.media_plane import loop_hub


def test_a_loop_that_has_ended_is_forgotten_with_its_hub() -> None:
    remains: list[weakref.ref[object]] = []

    async def use() -> None:
        hub = loop_hub()
        assert loop_hub() is hub
        remains.extend([weakref.ref(hub), weakref.ref(asyncio.get_running_loop())])

    for _ in range(3):
        asyncio.run(use())
    gc.collect()
    assert [reference() for reference in remains] == [None] * 6
