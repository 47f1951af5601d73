"""Files are decoded again with FFmpeg and measured: duration, channels, level, frequency."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from fastrtc.audio.files import audio_to_bytes, audio_to_file
from fastrtc.errors import OutputError

SECONDS = 1.0
FORMATS = ["mp3", "wav", "flac", "ogg"]
CODECS = {"mp3": "mp3float", "wav": "pcm_s16le", "flac": "flac", "ogg": "opus"}
RATES = [8000, 11000, 16000, 22050, 24000, 44100, 48000, 96000]


def tone(rate_hz: int, frequency_hz: float) -> np.ndarray:
    times = np.arange(int(rate_hz * SECONDS)) / rate_hz
    return (0.25 * np.sin(2 * np.pi * frequency_hz * times)).astype(np.float32)


def decode(content: bytes) -> tuple[str, int, np.ndarray]:
    """Codec, rate, and float samples of shape (channels, n)."""
    with av.open(io.BytesIO(content)) as container:
        stream = container.streams.audio[0]
        to_float = av.AudioResampler("fltp", stream.codec_context.layout, stream.rate)
        frames = [
            part.to_ndarray()
            for frame in container.decode(stream)
            for part in to_float.resample(frame)
        ]
        return stream.codec_context.name, stream.rate, np.concatenate(frames, axis=1)


def measure(samples: np.ndarray, rate_hz: int) -> tuple[float, float]:
    """Root mean square, and the loudest frequency, of the middle part."""
    middle = samples[len(samples) // 4 : -len(samples) // 4]
    spectrum = np.abs(np.fft.rfft(middle * np.hanning(len(middle))))
    return float(np.sqrt(np.mean(middle**2))), float(spectrum.argmax() * rate_hz / len(middle))


@pytest.mark.parametrize("rate_hz", RATES)
@pytest.mark.parametrize("format_", FORMATS)
def test_mono_comes_back_as_long_as_loud_and_as_high(format_: Any, rate_hz: int) -> None:
    codec, decoded_hz, samples = decode(audio_to_bytes((rate_hz, tone(rate_hz, 440)), format_))
    assert codec == CODECS[format_]
    assert samples.shape[0] == 1
    assert samples.shape[1] / decoded_hz == pytest.approx(SECONDS, abs=0.03)
    level, frequency_hz = measure(samples[0], decoded_hz)
    assert level == pytest.approx(0.25 / np.sqrt(2), rel=0.06)
    assert frequency_hz == pytest.approx(440, abs=6)


@pytest.mark.parametrize("format_", FORMATS)
def test_left_and_right_stay_apart(format_: Any) -> None:
    stereo = np.stack([tone(24000, 440), 0.5 * tone(24000, 1000)])
    _, decoded_hz, samples = decode(audio_to_bytes((24000, stereo), format_))
    assert samples.shape[0] == 2
    left, right = (measure(channel, decoded_hz) for channel in samples)
    assert left[1] == pytest.approx(440, abs=6)
    assert right[1] == pytest.approx(1000, abs=6)
    assert left[0] / right[0] == pytest.approx(2, rel=0.1)


@pytest.mark.parametrize("format_", ["wav", "flac"])
@pytest.mark.parametrize("channels", [1, 2])
def test_lossless_formats_keep_every_sample(format_: Any, channels: int) -> None:
    noise = np.random.default_rng(1).integers(-32768, 32768, (channels, 50_001), np.int16)
    _, decoded_hz, samples = decode(audio_to_bytes((44100, noise), format_))
    assert decoded_hz == 44100
    assert np.array_equal(np.rint(samples * 32768).astype(int), noise)


def test_mp3_is_the_default_and_a_file_has_its_ending() -> None:
    recording = (24000, (tone(24000, 440) * 32767).astype(np.int16).reshape(1, -1))
    path = Path(audio_to_file(recording))
    try:
        assert path.suffix == ".mp3"
        assert path.read_bytes() == audio_to_bytes(recording)
    finally:
        path.unlink()


def test_what_cannot_be_written_says_why() -> None:
    with pytest.raises(ValueError, match=r"'aac'; allowed: 'mp3', 'wav', 'flac', 'ogg'"):
        audio_to_bytes((24000, tone(24000, 440)), "aac")  # type: ignore[arg-type]
    with pytest.raises(OutputError, match="no sample"):
        audio_to_bytes((24000, np.zeros(0, np.int16)))
    with pytest.raises(OutputError, match="dtype int32"):
        audio_to_bytes((24000, np.zeros(10, np.int32)))  # type: ignore[arg-type]


def test_pyav_is_not_loaded_before_a_file_is_written() -> None:
    program = "import sys, fastrtc; fastrtc.audio_to_bytes; print('av' in sys.modules)"
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    )
    assert ran.stdout == "False\n"
