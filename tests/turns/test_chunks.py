"""Speech chunks are what SileroVadOptions says."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from fastrtc.turns.chunks import speech_chunks
from fastrtc.turns.options import SileroVadOptions
from fastrtc.turns.protocol import SpeechChunk

WINDOW = 512


def options(**values: float) -> SileroVadOptions:
    plain = {"min_speech_duration_ms": 0, "min_silence_duration_ms": 100, "speech_pad_ms": 0}
    return SileroVadOptions(**{**plain, **values})  # type: ignore[arg-type]


def chunks(runs: list[tuple[float, int]], **values: float) -> list[tuple[float, float]]:
    """Chunks, in windows, of runs of ``(probability, windows)``."""
    probabilities = [probability for probability, count in runs for _ in range(count)]
    found = speech_chunks(probabilities, len(probabilities) * WINDOW, options(**values))
    return [(chunk["start"] / WINDOW, chunk["end"] / WINDOW) for chunk in found]


def test_speech_between_silences() -> None:
    assert chunks([(0, 5), (0.9, 10), (0, 5)]) == [(5, 15)]


def test_silence_has_none() -> None:
    assert chunks([(0.1, 50)]) == []
    assert speech_chunks([], 0, SileroVadOptions()) == []


def test_speech_begins_at_the_threshold_and_ends_well_below_it() -> None:
    assert chunks([(0.45, 10), (0.5, 1), (0.36, 10), (0.34, 10)]) == [(10, 21)]
    assert chunks([(0.6, 10)], threshold=0.7) == []


def test_short_speech_is_dropped() -> None:
    runs = [(0.0, 5), (0.9, 7), (0.0, 10), (0.9, 8), (0.0, 10)]
    assert chunks(runs, min_speech_duration_ms=250) == [(22, 30)]


def test_short_silences_do_not_end_a_chunk() -> None:
    runs = [(0.9, 10), (0.0, 10), (0.9, 10), (0.0, 10)]
    assert chunks(runs, min_silence_duration_ms=200) == [(0, 10), (20, 30)]
    assert chunks(runs, min_silence_duration_ms=2000) == [(0, 40)]


def test_long_speech_is_split_at_its_last_silence() -> None:
    runs = [(0.9, 40), (0.0, 5), (0.9, 60)]
    found = chunks(runs, max_speech_duration_s=2, min_silence_duration_ms=2000)
    assert found[:2] == [(0, 40), (45, found[1][1])]


def test_long_speech_without_a_silence_is_split_all_the_same() -> None:
    found = chunks([(0.9, 200)], max_speech_duration_s=2)
    assert len(found) == 4
    assert all(end - start <= 2000 / 32 for start, end in found)


def test_padding_stays_inside_and_never_overlaps() -> None:
    runs = [(0.9, 10), (0.0, 10), (0.9, 10), (0.0, 40)]
    assert chunks(runs, speech_pad_ms=96) == [(0, 13), (17, 33)]
    assert chunks(runs, speech_pad_ms=400) == [(0, 15), (15, 42.5)]


@given(
    st.lists(
        st.tuples(st.sampled_from([0.0, 0.2, 0.4, 0.6, 0.95]), st.integers(1, 50)), max_size=30
    ),
    st.integers(0, WINDOW - 1),
    st.sampled_from([0, 30, 400]),
    st.sampled_from([0, 100, 500, 2000]),
    st.sampled_from([math.inf, 3.0]),
)
def test_chunks_are_in_order_and_hold_the_speech(
    runs: list[tuple[float, int]], missing: int, pad_ms: int, silence_ms: int, most_s: float
) -> None:
    probabilities = [probability for probability, count in runs for _ in range(count)]
    samples = max(0, len(probabilities) * WINDOW - missing)
    found = speech_chunks(
        probabilities,
        samples,
        options(
            speech_pad_ms=pad_ms, min_silence_duration_ms=silence_ms, max_speech_duration_s=most_s
        ),
    )
    edges = [edge for chunk in found for edge in (chunk["start"], chunk["end"])]
    assert edges == sorted(edges)
    assert not edges or (edges[0] >= 0 and edges[-1] <= samples)
    for window, probability in enumerate(probabilities):
        middle = window * WINDOW + WINDOW // 2
        if probability >= 0.5 and middle < samples and most_s == math.inf:
            assert any(_holds(chunk, middle) for chunk in found)
    if most_s == 3.0:
        assert all(chunk["end"] - chunk["start"] <= 3.0 * 16_000 for chunk in found)


def _holds(chunk: SpeechChunk, sample: int) -> bool:
    return chunk["start"] <= sample < chunk["end"]
