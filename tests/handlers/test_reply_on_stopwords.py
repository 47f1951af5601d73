"""Stop words: how they are matched, and what the function gets after one. In virtual time."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from conversation import RATE_HZ, Samples, Talk, clip, contains, errors, logs, silence, take_time
from fastrtc import ReplyOnStopWords, Stream
from fastrtc.errors import ConfigurationError, MissingExtension, MissingModel
from fastrtc.handlers.reply_on_stopwords import _recogniser_of
from fastrtc.handlers.stop_words import contains_phrase
from fastrtc.speech import stt
from fastrtc.speech.loading import ModelCache
from fastrtc.testing import MemoryClient, run

WAKE = clip("go-forward")
WORDS = clip("austen-0880")
OTHER = clip("austen-0930")


class Hears:
    """Recognises the wake clip, and says a sentence for it; anything else is "mumble"."""

    def __init__(self, sentence: str = "Hey, Computer! Listen.", share: float = 0.0) -> None:
        self.sentence = sentence
        self.share = share
        """How long it takes for a second of audio."""
        self.asked = 0

    def stt(self, audio: Any) -> str:
        rate_hz, samples = audio
        assert rate_hz == RATE_HZ
        self.asked += 1
        if self.share:
            take_time(self.share * samples.size / rate_hz)
        heard = contains(samples[0], WAKE[: len(WAKE) - RATE_HZ // 10])
        return self.sentence if heard else "mumble"


def stream(talk: Talk, stt: Any, **options: Any) -> Stream:
    handler = ReplyOnStopWords(
        talk.sync, ["hey computer"], input_sample_rate=RATE_HZ, stt=stt, **options
    )
    return Stream(handler, modality="audio")


@pytest.mark.parametrize(
    ("text", "phrases", "found"),
    [
        ("Computer, what time is it?", ["computer"], True),
        ("COMPUTER!", ["Computer"], True),
        ("my computers", ["computer"], False),
        ("supercomputer", ["computer"], False),
        ("hey, computer", ["hey computer"], True),
        ("hey my computer", ["hey computer"], False),
        ("well hey  computer go", ["nothing", "Hey Computer!"], True),
        ("wake-up now", ["wake up"], True),
        ("don\u2019t stop", ["don't stop"], True),
        ("ÉCOUTE", ["écoute"], True),
        ("", ["computer"], False),
        ("computer", ["", "?!"], False),
    ],
)
def test_words_and_phrases_are_matched_without_case_and_punctuation(
    text: str, phrases: list[str], found: bool
) -> None:
    assert contains_phrase(text, phrases) is found
    if any(phrase.strip("?!") for phrase in phrases):
        assert ReplyOnStopWords(Talk().sync, phrases, stt=Hears()).stop_word_detected(text) is found


def test_nothing_is_answered_before_a_stop_word() -> None:
    async def check() -> None:
        talk = Talk()
        async with MemoryClient(stream(talk, Hears())) as client:
            await client.send_audio(np.concatenate((WORDS, silence(1), OTHER, silence(2))))
            assert not talk.turns
            assert client.messages == []

    run(check())


@pytest.mark.parametrize("pause_s", [0.1, 0.4, 1.0, 3.0])
def test_what_comes_after_the_stop_word_goes_to_the_function(pause_s: float) -> None:
    async def check() -> None:
        talk = Talk()
        said = (silence(0.5), OTHER, silence(1), WAKE, silence(pause_s), WORDS, silence(1.5))
        async with MemoryClient(stream(talk, Hears())) as client:
            await client.send_audio(np.concatenate(said))
            assert [m["type"] for m in client.messages].count("stopword") == 1
            assert len(talk.turns) == 1
            assert contains(talk.turns[0], WORDS)
            assert not contains(talk.turns[0], WAKE[: RATE_HZ // 2])
            assert len(talk.turns[0]) < len(WORDS) + 1.4 * RATE_HZ + min(pause_s, 0.7) * RATE_HZ
            assert logs(client)[:2] == ["started_talking", "pause_detected"]

    run(check())


@pytest.mark.parametrize("before_s", [0.0, 0.15, 0.3, 0.45])
def test_words_that_follow_the_stop_word_at_once_are_all_there(before_s: float) -> None:
    """Wherever between two questions to the recogniser the stop word ends."""

    async def check() -> None:
        talk = Talk()
        before = WORDS[RATE_HZ : RATE_HZ + round(before_s * RATE_HZ)]
        said = (silence(0.5), before, WAKE, silence(0.05), OTHER, silence(1.5))
        async with MemoryClient(stream(talk, Hears())) as client:
            await client.send_audio(np.concatenate(said))
            assert len(talk.turns) == 1
            assert contains(talk.turns[0], OTHER)
            assert not contains(talk.turns[0], WAKE[: RATE_HZ // 2])

    run(check())


@pytest.mark.parametrize(("before_s", "share"), [(0.9, 0.35), (0.3, 0.7)])
def test_a_stop_word_is_heard_however_slow_the_recogniser(before_s: float, share: float) -> None:
    """It is still busy with what was said before when the user falls silent after the word."""

    async def check() -> None:
        talk = Talk(3)
        before = WORDS[: round(before_s * RATE_HZ)]
        async with MemoryClient(stream(talk, Hears(share=share))) as client:
            await client.send_audio(np.concatenate((silence(0.5), before, WAKE, silence(10))))
            assert [m["type"] for m in client.messages].count("stopword") == 1
            await client.send_audio(np.concatenate((OTHER, silence(3))))
            assert len(talk.turns) == 1
            assert contains(talk.turns[0], OTHER)

    run(check())


def test_each_turn_needs_its_stop_word() -> None:
    async def check() -> None:
        talk = Talk(3)
        async with MemoryClient(stream(talk, Hears())) as client:
            for turn in (1, 2):
                await client.send_audio(np.concatenate((WAKE, silence(0.3), WORDS, silence(2))))
                await client.send_audio(np.concatenate((OTHER, silence(2))))
                assert len(talk.turns) == turn
                assert contains(talk.turns[-1], WORDS)

    run(check())


def test_only_a_stop_word_interrupts() -> None:
    async def check() -> None:
        talk = Talk(200)
        async with MemoryClient(stream(talk, Hears())) as client:
            await client.send_audio(np.concatenate((WAKE, silence(0.3), WORDS, silence(1))))
            await client.send_audio(np.concatenate((OTHER, silence(1))))
            assert (talk.begun, talk.closed) == (1, 0)
            await client.send_audio(np.concatenate((WAKE, silence(0.7))))
            assert (talk.begun, talk.closed) == (1, 1)
            await client.send_audio(np.concatenate((OTHER, silence(1))))
            assert talk.begun == 2
            assert contains(talk.turns[1], OTHER)

    run(check())


def test_a_turn_that_waits_for_a_reply_is_answered_while_others_chat() -> None:
    async def check() -> None:
        talk = Talk(10)
        async with MemoryClient(stream(talk, Hears(), can_interrupt=False)) as client:
            turns = client.handler._fastrtc_taker  # type: ignore[attr-defined]
            turns.take_turn(WORDS)
            await client.listen(0.1)
            turns.take_turn(OTHER)
            # Without a stop word, from before the end of the reply on.
            client.handler.can_interrupt = True  # type: ignore[attr-defined]
            await client.send_audio(OTHER[: RATE_HZ * 2])
            assert talk.begun == 2
            assert contains(talk.turns[1], OTHER)

    run(check())


def test_silence_asks_the_recogniser_nothing() -> None:
    async def check() -> None:
        hears = Hears()
        async with MemoryClient(stream(Talk(), hears)) as client:
            await client.send_silence(30)
            assert hears.asked == 0

    run(check())


def test_a_recogniser_that_fails_is_told(caplog: pytest.LogCaptureFixture) -> None:
    class Broken:
        def stt(self, audio: Any) -> str:
            raise RuntimeError("no weights")

    async def check() -> None:
        async with MemoryClient(stream(Talk(), Broken())) as client:
            await client.send_audio(np.concatenate((WAKE, silence(1))))
            assert errors(client)[0].startswith("stop word recognition failed (error ")

    with caplog.at_level(logging.ERROR):
        run(check())
    assert len([record for record in caplog.records if record.exc_info]) == 1


@pytest.mark.parametrize("stop_words", [[], "computer", ["?!"]])
def test_stop_words_that_cannot_be_heard_are_refused(stop_words: Any) -> None:
    with pytest.raises(ValueError, match="stop_words"):
        ReplyOnStopWords(Talk().sync, stop_words, stt=Hears())


@pytest.fixture
def unloaded() -> Iterator[None]:
    """No recogniser was loaded yet, and none stays."""
    _recogniser_of.cache_clear()
    yield
    _recogniser_of.cache_clear()


def test_a_word_that_nothing_can_hear_is_named(
    unloaded: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PocketSphinx is the real one; of Moonshine only the download is missing."""

    def no_weights(*_: Any) -> Any:
        raise MissingModel("encoder_model.ort could not be downloaded")

    monkeypatch.setitem(stt._LOADERS, "moonshine/base", no_weights)
    told = r"(?s)'hey zorblat'.*does not have zorblat.*not be downloaded.*pronunciations="
    with pytest.raises(MissingModel, match=told):
        ReplyOnStopWords(Talk().sync, ["hey zorblat"])


def test_a_recogniser_is_loaded_once_for_all_clients(
    unloaded: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded: list[str] = []

    def load(name: str) -> Any:
        def note(*_: Any) -> Any:
            loaded.append(name)
            if name == "pocketsphinx":
                raise ConfigurationError("the dictionary does not have zorblat")
            return Hears()

        return note

    for name in ("pocketsphinx", "moonshine/base"):
        monkeypatch.setitem(stt._LOADERS, name, load(name))
    monkeypatch.setattr(stt, "_cache", ModelCache())
    handler = ReplyOnStopWords(Talk().sync, ["zorblat"])
    assert handler.copy().stt_model is handler.copy().stt_model is handler.stt_model
    assert loaded == ["pocketsphinx", "moonshine/base"]


def test_a_subclass_that_looks_for_words_itself_is_given_all_of_them(
    unloaded: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Own(ReplyOnStopWords):
        def stop_word_detected(self, text: str) -> bool:
            return "listen" in text.lower()

    monkeypatch.setitem(stt._LOADERS, "moonshine/base", lambda *_: Hears())
    monkeypatch.setattr(stt, "_cache", ModelCache())

    async def check() -> None:
        talk = Talk()
        handler = Own(talk.sync, ["nothing"], input_sample_rate=RATE_HZ)
        async with MemoryClient(Stream(handler, modality="audio")) as client:
            await client.send_audio(np.concatenate((WAKE, silence(0.3), WORDS, silence(1))))
            assert len(talk.turns) == 1

    run(check())


def test_without_pocketsphinx_there_is_moonshine(
    unloaded: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def get(model: str, **options: Any) -> Any:
        asked.append(model)
        if model == "pocketsphinx":
            raise MissingExtension("pip install pocketsphinx")
        return Hears()

    monkeypatch.setattr("fastrtc.handlers.reply_on_stopwords.get_stt_model", get)
    handler = ReplyOnStopWords(Talk().sync, ["computer"])
    assert isinstance(handler.stt_model, Hears)
    assert asked == ["pocketsphinx", "moonshine/base"]


def test_a_subclass_may_match_and_tell_otherwise() -> None:
    class Own(ReplyOnStopWords):
        told = 0

        def stop_word_detected(self, text: str) -> bool:
            return "listen" in text.lower()

        def send_stopword(self) -> None:
            Own.told += 1
            super().send_stopword()

    async def check() -> None:
        talk = Talk()
        handler = Own(talk.sync, ["nothing"], input_sample_rate=RATE_HZ, stt=Hears())
        async with MemoryClient(Stream(handler, modality="audio")) as client:
            await client.send_audio(np.concatenate((WAKE, silence(0.3), WORDS, silence(1))))
            assert len(talk.turns) == Own.told == 1

    run(check())


def test_the_built_in_recogniser_hears_a_real_stop_word() -> None:
    """go-forward.wav says "go forward ten meters"."""

    async def check(stop_word: str) -> list[Samples]:
        talk = Talk()
        handler = ReplyOnStopWords(talk.sync, [stop_word], input_sample_rate=RATE_HZ)
        async with MemoryClient(Stream(handler, modality="audio")) as client:
            await client.send_audio(np.concatenate((silence(0.5), WAKE, silence(2))))
            return talk.turns

    (turn,) = run(check("forward"))
    assert contains(turn, WAKE[-RATE_HZ * 6 // 10 :])
    assert not contains(turn, WAKE[: RATE_HZ // 2])
    assert run(check("backward")) == []
