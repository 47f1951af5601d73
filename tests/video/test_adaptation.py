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


def test_queues_are_left_to_empty_while_estimates_run_behind_a_way_that_became_narrow() -> None:
    falling_bps = [2_600_000, 1_900_000, 1_500_000, 1_300_000, 1_100_000, 1_000_000]
    found, keyframes_s = [], []
    adaptation = Adaptation(start_bitrate_bps=1_000_000)
    for index in range(150):
        now_s = index / FPS
        if now_s < 2:
            adaptation.on_estimate(3_000_000, now_s)
        elif index % 6 == 0 and (step := (index - 60) // 6) < len(falling_bps):
            adaptation.on_estimate(falling_bps[step], now_s)
        if index == 65:
            adaptation.on_round_trip(0.05, now_s)
        elif 75 <= index < 109:
            adaptation.on_round_trip(1.5, now_s)
        elif index == 109:
            adaptation.on_round_trip(0.07, now_s)
        found.append((now_s, adaptation.target(now_s, 640, 480, FPS)))
        if adaptation.wants_keyframe(now_s):
            keyframes_s.append(now_s)
    assert at(found, 2.3).bitrate_bps > 1_000_000
    low = [now_s for now_s, target in found if target.bitrate_bps == 80_000]
    assert low[0] == pytest.approx(2.4)
    assert low[-1] == pytest.approx(3.6, abs=0.05), "until a round trip says that they are"
    assert at(found, 3.7).bitrate_bps == pytest.approx(0.4 * 0.9 * 1_000_000, rel=0.1)
    assert keyframes_s == pytest.approx([2.8, 3.3], abs=0.05), "what was lost is not waited for"
    assert changes(found) == [
        (pytest.approx(2.8, abs=0.05), 0.5),
        (pytest.approx(3.63, abs=0.05), 1.0),
    ], "small ones, since they stand at the end of a long queue"


def after_a_fall(round_trips_s: dict[float, float], *, fall_s: float = 3.0) -> list[float]:
    """When only the least bit rate is sent, given round trips at moments; one estimate falls."""
    adaptation = Adaptation()
    low = []
    for index in range(round(20 * FPS)):
        now_s = index / FPS
        adaptation.on_estimate(400_000 if now_s >= fall_s else 1_000_000, now_s)
        if (round_trip_s := round_trips_s.get(now_s)) is not None:
            adaptation.on_round_trip(round_trip_s, now_s)
        if adaptation.target(now_s, 640, 480, FPS).bitrate_bps == 80_000:
            low.append(now_s)
        assert not adaptation.wants_keyframe(now_s), "nothing was lost"
    return low


def test_small_steps_down_are_falls_too() -> None:
    adaptation = Adaptation()
    for index in range(90):
        now_s = index / FPS
        adaptation.on_estimate(1_000_000 * 0.98 ** max(0, index - 60), now_s)
        target = adaptation.target(now_s, 640, 480, FPS)
        assert (target.bitrate_bps == 80_000) == (index >= 75), index


def test_a_queue_that_stands_is_left_to_empty() -> None:
    low = after_a_fall({1.0: 0.05, 2.0: 0.06, 5.0: 1.05})
    assert low[0] == pytest.approx(5.0)
    assert low[-1] == pytest.approx(7.5, abs=0.1)
    told = after_a_fall({1.0: 0.05, 2.0: 0.06, 5.0: 1.05, 7.0: 0.2})
    assert told[-1] == pytest.approx(7.0, abs=0.1), "until a round trip says that it is"


def test_as_long_as_it_stands_there_is_a_rest_between_two_emptyings() -> None:
    seconds = {float(second): 3.0 for second in range(5, 13)}
    low = after_a_fall({1.0: 0.05, **seconds})
    starts = [low[0], *(after for before, after in pairwise(low) if after - before > 0.1)]
    assert starts == [pytest.approx(5.0), pytest.approx(11.0, abs=0.1)]
    assert low[-1] == pytest.approx(13.0, abs=0.1), "for ten seconds after a fall"


@pytest.mark.parametrize("uptime_s", [0.0, 1e9])
def test_a_clock_may_be_old_and_round_trips_may_be_long_ago(uptime_s: float) -> None:
    adaptation = Adaptation()
    for after_s, round_trip_s in ((0.0, 0.05), (1.0, 0.06), (1e6, 2.0)):
        now_s = uptime_s + after_s
        adaptation.on_estimate(1_000_000 - 400_000 * (after_s >= 1.0), now_s)
        adaptation.on_round_trip(round_trip_s, now_s)
        assert adaptation.target(now_s, 640, 480, FPS).bitrate_bps > 80_000, "that was another way"


def test_a_long_way_is_no_queue() -> None:
    assert after_a_fall({float(second): 0.9 for second in range(1, 20)}) == []
    crept = {float(second): 0.05 * 1.15**second for second in range(1, 12)}
    assert after_a_fall(crept, fall_s=30.0) == [], "the client's own pictures wait, not ours"


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
