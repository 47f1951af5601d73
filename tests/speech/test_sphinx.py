"""PocketSphinx with its own model hears recorded speech by grammar, word list and keyphrase."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from fastrtc.errors import ConfigurationError
from fastrtc.speech.sphinx import PocketSphinxSTT
from fastrtc.speech.stt import get_stt_model, stt_for_chunks
from speech.recordings import RATE_HZ, recording

GRAMMAR = """#JSGF V1.0;
grammar robot; // words of this comment are not words
public <command> = [please] <move> | stop {halt} | /0.5/ turn <side>;
<move> = go (forward | backward) <number> meters;
<number> = one | two | ten;
<side> = left | right;
"""
FORWARD = (RATE_HZ, recording("go-forward.wav"))


@pytest.fixture(scope="module")
def robot() -> PocketSphinxSTT:
    return PocketSphinxSTT(grammar=GRAMMAR)


@pytest.mark.parametrize("gain", [0.02, 0.3, 1.0])
def test_a_grammar_is_heard_quiet_or_loud(robot: PocketSphinxSTT, gain: float) -> None:
    samples = (FORWARD[1] * gain).astype(np.int16)
    assert robot.stt((RATE_HZ, samples.reshape(1, -1))) == "go forward ten meters"


def test_digital_silence_around_the_words_does_no_harm(robot: PocketSphinxSTT) -> None:
    silence = np.zeros(RATE_HZ, np.int16)
    samples = np.concatenate([silence, FORWARD[1], silence])
    assert robot.stt((RATE_HZ, samples)) == "go forward ten meters"


def test_other_rates_floats_and_stereo_are_heard(robot: PocketSphinxSTT) -> None:
    tripled = np.repeat(FORWARD[1].astype(np.float32) / 32768, 3)
    assert robot.stt((48_000, tripled)) == "go forward ten meters"
    assert robot.stt((48_000, np.stack([tripled, tripled]))) == "go forward ten meters"


def test_chunks_of_a_row_are_heard_one_by_one(robot: PocketSphinxSTT) -> None:
    said = FORWARD[1]
    row = np.concatenate([said, np.zeros(RATE_HZ, np.int16), said]).reshape(1, -1)
    chunks = [
        {"start": 0, "end": len(said)},
        {"start": len(said) + RATE_HZ, "end": row.shape[1]},
    ]
    heard = stt_for_chunks(robot, (RATE_HZ, row), chunks)
    assert heard == "go forward ten meters go forward ten meters"
    assert stt_for_chunks(robot, (RATE_HZ, row), []) == ""


OTHERS = ["austen-0870.wav", "austen-0880.wav", "austen-0930.wav"]


@pytest.mark.parametrize("name", OTHERS)
def test_other_words_than_the_grammars_are_none(name: str) -> None:
    other = (RATE_HZ, recording(name))
    greedy = "#JSGF V1.0; grammar g; public <all> = (go | forward | ten | meters | stop | left)+;"
    assert PocketSphinxSTT(grammar=greedy, min_fit=None).stt(other) != ""
    strict = PocketSphinxSTT(grammar=greedy)
    assert strict.stt(other) == ""
    assert strict.stt(FORWARD) == "go forward ten meters"


@pytest.mark.parametrize("snr_db", [20, 10])
def test_noise_does_not_make_right_words_wrong(robot: PocketSphinxSTT, snr_db: int) -> None:
    samples = FORWARD[1].astype(np.float64)
    level = np.sqrt(np.mean(np.square(samples))) / 10 ** (snr_db / 20)
    noisy = samples + np.random.default_rng(7).normal(0, level, len(samples))
    clipped = np.clip(noisy, -32768, 32767).astype(np.int16)
    assert robot.stt((RATE_HZ, clipped)) == "go forward ten meters"


@pytest.mark.parametrize("samples", [0, 100, RATE_HZ])
def test_no_sound_is_no_words(robot: PocketSphinxSTT, samples: int) -> None:
    assert robot.stt((RATE_HZ, np.zeros(samples, np.int16))) == ""


def test_many_threads_may_ask_at_once(robot: PocketSphinxSTT) -> None:
    with ThreadPoolExecutor(4) as threads:
        heard = list(threads.map(robot.stt, [FORWARD] * 8))
    assert heard == ["go forward ten meters"] * 8


def test_a_word_list_is_heard_in_any_order() -> None:
    model = get_stt_model("pocketsphinx", words=["meters", "Go forward", "ten", "stop", "left"])
    assert model.stt(FORWARD) == "go forward ten meters"
    assert get_stt_model("pocketsphinx", words=["stop", "go"]) is not model


def test_a_keyphrase_is_found_and_others_are_not() -> None:
    model = PocketSphinxSTT(keyphrases={"go forward": 1e-20, "hello computer": 1e-20})
    assert model.stt(FORWARD) == "go forward"
    assert model.stt((RATE_HZ, recording("austen-0880.wav"))) == ""


def test_a_word_that_the_dictionary_lacks_can_be_taught() -> None:
    with pytest.raises(ConfigurationError, match="does not have forwardish"):
        PocketSphinxSTT(words=["go", "forwardish"])
    taught = PocketSphinxSTT(
        words=["go", "forwardish", "ten", "meters"],
        pronunciations={"forwardish": "F AO R W ER D"},
    )
    assert taught.stt(FORWARD) == "go forwardish ten meters"
    with pytest.raises(ConfigurationError, match="CMUdict"):
        PocketSphinxSTT(words=["go"], pronunciations={"x": "eks"})


def test_dictation_hears_something() -> None:
    assert "forward" in PocketSphinxSTT().stt(FORWARD).split()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"words": ["go"], "grammar": GRAMMAR}, "one of"),
        ({"words": []}, "empty"),
        ({"keyphrases": []}, "empty"),
        ({"words": "go forward"}, "take a list"),
        ({"grammar": "#JSGF V1.0; grammar g; public <a> = go ("}, "cannot read the grammar"),
        ({"grammar": "nonsense"}, "cannot read the grammar"),
    ],
)
def test_a_wrong_configuration_says_what_is_wrong(options: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        PocketSphinxSTT(**options)  # type: ignore[arg-type]
