"""eSpeak NG speaks, sentence by sentence, off the event loop and for many at once."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastrtc.errors import ConfigurationError, SpeechError
from fastrtc.speech.espeak import EspeakTTSModel, EspeakTTSOptions
from fastrtc.speech.sphinx import PocketSphinxSTT
from fastrtc.speech.tts import get_tts_model

TEXT = "Count to five. Then stop, Dr. Smith! Is that all?"
MODEL = EspeakTTSModel()
SAME = 0.03
"""The engine's breath is random: two takes of a sentence differ by a few samples in length."""


def test_what_it_says_is_understood() -> None:
    numbers = PocketSphinxSTT(words=["one", "two", "three", "four", "five", "six", "seven"])
    spoken = MODEL.tts("three, five, one, seven")
    assert spoken[0] == 22_050
    assert spoken[1].dtype == np.int16
    assert spoken[1].ndim == 1
    assert numbers.stt(spoken) == "three five one seven"


def test_pieces_are_the_sentences_and_together_the_whole() -> None:
    pieces = list(MODEL.stream_tts_sync(TEXT))
    assert len(pieces) == 3
    assert {rate_hz for rate_hz, _ in pieces} == {22_050}
    rate_hz, whole = MODEL.tts(TEXT)
    assert sum(len(samples) for _, samples in pieces) == pytest.approx(len(whole), rel=SAME)
    assert 2 < len(whole) / rate_hz < 8


async def test_the_async_stream_says_the_same_and_leaves_the_loop_free() -> None:
    """Pitfall 3."""
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await asyncio.sleep(0.001)
            ticks += 1

    ticking = asyncio.create_task(tick())
    text = "This sentence is not short, and it takes a while to be said. " * 40
    pieces = [samples async for _, samples in MODEL.stream_tts(text)]
    ticking.cancel()
    assert len(pieces) == 40
    assert sum(map(len, pieces)) == pytest.approx(len(MODEL.tts(text)[1]), rel=SAME)
    # A stream that blocked the loop would leave none.
    assert ticks > 10


async def test_a_stream_that_is_closed_early_leaves_the_model_usable() -> None:
    stream = MODEL.stream_tts(TEXT)
    await anext(stream)
    await stream.aclose()
    assert len(MODEL.tts("Hello.")[1])


def test_threads_do_not_mix_what_they_say() -> None:
    def say(number: int) -> tuple[int, float]:
        how = EspeakTTSOptions(voice=f"en-us+f{1 + number % 4}", rate_wpm=120 + 60 * (number % 4))
        samples = MODEL.tts("one two three " * (1 + number % 4), how)[1]
        return len(samples), float(np.abs(samples).mean())

    alone = [say(number) for number in range(4)]
    with ThreadPoolExecutor(8) as threads:
        together = list(threads.map(say, range(64)))
    assert len({round(length, -3) for length, _ in alone}) == 4
    for number, (length, level) in enumerate(together):
        assert length == pytest.approx(alone[number % 4][0], rel=SAME)
        assert level == pytest.approx(alone[number % 4][1], rel=0.1)


def pitch_hz(samples: np.ndarray) -> float:
    """The median pitch of a voice between 60 and 220 Hz, by autocorrelation of each 50 ms."""
    length = MODEL.rate_hz // 20
    pieces = samples[: len(samples) // length * length].reshape(-1, length).astype(np.float64)
    loud = pieces[pieces.std(axis=1) > 0.3 * pieces.std()]
    spectra = np.abs(np.fft.rfft(loud - loud.mean(axis=1, keepdims=True), 2 * length)) ** 2
    correlations = np.fft.irfft(spectra)
    shortest, longest = MODEL.rate_hz // 220, MODEL.rate_hz // 60
    periods = shortest + correlations[:, shortest:longest].argmax(axis=1)
    return float(MODEL.rate_hz / np.median(periods))


def test_voice_speed_and_pitch_are_heard() -> None:
    plain = MODEL.tts("How are you?")[1]
    fast = MODEL.tts("How are you?", EspeakTTSOptions(rate_wpm=300))[1]
    high = MODEL.tts("How are you?", EspeakTTSOptions(pitch=95))[1]
    german = MODEL.tts("How are you?", EspeakTTSOptions(voice="de"))[1]
    assert len(fast) < 0.8 * len(plain)
    assert pitch_hz(high) > 1.2 * pitch_hz(plain)
    assert abs(len(german) - len(plain)) > 2 * SAME * len(plain)
    again = MODEL.tts("How are you?")[1]
    assert len(again) == pytest.approx(len(plain), rel=SAME)
    assert pitch_hz(again) == pytest.approx(pitch_hz(plain), rel=0.1)


def test_wrong_options_say_what_is_allowed() -> None:
    with pytest.raises(SpeechError, match="no voice 'nonsense'; it has languages such as 'en-us'"):
        MODEL.tts("Hello.", EspeakTTSOptions(voice="nonsense"))
    with pytest.raises(ConfigurationError, match="80 to 450"):
        EspeakTTSOptions(rate_wpm=5)
    with pytest.raises(ConfigurationError, match="0 to 100"):
        EspeakTTSOptions(pitch=101)


@pytest.mark.parametrize("text", ["", "  \n\n "])
def test_nothing_to_say_is_no_sound(text: str) -> None:
    assert list(MODEL.stream_tts_sync(text)) == []
    assert len(MODEL.tts(text)[1]) == 0


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=80))
def test_any_text_can_be_said(text: str) -> None:
    rate_hz, samples = MODEL.tts(text)
    assert rate_hz == 22_050
    assert samples.dtype == np.int16


def test_the_model_by_name_is_loaded_once() -> None:
    assert get_tts_model("espeak") is get_tts_model("espeak")
    with pytest.raises(ValueError, match="'festival'; allowed: 'kokoro', 'cartesia', 'espeak'"):
        get_tts_model("festival")  # type: ignore[arg-type]
