"""How audio lies in a message: the encodings of WebSockets and telephones, all mono.

Bytes to samples and back, at one rate. Packets of Opus are coded in the media plane.
"""

from __future__ import annotations

from typing import Any, Final, Literal, NamedTuple, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from fastrtc.audio.convert import audio_to_int16
from fastrtc.audio.g711 import alaw_decode, alaw_encode, mulaw_decode, mulaw_encode
from fastrtc.audio.rates import Resampler

__all__ = [
    "ENCODINGS",
    "AudioFormat",
    "Decoder",
    "Encoder",
    "Encoding",
    "convert_to_mulaw",
    "decoder",
    "encoder",
]

Samples: TypeAlias = npt.NDArray[np.int16]
Encoding: TypeAlias = Literal["mulaw", "alaw", "pcm16", "opus"]
ENCODINGS: Final[tuple[Encoding, ...]] = ("mulaw", "alaw", "pcm16", "opus")
OPUS_HZ: Final = 48_000


class AudioFormat(NamedTuple):
    """Encoding and rate of the audio in messages.

    Attributes:
        encoding: "pcm16" is 16-bit little-endian; a message of "opus" is one packet.
        rate_hz: samples per second.
    """

    encoding: Encoding
    rate_hz: int


class Decoder(Protocol):
    """Messages of one stream to samples."""

    def __call__(self, payload: bytes, /) -> Samples:
        """The samples of one message.

        Raises:
            ValueError: it cannot be audio of this encoding.
        """


class Encoder(Protocol):
    """Frames of one stream to messages. Opus wants frames of 20 ms, others any length."""

    def __call__(self, samples: Samples, /) -> bytes: ...


def convert_to_mulaw(audio_data: npt.NDArray[Any], original_rate: int, target_rate: int) -> bytes:
    """One piece of audio as mu-law at another rate.

    Args:
        audio_data: int16, or float32 in [-1, 1].
        original_rate: its rate in Hz.
        target_rate: the rate in Hz of what is returned, a byte for each sample.
    """
    resampler = Resampler(original_rate, target_rate)
    samples = audio_to_int16(audio_data).reshape(-1)
    late = round(resampler.delay_s * target_rate)
    return mulaw_encode(np.concatenate([resampler.push(samples), resampler.flush()])[late:])


def decoder(form: AudioFormat) -> Decoder:
    """What turns messages of this form into samples at its rate."""
    if form.encoding == "opus":
        return _OpusDecoder(form.rate_hz)
    return {"mulaw": mulaw_decode, "alaw": alaw_decode, "pcm16": _pcm16_decode}[form.encoding]


def encoder(form: AudioFormat) -> Encoder:
    """What turns samples at this form's rate into messages."""
    if form.encoding == "opus":
        return _OpusEncoder(form.rate_hz)
    return {"mulaw": mulaw_encode, "alaw": alaw_encode, "pcm16": _pcm16_encode}[form.encoding]


def _pcm16_decode(payload: bytes) -> Samples:
    if len(payload) % 2:
        raise ValueError(f"16-bit audio has an even number of bytes, received {len(payload)}")
    return np.frombuffer(payload, "<i2").astype(np.int16)


def _pcm16_encode(samples: Samples) -> bytes:
    return samples.astype("<i2", copy=False).tobytes()


class _OpusDecoder:
    def __init__(self, rate_hz: int) -> None:
        from fastrtc._core import OpusDecoder, opus_takes

        native_hz = rate_hz if opus_takes(rate_hz) else OPUS_HZ
        self._decoder = OpusDecoder(native_hz)
        self._resampler = Resampler(native_hz, rate_hz)

    def __call__(self, payload: bytes) -> Samples:
        decoded = self._decoder.decode(bytes(payload))
        return self._resampler.push(np.frombuffer(decoded, np.int16))


class _OpusEncoder:
    def __init__(self, rate_hz: int) -> None:
        from fastrtc._core import OpusEncoder, opus_takes

        native_hz = rate_hz if opus_takes(rate_hz) else OPUS_HZ
        self._encoder = OpusEncoder(native_hz)
        self._resampler = Resampler(rate_hz, native_hz)

    def __call__(self, samples: Samples) -> bytes:
        return self._encoder.encode(np.ascontiguousarray(self._resampler.push(samples)))
