"""Candidates ahead of their offer: held, bounded, forgotten."""

from __future__ import annotations

from fastrtc.server.candidates import HELD_PER_ID, HELD_S, IDS, EarlyCandidates


def test_candidates_are_held_for_ten_seconds() -> None:
    early = EarlyCandidates()
    assert early.hold("a", "1", now_s=0)
    assert early.hold("a", "2", now_s=9)
    assert early.take("a", now_s=10) == ["1", "2"]
    assert early.take("a", now_s=10) == []
    assert early.hold("b", "1", now_s=0)
    assert early.take("b", now_s=HELD_S + 1) == []


def test_an_id_that_never_came_takes_no_more() -> None:
    early = EarlyCandidates()
    assert early.hold("a", "1", now_s=0)
    assert not early.hold("a", "2", now_s=11)
    assert not early.hold("a", "3", now_s=600)


def test_ids_and_candidates_are_bounded() -> None:
    early = EarlyCandidates()
    assert all(early.hold("a", str(n), now_s=0) for n in range(HELD_PER_ID))
    assert not early.hold("a", "one too many", now_s=0)
    for number in range(2 * IDS):
        early.hold(f"id {number}", "1", now_s=0)
    assert early.take("a", now_s=0) == []
    assert early.take(f"id {2 * IDS - 1}", now_s=0) == ["1"]
    assert sum(bool(early.take(f"id {n}", now_s=0)) for n in range(2 * IDS)) == IDS - 1
