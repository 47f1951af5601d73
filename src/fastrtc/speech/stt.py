"""Speech to text: the protocol, and the models by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Literal, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from fastrtc.audio.convert import normalise_audio
from fastrtc.audio.resample import resample
from fastrtc.speech.loading import ModelCache

__all__ = ["STTAudio", "STTModel", "get_stt_model", "mono_16k", "stt_for_chunks"]

STTAudio: TypeAlias = tuple[int, npt.NDArray[np.int16] | npt.NDArray[np.float32]]
"""``(rate_hz, samples)``: int16, or float32 in [-1, 1], of shape ``(n,)``, ``(1, n)``, or
``(2, n)``, which is mixed down."""

RATE_HZ: Final = 16_000


class STTModel(Protocol):
    """Whatever turns sound into text."""

    def stt(self, audio: STTAudio) -> str:
        """The words in ``audio``, "" when there are none. Blocks until they are known."""


_cache: ModelCache[STTModel] = ModelCache()


def get_stt_model(
    model: Literal["moonshine/base", "moonshine/tiny", "pocketsphinx"] = "moonshine/base",
    **options: Any,
) -> STTModel:
    """A speech recogniser, loaded and warm; asked for again with the same options, the same one.

    Loading blocks, for seconds, and Moonshine is downloaded the first time: ask before the first
    call comes. Recognising blocks too: in an async handler ``await asyncio.to_thread(model.stt,
    audio)``.

    Args:
        model: "moonshine/base" (English, 63 MB) or "moonshine/tiny" (less exact, faster);
            "pocketsphinx" (nothing to download, for a grammar, a list of words or keyphrases).
        options: those of :class:`~fastrtc.speech.moonshine.MoonshineSTT` (``model_path``) or of
            :class:`~fastrtc.speech.sphinx.PocketSphinxSTT` (``grammar``, ``words``,
            ``keyphrases``, ``pronunciations``).

    Raises:
        MissingExtension: the engine is not installed (``pip install 'fastrtc[stt]'``).
        MissingModel: the weights are not here and could not be downloaded.
        ValueError: an unknown model.

    Example::

        stt_model = get_stt_model()
        text = stt_model.stt((16000, samples))
    """
    load = _LOADERS.get(model)
    if load is None:
        allowed = ", ".join(repr(name) for name in _LOADERS)
        raise ValueError(f"speech-to-text model is {model!r}; allowed: {allowed}")
    return _cache.get(model, options, lambda: _warm(load(model, options)))


def _moonshine(model: Any, options: dict[str, Any]) -> STTModel:
    from fastrtc.speech.moonshine import MoonshineSTT

    return MoonshineSTT(model, **options)


def _pocketsphinx(_model: Any, options: dict[str, Any]) -> STTModel:
    from fastrtc.speech.sphinx import PocketSphinxSTT

    return PocketSphinxSTT(**options)


_LOADERS: Final[dict[str, Callable[[Any, dict[str, Any]], STTModel]]] = {
    "moonshine/base": _moonshine,
    "moonshine/tiny": _moonshine,
    "pocketsphinx": _pocketsphinx,
}


def _warm(model: STTModel) -> STTModel:
    model.stt((RATE_HZ, np.zeros(RATE_HZ, np.int16)))
    return model


def stt_for_chunks(
    stt_model: STTModel, audio: STTAudio, chunks: Sequence[Mapping[str, int]]
) -> str:
    """The words in some stretches of a recording, joined with spaces.

    Args:
        stt_model: whatever has ``stt``.
        audio: the whole recording.
        chunks: ``{"start": sample, "end": sample}`` each, as a VAD's ``vad`` returns them.

    Example::

        _, chunks = get_silero_model().vad(audio, SileroVadOptions())
        text = stt_for_chunks(stt_model, audio, chunks)
    """
    rate_hz, samples = audio
    heard = [stt_model.stt((rate_hz, samples[..., c["start"] : c["end"]])) for c in chunks]
    return " ".join(heard)


def mono_16k(audio: STTAudio) -> npt.NDArray[np.float32]:
    """Audio as engines take it: mono, 16 kHz, float32 of shape ``(n,)``.

    Raises:
        OutputError: it is not audio.
    """
    chunk = normalise_audio(audio)
    samples = chunk.samples
    if chunk.channels == 2:
        samples = samples.reshape(-1, 2).mean(axis=1).astype(np.int16)
    return resample(samples, chunk.rate_hz, RATE_HZ)
