"""What it costs to bring a picture from planes to pixels and back: this library beside PyAV.

``python benchmarks/video/conversion.py``; prints a table, milliseconds of wall-clock for one
picture in one thread, the median of many.
"""

import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import av
import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2] / "tests"))

from fastrtc.types import PixelFormat
from fastrtc.video.picture import Picture
from video.scenes import Samples, scene

SIZES = [(640, 480), (1_280, 720), (1_920, 1_080)]
FFMPEG: dict[PixelFormat, str] = {
    "bgr24": "bgr24",
    "rgb24": "rgb24",
    "gray8": "gray",
    "yuv420p": "yuv420p",
}


def median_ms(work: Callable[[], Any]) -> float:
    """Of one call, after some that do not count."""
    times = []
    for turn in range(120):
        began_s = time.perf_counter()
        work()
        if turn >= 20:
            times.append(time.perf_counter() - began_s)
    return statistics.median(times) * 1e3


def from_array_by_ffmpeg(array: Samples, name: str) -> av.VideoFrame:
    return av.VideoFrame.from_ndarray(array, format=name).reformat(format="yuv420p")


def main() -> None:
    print("| size | what | PyAV, ms | fastrtc, ms | ratio |")
    print("| --- | --- | --- | --- | --- |")
    for width, height in SIZES:
        [pixels] = scene(width, height, 1)
        picture = Picture.from_array(pixels, "bgr24")
        rows: list[tuple[str, Callable[[], Any], Callable[[], Any]]] = []
        for ours, theirs in FFMPEG.items():
            to_theirs = partial(picture.frame.to_ndarray, format=theirs)
            rows.append((f"to {ours}", to_theirs, partial(picture.to_array, ours)))
            array = picture.to_array(ours)
            from_theirs = partial(from_array_by_ffmpeg, array, theirs)
            rows.append((f"from {ours}", from_theirs, partial(Picture.from_array, array, ours)))
        flipped = np.flip(pixels, axis=0)
        flip_theirs = partial(from_array_by_ffmpeg, flipped, "bgr24")
        flip_ours = partial(Picture.from_array, flipped, "bgr24")
        rows.append(("from bgr24, np.flip", flip_theirs, flip_ours))
        for name, by_ffmpeg, by_us in rows:
            pyav_ms, our_ms = median_ms(by_ffmpeg), median_ms(by_us)
            ratio = pyav_ms / our_ms
            print(f"| {width}x{height} | {name} | {pyav_ms:.2f} | {our_ms:.2f} | {ratio:.1f}x |")


if __name__ == "__main__":
    main()
