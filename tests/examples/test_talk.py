"""The example's conversation: what it answers, and that its grammar is heard."""

from __future__ import annotations

import importlib.util
import random
from datetime import datetime
from pathlib import Path
from types import ModuleType

import pytest

from fastrtc import EspeakTTSOptions, get_stt_model, get_tts_model

TALK = Path(__file__).resolve().parents[2] / "examples" / "talk"


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"talk_{name}", TALK / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


phrases = load("phrases")
MORNING = datetime(2026, 11, 21, 9, 5)


@pytest.mark.parametrize(
    ("heard", "said"),
    [
        ("what time is it now", "It is 9 hours and 5 minutes."),
        ("please tell me the time", "It is 9 hours and 5 minutes."),
        ("what day is it today", "Today is Saturday."),
        ("count to three", "One. Two. Three."),
        ("repeat after me good morning london", "Good morning london."),
        ("stop", "Okay."),
        ("be quiet", "Okay."),
        ("how are you", "I am fine, thank you."),
        ("hello", f"Hello! {phrases.HINT}"),
        ("", phrases.SORRY),
    ],
)
def test_each_sentence_has_its_answer(heard: str, said: str) -> None:
    assert phrases.answer(heard, MORNING) == said


def test_dice_are_thrown() -> None:
    dice = random.Random(4)
    assert phrases.answer("roll a die", MORNING, dice) == "You rolled a 2."
    said = {phrases.answer("throw two dice", MORNING, dice) for _ in range(50)}
    assert len(said) > 10
    assert all(text.startswith("You rolled ") and "That makes" in text for text in said)


def test_a_voice_is_understood_by_the_grammar() -> None:
    """One clear voice at one speed; benchmarks/speech/commands.py measures many, with noise."""
    ears = get_stt_model("pocketsphinx", grammar=phrases.GRAMMAR)
    voice = get_tts_model("espeak")
    commands = [
        "what time is it",
        "what day is it",
        "count to three",
        "count to eight",
        "roll a die",
        "roll two dice",
        "how are you",
        "repeat after me purple coffee",
        "goodbye",
        "be quiet",
    ]
    how = EspeakTTSOptions("en-us+m3", 150)
    wrong = [command for command in commands if ears.stt(voice.tts(command, how)) != command]
    assert len(wrong) <= 1, wrong
