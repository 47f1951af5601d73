"""The measures that the end-to-end tests rely on, tested on sounds whose faults are known."""

import numpy as np
import pytest

from e2e import sound

pytestmark = pytest.mark.together


def test_the_same_sound_later_and_softer_is_found_whole() -> None:
    original = sound.speech("austen-0880.wav")
    heard = np.concatenate([np.zeros(12345), 0.5 * original, np.zeros(5000)])
    fidelity = sound.compare(original, heard)
    assert fidelity.at == 12345
    assert fidelity.median > 0.999
    assert fidelity.dropouts == 0


def test_a_hole_of_80_ms_in_speech_is_a_dropout() -> None:
    original = sound.speech("austen-0880.wav")
    loudest = int(np.argmax(np.abs(original))) // sound.WINDOW * sound.WINDOW
    heard = np.concatenate([np.zeros(1000), original])
    heard[1000 + loudest + 500 : 1000 + loudest + 500 + sound.RATE_HZ * 80 // 1000] = 0
    assert sound.compare(original, heard).dropouts >= 1


def test_a_delay_that_grows_in_the_middle_is_followed() -> None:
    original = sound.speech("austen-0880.wav")
    middle = len(original) // 2
    pause = np.zeros(sound.RATE_HZ * 150 // 1000)
    heard = np.concatenate([original[:middle], pause, original[middle:]])
    fidelity = sound.compare(original, heard)
    assert fidelity.median > 0.99
    assert fidelity.dropouts <= 1


def test_another_sound_is_not_taken_for_the_original() -> None:
    original = sound.speech("austen-0880.wav")
    other = np.concatenate([sound.speech("go-forward.wav"), np.zeros(sound.RATE_HZ)])
    fidelity = sound.compare(original, other)
    assert fidelity.median < 0.5
    assert fidelity.dropouts > 3


def test_a_known_delay_is_measured() -> None:
    sent = sound.marks(5)
    late = np.concatenate([np.zeros(sound.RATE_HZ // 10), sent])[: len(sent)]
    delays_ms = sound.delays_ms(sent, late)
    assert len(delays_ms) >= 5
    assert np.allclose(delays_ms, 100, atol=0.1)


def test_resampling_keeps_a_tone_and_its_level() -> None:
    time_s = np.arange(16000) / 16000
    tone = np.sin(2 * np.pi * 1000 * time_s)
    there = sound.resample(tone, 16000, 48000)
    assert len(there) == 48000
    assert np.allclose(there[::3], tone, atol=1e-6)


def test_the_longest_silence_is_found() -> None:
    tone = np.ones(48000)
    tone[1000:1480] = 0
    assert sound.longest_silence_ms(tone) == 10.0
