"""eSpeak NG as a voice: nothing to download, and so fast that nobody waits for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from fastrtc.errors import ConfigurationError
from fastrtc.speech.espeak_library import espeak_library
from fastrtc.speech.tts import LocalTTSModel, TTSOptions

__all__ = ["EspeakTTSModel", "EspeakTTSOptions"]

SLOWEST_WPM: Final = 80
FASTEST_WPM: Final = 450


@dataclass(frozen=True)
class EspeakTTSOptions(TTSOptions):
    """How eSpeak NG speaks.

    Attributes:
        voice: a language such as "en-us", "en", "de", "fr", with a variant such as "+f3" or "+m2".
        rate_wpm: words per minute, 80 to 450.
        pitch: 0 to 100.

    Raises:
        ConfigurationError: a value outside of its range.

    Example::

        options = EspeakTTSOptions(voice="en-us+f3", rate_wpm=180)
        rate_hz, samples = get_tts_model("espeak").tts("Hello.", options)
    """

    voice: str = "en-us"
    rate_wpm: int = 160
    pitch: int = 50

    def __post_init__(self) -> None:
        if not SLOWEST_WPM <= self.rate_wpm <= FASTEST_WPM:
            raise ConfigurationError(
                f"rate_wpm is {self.rate_wpm}; allowed: {SLOWEST_WPM} to {FASTEST_WPM}"
            )
        if not 0 <= self.pitch <= 100:
            raise ConfigurationError(f"pitch is {self.pitch}; allowed: 0 to 100")


class EspeakTTSModel(LocalTTSModel[EspeakTTSOptions]):
    """Text to speech by eSpeak NG: int16 at 22,050 Hz.

    eSpeak NG is under the GPL 3: installing the extra ``espeak`` is your decision.

    Raises:
        MissingExtension: it is not installed (``pip install 'fastrtc[espeak]'``).
        SpeechError: it does not find its data, or, when it speaks, the voice.

    Example::

        rate_hz, samples = EspeakTTSModel().tts("Hello.", EspeakTTSOptions(voice="en-us+f3"))
    """

    def __init__(self) -> None:
        self._library = espeak_library()
        super().__init__(self._library.rate_hz, np.int16)

    def _speak(self, sentence: str, options: EspeakTTSOptions | None) -> npt.NDArray[np.int16]:
        how = options or EspeakTTSOptions()
        return self._library.speak(sentence, how.voice, how.rate_wpm, how.pitch)
