"""A plain or generator function as a handler, so that sessions know only handlers.

Says what to call with what; the runner calls it and plays what comes out.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastrtc.handlers.base import StreamHandlerBase
from fastrtc.handlers.signature import InputsFit, is_async_callable

__all__ = ["FrameFunction", "SourceFunction"]


class FrameFunction(StreamHandlerBase):
    """``fn((rate, samples), *inputs)``, called with each frame that comes in.

    It may return a value, or be a generator that yields any number of them; sync or async.
    """

    def __init__(self, fn: Callable[..., Any]) -> None:
        super().__init__()
        self.fn = fn
        self.is_async = is_async_callable(fn)
        self._fit = InputsFit.of(fn, leading=1)

    def missing_inputs(self) -> tuple[str, ...]:
        """Names of inputs without a default that have not arrived."""
        return self._fit.missing(len(self.latest_args) - 1)

    def call(self, frame: Any) -> Any:
        """Calls the function; returns whatever it returns, generators and coroutines too."""
        inputs = self.latest_args
        if len(inputs) == 1:
            return self.fn(frame)
        return self.fn(frame, *self._fit.trim(inputs[1:]))


class SourceFunction(StreamHandlerBase):
    """``fn(*inputs)``, a generator function whose items the client hears until it ends.

    Args:
        fn: sync or async generator function.
        inputs_declared: whether the stream has inputs that it shall wait for.
    """

    def __init__(self, fn: Callable[..., Any], inputs_declared: bool = False) -> None:
        super().__init__()
        self.fn = fn
        self.is_async = is_async_callable(fn)
        self._fit = InputsFit.of(fn, leading=0)
        self.wants_inputs = inputs_declared or bool(self._fit.required)

    def call(self) -> Any:
        """Calls the function with the inputs that have arrived; returns its iterator."""
        return self.fn(*self._fit.trim(self.latest_args[1:]))
