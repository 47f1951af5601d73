"""PocketSphinx (BSD), speech recognition that needs nothing but its package from PyPI.

Its English model of 2015 hears a small grammar well and open dictation badly.
"""

from __future__ import annotations

import re
import tempfile
import threading
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from fastrtc.errors import ConfigurationError
from fastrtc.speech.loading import optional_package
from fastrtc.speech.stt import STTAudio, mono_16k

__all__ = ["DEFAULT_THRESHOLD", "PocketSphinxSTT"]

DEFAULT_THRESHOLD: Final = 1e-20
"""Of a keyphrase: nearer to 1 misses more, nearer to 0 hears it where it is not."""

SEARCH: Final = "fastrtc"
LEVEL: Final = 3_000
"""Root mean square of speech, of 32768, that the acoustic model fits."""
DITHER: Final = 100
"""Noise added: the model knows no digital silence, and takes its features' means from all of it."""
FRAME: Final = 160
ROOT_PHONES: Final = re.compile(r"^[A-Z]{1,2}( [A-Z]{1,2})*$")


class PocketSphinxSTT:
    """Offline English speech to text, of one of four kinds.

    * ``grammar``: JSGF text; hears only sentences of the grammar. Most exact.
    * ``words``: words or phrases; hears any sequence of them.
    * ``keyphrases``: phrases to spot in running speech, or a mapping of each to its threshold
      (default 1e-20; 1e-5 for a short phrase, 1e-40 for a long one). For stop words.
    * none of these: open dictation, which gets many words wrong.

    A grammar hears what comes nearest even where something else was said.

    Args:
        pronunciations: words that the dictionary of 134,000 English words lacks, in its phones
            (CMUdict's, without stress): ``{"fastrtc": "F AE S T AA R T IY S IY"}``.

    Raises:
        MissingExtension: pocketsphinx is not installed (``pip install 'fastrtc[stt]'``).
        ConfigurationError: more than one kind, a faulty grammar, or a word without a pronunciation.

    Example::

        model = PocketSphinxSTT(words=["red", "green", "light", "on", "off"])
        model.stt((16000, samples))  # "green light on"
    """

    def __init__(
        self,
        *,
        grammar: str | None = None,
        words: Iterable[str] | None = None,
        keyphrases: Iterable[str] | Mapping[str, float] | None = None,
        pronunciations: Mapping[str, str] | None = None,
    ) -> None:
        if sum(kind is not None for kind in (grammar, words, keyphrases)) > 1:
            raise ConfigurationError("pass one of grammar=, words= and keyphrases=, or none")
        sphinx = optional_package("pocketsphinx", "stt", "pocketsphinx speech recognition")
        self._lock = threading.Lock()
        self._noise = np.random.default_rng(0)
        dictation = grammar is None and words is None and keyphrases is None
        self._decoder = (
            sphinx.Decoder(loglevel="FATAL")
            if dictation
            else sphinx.Decoder(loglevel="FATAL", lm=None, bestpath=False)
        )
        for word, phones in (pronunciations or {}).items():
            self._teach(word.lower(), phones)
        if words is not None:
            self._use_grammar(_any_of(_phrases(words)))
        elif grammar is not None:
            self._use_grammar(grammar)
        elif keyphrases is not None:
            self._use_keyphrases(keyphrases)

    def stt(self, audio: STTAudio) -> str:
        """The words in ``audio``, in lower case, "" when there are none or none that fit.

        With keyphrases: those that were found, in order. Blocks for about 2 % of the audio's
        length (dictation: a third), and holds the GIL for it.
        """
        samples = _levelled(mono_16k(audio), self._noise)
        if not len(samples):
            return ""
        with self._lock:
            self._decoder.start_utt()
            self._decoder.process_raw(samples.tobytes(), no_search=False, full_utt=True)
            self._decoder.end_utt()
            found = self._decoder.hyp()
        return "" if found is None else " ".join(found.hypstr.split())

    def _teach(self, word: str, phones: str) -> None:
        if not ROOT_PHONES.match(phones):
            raise ConfigurationError(
                f"the pronunciation of {word!r} is {phones!r}; write CMUdict's phones in capitals, "
                "without stress, with a space between: 'HH AH L OW'"
            )
        self._decoder.add_word(word, phones, update=True)

    def _use_grammar(self, grammar: str) -> None:
        self._check_words(_words_of(grammar))
        try:
            self._decoder.add_jsgf_string(SEARCH, grammar)
        except (RuntimeError, ValueError) as error:
            raise ConfigurationError(
                "PocketSphinx cannot read the grammar; it takes JSGF, for example: "
                "'#JSGF V1.0; grammar lights; public <command> = lights (on | off);'"
            ) from error
        self._decoder.activate_search(SEARCH)

    def _use_keyphrases(self, keyphrases: Iterable[str] | Mapping[str, float]) -> None:
        given = keyphrases if isinstance(keyphrases, Mapping) else {}
        phrases = {
            phrase: float(given.get(original, DEFAULT_THRESHOLD))
            for original in keyphrases
            for phrase in _phrases([original])
        }
        if not phrases:
            raise ConfigurationError("keyphrases= is empty; give at least one phrase")
        self._check_words({word for phrase in phrases for word in phrase.split()})
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "keyphrases"
            path.write_text("".join(f"{phrase} /{at:g}/\n" for phrase, at in phrases.items()))
            self._decoder.add_kws(SEARCH, str(path))
        self._decoder.activate_search(SEARCH)

    def _check_words(self, words: Iterable[str]) -> None:
        unknown = sorted(word for word in words if self._decoder.lookup_word(word) is None)
        if unknown:
            raise ConfigurationError(
                f"the dictionary does not have {', '.join(unknown)} (its words are in lower case); "
                f"say how they sound: pronunciations={{{unknown[0]!r}: 'HH AH L OW'}}"
            )


def _phrases(phrases: Iterable[str]) -> list[str]:
    if isinstance(phrases, str):
        raise ConfigurationError(f"words= and keyphrases= take a list, not the text {phrases!r}")
    return [" ".join(re.findall(r"[\w'-]+", phrase.lower())) for phrase in phrases]


def _any_of(phrases: list[str]) -> str:
    phrases = [phrase for phrase in phrases if phrase]
    if not phrases:
        raise ConfigurationError("words= is empty; give at least one word")
    return f"#JSGF V1.0; grammar words; public <words> = ( {' | '.join(phrases)} )+;"


def _words_of(grammar: str) -> set[str]:
    """The words that a JSGF grammar uses, without its names, weights, tags and comments."""
    text = re.sub(r"//[^\n]*|/\*.*?\*/", " ", grammar, flags=re.DOTALL)
    text = re.sub(r"\{[^}]*\}|/[\d.eE+-]+/", " ", text)
    bodies = re.findall(r"<[^>]*>\s*=([^;]*);", text)
    return set(re.findall(r"[\w'-]+", re.sub(r"<[^>]*>", " ", " ".join(bodies))))


def _levelled(
    samples: npt.NDArray[np.float32], noise: np.random.Generator
) -> npt.NDArray[np.int16]:
    """The samples as loud as the acoustic model was trained with, and never quite silent."""
    frames = samples[: len(samples) // FRAME * FRAME].reshape(-1, FRAME)
    if not len(frames):
        return np.zeros(0, np.int16)
    levels = np.sort(np.sqrt(np.mean(np.square(frames), axis=1)))
    speech: Any = levels[len(levels) * 2 // 3 :].mean()
    gain = LEVEL / max(float(speech), 1 / 32768)
    dithered = samples * gain + noise.normal(0, DITHER, len(samples))
    return np.clip(np.rint(dithered), -32768, 32767).astype(np.int16)
