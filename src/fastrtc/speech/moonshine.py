"""Moonshine, English speech recognition by Moonshine AI (MIT), through its package moonshine-voice.

Weights come from the package's own download, or from a folder.
"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any, Final, Literal

from fastrtc.errors import MissingModel
from fastrtc.speech.loading import optional_package
from fastrtc.speech.stt import RATE_HZ, STTAudio, mono_16k

__all__ = ["MoonshineSTT"]

FILES: Final = ("encoder_model.ort", "decoder_model_merged.ort", "tokenizer.bin")
WITHOUT_VAD: Final = {"vad_threshold": "0"}
"""Whoever calls has already found the speech; a second detector would only cut it."""
MIN_SAMPLES: Final = RATE_HZ // 10
"""Less than this is no word."""


class MoonshineSTT:
    """English speech to text, with punctuation and capitals.

    Args:
        model: "moonshine/base" or "moonshine/tiny".
        model_path: folder with ``encoder_model.ort``, ``decoder_model_merged.ort`` and
            ``tokenizer.bin``. Without it the files are looked for in moonshine-voice's cache
            (``MOONSHINE_VOICE_CACHE``) and downloaded into it once.

    Raises:
        MissingExtension: moonshine-voice is not installed (``pip install 'fastrtc[stt]'``).
        MissingModel: the weights are not here and could not be downloaded.
        ValueError: another model.

    Example::

        MoonshineSTT("moonshine/tiny").stt((16000, samples))  # "Go forward ten meters."
    """

    def __init__(
        self,
        model: Literal["moonshine/base", "moonshine/tiny"] = "moonshine/base",
        model_path: str | Path | None = None,
    ) -> None:
        if model not in ("moonshine/base", "moonshine/tiny"):
            raise ValueError(
                f"Moonshine model is {model!r}; allowed: 'moonshine/base', 'moonshine/tiny'"
            )
        voice = optional_package("moonshine_voice", "stt", f"{model} speech recognition")
        arch = voice.ModelArch.BASE if model.endswith("base") else voice.ModelArch.TINY
        folder = _download(voice, model, arch) if model_path is None else Path(model_path)
        missing = [name for name in FILES if not (folder / name).is_file()]
        if missing:
            raise MissingModel(
                f"the folder {folder} has no {', '.join(missing)}; {model} needs "
                f"{', '.join(FILES)} as moonshine-voice downloads them"
            )
        self._lock = threading.Lock()
        self._transcriber = voice.Transcriber(str(folder), arch, options=WITHOUT_VAD)

    def stt(self, audio: STTAudio) -> str:
        """The words in ``audio``, "" when there are none.

        Blocks, without the GIL, for a third to a half of the audio's length on two cores.
        """
        samples = mono_16k(audio)
        if len(samples) < MIN_SAMPLES:
            return ""
        with self._lock:
            transcript = self._transcriber.transcribe_without_streaming(samples.tolist(), RATE_HZ)
        return " ".join(line.text.strip() for line in transcript.lines if line.text.strip())


def _download(voice: Any, model: str, arch: Any) -> Path:
    from moonshine_voice.download import download_model_from_info, find_model_info
    from moonshine_voice.download_file import get_cache_dir

    info = find_model_info("en", arch)
    try:
        folder, _ = download_model_from_info(info)
    except (OSError, ValueError, voice.MoonshineError) as error:
        raise MissingModel(
            f"the weights of {model} could not be downloaded from {info['download_url']} to "
            f"{get_cache_dir()} ({type(error).__name__}: {error}). Connect this machine once, or "
            f"bring {', '.join(FILES)} from there to a folder and pass it: "
            f"get_stt_model({model!r}, model_path=...). Without any download: "
            "get_stt_model('pocketsphinx', words=[...])"
        ) from error
    return Path(folder)
