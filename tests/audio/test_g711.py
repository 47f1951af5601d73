"""G.711 against the Recommendation's own tables, and against FFmpeg's codec."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt
import pytest
from av.audio.frame import AudioFrame

from fastrtc.audio.g711 import alaw_decode, alaw_encode, mulaw_decode, mulaw_encode
from wavs import read_wav

DATA = Path(__file__).parent.parent / "data"
EVERY_CODE = bytes(range(256))

# G.711 table 2a (positive mu-law) column 7: the values at the ends of its segments, 14 bits.
MULAW_ENDS = {
    0x80: 8031, 0x8F: 4191, 0x90: 3999, 0x9F: 2079, 0xA0: 1983, 0xAF: 1023, 0xB0: 975, 0xBF: 495,
    0xC0: 471, 0xCF: 231, 0xD0: 219, 0xDF: 99, 0xE0: 93, 0xEF: 33, 0xF0: 30, 0xFE: 2, 0xFF: 0,
}  # fmt: skip
# G.711 table 1a (positive A-law) column 8, before the even bits are inverted: 13 bits, in halves.
ALAW_ENDS = {
    0xFF: 4032, 0xF0: 2112, 0xEF: 2016, 0xE0: 1056, 0xDF: 1008, 0xD0: 528, 0xC0: 264, 0xB0: 132,
    0xA0: 66, 0x90: 33, 0x81: 3, 0x80: 1,
}  # fmt: skip


def ffmpeg_decodes(codec: str, codes: bytes) -> npt.NDArray[np.int16]:
    context: Any = av.CodecContext.create(codec, "r")
    context.sample_rate = 8000
    context.layout = "mono"
    frames = context.decode(av.Packet(codes))
    return np.concatenate([frame.to_ndarray().reshape(-1) for frame in frames])


def ffmpeg_encodes(codec: str, samples: npt.NDArray[np.int16]) -> bytes:
    context: Any = av.CodecContext.create(codec, "w")
    context.sample_rate = 8000
    context.layout = "mono"
    context.format = "s16"
    frame = AudioFrame.from_ndarray(samples.reshape(1, -1), format="s16", layout="mono")
    frame.sample_rate = 8000
    return b"".join(bytes(packet) for packet in [*context.encode(frame), *context.encode(None)])


def test_mulaw_has_the_values_of_the_recommendation() -> None:
    for code, value in MULAW_ENDS.items():
        assert mulaw_decode(bytes([code]))[0] == value * 4, hex(code)
        assert mulaw_decode(bytes([code & 0x7F]))[0] == -value * 4, hex(code & 0x7F)


def test_alaw_has_the_values_of_the_recommendation() -> None:
    for code, value in ALAW_ENDS.items():
        assert alaw_decode(bytes([code ^ 0x55]))[0] == value * 8, hex(code)
        assert alaw_decode(bytes([(code & 0x7F) ^ 0x55]))[0] == -value * 8, hex(code)


@pytest.mark.parametrize(
    ("codec", "decode"), [("pcm_mulaw", mulaw_decode), ("pcm_alaw", alaw_decode)]
)
def test_every_code_decodes_as_in_ffmpeg(codec: str, decode: Any) -> None:
    assert np.array_equal(decode(EVERY_CODE), ffmpeg_decodes(codec, EVERY_CODE))


@pytest.mark.parametrize(
    ("codec", "encode", "decode"),
    [("pcm_mulaw", mulaw_encode, mulaw_decode), ("pcm_alaw", alaw_encode, alaw_decode)],
)
def test_every_sample_is_coded_as_by_ffmpeg_but_at_decision_values(
    codec: str, encode: Any, decode: Any
) -> None:
    """FFmpeg looks for the nearest value, the Recommendation decides by magnitude."""
    every = np.arange(-32768, 32768).astype(np.int16)
    ours = np.frombuffer(encode(every), np.uint8)
    theirs = np.frombuffer(ffmpeg_encodes(codec, every), np.uint8)
    differ = ours != theirs
    assert differ.mean() < 0.02
    ranks = np.argsort(np.argsort(decode(EVERY_CODE), kind="stable"))
    assert (np.abs(ranks[ours] - ranks[theirs]) <= 1).all()


def test_the_ends_of_segments_are_the_decision_values_of_the_recommendation() -> None:
    for number, decision in enumerate([4063, 2015, 991, 479, 223, 95, 31]):
        below, at = mulaw_encode(np.array([decision * 4 - 1, decision * 4], np.int16))
        assert (below, at) == (0x90 + 16 * number, 0x8F + 16 * number)
    for number, decision in enumerate([2048, 1024, 512, 256, 128, 64]):
        below, at = alaw_encode(np.array([decision * 8 - 1, decision * 8], np.int16))
        assert (below ^ 0x55, at ^ 0x55) == (0xEF - 16 * number, 0xF0 - 16 * number)


@pytest.mark.parametrize(
    ("encode", "decode"), [(mulaw_encode, mulaw_decode), (alaw_encode, alaw_decode)]
)
def test_a_decoded_value_is_a_fixed_point(encode: Any, decode: Any) -> None:
    values = decode(EVERY_CODE)
    assert np.array_equal(decode(encode(values)), values)


@pytest.mark.parametrize(
    ("encode", "decode"), [(mulaw_encode, mulaw_decode), (alaw_encode, alaw_decode)]
)
def test_recorded_speech_keeps_the_quality_of_g711(encode: Any, decode: Any) -> None:
    """G.712 asks for 33 dB at ordinary levels; speech with its pauses is a little below."""
    speech, _ = read_wav(DATA / "austen-0870.wav")
    noise = decode(encode(speech)).astype(float) - speech
    snr_db = 10 * np.log10(np.square(speech.astype(float)).sum() / np.square(noise).sum())
    assert snr_db > 35


def test_shapes_and_memory() -> None:
    samples = np.arange(-100, 100, dtype=np.int16)
    assert mulaw_encode(samples[::2]) == mulaw_encode(samples)[::2]
    assert mulaw_encode(samples.reshape(1, -1)) == mulaw_encode(samples)
    decoded = mulaw_decode(bytearray(b"\xff\x00"))
    assert decoded.flags.writeable
    assert mulaw_encode(np.zeros(0, np.int16)) == b""
    assert len(mulaw_decode(b"")) == 0
