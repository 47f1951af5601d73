"""Encodings of messages: recorded speech there and back, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastrtc.audio.codecs import (
    ENCODINGS,
    AudioFormat,
    Encoding,
    convert_to_mulaw,
    decoder,
    encoder,
)
from fastrtc.audio.g711 import mulaw_decode
from fastrtc.audio.rates import Resampler
from wavs import read_wav

DATA = Path(__file__).parent.parent / "data"


def there_and_back(form: AudioFormat, samples: npt.NDArray[np.int16]) -> npt.NDArray[np.int16]:
    encode, decode = encoder(form), decoder(form)
    frame = form.rate_hz // 50
    whole = samples[: len(samples) // frame * frame]
    return np.concatenate(
        [decode(encode(whole[first : first + frame])) for first in range(0, len(whole), frame)]
    )


def snr_db(heard: npt.NDArray[np.int16], said: npt.NDArray[np.int16], delay: int = 0) -> float:
    length = min(len(heard) - delay, len(said))
    reference = said[:length].astype(float)
    noise = heard[delay : delay + length] - reference
    return float(10 * np.log10(np.square(reference).sum() / (np.square(noise).sum() + 1)))


def test_pcm16_is_exact_and_little_endian() -> None:
    speech, rate_hz = read_wav(DATA / "austen-0880.wav")
    assert snr_db(there_and_back(AudioFormat("mulaw", rate_hz), speech), speech) > 35
    assert np.array_equal(
        there_and_back(AudioFormat("pcm16", 16000), speech), speech[: len(speech) // 320 * 320]
    )
    assert encoder(AudioFormat("pcm16", 8000))(np.array([1, -2], np.int16)) == b"\x01\x00\xfe\xff"


@pytest.mark.parametrize("rate_hz", [16_000, 22_050])
def test_opus_keeps_speech(rate_hz: int) -> None:
    """Also at a rate that Opus does not know. Compared by envelope: Opus keeps no waveform."""
    speech, wav_hz = read_wav(DATA / "austen-0870.wav")
    said = Resampler(wav_hz, rate_hz).push(speech)
    heard = there_and_back(AudioFormat("opus", rate_hz), said)
    assert abs(len(heard) - len(said)) < rate_hz // 20

    delay = round(0.01 * rate_hz)

    def envelope(samples: npt.NDArray[np.int16]) -> npt.NDArray[np.float64]:
        blocks = samples[: len(samples) // (rate_hz // 10) * (rate_hz // 10)].astype(float)
        return np.sqrt(np.square(blocks.reshape(-1, rate_hz // 10)).mean(axis=1))

    ours, theirs = envelope(heard[delay:]), envelope(said)
    length = min(len(ours), len(theirs))
    assert np.corrcoef(ours[:length], theirs[:length])[0, 1] > 0.98


def test_a_resampled_stream_has_no_seams_and_keeps_a_tone() -> None:
    rate_hz, seconds = 8_000, 2
    tone = 8000 * np.sin(2 * np.pi * 440 * np.arange(seconds * rate_hz) / rate_hz)
    there, back = Resampler(rate_hz, 48_000), Resampler(48_000, rate_hz)
    pieces = np.array_split(tone.astype(np.int16), 97)
    heard = np.concatenate([back.push(there.push(piece)) for piece in pieces])
    delay = round((there.delay_s + back.delay_s) * rate_hz)
    assert 0 < there.delay_s <= 0.005
    assert snr_db(heard[delay + 400 :], tone[400:].astype(np.int16)) > 40


def test_equal_rates_pass_through_and_flush_gives_the_rest() -> None:
    samples = np.arange(100, dtype=np.int16)
    assert Resampler(8000, 8000).push(samples) is samples
    assert len(Resampler(8000, 8000).flush()) == 0
    doubling = Resampler(8000, 16000)
    made = len(doubling.push(np.zeros(801, np.int16)))
    assert made + len(doubling.flush()) >= 1602
    with pytest.raises(ValueError, match="4000 to 384000"):
        Resampler(8000, 100)


@settings(deadline=None)
@given(payload=st.binary(max_size=200), encoding=st.sampled_from(ENCODINGS))
def test_whatever_comes_is_audio_or_a_value_error(payload: bytes, encoding: Encoding) -> None:
    try:
        samples = decoder(AudioFormat(encoding, 16_000))(payload)
    except ValueError:
        return
    assert samples.dtype == np.int16
    assert samples.ndim == 1


def test_one_piece_as_mulaw_at_another_rate() -> None:
    tone = 0.25 * np.sin(2 * np.pi * 440 * np.arange(24_000) / 24_000)
    coded = convert_to_mulaw(tone.astype(np.float32), 24_000, 8_000)
    assert len(coded) == 8_000
    expected = (8192 * np.sin(2 * np.pi * 440 * np.arange(8_000) / 8_000)).astype(np.int16)
    assert snr_db(mulaw_decode(coded)[200:-200], expected[200:-200]) > 33
