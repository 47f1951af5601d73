"""Whatever users hand over becomes one form, or an error that says what was wrong."""

from __future__ import annotations

import timeit
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from fastrtc.audio.convert import audio_to_float32, audio_to_int16, normalise_audio
from fastrtc.errors import OutputError

RAMP = np.arange(480, dtype=np.int16)


@pytest.mark.parametrize(
    "output",
    [
        (24000, RAMP),
        (24000, RAMP.reshape(1, -1)),
        (24000, RAMP, "mono"),
        (np.int64(24000), RAMP),
        (24000.0, RAMP),
        [24000, RAMP],
        (24000, np.repeat(RAMP, 2)[::2]),
        (24000, (RAMP / 32768).astype(np.float32)),
        (24000, RAMP.reshape(1, -1) / 32768),
        (24000, RAMP.astype(">i2")),
    ],
)
def test_mono_of_every_kind_becomes_the_same_chunk(output: Any) -> None:
    chunk = normalise_audio(output)
    assert chunk.rate_hz == 24000
    assert chunk.channels == 1
    assert chunk.samples.dtype == np.int16
    assert chunk.samples.flags.c_contiguous
    assert np.array_equal(chunk.samples, RAMP)
    assert chunk.duration_s == pytest.approx(0.02)


@pytest.mark.parametrize("layout", [(), ("stereo",)])
def test_planar_stereo_is_interleaved(layout: tuple[str, ...]) -> None:
    chunk = normalise_audio((48000, np.stack([RAMP, -RAMP]), *layout))
    assert chunk.channels == 2
    assert np.array_equal(chunk.samples[0::2], RAMP)
    assert np.array_equal(chunk.samples[1::2], -RAMP)
    assert chunk.duration_s == pytest.approx(0.01)


def test_interleaved_stereo_stays_as_it_is() -> None:
    chunk = normalise_audio((48000, RAMP.reshape(1, -1), "stereo"))
    assert chunk.channels == 2
    assert np.array_equal(chunk.samples, RAMP)


def test_float_is_scaled_and_slight_overdrive_clipped() -> None:
    chunk = normalise_audio((8000, np.array([1.2, -1.2, 0.5, 0.0], np.float32)))
    assert chunk.samples.tolist() == [32767, -32768, 16384, 0]


@pytest.mark.parametrize(
    ("output", "complaint"),
    [
        (RAMP, r"an array of dtype int16 and shape \(480,\)"),
        ("hello", "'hello'"),
        ((24000,), r"a tuple of \(int\)"),
        ((24000, [1, 2]), r"a list of \(int, int\)"),
        ((24000, RAMP.astype(np.int32)), "dtype int32"),
        ((24000, RAMP.reshape(2, 2, -1)), r"shape \(2, 2, 120\)"),
        ((24000, RAMP.reshape(-1, 2)), r"pass array\.T"),
        ((24000, RAMP, "surround"), "'surround'"),
        ((24000, np.stack([RAMP, RAMP]), "mono"), "labelled 'mono'"),
        ((24000, RAMP[:3], "stereo"), "odd number"),
        ((0, RAMP), "0 Hz"),
        ((10**9, RAMP), "1000000000 Hz"),
        (("24k", RAMP), "'24k'"),
        ((True, RAMP), "rate"),
        ((24000.5, RAMP), "rate"),
        ((24000, np.array([0.1, np.nan])), "NaN"),
        ((24000, np.array([0.1, np.inf], np.float32)), "NaN or infinity"),
        ((24000, RAMP.astype(np.float32)), "int16 range"),
        ((24000, np.zeros((), np.float32)), r"have shape \(\)"),
        ((24000, np.zeros((), np.int16)), r"have shape \(\)"),
    ],
)
def test_what_is_no_audio_is_named(output: Any, complaint: str) -> None:
    with pytest.raises(OutputError, match=complaint):
        normalise_audio(output)


@given(
    hnp.arrays(
        st.sampled_from([np.int16, np.int32, np.float32, np.float64, np.uint8, np.bool_]),
        hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4),
    ),
    st.one_of(st.integers(), st.floats(), st.text(max_size=3), st.none()),
    st.sampled_from([(), ("mono",), ("stereo",), (3,)]),
)
def test_anything_is_a_chunk_or_an_output_error(array: Any, rate: Any, rest: Any) -> None:
    """Pitfall class "a handler that returns the wrong shape, dtype or rate"."""
    try:
        chunk = normalise_audio((rate, array, *rest))
    except OutputError:
        return
    assert chunk.samples.dtype == np.int16
    assert chunk.samples.ndim == 1
    assert chunk.samples.size == array.size


def test_the_usual_frame_costs_little() -> None:
    frame = (24000, RAMP.reshape(1, -1))
    best_s = min(timeit.repeat(lambda: normalise_audio(frame), number=2000, repeat=5)) / 2000
    assert best_s < 10e-6


def test_int16_survives_the_way_to_float_and_back() -> None:
    samples = np.arange(-32768, 32768).astype(np.int16).reshape(1, -1)
    assert np.array_equal(audio_to_int16(audio_to_float32(samples)), samples)
    assert audio_to_float32(samples).dtype == np.float32


@pytest.mark.parametrize("convert", [audio_to_float32, audio_to_int16])
def test_a_tuple_still_works_with_a_warning(convert: Any) -> None:
    with pytest.warns(UserWarning, match="takes the array alone"):
        converted = convert((16000, RAMP))
    assert np.array_equal(audio_to_int16(converted), RAMP)


@pytest.mark.parametrize("convert", [audio_to_float32, audio_to_int16])
def test_other_dtypes_are_refused(convert: Any) -> None:
    with pytest.raises(TypeError, match="int32"):
        convert(RAMP.astype(np.int32))
