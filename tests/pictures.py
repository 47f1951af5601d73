"""Pictures that say which one they are, for tests of video."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.uint8]


def numbered(number: int, height: int = 48, width: int = 64) -> Array:
    """A picture whose upper half is as bright as the tens of its number, 0 to 199, and whose
    lower half is as bright as the ones."""
    picture = np.full((height, width, 3), 20 + 11 * (number // 10), np.uint8)
    picture[height // 2 :] = 20 + 22 * (number % 10)
    return picture


def camera(count: int, **size: int) -> Iterator[Array]:
    return (numbered(number, **size) for number in range(count))


def number_of(picture: Any) -> int:
    """What :func:`numbered` was given; brightness may be off by a few steps."""
    half = len(picture) // 2
    tens, ones = float(np.mean(picture[:half])), float(np.mean(picture[half:]))
    return 10 * round((tens - 20) / 11) + round((ones - 20) / 22)


def numbers(pictures: list[Array]) -> list[int]:
    return [number_of(picture) for picture in pictures]
