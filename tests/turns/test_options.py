"""Options keep their documented defaults and refuse what cannot work."""

from __future__ import annotations

import math
from typing import Any

import pytest

from fastrtc.turns.options import AlgoOptions, SileroVadOptions


def test_the_defaults_are_the_documented_ones() -> None:
    assert AlgoOptions() == AlgoOptions(0.6, 0.2, 0.1, math.inf)
    assert SileroVadOptions() == SileroVadOptions(0.5, 250, math.inf, 2000, 1024, 400)


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"audio_chunk_duration": 0}, r"audio_chunk_duration=0\): allowed is > 0"),
        ({"audio_chunk_duration": math.inf}, "audio_chunk_duration=inf"),
        ({"audio_chunk_duration": "0.6"}, "'0.6'.*allowed is a number"),
        ({"audio_chunk_duration": True}, "True.*allowed is a number"),
        ({"started_talking_threshold": 0.6}, r"0 to below audio_chunk_duration \(0.6 s\)"),
        ({"started_talking_threshold": -0.1}, "started_talking_threshold=-0.1"),
        ({"speech_threshold": 0}, "speech_threshold=0.*above 0"),
        ({"speech_threshold": 0.7}, r"at most audio_chunk_duration \(0.6 s\)"),
        ({"speech_threshold": math.nan}, "speech_threshold=nan.*a number"),
        ({"max_continuous_speech_s": 0}, "math.inf for no limit"),
        ({"max_continuous_speech_s": None}, "max_continuous_speech_s=None.*a number"),
    ],
)
def test_a_turn_option_that_cannot_work_is_refused(values: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        AlgoOptions(**values)


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"threshold": 0}, "between 0 and 1"),
        ({"threshold": 1}, "between 0 and 1"),
        ({"min_speech_duration_ms": -1}, "0 or more"),
        ({"min_silence_duration_ms": math.inf}, "0 or more"),
        ({"speech_pad_ms": [400]}, "a number"),
        ({"max_speech_duration_s": 0}, "> 0"),
        ({"window_size_samples": 0}, "> 0"),
    ],
)
def test_a_speech_option_that_cannot_work_is_refused(values: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        SileroVadOptions(**values)


def test_what_worked_before_still_works() -> None:
    AlgoOptions(audio_chunk_duration=1, started_talking_threshold=0, speech_threshold=1)
    SileroVadOptions(threshold=0.9, min_speech_duration_ms=0, speech_pad_ms=0)
