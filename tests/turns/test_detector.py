"""When a turn starts and ends: the sliding window as the contract states it. No clock, no sound."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastrtc.turns.detector import (
    Event,
    GoesOn,
    Onset,
    Over,
    Silence,
    Started,
    TurnDetector,
)
from fastrtc.turns.options import AlgoOptions
from fastrtc.turns.protocol import WINDOW_S

YES, NO = 0.9, 0.1


def said(detector: TurnDetector, *stretches: tuple[float, float]) -> list[tuple[float, Event]]:
    """Pushes stretches of ``(probability, seconds)``; what came of them, with the time."""
    events = []
    for probability, duration_s in stretches:
        for _ in range(round(duration_s / WINDOW_S)):
            events += [(detector.now_s, event) for event in detector.push(probability)]
    return events


def of(kind: type, events: list[tuple[float, Event]]) -> list[float]:
    return [at_s for at_s, event in events if isinstance(event, kind)]


def test_a_turn_starts_once_the_window_holds_more_than_the_threshold() -> None:
    events = said(TurnDetector(AlgoOptions()), (NO, 1.024), (YES, 0.5))
    (at_s,) = of(Started, events)
    # 0.2 s is not more than 0.2 s: six windows are not enough, seven are.
    assert at_s == pytest.approx(1.024 + 7 * WINDOW_S)
    assert next(e.at_s for _, e in events if isinstance(e, Started)) == pytest.approx(1.024)


def test_a_turn_is_over_once_the_window_holds_less_than_the_threshold() -> None:
    events = said(TurnDetector(AlgoOptions()), (YES, 1.6), (NO, 2))
    (at_s,) = of(Over, events)
    assert at_s - 1.6 == pytest.approx(16 * WINDOW_S)  # 0.6 - 0.512 < 0.1


def test_the_window_slides_over_short_pauses() -> None:
    """Pitfall 12: one quiet stretch does not end a turn."""
    words = [(YES, 0.32), (NO, 0.416)] * 6
    events = said(TurnDetector(AlgoOptions()), *words, (NO, 1))
    assert len(of(Over, events)) == 1


def test_a_longer_window_waits_longer() -> None:
    events = said(TurnDetector(AlgoOptions(audio_chunk_duration=1.5)), (YES, 1.6), (NO, 3))
    (at_s,) = of(Over, events)
    assert 1.4 < at_s - 1.6 < 1.44


def test_a_cough_starts_no_turn() -> None:
    events = said(TurnDetector(AlgoOptions()), (NO, 1), (YES, 0.16), (NO, 3))
    assert not of(Started, events)
    assert not of(Over, events)


def test_threshold_decides_what_is_speech() -> None:
    assert not said(TurnDetector(AlgoOptions(), threshold=0.95), (YES, 2))
    assert said(TurnDetector(AlgoOptions(), threshold=0.9), (YES, 2))


def test_a_limit_ends_the_turn_and_what_follows_belongs_to_the_next() -> None:
    options = AlgoOptions(max_continuous_speech_s=1.0)
    events = said(TurnDetector(options), (YES, 2.304), (NO, 1))
    ends = [event for _, event in events if isinstance(event, Over)]
    assert [end.cause for end in ends] == ["limit", "limit", "pause"]
    starts = [event.at_s for _, event in events if isinstance(event, Started)]
    assert starts == pytest.approx([0.0, ends[0].end_s, ends[1].end_s])
    assert len(of(Onset, events)) == 1, "whoever just goes on does not interrupt"


def test_onset_comes_at_the_nearest_window_and_once_in_a_burst() -> None:
    events = said(TurnDetector(AlgoOptions()), (NO, 1.024), (YES, 2))
    assert of(Onset, events) == pytest.approx([1.024 + 6 * WINDOW_S])


def test_onset_waits_for_as_much_speech_as_was_asked() -> None:
    detector = TurnDetector(AlgoOptions(), interrupt_after_s=1.0)
    events = said(detector, (YES, 0.64), (NO, 1.28), (YES, 3))
    (at_s,) = of(Onset, events)
    assert at_s == pytest.approx(0.64 + 1.28 + 1.0, abs=0.35)


def test_a_second_burst_is_an_onset_again() -> None:
    events = said(TurnDetector(AlgoOptions()), (YES, 1), (NO, 1), (YES, 1), (NO, 1))
    assert len(of(Onset, events)) == 2


def test_silences_are_told_once_and_going_on_too() -> None:
    detector = TurnDetector(AlgoOptions(), silences_s=(0.3, 0.2))
    events = said(detector, (YES, 1), (NO, 0.4), (YES, 0.5), (NO, 2))
    kinds = [event for _, event in events if isinstance(event, Silence | GoesOn | Over)]
    assert kinds[:3] == [Silence(0.2), Silence(0.3), GoesOn()]
    assert kinds[3:5] == [Silence(0.2), Silence(0.3)]
    assert isinstance(kinds[5], Over)
    assert len(kinds) == 6


def test_patience_holds_for_one_silence() -> None:
    detector = TurnDetector(AlgoOptions(), silences_s=(0.2,))
    said(detector, (YES, 1), (NO, 0.256))
    detector.be_patient(1.5)
    assert not of(Over, said(detector, (NO, 1.2)))
    assert len(of(Over, said(detector, (NO, 0.32)))) == 1
    said(detector, (YES, 1), (NO, 0.256))
    assert len(of(Over, said(detector, (NO, 0.32)))) == 1


def test_finish_ends_the_turn_here() -> None:
    detector = TurnDetector(AlgoOptions())
    said(detector, (YES, 1), (NO, 0.2))
    assert detector.finish() == Over(detector.now_s, "asked")
    assert not detector.talking
    assert not said(detector, (NO, 3))


def test_a_turn_ends_in_silence_even_if_little_speech_is_enough_to_go_on() -> None:
    options = AlgoOptions(started_talking_threshold=0.0, speech_threshold=0.6)
    detector = TurnDetector(options)
    assert not of(Over, said(detector, (YES, 0.32)))
    assert len(of(Over, said(detector, (NO, 0.032)))) == 1


@given(
    st.lists(st.floats(0, 1), min_size=1, max_size=400),
    st.floats(0.1, 2),
    st.floats(0, 0.9),
    st.floats(0.01, 1),
    st.one_of(st.just(math.inf), st.floats(0.5, 5)),
)
def test_turns_follow_each_other_and_leave_no_speech_between_them(
    probabilities: list[float], chunk_s: float, start: float, stop: float, limit_s: float
) -> None:
    options = AlgoOptions(chunk_s, start * chunk_s, stop * chunk_s, limit_s)
    detector = TurnDetector(options, silences_s=(0.1, 0.3))
    end_s, talking = 0.0, False
    for probability in probabilities:
        for event in detector.push(probability):
            if isinstance(event, Started):
                assert not talking
                talking = True
                assert end_s - 1e-6 <= event.at_s < detector.now_s
            elif isinstance(event, Over):
                assert talking
                talking = False
                assert end_s < event.end_s <= detector.now_s + 1e-9
                end_s = event.end_s
            elif isinstance(event, Silence | GoesOn):
                assert talking
        assert talking == detector.talking
        # What a next turn may need is never given away with the turn before.
        assert detector.talking or detector.candidate_s >= end_s - 1e-6


@given(st.lists(st.booleans(), min_size=1, max_size=300))
def test_the_verdict_is_that_of_the_last_600_ms(speech: list[bool]) -> None:
    detector = TurnDetector(AlgoOptions())
    since = 0
    for index, is_speech in enumerate(speech):
        was_talking = detector.talking
        events = detector.push(YES if is_speech else NO)
        newest = speech[since : index + 1][-19:]
        held_s = sum(newest) * WINDOW_S
        if len(newest) == 19 and newest[0]:
            held_s -= 19 * WINDOW_S - 0.6
        if any(isinstance(event, Started) for event in events):
            assert not was_talking
            assert held_s > 0.2 - 1e-9
        if any(isinstance(event, Over) for event in events):
            assert held_s < 0.1 + 1e-9
            since = index + 1
        elif was_talking and not is_speech:
            assert held_s >= 0.1 - 1e-9
