"""Calls the functions that a reply handler was given, with the inputs that are there.

Knows what to ask the client for and how long to wait; starts no reply.
"""

from __future__ import annotations

import dataclasses
import inspect
import math
from collections.abc import Callable
from typing import Any, Final

from fastrtc.errors import InputsTimeout
from fastrtc.handlers.base import CallLane, StreamHandlerBase
from fastrtc.handlers.outputs import AdditionalOutputs, split_outputs
from fastrtc.handlers.reply import Begin
from fastrtc.handlers.signature import InputsFit, is_async_callable
from fastrtc.handlers.turn_audio import Pieces, joined
from fastrtc.types import WebRTCData

__all__ = ["ReplyCalls"]

OPTIONAL_INPUTS_S: Final = 0.5
"""How long a reply waits for inputs that its function can do without; later ones do not wait for
a client that did not answer."""

ANSWER_S: Final = 1.0
"""How long after it was asked for its inputs a client may have sent them because of that."""

SAME_REQUEST_S: Final = 0.1
"""What comes this soon after inputs was sent together with them."""

LONG_SAMPLES: Final = 1_000_000
"""So many samples are joined in a thread."""


class ReplyCalls:
    """The calls of one handler.

    Args:
        handler: whose client has the inputs.
        fn: called with a turn.
        needs_args: ask for inputs whatever ``fn`` takes.
    """

    def __init__(
        self, handler: StreamHandlerBase, fn: Callable[..., Any], needs_args: bool
    ) -> None:
        self._handler = handler
        self._fn = fn
        self._needs_args = needs_args
        self._fit = InputsFit.of(fn, leading=1)
        self._phone_inputs: list[Any] = []
        self._typed: WebRTCData | None = None
        self._is_waiting = False
        self._has_not_answered = False
        self._asked_at_s = self._answered_at_s = -math.inf

    def note_inputs(self, now_s: float) -> None:
        """The client has sent inputs: because a reply asked for them, or on its own account."""
        if self._is_waiting or now_s - self._asked_at_s < ANSWER_S:
            self._asked_at_s, self._answered_at_s = -math.inf, now_s
            self._has_not_answered = False

    def has_just_been_answered(self, now_s: float) -> bool:
        """Whether what comes now came with inputs that a reply had asked for."""
        return now_s - self._answered_at_s < SAME_REQUEST_S

    def answer(self, rate_hz: int, pieces: Pieces) -> Begin:
        """``fn`` with a turn, or with a page's :class:`WebRTCData` that has it in it."""
        self._typed = None

        async def begin(lane: CallLane) -> Any:
            await self._fetch_inputs(self._fit)
            is_long = sum(map(len, pieces)) > LONG_SAMPLES
            samples = await lane.call(joined, pieces) if is_long else joined(pieces)
            latest = self._handler.latest_args
            first: Any = (rate_hz, samples.reshape(1, -1))
            if isinstance(latest[0], WebRTCData):
                self._typed, first = latest[0], dataclasses.replace(latest[0], audio=first)
                # What was typed belongs to one reply.
                latest[0] = WebRTCData(latest[0].webrtc_id)
            return await _call(lane, self._fn, first, *self._fit.trim(self._inputs()))

        return begin

    def put_back(self) -> None:
        """The newest answer was closed before it counted: what was typed goes to the next."""
        typed, self._typed = self._typed, None
        latest = self._handler.latest_args
        if typed is not None and isinstance(latest[0], WebRTCData) and not latest[0].textbox:
            latest[0] = typed

    def unasked(self, fn: Callable[..., Any], wait: bool) -> Begin:
        """``fn(*inputs)``; with ``wait`` the inputs are asked for if the reply function has any."""
        fit = InputsFit.of(fn, leading=0)

        async def begin(lane: CallLane) -> Any:
            if wait:
                await self._fetch_inputs(fit)
            result = await _call(lane, fn, *fit.trim(self._inputs()))
            # A plain on_idle is called for what it does, whatever it returns.
            plays = hasattr(result, "__next__") or hasattr(result, "__anext__")
            return result if wait or plays else None

        return begin

    def note(self, item: Any) -> None:
        """A reply gave an item: on a telephone its outputs are the next reply's inputs."""
        if self._handler.phone_mode:
            outputs = split_outputs(item).additional
            if isinstance(outputs, AdditionalOutputs):
                self._phone_inputs = list(outputs.args)

    def _inputs(self) -> list[Any]:
        handler = self._handler
        return self._phone_inputs if handler.phone_mode else handler.latest_args[1:]

    @property
    def wants_inputs(self) -> bool:
        """Whether the client is asked for inputs before a reply."""
        return self._needs_args or self._fit.most != 0

    async def _fetch_inputs(self, fit: InputsFit) -> None:
        handler = self._handler
        if handler.phone_mode or not self.wants_inputs:
            return
        self._asked_at_s, self._is_waiting = handler.loop.time(), True
        try:
            await self._wait_for_inputs(fit)
        finally:
            self._is_waiting = False
        # Taken: however this reply ends, the next one asks anew.
        handler.args_set.clear()

    async def _wait_for_inputs(self, fit: InputsFit) -> None:
        handler = self._handler
        if self._needs_args or fit.missing(len(handler.latest_args) - 1):
            await handler.wait_for_args()
        elif self._has_not_answered:
            # Nor will it now, most likely: a page that sends its inputs on its own account.
            await handler.fetch_args()
        else:
            try:
                await handler.wait_for_args(OPTIONAL_INPUTS_S)
            except InputsTimeout:
                # It has inputs from before, or defaults.
                self._has_not_answered = True


async def _call(lane: CallLane, fn: Callable[..., Any], *args: Any) -> Any:
    """Calls a function of the user's, on the loop only if it is async."""
    result = fn(*args) if is_async_callable(fn) else await lane.call(fn, *args)
    return await result if inspect.isawaitable(result) else result
