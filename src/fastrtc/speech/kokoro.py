"""Kokoro 82M, a natural voice (Apache-2.0 weights), through its package kokoro-onnx (MIT).

kokoro-onnx turns text into phonemes with phonemizer and eSpeak NG, which are GPL-3.0.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from fastrtc.errors import ConfigurationError, MissingModel, SpeechError
from fastrtc.speech.download import cached_file
from fastrtc.speech.loading import optional_package
from fastrtc.speech.tts import LocalTTSModel, TTSOptions

__all__ = ["KokoroTTSModel", "KokoroTTSOptions"]

RATE_HZ: Final = 24_000
SOURCE: Final = "https://github.com/thewh1teagle/kokoro-onnx/releases/download/model-files-v1.0"
MODEL_FILE: Final = "kokoro-v1.0.onnx"
VOICES_FILE: Final = "voices-v1.0.bin"
REMEDY: Final = (
    f"Connect this machine once, or bring {MODEL_FILE} and {VOICES_FILE} from {SOURCE} and pass "
    "them: get_tts_model('kokoro', model_path=..., voices_path=...). Without any download: "
    "get_tts_model('espeak')"
)


@dataclass
class KokoroTTSOptions(TTSOptions):
    """How Kokoro speaks.

    Attributes:
        voice: a name of the voices file, such as "af_heart", "am_michael" or "bf_emma".
        speed: 0.5 to 2; 1 is the voice's own.
        lang: language of the text, as eSpeak names it: "en-us", "en-gb", "fr-fr", "it" ...

    Example::

        options = KokoroTTSOptions(voice="bf_emma", lang="en-gb")
        rate_hz, samples = get_tts_model().tts("Hello.", options)
    """

    voice: str = "af_heart"
    speed: float = 1.0
    lang: str = "en-us"


class KokoroTTSModel(LocalTTSModel[KokoroTTSOptions]):
    """Text to speech by Kokoro: float32 at 24,000 Hz. Without options it speaks with "af_heart", or
    with the first voice of a voices file that lacks it.

    Args:
        model_path: an ONNX export of Kokoro 82M. Without it ``kokoro-v1.0.onnx`` (325 MB) is
            looked for in the cache (``FASTRTC_CACHE``, else ``~/.cache/fastrtc``) and downloaded
            into it once.
        voices_path: its voices; ``voices-v1.0.bin`` (27 MB) likewise.

    Raises:
        MissingExtension: kokoro-onnx is not installed (``pip install 'fastrtc[tts]'``).
        MissingModel: a file is not here and could not be downloaded.

    Example::

        rate_hz, samples = get_tts_model().tts("Hello.", KokoroTTSOptions(voice="bf_emma"))
    """

    def __init__(
        self, model_path: str | Path | None = None, voices_path: str | Path | None = None
    ) -> None:
        super().__init__(RATE_HZ, np.float32)
        package = optional_package("kokoro_onnx", "tts", "the Kokoro voice")
        model = _file(model_path, MODEL_FILE)
        voices = _file(voices_path, VOICES_FILE)
        self._model: Any = package.Kokoro(str(model), str(voices))
        self.voices: list[str] = self._model.get_voices()

    def warmup(self) -> None:
        """Speaks once, so that the first caller does not wait longer than others."""
        self.tts("Hello, world!", KokoroTTSOptions(voice=self._default_voice()))

    def _default_voice(self) -> str:
        own = KokoroTTSOptions().voice
        return own if own in self.voices else self.voices[0]

    def _speak(self, sentence: str, options: KokoroTTSOptions | None) -> npt.NDArray[np.float32]:
        how = options or KokoroTTSOptions(voice=self._default_voice())
        if how.voice not in self.voices:
            raise ConfigurationError(
                f"the voices file has no voice {how.voice!r}; it has {', '.join(self.voices)}"
            )
        try:
            samples, _ = self._model.create(
                sentence, voice=how.voice, speed=how.speed, lang=how.lang
            )
        except (ValueError, RuntimeError) as error:
            raise SpeechError(f"Kokoro cannot say {sentence[:60]!r}: {error}") from error
        return np.clip(np.asarray(samples, np.float32), -1, 1)


def _file(given: str | Path | None, name: str) -> Path:
    if given is None:
        return cached_file(f"{SOURCE}/{name}", REMEDY)
    path = Path(given)
    if not path.is_file():
        raise MissingModel(f"there is no file {path}. {REMEDY}")
    return path
