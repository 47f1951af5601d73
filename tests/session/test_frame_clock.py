"""The times that pictures carry, and when they are due."""

from __future__ import annotations

import itertools
import random

import pytest

from fastrtc.session.frame_clock import CLOCK_RATE_HZ, FrameClock, InputClock, TakeRate


def test_generated_pictures_do_not_drift() -> None:
    clock = FrameClock(30)
    now_s, stamps = 5.0, []
    for _ in range(3000):
        now_s += clock.wait_s(now_s) + random.Random(1).uniform(0, 0.012)
        stamps.append(clock.stamp(now_s))
    assert stamps[-1] - stamps[0] == pytest.approx(2999 * CLOCK_RATE_HZ / 30, abs=1)
    steps = {second - first for first, second in itertools.pairwise(stamps)}
    assert steps == {3000}


def test_a_source_that_stalled_begins_anew_from_the_present() -> None:
    clock = FrameClock(10)
    assert clock.stamp(0.0) == 0
    assert clock.wait_s(0.02) == pytest.approx(0.08)
    assert clock.stamp(0.55) == round(0.55 * CLOCK_RATE_HZ)
    assert clock.wait_s(0.55) == pytest.approx(0.1), "nothing is owed"


def test_a_source_that_may_catch_up_owes_what_it_missed() -> None:
    clock = FrameClock(10, catch_up_s=1.0)
    clock.stamp(0.0)
    late = [clock.stamp(0.55) for _ in range(3)]
    assert late == sorted(set(late)), "no two pictures have one time"
    assert clock.wait_s(0.55) == 0
    clock.stamp(5.0)
    assert clock.wait_s(5.0) == pytest.approx(0.1), "that is too long ago"


def test_what_is_made_of_a_picture_keeps_its_time() -> None:
    clock = InputClock()
    camera = [1_000_000 + 3000 * number for number in range(100)]
    delays_s = [0.05 + random.Random(number).uniform(0, 0.2) for number in range(100)]
    stamps = [
        clock.stamp(rtp_time, rtp_time / CLOCK_RATE_HZ + delay_s)
        for rtp_time, delay_s in zip(camera, delays_s, strict=True)
    ]
    assert {second - first for first, second in itertools.pairwise(stamps)} == {3000}


def test_more_pictures_made_of_one_follow_it_by_the_clock() -> None:
    clock = InputClock()
    first = clock.stamp(900, 10.0)
    assert clock.stamp_more(10.5) == first + CLOCK_RATE_HZ // 2
    assert clock.stamp_more(10.5) == first + CLOCK_RATE_HZ // 2 + 1
    assert clock.stamp(3900, 10.51) == first + CLOCK_RATE_HZ // 2 + 2, "time does not go back"


def test_a_camera_that_was_changed_begins_a_new_time() -> None:
    clock = InputClock()
    before = clock.stamp(4_000_000_000, 100.0)
    after = clock.stamp(17, 100.1)
    assert after - before == CLOCK_RATE_HZ // 10


@pytest.mark.parametrize(
    ("camera_fps", "expected"), [(30.0, 300), (30.3, 300), (60, 300), (15, 150)]
)
def test_no_more_pictures_are_taken_than_leave(camera_fps: float, expected: int) -> None:
    rate = TakeRate(30)
    jitter = random.Random(3)
    times = [(n + jitter.uniform(-0.4, 0.4)) / camera_fps for n in range(round(10 * camera_fps))]
    assert sum(rate.takes(time_s) for time_s in times) == pytest.approx(expected, abs=5)
