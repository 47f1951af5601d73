"""Knows what a place sounds like while nobody speaks, so that a model need not hear all of it.

Pure: windows in, yes or no out. The sound is compared in bands of 500 Hz, so that a voice is not
lost under a rumble that is louder than it.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from fastrtc.turns.protocol import WINDOW_SAMPLES, Window, Windows

__all__ = ["Background"]

BANDS: Final = 16
RATIO: Final = 3.0
"""A band that is 5 dB louder than usual is something else. Steady noise strays less: a band's power
is a sum over 16 bins."""
PACE: Final = 0.1
"""How much a new window counts in what is usual."""
FLOOR: Final = 1e-6
"""Power in a band of rounding to 16 bits, so that digital silence is no special case."""
_TAPER: Final = np.hanning(WINDOW_SAMPLES).astype(np.float32)

Levels = npt.NDArray[np.floating[Any]]


class Background:
    """The usual sound of one session."""

    __slots__ = ("_levels", "_usual")

    def __init__(self) -> None:
        self._usual: Levels | None = None
        self._levels: Levels | None = None

    def sounds_like(self, window: Window) -> bool:
        """Whether a window is no louder than usual, in any band."""
        [self._levels] = [levels] = _levels(window[np.newaxis])
        return self._usual is not None and bool((levels <= RATIO * self._usual).all())

    def usual_ones(self, windows: Windows) -> int:
        """How many windows are no louder than usual before the first one that is; those are learnt.

        All are compared with what was usual before them, which they change little.
        """
        if self._usual is None:
            return 0
        levels = _levels(windows)
        louder = (levels > RATIO * self._usual).any(axis=1)
        count = int(louder.argmax()) if louder.any() else len(windows)
        weights = PACE * (1 - PACE) ** np.arange(count - 1, -1, -1)
        self._usual = (1 - PACE) ** count * self._usual + weights @ levels[:count]
        return count

    def learn(self) -> None:
        """Nobody spoke in the window that was just compared."""
        levels, self._levels = self._levels, None
        if levels is None:
            return
        usual = self._usual
        self._usual = levels if usual is None else usual + PACE * (levels - usual)


def _levels(windows: Windows) -> Levels:
    """Power in each band, a row for each window."""
    spectrum = np.fft.rfft(windows * _TAPER)[:, : WINDOW_SAMPLES // 2]
    power = np.square(spectrum.real) + np.square(spectrum.imag)
    levels: Levels = power.reshape(len(windows), BANDS, -1).sum(axis=2) + FLOOR
    return levels
