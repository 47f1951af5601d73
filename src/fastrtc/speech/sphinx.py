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

__all__ = ["DEFAULT_FIT", "DEFAULT_THRESHOLD", "PocketSphinxSTT"]

DEFAULT_THRESHOLD: Final = 1e-20
"""Of a keyphrase: nearer to 1 misses more, nearer to 0 hears it where it is not."""

DEFAULT_FIT: Final = -30.0
"""Right words of recorded speech fit at -18 to -6, also with noise at 5 dB SNR; other words than
were said at -41 to -73. Said by eSpeak, 98 % of right words are above it, 80 % of others below."""

SEARCH: Final = "fastrtc"
PHONES: Final = "phones"
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

    A grammar or word list always finds something that comes nearest. So its words are compared with
    a free run of phones, and are none where that fits much better.

    Args:
        min_fit: how much worse words of ``grammar`` or ``words`` may fit than free phones, in the
            decoder's log likelihood for each 10 ms. Nearer to 0 rejects more; None rejects nothing
            and saves two thirds of the time.
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
        min_fit: float | None = DEFAULT_FIT,
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
        self._min_fit = None if dictation or keyphrases is not None else min_fit
        if self._min_fit is not None:
            model = sphinx.get_model_path("en-us/en-us-phone.lm.bin")
            self._decoder.add_allphone_file(PHONES, model)
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

        With keyphrases: those that were found, in order. Blocks, holding the GIL, for about 6 % of
        the audio's length (2 % without ``min_fit``, dictation a third).
        """
        samples = _levelled(mono_16k(audio), self._noise)
        if not len(samples):
            return ""
        pcm = samples.tobytes()
        with self._lock:
            self._decode(pcm)
            found = self._decoder.hyp()
            text = "" if found is None else " ".join(found.hypstr.split())
            if text and self._min_fit is not None and self._fit(pcm) < self._min_fit:
                return ""
        return text

    def _decode(self, pcm: bytes) -> None:
        self._decoder.start_utt()
        self._decoder.process_raw(pcm, no_search=False, full_utt=True)
        self._decoder.end_utt()

    def _fit(self, pcm: bytes) -> float:
        """How well the words that were just found fit, beside any phones."""
        words = list(self._decoder.seg())
        spoken = [word for word in words if not word.word.startswith(("<", "["))]
        frames = spoken[-1].end_frame - spoken[0].start_frame + 1
        self._decoder.activate_search(PHONES)
        self._decode(pcm)
        phones = list(self._decoder.seg())
        self._decoder.activate_search(SEARCH)
        return float(self._likelihood(words) - self._likelihood(phones)) / int(frames)

    def _likelihood(self, segments: Iterable[Any]) -> float:
        logarithms = self._decoder.get_logmath()
        return float(sum(logarithms.log(segment.ascore) for segment in segments))

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
