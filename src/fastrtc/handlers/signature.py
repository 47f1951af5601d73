"""How a user's function is called: with how many inputs, and on the loop or beside it.

Pure inspection; nothing is called here.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

__all__ = ["InputsFit", "is_async_callable"]


def is_async_callable(fn: Callable[..., Any]) -> bool:
    """Whether calling ``fn`` runs no user code until the result is awaited or iterated."""
    while isinstance(fn, functools.partial):
        fn = fn.func
    call = fn if inspect.isroutine(fn) else getattr(fn, "__call__", fn)  # noqa: B004
    return inspect.iscoroutinefunction(call) or inspect.isasyncgenfunction(call)


@dataclass(frozen=True)
class InputsFit:
    """How many of the client's inputs a function takes after its leading arguments.

    Attributes:
        required: names of the inputs without a default.
        most: how many fit at most; None for any number.
    """

    required: tuple[str, ...]
    most: int | None

    @classmethod
    def of(cls, fn: Callable[..., Any], leading: int) -> InputsFit:
        """Reads the signature of ``fn``, whose first ``leading`` arguments are not inputs.

        Raises:
            ValueError: it takes fewer than ``leading`` positional arguments.
        """
        try:
            parameters = list(inspect.signature(fn).parameters.values())
        except (TypeError, ValueError):
            return cls((), None)
        positional = [
            p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)
        ]
        takes_any = any(p.kind is p.VAR_POSITIONAL for p in parameters)
        if len(positional) < leading and not takes_any:
            name = getattr(fn, "__name__", type(fn).__name__)
            raise ValueError(
                f"{name}() takes no positional argument; it is called with "
                "(rate, samples), or a picture, first, then the inputs"
            )
        inputs = positional[leading:]
        return cls(
            required=tuple(p.name for p in inputs if p.default is p.empty),
            most=None if takes_any else len(inputs),
        )

    def trim(self, inputs: list[Any]) -> list[Any]:
        """``inputs`` without those that the function does not take."""
        return inputs if self.most is None else inputs[: self.most]

    def missing(self, given: int) -> tuple[str, ...]:
        """Names of the inputs still wanted when ``given`` have arrived."""
        return self.required[given:]
