"""Inputs are fitted to what a function takes."""

from __future__ import annotations

import functools
from typing import Any

import pytest

from fastrtc.handlers.signature import InputsFit, is_async_callable


def plain(frame: Any, first: int, second: int = 2) -> None: ...
async def coroutine(frame: Any) -> None: ...
async def generator(frame: Any) -> Any:
    yield frame


class Handler:
    def method(self, frame: Any, first: int = 1) -> None: ...

    async def __call__(self, frame: Any, *inputs: Any) -> None: ...


@pytest.mark.parametrize(
    ("fn", "fitted"),
    [
        (plain, [1, 2]),
        (coroutine, []),
        (Handler().method, [1]),
        (Handler(), [1, 2, 3]),
        (functools.partial(plain, second=5), [1]),
        (print, [1, 2, 3]),
    ],
)
def test_surplus_inputs_are_dropped(fn: Any, fitted: list[int]) -> None:
    """Pitfall 40."""
    assert InputsFit.of(fn, leading=1).trim([1, 2, 3]) == fitted


def test_missing_inputs_have_names() -> None:
    fit = InputsFit.of(plain, leading=1)
    assert fit.missing(0) == ("first",)
    assert fit.missing(1) == ()


def test_a_function_without_arguments_cannot_take_frames() -> None:
    with pytest.raises(ValueError, match="called with"):
        InputsFit.of(lambda: None, leading=1)


@pytest.mark.parametrize(
    ("fn", "is_async"),
    [
        (plain, False),
        (coroutine, True),
        (generator, True),
        (Handler(), True),
        (Handler().method, False),
        (functools.partial(coroutine, None), True),
    ],
)
def test_async_callables_are_known(fn: Any, is_async: bool) -> None:
    assert is_async_callable(fn) is is_async
