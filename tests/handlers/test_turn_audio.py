"""What was said is kept without copies, and put together only where nobody waits for it."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np

from conversation import RATE_HZ, clip, silence, stream
from fastrtc.handlers import reply_calls
from fastrtc.handlers.turn_audio import TurnAudio, joined, mono, newest
from fastrtc.testing import MemoryClient, run


def test_what_lies_between_two_places_is_not_copied() -> None:
    audio = TurnAudio(100, 2)
    pieces = [np.arange(start, start + 40, dtype=np.int16) for start in range(0, 200, 40)]
    for piece in pieces:
        audio.push(piece)
    found = audio.between(0.3, 0.75)
    assert np.array_equal(joined(found), np.arange(60, 150))
    assert all(any(np.shares_memory(part, piece) for piece in pieces) for part in found)
    assert audio.between(3, 4) == []
    assert joined([]).shape == (0,)


def test_only_the_newest_is_kept_of_too_much() -> None:
    pieces = [np.full(10, number, np.int16) for number in range(5)]
    assert [piece[0] for piece in newest(pieces, 25)] == [3, 4]
    assert newest(pieces, 50) == pieces
    assert [piece[0] for piece in newest(pieces, 5)] == [4]
    assert newest([], 5) == []


def test_mono_is_the_mean() -> None:
    stereo = np.array([-32768, -32768, 32767, 32767, 100, 200], np.int16)
    assert mono(stereo, 2).tolist() == [-32768, 32767, 150]
    assert mono(stereo, 1) is stereo


def test_a_long_turn_is_put_together_beside_the_loop(monkeypatch: Any) -> None:
    threads: list[bool] = []

    def note(pieces: Any) -> Any:
        threads.append(threading.current_thread() is threading.main_thread())
        return joined(pieces)

    monkeypatch.setattr(reply_calls, "joined", note)
    turns: list[int] = []

    async def reply(audio: Any) -> Any:
        turns.append(audio[1].size)
        yield audio

    async def check() -> None:
        async with MemoryClient(stream(reply)) as client:
            await client.send_audio(np.concatenate((clip("go-forward"), silence(4))))
            monkeypatch.setattr(reply_calls, "LONG_SAMPLES", RATE_HZ)
            await client.send_audio(np.concatenate((clip("go-forward"), silence(4))))

    run(check())
    assert len(turns) == 2
    assert threads == [True, False]
