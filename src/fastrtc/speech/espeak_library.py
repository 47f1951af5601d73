"""eSpeak NG's C library (GPL-3.0, extra ``espeak``), as one function for all of the process.

The library keeps its state in globals: it is loaded once, and one thread at a time is inside.
Declarations follow its ``speak_lib.h``. Nothing but ``speech.espeak`` imports this file.
"""

from __future__ import annotations

import ctypes
import threading
from functools import cache
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from fastrtc.errors import SpeechError
from fastrtc.speech.loading import optional_package

__all__ = ["EspeakLibrary", "espeak_library"]

OUTPUT_SYNCHRONOUS: Final = 2
DO_NOT_EXIT: Final = 0x8000
"""Instead of ending the process when its data cannot be read."""
RATE: Final = 1
PITCH: Final = 3
FROM_CHARACTER: Final = 1
UTF8: Final = 1
OK: Final = 0
GO_ON: Final = 0

_Callback = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p
)


class EspeakLibrary:
    """The loaded library.

    Raises:
        MissingExtension: espeakng-loader is not installed (``pip install 'fastrtc[espeak]'``).
        SpeechError: the library does not find its data.
    """

    def __init__(self) -> None:
        loader = optional_package("espeakng_loader", "espeak", "the espeak voice")
        self._library: Any = ctypes.CDLL(loader.get_library_path())
        self._library.espeak_Initialize.argtypes = (
            ctypes.c_int,
            ctypes.c_int,
            ctypes.c_char_p,
            ctypes.c_int,
        )
        self._library.espeak_Synth.argtypes = (
            ctypes.c_char_p,
            ctypes.c_size_t,
            ctypes.c_uint,
            ctypes.c_int,
            ctypes.c_uint,
            ctypes.c_uint,
            ctypes.c_void_p,
            ctypes.c_void_p,
        )
        data_path = str(loader.get_data_path())
        self.rate_hz: int = self._library.espeak_Initialize(
            OUTPUT_SYNCHRONOUS, 0, data_path.encode(), DO_NOT_EXIT
        )
        if self.rate_hz <= 0:
            raise SpeechError(f"eSpeak NG cannot read its data in {data_path}; reinstall it")
        self._pieces: list[npt.NDArray[np.int16]] = []
        self._callback = _Callback(self._take)
        self._library.espeak_SetSynthCallback(self._callback)
        self._lock = threading.Lock()

    def speak(self, text: str, voice: str, rate_wpm: int, pitch: int) -> npt.NDArray[np.int16]:
        """The sound of a text: mono, shape ``(n,)``, at ``rate_hz``. Blocks, without the GIL.

        Raises:
            SpeechError: an unknown voice, or the library failed.
        """
        encoded = text.replace("\0", " ").encode()
        with self._lock:
            if self._library.espeak_SetVoiceByName(voice.encode()) != OK:
                raise SpeechError(
                    f"eSpeak NG has no voice {voice!r}; it has languages such as 'en-us', 'de' or "
                    "'fr', each with variants such as 'en-us+f3'"
                )
            self._library.espeak_SetParameter(RATE, rate_wpm, 0)
            self._library.espeak_SetParameter(PITCH, pitch, 0)
            self._pieces.clear()
            status = self._library.espeak_Synth(
                encoded, len(encoded) + 1, 0, FROM_CHARACTER, 0, UTF8, None, None
            )
            if status != OK:
                raise SpeechError(f"eSpeak NG failed with status {status} for {text[:60]!r}")
            return np.concatenate([np.zeros(0, np.int16), *self._pieces])

    def _take(self, samples: Any, count: int, _events: Any) -> int:
        if samples and count > 0:
            self._pieces.append(np.ctypeslib.as_array(samples, (count,)).astype(np.int16))
        return GO_ON


@cache
def espeak_library() -> EspeakLibrary:
    """The library of this process."""
    return EspeakLibrary()
