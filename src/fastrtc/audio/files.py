"""Recordings as files: MP3, WAV, FLAC and Ogg Opus, written by FFmpeg through PyAV.

The only file of this room that imports PyAV, and only when something is written.
"""

from __future__ import annotations

import io
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from fastrtc.audio.convert import AudioChunk, normalise_audio
from fastrtc.errors import OutputError

__all__ = ["AudioFormat", "audio_to_bytes", "audio_to_file"]

AudioFormat: TypeAlias = Literal["mp3", "wav", "flac", "ogg"]
Audio: TypeAlias = tuple[int, npt.NDArray[Any]] | tuple[int, npt.NDArray[Any], str]

BIT_RATE_PER_CHANNEL: Final = 64_000
"""Of MP3 and Opus; FFmpeg lowers it where a sample rate allows less."""
PIECE_S: Final = 1


@dataclass(frozen=True)
class _Encoding:
    container: str
    codec: str
    sample_format: str
    lossy: bool = False
    rates_hz: tuple[int, ...] = ()
    """Empty: any rate."""


ENCODINGS: Final[dict[str, _Encoding]] = {
    "mp3": _Encoding(
        "mp3",
        "libmp3lame",
        "s16p",
        lossy=True,
        rates_hz=(8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000),
    ),
    "wav": _Encoding("wav", "pcm_s16le", "s16"),
    "flac": _Encoding("flac", "flac", "s16"),
    "ogg": _Encoding("ogg", "libopus", "s16", lossy=True, rates_hz=(48000,)),
}


def audio_to_bytes(audio: Audio, format: AudioFormat = "mp3") -> bytes:  # noqa: A002
    """A recording as the bytes of a file.

    Args:
        audio: ``(rate, array)`` or ``(rate, array, "mono"|"stereo")``: int16, or float32 in
            [-1, 1], of shape ``(n,)``, ``(1, n)`` or, for stereo, ``(2, n)``.
        format: "mp3"; "wav" and "flac" keep every 16-bit sample; "ogg" is Opus. Where an encoder
            does not take the rate, the next higher one that it takes is written (MP3: 8000 to
            48000 Hz, Opus always 48000 Hz).

    Raises:
        OutputError: ``audio`` is not audio of one of these forms, or holds no sample.
        ValueError: an unknown format.

    Example::

        audio_to_bytes((24000, np.zeros(24000, np.int16)), format="wav")
    """
    encoding = ENCODINGS.get(format)
    if encoding is None:
        allowed = ", ".join(repr(name) for name in ENCODINGS)
        raise ValueError(f"audio format is {format!r}; allowed: {allowed}")
    chunk = normalise_audio(audio)
    if not len(chunk.samples):
        raise OutputError("there is no sample in the audio, so there is nothing to write to a file")
    return _encode(chunk, encoding)


def audio_to_file(audio: Audio, format: AudioFormat = "mp3") -> str:  # noqa: A002
    """A recording as a new temporary file, which is the caller's to delete; returns its path.

    Arguments and errors are those of :func:`audio_to_bytes`.

    Example::

        transcript = client.transcribe(audio_to_file(audio, format="flac"))
    """
    content = audio_to_bytes(audio, format)
    with tempfile.NamedTemporaryFile(suffix=f".{format}", delete=False) as file:
        file.write(content)
    return str(Path(file.name))


def _encode(chunk: AudioChunk, encoding: _Encoding) -> bytes:
    import av

    rate_hz = _rate_for(chunk.rate_hz, encoding)
    layout = "stereo" if chunk.channels == 2 else "mono"
    target = io.BytesIO()
    with av.open(target, "w", format=encoding.container) as container:
        stream = container.add_stream(encoding.codec, rate=rate_hz)
        assert isinstance(stream, av.AudioStream)
        stream.layout = layout
        stream.format = encoding.sample_format
        if encoding.lossy:
            stream.bit_rate = BIT_RATE_PER_CHANNEL * chunk.channels
        resampler = av.AudioResampler(encoding.sample_format, layout, rate_hz)
        piece = PIECE_S * chunk.rate_hz * chunk.channels
        for start in range(0, len(chunk.samples), piece):
            samples = np.ascontiguousarray(chunk.samples[start : start + piece])
            frame = av.AudioFrame.from_ndarray(samples.reshape(1, -1), "s16", layout)
            frame.sample_rate = chunk.rate_hz
            for resampled in resampler.resample(frame):
                container.mux(stream.encode(resampled))
        for resampled in resampler.resample(None):
            container.mux(stream.encode(resampled))
        container.mux(stream.encode(None))
    return target.getvalue()


def _rate_for(rate_hz: int, encoding: _Encoding) -> int:
    if not encoding.rates_hz or rate_hz in encoding.rates_hz:
        return rate_hz
    higher = [allowed for allowed in encoding.rates_hz if allowed > rate_hz]
    return min(higher) if higher else max(encoding.rates_hz)
