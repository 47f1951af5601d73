"""Turns whatever audio user code hands over into one form, and arrays between dtypes.

Pure functions over arrays. No resampling, no queueing, no opinion on who speaks.
"""

from __future__ import annotations

import warnings
from typing import Any, Final, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from fastrtc.errors import OutputError

__all__ = ["AudioChunk", "audio_to_float32", "audio_to_int16", "normalise_audio"]

INT16: Final = np.dtype(np.int16)
MIN_RATE_HZ: Final = 1_000
MAX_RATE_HZ: Final = 384_000
LOUDEST_FLOAT: Final = 16.0
"""Float samples beyond this are not an overdriven signal but int16 values cast to float."""

_ALLOWED: Final = (
    "allowed: (rate, array) or (rate, array, 'mono'|'stereo'), the array int16 or float32 in "
    "[-1, 1], of shape (n,), (1, n) or, for stereo, (2, n)"
)

Samples: TypeAlias = npt.NDArray[np.int16]


class AudioChunk(NamedTuple):
    """Audio in the one form that transports take.

    Attributes:
        samples: contiguous int16 of shape ``(frames * channels,)``, interleaved.
        rate_hz: frames per second.
        channels: 1 or 2.
    """

    samples: Samples
    rate_hz: int
    channels: int

    @property
    def duration_s(self) -> float:
        """Seconds of sound in this chunk."""
        return len(self.samples) / (self.rate_hz * self.channels)


def normalise_audio(output: object) -> AudioChunk:
    """Checks a handler's audio and brings it into the form of :class:`AudioChunk`.

    Args:
        output: ``(rate, array)`` or ``(rate, array, "mono"|"stereo")``. The array is int16, or
            float32/float64 in [-1, 1] (louder is clipped), of shape ``(n,)`` or ``(1, n)``;
            with "stereo" such an array is interleaved. ``(2, n)`` is stereo, left first.

    Returns:
        The chunk; it shares memory with ``output`` when nothing had to be converted.

    Raises:
        OutputError: anything else; the message says what was received and what is allowed.

    Example::

        normalise_audio((24000, np.zeros((1, 480), np.int16))).duration_s  # 0.02
    """
    if type(output) is tuple and len(output) == 2:
        rate, array = output
        if (
            type(rate) is int
            and MIN_RATE_HZ <= rate <= MAX_RATE_HZ
            and type(array) is np.ndarray
            and array.dtype == INT16
            and array.flags.c_contiguous
            and (array.ndim == 1 or (array.ndim == 2 and array.shape[0] == 1))
        ):
            return AudioChunk(array.reshape(-1), rate, 1)
    return _normalise_any(output)


def _normalise_any(output: object) -> AudioChunk:
    if not isinstance(output, (tuple, list)) or len(output) not in (2, 3):
        raise OutputError(f"audio output is {_describe(output)}; {_ALLOWED}")
    rate_hz = _check_rate(output[0])
    array = output[1]
    layout = output[2] if len(output) == 3 else None
    if not isinstance(array, np.ndarray):
        raise OutputError(f"audio samples are {_describe(array)}; {_ALLOWED}")
    if layout not in (None, "mono", "stereo"):
        raise OutputError(f"audio layout is {layout!r}; allowed: 'mono' or 'stereo'")
    samples = _to_int16_checked(array)
    if samples.ndim == 1 or (samples.ndim == 2 and samples.shape[0] == 1):
        channels = 2 if layout == "stereo" else 1
        if channels == 2 and samples.size % 2:
            raise OutputError(
                f"interleaved stereo of shape {array.shape} has an odd number of samples; "
                "each left sample needs its right one"
            )
        return AudioChunk(np.ascontiguousarray(samples).reshape(-1), rate_hz, channels)
    if samples.ndim == 2 and samples.shape[0] == 2:
        if layout == "mono":
            raise OutputError(
                f"audio of shape {array.shape} has two channels but was labelled 'mono'; "
                "label it 'stereo' or mix it down"
            )
        return AudioChunk(np.ascontiguousarray(samples.T).reshape(-1), rate_hz, 2)
    hint = ""
    if samples.ndim == 2 and samples.shape[1] in (1, 2):
        hint = " (channels come first here: pass array.T)"
    raise OutputError(f"audio samples have shape {array.shape}{hint}; {_ALLOWED}")


def _check_rate(rate: Any) -> int:
    whole = isinstance(rate, (int, np.integer)) and not isinstance(rate, bool)
    if not whole and not (isinstance(rate, (float, np.floating)) and float(rate).is_integer()):
        raise OutputError(f"audio rate is {_describe(rate)}; {_ALLOWED}, the rate an int in Hz")
    rate_hz = int(rate)
    if not MIN_RATE_HZ <= rate_hz <= MAX_RATE_HZ:
        raise OutputError(f"audio rate is {rate_hz} Hz; allowed: {MIN_RATE_HZ} to {MAX_RATE_HZ} Hz")
    return rate_hz


def _to_int16_checked(array: npt.NDArray[Any]) -> Samples:
    kind = (array.dtype.kind, array.dtype.itemsize)
    if kind == ("i", 2):
        return array.astype(np.int16, copy=False)
    if kind not in (("f", 4), ("f", 8)):
        raise OutputError(
            f"audio samples have dtype {array.dtype}; allowed: int16, or float32 in [-1, 1]"
        )
    if array.size:
        peak = float(np.abs(array).max())
        if not np.isfinite(peak):
            raise OutputError("audio samples contain NaN or infinity; allowed: [-1, 1]")
        if peak > LOUDEST_FLOAT:
            raise OutputError(
                f"float audio reaches {peak:g}; allowed: [-1, 1] "
                "(samples in int16 range: use array.astype(np.int16))"
            )
    return _float_to_int16(array)


def _float_to_int16(array: npt.NDArray[Any]) -> Samples:
    # An array without dimensions becomes a scalar on the way.
    scaled = np.asarray(np.rint(np.multiply(array, 32768.0)))
    clipped: Samples = np.clip(scaled, -32768, 32767, out=scaled).astype(np.int16)
    return clipped


def _describe(value: object) -> str:
    if isinstance(value, np.ndarray):
        return f"an array of dtype {value.dtype} and shape {value.shape}"
    if isinstance(value, (tuple, list)):
        parts = ", ".join(type(item).__name__ for item in value)
        return f"a {type(value).__name__} of ({parts})"
    if isinstance(value, (int, float, str)):
        return f"{type(value).__name__} {str(value)[:40]!r}"
    return f"a {type(value).__name__}"


def _array_of(audio: object, caller: str) -> npt.NDArray[Any]:
    if isinstance(audio, tuple) and len(audio) == 2:
        warnings.warn(
            f"{caller}() takes the array alone now; a (rate, array) tuple still works",
            UserWarning,
            stacklevel=3,
        )
        audio = audio[1]
    if not isinstance(audio, np.ndarray) or audio.dtype not in (np.int16, np.float32, np.float64):
        raise TypeError(f"{caller}() received {_describe(audio)}; allowed: int16 or float32 array")
    return audio


def audio_to_float32(
    audio: npt.NDArray[Any] | tuple[int, npt.NDArray[Any]],
) -> npt.NDArray[np.float32]:
    """Samples as float32 in [-1, 1), in the shape they came in.

    Args:
        audio: int16, or float32/float64 which is returned as float32 unchanged. A
            ``(rate, array)`` tuple works with a UserWarning.

    Raises:
        TypeError: another dtype, or no array.

    Example::

        audio_to_float32(np.array([-32768, 16384], np.int16))  # [-1.0, 0.5]
    """
    array = _array_of(audio, "audio_to_float32")
    if array.dtype == np.int16:
        scaled: npt.NDArray[np.float32] = np.multiply(
            array, np.float32(1 / 32768), dtype=np.float32
        )
        return scaled
    return array.astype(np.float32, copy=False)


def audio_to_int16(
    audio: npt.NDArray[Any] | tuple[int, npt.NDArray[Any]],
) -> npt.NDArray[np.int16]:
    """Samples as int16, in the shape they came in; the inverse of :func:`audio_to_float32`.

    Args:
        audio: int16 (returned as it is), or float32/float64 in [-1, 1]; louder is clipped. A
            ``(rate, array)`` tuple works with a UserWarning.

    Raises:
        TypeError: another dtype, or no array.

    Example::

        audio_to_int16(np.array([-1.0, 0.5], np.float32))  # [-32768, 16384]
    """
    array = _array_of(audio, "audio_to_int16")
    if array.dtype == np.int16:
        return array.astype(np.int16, copy=False)
    return _float_to_int16(array)
