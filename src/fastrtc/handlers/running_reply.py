"""What a subclass of ``ReplyOnPause`` may hold of the reply that runs: its generator, and the event
that has it begin. Names that subclasses written for FastRTC 0.0.34 use.

Decides nothing: each request goes to the turn taker, on the session's loop.
"""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import Callable
from typing import Any

from fastrtc.handlers.base import StreamHandler
from fastrtc.handlers.reply_calls import ReplyCalls
from fastrtc.handlers.turn_taking import TurnTaker
from fastrtc.types import AudioInput

__all__ = ["ReplyEvent", "RunningReply"]


class RunningReply(StreamHandler):
    """The part of :class:`ReplyOnPause` that is about the reply that runs."""

    _fastrtc_calls: ReplyCalls
    _fastrtc_turns: TurnTaker | None = None
    _at_reply_end = False
    _in_receive = False
    _is_due = False

    @property
    def event(self) -> ReplyEvent:
        """Set it to have a reply begin; it is set while one runs."""
        return ReplyEvent(self)

    @property
    def generator(self) -> Any:
        """The generator of the reply that runs, once it has been made; else None.

        Set to None it is closed; set to a generator, that one is played.
        """
        return None if self._fastrtc_turns is None else self._fastrtc_turns.generator

    @generator.setter
    def generator(self, generator: Any) -> None:
        if generator is None:
            self._close_generator()
            return

        async def begin(_: Any) -> Any:
            return generator

        if self._fastrtc_turns is not None:
            self._on_loop(self._fastrtc_turns.speak, begin)

    def _close_generator(self) -> None:
        """Closes the reply that runs; not the next one, from a ``reset`` at a reply's end."""
        if self._fastrtc_turns is not None and not self._at_reply_end:
            self._on_loop(self._fastrtc_turns.interrupt)

    def _start_afresh(self) -> None:
        """Closes the reply that runs and forgets what was said."""
        if self._fastrtc_turns is not None:
            self._on_loop(self._fastrtc_turns.start_afresh)

    @property
    def _needs_additional_inputs(self) -> bool:
        """Whether the client is asked for inputs before a reply."""
        return self._fastrtc_calls.wants_inputs

    async def async_iterate(self, generator: Any) -> Any:
        """The next item of an async generator."""
        return await anext(generator)

    def set_args(self, args: list[Any]) -> None:
        """As in :class:`StreamHandler`."""
        if self._fastrtc_turns is not None:
            self._fastrtc_calls.note_inputs(self.loop.time())
        super().set_args(args)

    def _fastrtc_trigger(self, begin: Callable[..., None], *args: Any) -> None:
        """Has a reply begin, but not for a page that sends the inputs it was asked for and triggers
        a reply with them as always: it would be asked again, for ever."""
        if not self._fastrtc_calls.has_just_been_answered(self.loop.time()):
            begin(*args)

    @abstractmethod
    def trigger_response(self) -> None:
        """Has the reply begin now."""

    def _on_loop(self, fn: Callable[..., Any], *args: Any) -> None:
        if asyncio._get_running_loop() is self.loop:
            fn(*args)
        elif not self.loop.is_closed():
            self.loop.call_soon_threadsafe(fn, *args)

    @abstractmethod
    def receive(self, frame: AudioInput) -> None: ...

    def _receive_beside(self, frame: AudioInput) -> None:
        """``receive`` of a subclass: what it sets :attr:`event` for comes when it has returned, so
        that it may first close and clear what is there."""
        self._in_receive = True
        try:
            self.receive(frame)
        finally:
            self._in_receive = False
            is_due, self._is_due = self._is_due, False
        if is_due:
            self.trigger_response()


class ReplyEvent:
    """As a ``threading.Event`` that is set while a reply runs."""

    def __init__(self, handler: RunningReply) -> None:
        self._handler = handler

    def set(self) -> None:
        """Has a reply begin: after the ``receive`` that this is called in, else unless one runs."""
        if self._handler._in_receive:
            self._handler._is_due = True
        else:
            self._handler._on_loop(self._begin_unless_one_runs)

    def is_set(self) -> bool:
        """Whether a reply runs and its generator has been made."""
        return self._handler.generator is not None

    def clear(self) -> None:
        """Closes the reply that runs."""
        self._handler._close_generator()

    def _begin_unless_one_runs(self) -> None:
        turns = self._handler._fastrtc_turns
        if turns is not None and not turns.is_replying:
            self._handler.trigger_response()
