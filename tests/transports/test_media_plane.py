"""The border to the media plane: what it keeps, and what it refuses."""

from __future__ import annotations

import asyncio
import gc
import weakref

import numpy as np
import pytest

from fastrtc.transports.media_plane import audio_broadcast, loop_hub


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


def test_half_a_sample_of_stereo_is_refused() -> None:
    broadcast = audio_broadcast(None)
    try:
        with pytest.raises(ValueError, match="3 samples are no whole number for each of 2"):
            broadcast.play(np.zeros(3, np.int16), 48_000, 2)
        assert broadcast.play(np.zeros(4, np.int16), 48_000, 2) > 0
    finally:
        broadcast.close()
