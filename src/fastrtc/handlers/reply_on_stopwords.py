"""``ReplyOnStopWords``: answers what is said after a word or phrase was heard.

What users pass and subclass; ``stop_words.py`` hears.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from fastrtc.errors import ConfigurationError, MissingExtension, MissingModel
from fastrtc.handlers.app_state import AppState, ReplyFnGenerator
from fastrtc.handlers.base import HandlerSession
from fastrtc.handlers.reply_on_pause import ReplyOnPause
from fastrtc.handlers.stop_words import StopWordHearing, contains_phrase, words_of
from fastrtc.handlers.turn_settings import Recogniser
from fastrtc.handlers.turn_taking import TurnTaker
from fastrtc.speech.stt import get_stt_model
from fastrtc.turns.options import AlgoOptions, ModelOptions
from fastrtc.types import Layout
from fastrtc.wire.messages import create_message

__all__ = ["ReplyOnStopWords", "ReplyOnStopWordsState"]

logger = logging.getLogger("fastrtc")


@dataclass
class ReplyOnStopWordsState(AppState):
    """What a ``determine_pause`` of a subclass sees besides.

    Attributes:
        stop_word_detected: a stop word was said.
        post_stop_word_buffer: the chunk before, in which a stop word may have begun.
        started_talking_pre_stop_word: unused; kept for old code.
    """

    stop_word_detected: bool = False
    post_stop_word_buffer: npt.NDArray[np.int16] | None = None
    started_talking_pre_stop_word: bool = False


class ReplyOnStopWords(ReplyOnPause):
    """As :class:`ReplyOnPause`, but ``fn`` gets what is said after a stop word, and only that.

    The words may follow at once or after a pause. A reply is interrupted by a stop word too, not by
    other speech.

    Args:
        fn: as for :class:`ReplyOnPause`.
        stop_words: words and phrases; case and punctuation do not matter.
        stt: recognises them, an object with ``stt((rate_hz, samples)) -> str``. None is
            PocketSphinx listening for just these words, which needs no download; or Moonshine,
            when its dictionary lacks one of them, or when a subclass overrides
            :meth:`stop_word_detected`, which may then look for any word.
        options: the other keyword-only options of :class:`ReplyOnPause`.

    Raises:
        ValueError: no stop words, or options that do not fit together.
        MissingExtension, MissingModel: no ``stt`` was given, and the engine or the weights that
            these words need are not there.

    Example::

        handler = ReplyOnStopWords(answer, ["computer", "hey robot"])
    """

    state: ReplyOnStopWordsState

    def __init__(
        self,
        fn: ReplyFnGenerator,
        stop_words: list[str],
        startup_fn: Callable[..., Any] | None = None,
        algo_options: AlgoOptions | None = None,
        model_options: ModelOptions | None = None,
        can_interrupt: bool = True,
        expected_layout: Layout = "mono",
        output_sample_rate: int = 24000,
        output_frame_size: int | None = None,
        input_sample_rate: int = 48000,
        model: Any = None,
        needs_args: bool = False,
        *,
        stt: Recogniser | None = None,
        **options: Any,
    ) -> None:
        if isinstance(stop_words, str) or not any(words_of(phrase) for phrase in stop_words):
            raise ValueError(
                f"stop_words is {stop_words!r}; it has to be a list of words or phrases, such as "
                '["computer", "hey robot"]'
            )
        super().__init__(
            fn,
            startup_fn,
            algo_options,
            model_options,
            can_interrupt,
            expected_layout,
            output_sample_rate,
            output_frame_size,
            input_sample_rate,
            model,
            needs_args,
            stt=stt,
            **options,
        )
        self.stop_words = list(stop_words)
        self.stt_model: Recogniser = stt or _recogniser_of(
            tuple(self.stop_words), self._overrides("stop_word_detected")
        )
        self.state = ReplyOnStopWordsState()

    def make_turns(self, session: HandlerSession) -> TurnTaker:
        """As in :class:`ReplyOnPause`."""
        hearing = StopWordHearing(
            session,
            self._fastrtc_settings,
            self.model,
            self.input_sample_rate,
            2 if self.expected_layout == "stereo" else 1,
            stt=self.stt_model,
            is_stop_word=self.stop_word_detected,
            on_stop_word=self.send_stopword,
        )
        return TurnTaker(session, self, self._fastrtc_settings, hearing)

    def stop_word_detected(self, text: str) -> bool:
        """Whether a stop word stands in ``text``; runs in a thread when it is overridden too."""
        return contains_phrase(text, self.stop_words)

    def send_stopword(self) -> None:
        """Tells the client that a stop word was heard. From any thread."""
        self._fastrtc_live.send_message(create_message("stopword", ""))

    def determine_pause(
        self, audio: npt.NDArray[np.int16], sampling_rate: int, state: AppState
    ) -> bool:
        """As in :class:`ReplyOnPause`, from the first chunk after a stop word on."""
        assert isinstance(state, ReplyOnStopWordsState)
        if state.stop_word_detected:
            return super().determine_pause(audio, sampling_rate, state)
        before = state.post_stop_word_buffer
        heard = audio if before is None else np.concatenate((before, audio))
        state.post_stop_word_buffer, state.buffer = audio, None
        if self.stop_word_detected(self.stt_model.stt((sampling_rate, heard.reshape(1, -1)))):
            state.stop_word_detected = True
            self.send_stopword()
        return False


@cache
def _recogniser_of(stop_words: tuple[str, ...], has_to_hear_all: bool) -> Recogniser:
    """PocketSphinx for these words, or Moonshine for any; loaded once, for all handlers.

    Raises:
        MissingExtension, MissingModel: there is neither.
    """
    lacking = "a stop_word_detected() of one's own may look for any word"
    if not has_to_hear_all:
        try:
            return get_stt_model("pocketsphinx", keyphrases=stop_words)
        except (ConfigurationError, MissingExtension) as error:
            lacking = f"PocketSphinx cannot hear {', '.join(map(repr, stop_words))}: {error}"
    logger.info("stop words are heard by Moonshine, since %s", lacking)
    try:
        return get_stt_model("moonshine/base")
    except (MissingExtension, MissingModel) as error:
        raise type(error)(
            f"stop words need Moonshine, since {lacking}. It could not be loaded: {error}. Or give "
            "a recogniser: stt=get_stt_model('pocketsphinx', keyphrases=[...], pronunciations="
            "{'fastrtc': 'F AE S T AA R T IY S IY'}), or any object with stt(audio) -> str"
        ) from error
