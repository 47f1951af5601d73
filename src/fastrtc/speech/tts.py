"""Text to speech: the protocol, the models by name, and what local engines have in common."""

from __future__ import annotations

import asyncio
import threading
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Callable, Generator
from typing import Any, Final, Generic, Literal, Protocol, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

from fastrtc.speech.loading import ModelCache
from fastrtc.speech.sentences import split_sentences

__all__ = ["LocalTTSModel", "TTSAudio", "TTSModel", "TTSOptions", "get_tts_model"]

TTSAudio: TypeAlias = tuple[int, npt.NDArray[np.float32] | npt.NDArray[np.int16]]
"""``(rate_hz, samples)``: mono int16, or float32 in [-1, 1], of shape ``(n,)``."""

PAUSE_S: Final = 1 / 7
"""Silence between two sentences."""


class TTSOptions:
    """Base of the options that engines take."""


T = TypeVar("T", bound=TTSOptions)
T_contra = TypeVar("T_contra", bound=TTSOptions, contravariant=True)


class TTSModel(Protocol[T_contra]):
    """Whatever turns text into sound. What it yields can be yielded by a handler as it is."""

    def tts(self, text: str, options: T_contra | None = None) -> TTSAudio:
        """All of the text, once all of it is made. Blocks until then."""

    def stream_tts(
        self, text: str, options: T_contra | None = None
    ) -> AsyncGenerator[TTSAudio, None]:
        """The text in pieces, the first as soon as its sentence is made; blocks no event loop."""

    def stream_tts_sync(
        self, text: str, options: T_contra | None = None
    ) -> Generator[TTSAudio, None, None]:
        """The same for sync code: blocks while a piece is made."""


_cache: ModelCache[TTSModel[Any]] = ModelCache()


def get_tts_model(
    model: Literal["kokoro", "cartesia", "espeak"] = "kokoro", **options: Any
) -> TTSModel[Any]:
    """A voice, loaded and warm; asked for again with the same options, the same one.

    Loading blocks, for seconds, and Kokoro is downloaded the first time: ask before the first call
    comes.

    Args:
        model: "kokoro" (325 MB and 27 MB, natural), "cartesia" (their service) or "espeak"
            (nothing to download, 110 languages, sounds like a machine, answers at once).
        options: ``cartesia_api_key`` for Cartesia (else ``CARTESIA_API_KEY`` of the environment);
            ``model_path`` and ``voices_path`` for Kokoro's files.

    Raises:
        MissingExtension: the engine is not installed: ``pip install 'fastrtc[tts]'`` for Kokoro,
            ``'fastrtc[espeak]'`` for eSpeak.
        MissingModel: the weights are not here and could not be downloaded.
        ConfigurationError: Cartesia without an API key.
        ValueError: an unknown model.

    Example::

        tts_model = get_tts_model()
        async for audio in tts_model.stream_tts("Hello. How are you?"):
            yield audio
    """
    load = _LOADERS.get(model)
    if load is None:
        allowed = ", ".join(repr(name) for name in _LOADERS)
        raise ValueError(f"text-to-speech model is {model!r}; allowed: {allowed}")
    return _cache.get(model, options, lambda: load(options))


def _kokoro(options: dict[str, Any]) -> TTSModel[Any]:
    from fastrtc.speech.kokoro import KokoroTTSModel

    model = KokoroTTSModel(**options)
    model.warmup()
    return model


def _cartesia(options: dict[str, Any]) -> TTSModel[Any]:
    from fastrtc.speech.cartesia import CartesiaTTSModel

    others = {name: value for name, value in options.items() if name != "cartesia_api_key"}
    return CartesiaTTSModel(options.get("cartesia_api_key", ""), **others)


def _espeak(options: dict[str, Any]) -> TTSModel[Any]:
    from fastrtc.speech.espeak import EspeakTTSModel

    return EspeakTTSModel(**options)


_LOADERS: Final[dict[str, Callable[[dict[str, Any]], TTSModel[Any]]]] = {
    "kokoro": _kokoro,
    "cartesia": _cartesia,
    "espeak": _espeak,
}


class LocalTTSModel(ABC, Generic[T]):
    """An engine of this process, which makes one sentence at a time for whoever asks."""

    def __init__(self, rate_hz: int, dtype: type[np.int16] | type[np.float32]) -> None:
        self.rate_hz = rate_hz
        self._silence: npt.NDArray[Any] = np.zeros(int(PAUSE_S * rate_hz), dtype)
        self._lock = threading.Lock()

    @abstractmethod
    def _speak(self, sentence: str, options: T | None) -> npt.NDArray[Any]:
        """The sound of a sentence, shape ``(n,)``; called by one thread at a time."""

    def tts(self, text: str, options: T | None = None) -> TTSAudio:
        """All of the text as one array; an empty one when there is nothing to say. Blocks."""
        pieces = [samples for _, samples in self.stream_tts_sync(text, options)]
        return self.rate_hz, np.concatenate([self._silence[:0], *pieces])

    def stream_tts_sync(
        self, text: str, options: T | None = None
    ) -> Generator[TTSAudio, None, None]:
        """Sentence by sentence, a short silence before each but the first. Blocks meanwhile."""
        for number, sentence in enumerate(split_sentences(text)):
            yield self._sentence(number, sentence, options)

    async def stream_tts(
        self, text: str, options: T | None = None
    ) -> AsyncGenerator[TTSAudio, None]:
        """The same off the event loop, in a thread. Closing it ends it after the sentence."""
        for number, sentence in enumerate(split_sentences(text)):
            yield await asyncio.to_thread(self._sentence, number, sentence, options)

    def _sentence(self, number: int, sentence: str, options: T | None) -> TTSAudio:
        with self._lock:
            samples = self._speak(sentence, options)
        return self.rate_hz, np.concatenate([self._silence, samples]) if number else samples
