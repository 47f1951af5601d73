"""``ReplyOnPause``: a generator function that answers when its user has finished speaking.

What users pass and subclass. The decisions are ``turn_taking.py``'s, which runs on the session's
event loop; the methods here may be called, and overridden, from any thread.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
from collections.abc import Callable
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from fastrtc.handlers.app_state import AppState, ReplyFnGenerator
from fastrtc.handlers.base import HandlerSession
from fastrtc.handlers.hearing import Hearing
from fastrtc.handlers.outputs import AudioEmitType
from fastrtc.handlers.reply import Begin
from fastrtc.handlers.reply_calls import ReplyCalls
from fastrtc.handlers.running_reply import RunningReply
from fastrtc.handlers.signature import is_async_callable
from fastrtc.handlers.turn_audio import Pieces, TurnAudio, mono
from fastrtc.handlers.turn_settings import SETTABLE, Recogniser, TurnSettings
from fastrtc.handlers.turn_taking import TurnTaker
from fastrtc.turns.options import AlgoOptions, ModelOptions
from fastrtc.turns.protocol import EndOfTurnModel
from fastrtc.turns.silero import get_silero_model
from fastrtc.turns.users_model import prepared
from fastrtc.types import AudioInput, Layout
from fastrtc.wire.messages import create_message

__all__ = ["ReplyOnPause"]

CALM_SPAN_S: Final = 0.96
"""In how large pieces audio comes while nobody speaks and nothing is louder than before: 30 windows
of the model."""
LONGEST_CHUNK_S: Final = 10.0
"""How much stereo is kept before a turn of a subclass has begun."""


class ReplyOnPause(RunningReply):
    """Calls a generator function with everything a user said, when the user pauses.

    The reply stops when the user speaks into it, and its generator is closed; see
    ``docs/turn-taking.md`` for every parameter with a drawing.

    Args:
        fn: ``fn((rate_hz, samples), *inputs)``, a sync or async generator function; ``samples`` is
            int16 of shape ``(1, n)``. Sync ones run in a thread. Inputs that it does not take are
            dropped, missing ones take its defaults.
        startup_fn: ``startup_fn(*inputs)``, a generator function whose items greet the client.
        algo_options: when a turn starts and ends.
        model_options: for ``model``; of :class:`SileroVadOptions` the ``threshold`` counts here.
        can_interrupt: whether speech stops a reply. If not, what is said into a reply is dropped;
            may be set at any time.
        expected_layout: of the audio that ``fn`` gets; stereo is interleaved.
        output_sample_rate: announced for what ``fn`` yields; a chunk may have another.
        output_frame_size: has no effect.
        input_sample_rate: of the audio that ``fn`` gets, in Hz.
        model: voice activity, a ``PauseDetectionModel`` or a model of the streaming protocol; None
            for Silero. Its ``warmup()`` is called here, once for all handlers.
        needs_args: ask the client for its inputs before each reply, whatever ``fn`` takes.
        preroll_s: how much audio before the first speech ``fn`` gets.
        interrupt_after_s: speech that stops a reply.
        interrupt_min_words: words that it takes besides; needs ``stt``.
        resume_after_s: pause instead of stopping, and go on if no turn follows within this time.
        eager_after_s: start ``fn`` at this much silence; nothing of it is played before the turn
            is over, and it is closed if the user goes on.
        repeat_unheard: a turn goes to ``fn`` again, with the next one, if its reply was interrupted
            before anything of it was heard.
        on_idle: ``on_idle(*inputs)``, called, and played if it is a generator function, after each
            ``idle_after_s`` in which nobody spoke.
        idle_after_s: see ``on_idle``.
        end_of_turn: asked in each pause, up to three times from 0.13 s of silence on, whether the
            utterance is complete; if so the reply begins, at 0.19 s of silence at the earliest.
            :func:`get_smart_turn_model` makes one.
        incomplete_after_s: silence that ends an utterance which ``end_of_turn`` finds incomplete;
            None for the pause of ``algo_options``.
        stt: counts words for ``interrupt_min_words``; an object with ``stt(audio) -> str``.

    Raises:
        ValueError: options that do not fit together, or out of range.
        MissingExtension: no ``model`` was given and onnxruntime is not installed.

    Example::

        def echo(audio):
            yield audio

        stream = Stream(ReplyOnPause(echo), modality="audio")
    """

    def __init__(
        self,
        fn: ReplyFnGenerator,
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
        preroll_s: float = 0.3,
        interrupt_after_s: float = 0.2,
        interrupt_min_words: int = 0,
        resume_after_s: float | None = None,
        eager_after_s: float | None = None,
        repeat_unheard: bool = False,
        on_idle: Callable[..., Any] | None = None,
        idle_after_s: float | None = None,
        end_of_turn: EndOfTurnModel | None = None,
        incomplete_after_s: float | None = None,
        stt: Recogniser | None = None,
    ) -> None:
        super().__init__(
            expected_layout,
            output_sample_rate,
            output_frame_size,
            input_sample_rate=input_sample_rate,
        )
        if not callable(fn):
            raise ValueError(f"fn is a {type(fn).__name__}; it has to be a generator function")
        self.fn = fn
        self.startup_fn = startup_fn
        self.algo_options = algo_options or AlgoOptions()
        self.model_options = model_options
        self.can_interrupt = can_interrupt
        self.needs_args = needs_args
        self.on_idle = on_idle
        self._fastrtc_settings = TurnSettings(
            algo=self.algo_options,
            model_options=model_options,
            preroll_s=preroll_s,
            interrupt_after_s=interrupt_after_s,
            interrupt_min_words=interrupt_min_words,
            resume_after_s=resume_after_s,
            eager_after_s=eager_after_s,
            idle_after_s=idle_after_s,
            repeat_unheard=repeat_unheard,
            end_of_turn=end_of_turn,
            incomplete_after_s=incomplete_after_s,
            stt=stt,
        )
        if self._overrides("determine_pause"):
            self._fastrtc_settings.check_without_detector()
        if (on_idle is None) != (idle_after_s is None):
            raise ValueError("on_idle and idle_after_s belong together: give both, or neither")
        self.is_async = is_async_callable(fn)
        self._fastrtc_calls = ReplyCalls(self, fn, needs_args)
        """Made anew for a client, since subclasses set attributes after this."""
        self.model = get_silero_model() if model is None else prepared(model)
        self.__given = {name: getattr(self, name) for name in SETTABLE}
        self.state = AppState()
        self.__may_play: Callable[[], bool] | None = None
        self.__earlier: npt.NDArray[np.int16] = np.zeros(0, np.int16)
        self.__channels = 2 if expected_layout == "stereo" else 1
        self.__heard = TurnAudio(input_sample_rate, self.__channels)

    # What the session does with it.

    def attach(self, session: HandlerSession) -> None:
        super().attach(session)
        self._fastrtc_settings = dataclasses.replace(
            self._fastrtc_settings, algo=self.algo_options, model_options=self.model_options
        )
        self.is_async = is_async_callable(self.fn)
        self._fastrtc_calls = ReplyCalls(self, self.fn, self.needs_args)
        self._fastrtc_turns = self.make_turns(session)

    def make_turns(self, session: HandlerSession) -> TurnTaker:
        """What takes the turns of this session."""
        channels = 2 if self.expected_layout == "stereo" else 1
        rate_hz = self.input_sample_rate
        hearing = Hearing(session, self._fastrtc_settings, self.model, rate_hz, channels)
        return TurnTaker(session, self, self._fastrtc_settings, hearing)

    def detach(self) -> None:
        if self._fastrtc_turns is not None:
            self._fastrtc_turns.close()

    def receive_entry(self) -> Callable[[AudioInput], Any]:
        if self._is_fed_on_loop:
            return self._receive_on_loop
        return self.receive if inspect.iscoroutinefunction(self.receive) else self._receive_beside

    def emit_entry(self) -> Callable[[], Any]:
        if self._overrides("emit"):
            return functools.partial(self._emit_beside, self._fastrtc_live.lane())
        return self._fastrtc_taker.next_output

    @property
    def _fastrtc_taker(self) -> TurnTaker:
        """What takes this client's turns.

        Raises:
            HandlerError: it serves no client yet.
        """
        if self._fastrtc_turns is None:
            _ = self._fastrtc_live
            raise AssertionError("attached without turns")
        return self._fastrtc_turns

    # What users call and override.

    def copy(self) -> ReplyOnPause:
        """As in :class:`StreamHandler`; attributes that were set after construction go along."""
        copied = super().copy()
        assert isinstance(copied, ReplyOnPause)
        for name, given in copied.__given.items():
            # What a subclass sets while it is made belongs to that one object.
            if getattr(copied, name) is given:
                setattr(copied, name, getattr(self, name))
        return copied

    def start_up(self) -> None:
        """Begins ``startup_fn``, once the client's inputs have come if ``fn`` takes any."""
        if self.startup_fn is not None:
            self._on_loop(self.__greet)

    def receive(self, frame: AudioInput) -> None:
        """Takes what the client said, and has the reply begin once it has finished."""
        self.process_audio(frame, self.state)
        if self.state.pause_detected:
            state, self.state = self.state, self.state.new()
            self._on_loop(self._fastrtc_taker.take_turn, self.__said(state))

    def process_audio(self, audio: AudioInput, state: AppState) -> None:
        """Looks for a pause in the audio that has come, this frame included.

        With a ``determine_pause`` of a subclass: gathers audio in ``state.buffer`` and asks it
        once there is a chunk of ``audio_chunk_duration``, until it empties the buffer.
        """
        rate_hz, samples = audio
        state.sampling_rate = rate_hz
        flat = samples.reshape(-1)
        if not self._overrides("determine_pause"):
            self._on_loop(self._fastrtc_taker.listen, flat)
            return
        if not self.can_interrupt and self._fastrtc_taker.is_speaking:
            return
        if self.__channels > 1:
            self.__heard.push(flat)
            if state.stream is None:
                pending_s = (0 if state.buffer is None else len(state.buffer)) / rate_hz
                kept_s = pending_s + self._fastrtc_settings.preroll_s + LONGEST_CHUNK_S
                self.__heard.forget_before(self.__heard.end_s - kept_s)
            flat = mono(flat, self.__channels)
        state.buffer = flat if state.buffer is None else np.concatenate((state.buffer, flat))
        if len(state.buffer) / rate_hz < self.algo_options.audio_chunk_duration:
            return
        chunk, had_started = state.buffer, state.started_talking
        state.pause_detected = bool(self.determine_pause(chunk, rate_hz, state))
        if state.started_talking and not had_started:
            self._on_started_elsewhere(chunk, state)
        if state.started_talking:
            self._on_loop(self._fastrtc_taker.stay_awake)
        if state.buffer is None:
            keep = round(self._fastrtc_settings.preroll_s * rate_hz)
            self.__earlier = np.concatenate((self.__earlier, chunk))[-keep:] if keep else chunk[:0]

    def determine_pause(
        self, audio: npt.NDArray[np.int16], sampling_rate: int, state: AppState
    ) -> bool:
        """Whether a chunk of audio ends the turn; override it to decide otherwise.

        Args:
            audio: what was gathered since ``state.buffer`` was last set to None, shape ``(n,)``.
            sampling_rate: its rate in Hz.
            state: to be changed: ``started_talking``, ``stream`` and ``buffer``.
        """
        options = self.algo_options
        if len(audio) / sampling_rate < options.audio_chunk_duration:
            return False
        speech_s, _ = self.model.vad((sampling_rate, audio), self.model_options)
        if speech_s > options.started_talking_threshold and not state.started_talking:
            state.started_talking = True
            self.send_message_sync(create_message("log", "started_talking"))
        state.buffer = None
        if not state.started_talking:
            return False
        state.stream = audio if state.stream is None else np.concatenate((state.stream, audio))
        too_long = len(state.stream) / sampling_rate >= options.max_continuous_speech_s
        return too_long or speech_s < options.speech_threshold

    def trigger_response(self) -> None:
        """Has the reply begin now, with what was said so far."""
        if self._overrides("determine_pause"):
            state, self.state = self.state, self.state.new()
            self._on_loop(self._fastrtc_trigger, self._fastrtc_taker.take_turn, self.__said(state))
        else:
            self._on_loop(self._fastrtc_trigger, self._fastrtc_taker.trigger)

    def emit(self) -> AudioEmitType:
        """The next item of the running reply; None when none runs. Waits for it in a thread."""
        if not self._fastrtc_taker.is_replying:
            return None
        output: AudioEmitType = self._fastrtc_live.run_from_thread(self.__next_item())
        return output

    def reset(self) -> None:
        """Closes the running reply and forgets what was said and which inputs have come.

        Called after each reply too; then there is nothing to close, and what the user has begun to
        say is kept.
        """
        super().reset()
        if self.phone_mode:
            self.args_set.set()
        if not self._at_reply_end:
            self.state = self.state.new()
            self._start_afresh()

    # What the turn taker asks and tells; on the event loop.

    def begin_reply(self, rate_hz: int, audio: Pieces) -> Begin:
        """Calls ``fn`` with a turn."""
        return self._fastrtc_calls.answer(rate_hz, audio)

    def begin_idle(self) -> Begin:
        """Calls ``on_idle``."""
        assert self.on_idle is not None
        return self._fastrtc_calls.unasked(self.on_idle, wait=False)

    def on_dropped(self) -> None:
        """An answer was closed before anything of it counted."""
        self._fastrtc_calls.put_back()

    def on_calm(self, is_calm: bool) -> None:
        """Nobody has spoken for a while; or that is over."""
        if self._is_fed_on_loop:
            self._fastrtc_live.bundle_audio(CALM_SPAN_S if is_calm else 0.0)

    def on_started(self) -> None:
        """The user has started to speak."""
        self.state.started_talking = True
        self.__log("started_talking")

    def on_pause(self) -> None:
        """A turn is over and is answered."""
        if self.state.started_talking and not self._overrides("determine_pause"):
            self.state = self.state.new()
        self.__log("pause_detected")

    def on_responding(self, responding: bool) -> None:
        """A reply begins or ends."""
        self.state.responding = responding
        self.state.responded_audio = False

    def on_response(self) -> None:
        """A reply gave its first audio, or ended without any."""
        self.state.responded_audio = True
        self.__log("response_starting")

    def on_output(self, item: Any) -> None:
        """A reply gave an item."""
        self._fastrtc_calls.note(item)

    async def on_reply_over(self) -> None:
        """A reply has ended by itself."""
        self._at_reply_end = True
        try:
            if self._overrides("reset"):
                await self._fastrtc_live.lane().call(self.reset)
            else:
                self.reset()
        finally:
            self._at_reply_end = False

    # Inside.

    @property
    def _is_fed_on_loop(self) -> bool:
        """Whether no code of a subclass sees the frames."""
        return not any(map(self._overrides, ("receive", "process_audio", "determine_pause")))

    async def _receive_on_loop(self, frame: AudioInput) -> None:
        self._fastrtc_taker.listen(frame[1].reshape(-1))

    async def _emit_beside(self, lane: Any) -> Any:
        self.__may_play = None
        output = await lane.call(self.emit)
        if inspect.isawaitable(output):
            output = await output
        return output if self.__may_play is None or self.__may_play() else None

    async def __next_item(self) -> Any:
        item, self.__may_play = await self._fastrtc_taker.output_of_current()
        return item

    def __greet(self) -> None:
        assert self.startup_fn is not None
        self._fastrtc_taker.speak(self._fastrtc_calls.unasked(self.startup_fn, wait=True))

    def __said(self, state: AppState) -> npt.NDArray[np.int16]:
        """The turn that a subclass gathered, in mono, as it was heard: in all its channels."""
        if state.stream is None:
            return np.zeros(0, np.int16)
        later = 0 if state.buffer is None else len(state.buffer)
        return self.__heard.as_heard(state.stream.reshape(-1), later)

    def _on_started_elsewhere(self, chunk: npt.NDArray[np.int16], state: AppState) -> None:
        """A subclass found that the user has started: with this chunk, if it gathers as we do."""
        if state.stream is not None and len(state.stream) == len(chunk):
            state.stream = np.concatenate((self.__earlier, state.stream))
        self._on_loop(self._fastrtc_taker.barge_in)

    def _overrides(self, name: str) -> bool:
        own = getattr(type(self), name)
        return not own.__module__.startswith("fastrtc.handlers.")

    def __log(self, text: str) -> None:
        self._fastrtc_live.send_message(create_message("log", text))
