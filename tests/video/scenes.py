"""Moving pictures for codecs: smooth shapes that pan, a disc that goes round, some noise."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[np.uint8]


def scene(width: int, height: int, count: int, *, detail: int = 0) -> list[Samples]:
    """``count`` pictures in BGR, the same each time; ``detail``: how many fine waves there are."""
    random = np.random.default_rng(7)
    rows, columns = np.mgrid[: height + 64, : width + 64].astype(np.float32)
    field = np.full((height + 64, width + 64, 3), 128, np.float32)
    for finest in [0.12] * 14 + [0.9] * detail:
        across, down = random.uniform(-finest, finest, 2)
        wave = np.sin(across * columns + down * rows + random.uniform(0, 6))
        field += wave[..., None] * random.uniform(-9, 9, 3)
    rows, columns = rows[:height, :width], columns[:height, :width]
    grain = random.normal(0, 2, (height, width, 1))
    pictures = []
    for index in range(count):
        x, y = int(30 + 25 * np.sin(index / 20)), int(30 + 25 * np.cos(index / 25))
        picture = field[y : y + height, x : x + width] + np.roll(grain, 37 * index, axis=1)
        centre_x = width * (0.5 + 0.35 * np.cos(index / 15))
        centre_y = height * (0.5 + 0.3 * np.sin(index / 11))
        disc = (columns - centre_x) ** 2 + (rows - centre_y) ** 2 < (height * 0.15) ** 2
        picture[disc] = picture[disc] * 0.3 + np.array([40, 90, 180])
        pictures.append(np.clip(picture, 0, 255).astype(np.uint8))
    return pictures


def psnr_db(one: Samples, other: Samples) -> float:
    """Peak signal-to-noise ratio of two pictures of one shape."""
    error = np.mean((one.astype(np.float64) - other.astype(np.float64)) ** 2)
    return float(10 * np.log10(255**2 / max(error, 1e-9)))
