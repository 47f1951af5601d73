"""Pacing by arithmetic: audio leaves a stated lead ahead, and what was played is known."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastrtc.transports.pacing import Pacer

RATE_HZ = 8_000
LEAD_S = 0.1


def audio(seconds: float) -> np.ndarray:
    return np.arange(round(seconds * RATE_HZ)).astype(np.int16)


def make(**options: object) -> Pacer:
    return Pacer(RATE_HZ, **{"frame_s": 0.02, "lead_s": LEAD_S, **options})  # type: ignore[arg-type]


def run(pacer: Pacer, until_s: float, now_s: float = 0.0) -> list[tuple[float, np.ndarray]]:
    """Takes every frame when it is due."""
    left = []
    while (due_s := pacer.due_in(now_s)) is not None and now_s + due_s <= until_s:
        now_s += due_s
        left.append((now_s, pacer.take(now_s)))
    return left


def test_audio_leaves_at_most_the_lead_ahead_and_whole() -> None:
    pacer = make()
    pacer.push(audio(1.0), 0.0)
    left = run(pacer, 10.0)
    assert np.array_equal(np.concatenate([frame for _, frame in left]), audio(1.0))
    for number, (at_s, frame) in enumerate(left):
        assert len(frame) == 160
        assert at_s == pytest.approx(max(0.0, (number + 1) * 0.02 - LEAD_S), abs=1e-9)


def test_what_was_played_and_what_waits_add_up() -> None:
    pacer = make()
    pacer.push(audio(1.0), 0.0)
    run(pacer, 0.3)
    assert pacer.sent_s(0.3) == pytest.approx(0.3)
    assert pacer.queued_s(0.3) == pytest.approx(0.7)
    run(pacer, 5.0, 0.3)
    assert pacer.sent_s(5.0) == pytest.approx(1.0)
    assert pacer.queued_s(5.0) == 0


def test_a_clear_leaves_nothing_and_says_what_was_played() -> None:
    pacer = make()
    pacer.push(audio(1.0), 0.0)
    run(pacer, 0.3)
    assert pacer.is_used
    assert pacer.clear(0.3) == pytest.approx(0.3)
    assert pacer.due_in(0.3) is None
    assert pacer.queued_s(0.3) == 0
    assert pacer.clear(0.3) == 0
    assert not pacer.is_used
    pacer.push(audio(0.1), 0.31)
    assert pacer.due_in(0.31) == 0


def test_a_client_that_was_not_served_in_time_plays_later() -> None:
    """Backpressure: what left late is heard late."""
    pacer = make()
    pacer.push(audio(0.5), 0.0)
    run(pacer, 0.0)
    left = run(pacer, 2.0, now_s=1.0)
    assert left[0][0] == 1.0
    assert pacer.sent_s(1.0) == pytest.approx(0.1)
    assert pacer.queued_s(1.2) == pytest.approx(0.2)


def test_live_audio_leaves_at_once() -> None:
    pacer = make()
    for number in range(50):
        pacer.push(audio(0.02), number * 0.02)
        assert pacer.due_in(number * 0.02) == 0
        pacer.take(number * 0.02)


def test_odd_chunks_are_joined_and_the_end_is_not_held() -> None:
    pacer = make()
    pacer.push(audio(0.033), 0.0)
    assert len(pacer.take(0.0)) == 160
    assert pacer.due_in(0.0) == pytest.approx(0.01)
    pacer.push(audio(0.033), 0.005)
    assert pacer.due_in(0.005) == 0
    assert [len(frame) for _, frame in run(pacer, 1.0, 0.005)] == [160, 160, 48]


def test_whole_frames_wait_for_more_and_are_filled() -> None:
    pacer = make(frame_s=0.2, lead_s=0.2, whole_frames=True)
    pacer.push(audio(0.02), 0.0)
    assert pacer.due_in(0.0) == pytest.approx(0.4)
    pacer.push(audio(0.02), 0.02)
    left = run(pacer, 1.0, 0.02)
    assert [(round(at_s, 6), len(frame)) for at_s, frame in left] == [(0.4, 1600)]
    assert not left[0][1][320:].any()
    assert pacer.sent_s(1.0) == pytest.approx(0.04)


def test_marks_move_playback_to_the_ear() -> None:
    pacer = make()
    pacer.push(audio(1.0), 0.0)
    run(pacer, 0.0)
    pacer.marked("a")
    pacer.played("unknown", 0.1)
    run(pacer, 0.37)
    assert pacer.sent_s(0.37) == pytest.approx(0.37)
    pacer.played("a", 0.37)  # the first 0.1 s were heard 0.27 s late, so all is
    assert pacer.sent_s(0.4) == pytest.approx(0.13)
    assert pacer.queued_s(0.4) == pytest.approx(0.87)
    pacer.clear(0.5)
    pacer.played("a", 0.6)
    assert pacer.sent_s(0.6) == 0
    pacer.clear(0.7)
    pacer.marked("late")
    pacer.played("late", 0.8)
    pacer.push(audio(0.1), 0.8)
    run(pacer, 1.0, 0.8)
    assert pacer.sent_s(1.2) == pytest.approx(0.1)


def live(pacer: Pacer, loud: Callable[[int], bool], stall: int, seconds: float) -> list[float]:
    """A source of a frame each 20 ms that stalls once; the queue's length after each frame."""
    levels = []
    waiting = 0
    for number in range(round(seconds / 0.02)):
        now_s = number * 0.02
        waiting += 1
        if not 50 <= number < 50 + stall:
            for _ in range(waiting):
                pacer.push(np.full(160, 5000 if loud(number) else 3, np.int16), now_s)
            waiting = 0
        run(pacer, now_s + 0.0199, now_s)
        levels.append(pacer.queued_s(now_s + 0.0199))
    return levels


def test_a_live_source_is_not_late_for_good() -> None:
    """It catches up in the first pause that comes a second or more after the stall."""
    pacer = make()
    levels = live(pacer, lambda number: number < 200 or number > 240, 20, 8.0)
    assert max(levels[:50]) < 0.03
    assert 0.38 < min(levels[75:195]) <= max(levels[75:195]) < 0.45
    assert max(levels[260:]) < 0.15
    assert 0.25 < pacer.skipped_s < 0.45


def test_who_never_pauses_loses_nothing() -> None:
    pacer = make()
    levels = live(pacer, lambda _: True, 20, 6.0)
    assert pacer.skipped_s == 0
    assert levels[-1] > 0.38


@pytest.mark.parametrize("chunk_s", [0.02, 0.25, 10.0])
def test_a_generators_pauses_are_kept(chunk_s: float) -> None:
    """Ten seconds of quiet by a source that is ahead, held back as the session does it."""
    pacer = make()
    left_s, now_s, goes = 10.0, 0.0, True
    while left_s > 1e-9 or pacer.due_in(now_s) is not None:
        goes = goes or pacer.queued_s(now_s) <= 1.0
        while goes and left_s > 1e-9:
            pacer.push(np.zeros(round(chunk_s * RATE_HZ), np.int16), now_s)
            left_s -= chunk_s
            goes = pacer.queued_s(now_s) <= 2.0
        run(pacer, now_s + 0.02, now_s)
        now_s += 0.02
    assert pacer.skipped_s == 0
    assert pacer.sent_s(now_s + 1) == pytest.approx(10.0)


@settings(deadline=None)
@given(
    chunks=st.lists(st.tuples(st.integers(0, 900), st.floats(0, 0.3)), max_size=30),
    whole=st.booleans(),
    clears=st.sets(st.integers(0, 29)),
)
def test_nothing_is_lost_doubled_or_played_twice(
    chunks: list[tuple[int, float]], whole: bool, clears: set[int]
) -> None:
    pacer = make(whole_frames=whole)
    now_s, pushed, left = 0.0, 0, 0
    for number, (length, wait_s) in enumerate(chunks):
        pacer.push(np.ones(length, np.int16), now_s)
        pushed += length
        for at_s, frame in run(pacer, now_s + wait_s, now_s):
            left += int(frame.sum())
            assert at_s >= now_s
        now_s += wait_s
        assert pacer.queued_s(now_s) + pacer.sent_s(now_s) == pytest.approx(pushed / RATE_HZ)
        assert 0 <= pacer.sent_s(now_s) <= left / RATE_HZ + 1e-9
        if number in clears:
            pacer.clear(now_s)
            pushed = left = 0
    left += sum(int(frame.sum()) for _, frame in run(pacer, now_s + 60, now_s))
    assert left == pushed
