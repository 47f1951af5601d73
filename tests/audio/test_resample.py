"""Whole recordings keep their length, their place in time and their sound at another rate."""

from __future__ import annotations

import numpy as np
import pytest

from fastrtc.audio.resample import resample


@pytest.mark.parametrize("from_hz", [8000, 11025, 16000, 22050, 44100, 48000])
def test_a_tone_stays_where_it_was(from_hz: int) -> None:
    times = np.arange(from_hz) / from_hz
    tone = (0.5 * np.sin(2 * np.pi * 440 * times)).astype(np.float32)
    heard = resample(tone, from_hz, 16_000)
    expected = 0.5 * np.sin(2 * np.pi * 440 * np.arange(16_000) / 16_000)
    assert heard.dtype == np.float32
    assert heard.shape == (16_000,)
    # The stream's delay is no whole number of samples: the tone may be off by half a sample.
    half_a_sample = 0.5 * 2 * np.pi * 440 / 16_000 / 2
    np.testing.assert_allclose(heard[400:-400], expected[400:-400], atol=half_a_sample + 0.001)


def test_nothing_stays_nothing() -> None:
    assert len(resample(np.zeros(0, np.int16), 48_000, 16_000)) == 0
    assert len(resample(np.zeros(0, np.float32), 16_000, 16_000)) == 0


def test_a_rate_out_of_range_is_refused() -> None:
    with pytest.raises(ValueError, match="4000 to 384000"):
        resample(np.zeros(10, np.int16), 100, 16_000)
