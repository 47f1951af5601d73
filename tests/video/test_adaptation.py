"""Rate and size follow the network without flutter, in virtual time."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise

import pytest

from fastrtc.video.adaptation import Adaptation, KeyframeRequests, Target
from fastrtc.video.rate import FramePace, LeakyBucket, RateLadder

FPS = 30.0


def drive(
    adaptation: Adaptation,
    estimate_bps: Callable[[float], float | None],
    seconds: float,
    size: tuple[int, int] = (1_280, 720),
) -> list[tuple[float, Target]]:
    """What is asked of the encoder for each picture; an estimate comes every 100 ms."""
    found = []
    for index in range(int(seconds * FPS)):
        now_s = index / FPS
        if index % 3 == 0 and (bps := estimate_bps(now_s)) is not None:
            adaptation.on_estimate(bps, now_s)
        found.append((now_s, adaptation.target(now_s, *size, FPS)))
    return found


def changes(found: list[tuple[float, Target]]) -> list[tuple[float, float]]:
    """When the size changed, and to what."""
    return [
        (now_s, after.scale)
        for (_, before), (now_s, after) in pairwise(found)
        if before.scale != after.scale
    ]


def at(found: list[tuple[float, Target]], time_s: float) -> Target:
    return next(target for now_s, target in found if now_s >= time_s - 1e-6)


def test_without_an_estimate_it_stays_where_it_starts() -> None:
    found = drive(Adaptation(start_bitrate_bps=900_000), lambda _: None, 20)
    assert {target for _, target in found} == {Target(900_000, 1.0, FPS)}


def test_what_waits_in_front_of_a_narrow_way_arrives_before_more_is_sent() -> None:
    adaptation, found = Adaptation(start_bitrate_bps=1_000_000), []
    for index in range(300):
        now_s = index / FPS
        if index % 3 == 0:
            adaptation.on_estimate(300_000 if now_s > 4 else 2_500_000, now_s)
        if now_s == 2.0:
            adaptation.on_queue(30_000, 300_000, now_s)
        found.append((now_s, adaptation.target(now_s, 640, 480, FPS)))
    rests_s = [now_s for now_s, target in found if target.fps == 0]
    assert rests_s[0] == 2.0
    assert rests_s[-1] == pytest.approx(2.8, abs=0.05), "30 kB at 300 kbit/s"
    assert at(found, 2.9).bitrate_bps == 255_000, "less than it carries, whatever estimates say"
    assert at(found, 3.9).bitrate_bps == 255_000
    assert at(found, 5.0).bitrate_bps == 255_000, "an estimate that is no lower is approached"
    assert at(found, 9.9).bitrate_bps == 270_000
    assert not any(adaptation.wants_keyframe(now_s) for now_s in (2.9, 9.9)), "nothing was lost"


def test_a_queue_is_looked_at_again_when_it_lasts() -> None:
    adaptation = Adaptation()
    adaptation.on_queue(30_000, 300_000, 2.0)
    adaptation.on_queue(30_000, 240_000, 2.1)
    assert adaptation.target(3.0, 640, 480, FPS).fps == 0
    after = adaptation.target(3.2, 640, 480, FPS)
    assert (after.fps > 0, after.bitrate_bps) == (True, 204_000)


def test_nothing_is_awaited_for_long() -> None:
    adaptation = Adaptation()
    for tenth in range(12):
        adaptation.on_queue(500_000, 1, tenth / 10)
    assert adaptation.target(1.4, 640, 480, FPS).fps == 0
    assert adaptation.target(1.6, 640, 480, FPS).fps > 0


def test_a_queue_that_was_told_of_long_ago_is_gone() -> None:
    """Nothing was there to be sent since."""
    adaptation = Adaptation(start_bitrate_bps=1_000_000)
    adaptation.on_estimate(1_000_000, 0.0)
    adaptation.target(9.0, 640, 480, FPS)
    adaptation.on_queue(30_000, 300_000, 2.0)
    assert adaptation.target(9.1, 640, 480, FPS) == Target(900_000, 1.0, FPS)


def test_what_a_queue_showed_counts_for_a_while_and_then_the_estimate_as_it_was() -> None:
    """No news of the network is an estimate that stays."""
    adaptation = Adaptation(start_bitrate_bps=1_000_000)
    adaptation.on_estimate(1_000_000, 0.0)
    adaptation.on_queue(3_000, 300_000, 2.0)
    found = [(i / FPS, adaptation.target(i / FPS, 640, 480, FPS)) for i in range(60, 360)]
    assert at(found, 6.9).bitrate_bps == 255_000
    assert at(found, 11.0).bitrate_bps == 900_000


def test_one_lower_estimate_is_a_lower_rate_and_no_more() -> None:
    def network(now_s: float) -> float:
        return 1_000_000 if now_s >= 5 else 3_000_000

    found = drive(Adaptation(), network, 10, (640, 480))
    assert min(target.bitrate_bps for _, target in found) == 900_000


def test_a_drop_is_followed_at_once_and_a_recovery_within_seconds() -> None:
    def network(now_s: float) -> float:
        return 300_000 if 10 <= now_s < 30 else 3_000_000

    found = drive(Adaptation(), network, 60)
    assert at(found, 9).bitrate_bps > 2_500_000
    assert at(found, 9).scale == 1.0
    assert at(found, 10).bitrate_bps <= 300_000
    assert at(found, 10.1).scale == 0.5
    assert at(found, 29).bitrate_bps == 270_000
    assert at(found, 34).bitrate_bps > 2_500_000
    assert at(found, 36).scale == 1.0
    assert all(target.fps == FPS for _, target in found)
    assert len(changes(found)) == 2


def test_a_single_later_estimate_is_reached_without_another() -> None:
    adaptation = Adaptation(start_bitrate_bps=300_000)
    adaptation.on_estimate(2_000_000, 0.0)
    rates = [adaptation.target(i / FPS, 1_280, 720, FPS).bitrate_bps for i in range(300)]
    assert rates[0] == 300_000
    assert all(after <= before * 1.03 for before, after in pairwise(rates))
    assert rates[-1] == 1_800_000


def test_an_estimate_that_wavers_changes_neither_rate_much_nor_size() -> None:
    """Around the very rate at which 1280x720 becomes cramped."""
    centre_bps = 0.028 * 1_280 * 720 * FPS / 0.9
    found = drive(
        Adaptation(),
        lambda now_s: centre_bps * (1 + 0.15 * math.sin(now_s * 2.5)),
        120,
    )
    assert len(changes(found)) <= 1


def test_sizes_step_up_one_after_the_other_only_after_a_rest() -> None:
    """An estimate that climbs from 200 kbit/s to 3 Mbit/s in a minute."""
    found = drive(Adaptation(), lambda now_s: 200_000 + now_s / 60 * 2_800_000, 70)
    moments = [moment for moment, _ in changes(found)]
    scales = [scale for _, scale in changes(found)]
    assert scales[0] < 1
    assert scales[1:] == sorted(scales[1:])
    assert found[-1][1].scale == 1.0
    assert all(after - before >= 2.0 for before, after in pairwise(moments))


def test_where_no_size_is_small_enough_pictures_become_fewer() -> None:
    found = drive(Adaptation(min_bitrate_bps=5_000), lambda _: 10_000, 5, (640, 480))
    last = found[-1][1]
    assert last.scale == 0.25
    assert 8 < last.fps < 20
    assert last.bitrate_bps == 9_000


def test_a_small_picture_is_not_made_smaller() -> None:
    found = drive(Adaptation(min_bitrate_bps=1_000), lambda _: 4_000, 5, (160, 120))
    assert {target.scale for _, target in found} == {1.0}
    assert found[-1][1].fps == 8


def test_a_picture_that_shrinks_keeps_a_size_that_shows_something() -> None:
    adaptation = Adaptation(min_bitrate_bps=10_000)
    adaptation.on_estimate(50_000, 0.0)
    assert adaptation.target(0.1, 1_920, 1_080, FPS).scale == 0.25
    assert adaptation.target(0.2, 160, 120, FPS).scale == 1.0


def test_bounds_hold_and_small_pictures_take_no_more_than_they_need() -> None:
    adaptation = Adaptation(
        min_bitrate_bps=100_000, max_bitrate_bps=2_000_000, start_bitrate_bps=1_000_000
    )
    wide = drive(adaptation, lambda _: 1e9, 10, (1_920, 1_080))
    assert wide[-1][1].bitrate_bps == 2_000_000
    least = drive(adaptation, lambda _: 1.0, 3, (1_920, 1_080))
    assert least[-1][1].bitrate_bps == 100_000
    tiny = drive(Adaptation(), lambda _: 1e9, 10, (320, 240))
    assert 300_000 < tiny[-1][1].bitrate_bps < 800_000


@pytest.mark.parametrize(("least", "start", "most"), [(0, 1, 2), (3, 2, 4), (1, 5, 4), (-1, 1, 1)])
def test_bounds_that_make_no_sense_are_refused(least: int, start: int, most: int) -> None:
    with pytest.raises(ValueError, match=f"{least}, {start}, {most}"):
        Adaptation(min_bitrate_bps=least, start_bitrate_bps=start, max_bitrate_bps=most)


def test_a_storm_of_requests_is_answered_by_few_keyframes() -> None:
    adaptation = Adaptation()
    made = []
    for index in range(300):  # Ten seconds, three requests for each picture of the first five.
        now_s = index / FPS
        if now_s < 5:
            for _ in range(3):
                adaptation.request_keyframe()
        if adaptation.wants_keyframe(now_s):
            made.append(now_s)
    assert made[0] == 0
    assert all(after - before >= 0.3 for before, after in pairwise(made))
    assert 14 <= len(made) <= 18
    assert made[-1] < 5.4


def test_a_request_is_kept_until_it_may_be_answered() -> None:
    requests = KeyframeRequests(0.5)
    assert not requests.wants(0.0)
    requests.request()
    assert requests.wants(0.1)
    requests.request()
    assert not requests.wants(0.2)
    assert not requests.wants(0.59)
    assert requests.wants(0.61)
    assert not requests.wants(5.0)


def test_encoders_are_opened_anew_rarely() -> None:
    """The rates of a call that loses its network for a while: few steps, two seconds apart."""
    adaptation, ladder = Adaptation(), RateLadder(1_000_000)
    ladder.on_open(1_000_000, 0.0)
    opened = []
    for index in range(int(90 * FPS)):
        now_s = index / FPS
        wave = 1 + 0.1 * math.sin(now_s * 3)
        adaptation.on_estimate(wave * (250_000 if 20 <= now_s < 45 else 2_500_000), now_s)
        target = adaptation.target(now_s, 640, 480, FPS)
        if ladder.is_due(target.bitrate_bps, now_s, keyframe=False):
            ladder.on_open(target.bitrate_bps, now_s)
            opened.append(now_s)
    assert any(20 <= now_s <= 20.1 for now_s in opened)
    assert any(45 < now_s < 50 for now_s in opened)
    assert all(after - before >= 2 for before, after in pairwise(opened))
    assert len(opened) <= 8


def test_a_keyframe_that_is_made_anyway_takes_the_new_rate_along() -> None:
    ladder = RateLadder(1_000_000)
    ladder.on_open(1_000_000, 0.0)
    assert not ladder.is_due(1_100_000, 1.0, keyframe=True)
    assert ladder.is_due(1_100_000, 2.0, keyframe=True)
    assert not ladder.is_due(1_100_000, 60.0, keyframe=False)
    assert not ladder.is_due(1_020_000, 60.0, keyframe=True)


def test_frames_are_left_out_until_the_rate_has_caught_up() -> None:
    bucket = LeakyBucket()
    sent = []
    for index in range(300):  # 100 kbit each, 3 Mbit/s, where 1 Mbit/s goes through.
        now_s = index / FPS
        bucket.drain(1_000_000, now_s)
        if not bucket.is_full(1_000_000, now_s):
            bucket.add(100_000, now_s)
            sent.append(now_s)
    assert 95 <= len(sent) <= 115
    assert max(after - before for before, after in pairwise(sent)) <= 0.2


def test_no_gap_is_a_freeze() -> None:
    bucket = LeakyBucket()
    sent = []
    for index in range(300):
        now_s = index / FPS
        bucket.drain(50_000, now_s)
        if not bucket.is_full(50_000, now_s):
            bucket.add(100_000, now_s)
            sent.append(now_s)
    assert max(after - before for before, after in pairwise(sent)) < 0.75


def test_an_uneven_clock_becomes_an_even_pace() -> None:
    pace = FramePace(1 / 30)
    steps_s = [pace.next(step) for _ in range(100) for step in (1 / 60, 1 / 20)]
    assert max(steps_s) / min(steps_s) < 1.2
    assert sum(steps_s) == pytest.approx(200 / 30, rel=0.05)


def test_a_new_rate_of_pictures_is_learned_and_a_pause_is_not() -> None:
    pace = FramePace(1 / 30)
    assert pace.next(10.0) < 1 / 25
    for _ in range(60):
        slow_s = pace.next(1 / 5)
    assert slow_s == pytest.approx(1 / 5, rel=0.05)
    assert pace.next(1 / 30) <= 2 / 30
    for _ in range(30):
        fast_s = pace.next(1 / 30)
    assert fast_s == pytest.approx(1 / 30, rel=0.05)
