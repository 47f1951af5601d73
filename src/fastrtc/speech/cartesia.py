"""Cartesia's voices, from their service: https://docs.cartesia.ai/api-reference/tts/bytes.

One HTTP request for each sentence; the samples are passed on as they arrive.
"""

from __future__ import annotations

import os
import re
from collections.abc import AsyncGenerator, Generator
from dataclasses import dataclass, field
from typing import Any, Final

import httpx
import numpy as np

from fastrtc.audio.aggregate import aggregate_bytes_to_16bit, async_aggregate_bytes_to_16bit
from fastrtc.errors import ConfigurationError, SpeechError
from fastrtc.speech.sentences import split_sentences
from fastrtc.speech.tts import TTSAudio, TTSOptions

__all__ = ["CartesiaTTSModel", "CartesiaTTSOptions"]

BASE_URL: Final = "https://api.cartesia.ai"
KEY_VARIABLE: Final = "CARTESIA_API_KEY"
TIMEOUT_S: Final = 30.0
SONIC_3_OR_LATER: Final = re.compile(r"sonic-([3-9]|\d\d)")
HINTS: Final = {
    401: "the API key is not accepted",
    402: "the account has no credit left",
    403: "the API key may not do this",
    429: "too many requests at once for this account",
}


@dataclass
class CartesiaTTSOptions(TTSOptions):
    """How Cartesia speaks.

    Attributes:
        voice: the id of a voice.
        language: of the text, "en" for example.
        emotion: for Sonic 2 and older "name:level" entries such as "positivity:high"; for later
            models one name such as "excited".
        cartesia_version: the version of their API, a date.
        model: "sonic-2", "sonic-3" ...
        sample_rate: Hz.

    Example::

        options = CartesiaTTSOptions(model="sonic-3", language="de", sample_rate=24000)
        rate_hz, samples = get_tts_model("cartesia").tts("Guten Tag.", options)
    """

    voice: str = "71a7ad14-091c-4e8e-a314-022ece01c121"
    language: str = "en"
    emotion: list[str] = field(default_factory=list)
    cartesia_version: str = "2024-06-10"
    model: str = "sonic-2"
    sample_rate: int = 22_050


class CartesiaTTSModel:
    """Text to speech by Cartesia: int16 at ``options.sample_rate``.

    Args:
        api_key: from their playground; without it ``CARTESIA_API_KEY`` of the environment.
        base_url: of the service.

    Raises:
        ConfigurationError: no API key.
        SpeechError: when it speaks: the service is not reached, or answers with an error.

    Example::

        tts_model = get_tts_model("cartesia", cartesia_api_key="sk_car_...")
        rate_hz, samples = tts_model.tts("Hello.")
    """

    def __init__(self, api_key: str = "", base_url: str = BASE_URL) -> None:
        key = api_key or os.environ.get(KEY_VARIABLE, "")
        if not key:
            raise ConfigurationError(
                "Cartesia needs an API key: pass get_tts_model('cartesia', cartesia_api_key=...) "
                f"or set {KEY_VARIABLE} in the environment"
            )
        self._key = key
        self._url = f"{base_url.rstrip('/')}/tts/bytes"

    def tts(self, text: str, options: CartesiaTTSOptions | None = None) -> TTSAudio:
        """All of the text as one array of shape ``(n,)``. Blocks."""
        how = options or CartesiaTTSOptions()
        pieces = [samples for _, samples in self.stream_tts_sync(text, how)]
        return how.sample_rate, np.concatenate([np.zeros(0, np.int16), *pieces])

    def stream_tts_sync(
        self, text: str, options: CartesiaTTSOptions | None = None
    ) -> Generator[TTSAudio, None, None]:
        """The samples as they arrive, sentence after sentence. Blocks while none arrive."""
        how = options or CartesiaTTSOptions()
        try:
            with httpx.Client(timeout=TIMEOUT_S) as client:
                for sentence in split_sentences(text):
                    with client.stream("POST", self._url, **self._request(sentence, how)) as answer:
                        if answer.is_error:
                            answer.read()
                            raise _refused(answer)
                        for samples in aggregate_bytes_to_16bit(answer.iter_bytes()):
                            yield how.sample_rate, samples.reshape(-1)
        except httpx.HTTPError as error:
            raise self._unreachable(error) from error

    async def stream_tts(
        self, text: str, options: CartesiaTTSOptions | None = None
    ) -> AsyncGenerator[TTSAudio, None]:
        """The same for async code. Closing it ends the request."""
        how = options or CartesiaTTSOptions()
        try:
            async with httpx.AsyncClient(timeout=TIMEOUT_S) as client:
                for sentence in split_sentences(text):
                    request = self._request(sentence, how)
                    async with client.stream("POST", self._url, **request) as answer:
                        if answer.is_error:
                            await answer.aread()
                            raise _refused(answer)
                        pieces = answer.aiter_bytes()
                        async for samples in async_aggregate_bytes_to_16bit(pieces):
                            yield how.sample_rate, samples.reshape(-1)
        except httpx.HTTPError as error:
            raise self._unreachable(error) from error

    def _request(self, sentence: str, how: CartesiaTTSOptions) -> dict[str, Any]:
        voice: dict[str, Any] = {"mode": "id", "id": how.voice}
        body: dict[str, Any] = {
            "model_id": how.model,
            "transcript": sentence,
            "voice": voice,
            "language": how.language,
            "output_format": {
                "container": "raw",
                "encoding": "pcm_s16le",
                "sample_rate": how.sample_rate,
            },
        }
        if how.emotion and SONIC_3_OR_LATER.match(how.model):
            body["generation_config"] = {"emotion": how.emotion[0]}
        elif how.emotion:
            voice["__experimental_controls"] = {"emotion": how.emotion}
        headers = {"X-API-Key": self._key, "Cartesia-Version": how.cartesia_version}
        return {"json": body, "headers": headers}

    def _unreachable(self, error: httpx.HTTPError) -> SpeechError:
        return SpeechError(f"{self._url} was not reached ({type(error).__name__}: {error})")


def _refused(answer: httpx.Response) -> SpeechError:
    hint = HINTS.get(answer.status_code)
    said = answer.text.strip()[:200]
    return SpeechError(
        f"Cartesia answered {answer.status_code} {answer.reason_phrase}"
        + (f" ({hint})" if hint else "")
        + (f": {said}" if said else "")
    )
