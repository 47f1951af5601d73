"""What codecs cost, how sharp they are, and how they take a step of the bit rate.

``python benchmarks/video/codecs.py [--only costs|steps]``; prints tables. The scene is fine waves
that pan, a disc that goes round, and some noise: 30 pictures a second, one thread. Sharpness is
PSNR of the brightness, in dB.
"""

import argparse
import sys
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import get_args

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2] / "tests"))

from fastrtc.types import VideoCodec
from fastrtc.video import encoders
from fastrtc.video.decoder import VideoDecoder
from fastrtc.video.encoder import VideoEncoder
from fastrtc.video.picture import Picture
from video.scenes import psnr_db, scene

FPS = 30
PERIOD = 75
"""Pictures until the scene comes back the way it went, without a cut."""


@dataclass
class Run:
    """One stream: for each picture its bits and sharpness; CPU in all."""

    bits: list[int] = field(default_factory=list)
    sharpness_db: list[float] = field(default_factory=list)  # 0 where it was left out
    keyframes: int = 0
    encode_s: float = 0.0
    decode_s: float = 0.0

    def between(self, first: int, last: int) -> str:
        kbit_s = sum(self.bits[first:last]) / (last - first) * FPS / 1e3
        seen = [db for db in self.sharpness_db[first:last] if db]
        left_out = last - first - len(seen)
        return f"{kbit_s:.0f} | {np.mean(seen):.1f} | {min(seen):.1f} | {left_out}"


def there_and_back(width: int, height: int) -> list[Picture]:
    pixels = scene(width, height, PERIOD, detail=30)
    shown = [Picture.from_array(picture, "bgr24") for picture in pixels]
    return shown + shown[::-1]


def run(codec: VideoCodec, pictures: list[Picture], rates_bps: list[int]) -> Run:
    """Encodes and decodes a picture for each of the rates."""
    encoder = VideoEncoder(codec, fps=FPS, bitrate_bps=rates_bps[0])
    decoder, found = VideoDecoder(codec), Run()
    for index, rate_bps in enumerate(rates_bps):
        shown = pictures[index % len(pictures)]
        encoder.set_bitrate(rate_bps)
        began_s = time.process_time()
        frames = encoder.encode(shown, index * 90_000 // FPS)
        found.encode_s += time.process_time() - began_s
        bits, sharpness_db = 0, 0.0
        for frame in frames:
            bits += 8 * len(frame.data)
            found.keyframes += frame.keyframe
            began_s = time.process_time()
            [seen] = decoder.decode(frame.data)
            found.decode_s += time.process_time() - began_s
            sharpness_db = psnr_db(seen.y, shown.y)
        found.bits.append(bits)
        found.sharpness_db.append(sharpness_db)
    encoder.close()
    return found


def costs() -> None:
    print("| size | encoder | asked, kbit/s | made | PSNR | encode, ms CPU | decode, ms CPU |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for width, height, rate_bps in ((640, 480, 1_000_000), (1_280, 720, 2_500_000)):
        pictures = there_and_back(width, height)
        for codec in get_args(VideoCodec):
            found = run(codec, pictures, [rate_bps] * 150)
            name = VideoEncoder(codec, fps=FPS, bitrate_bps=rate_bps).implementation
            made = sum(found.bits[30:]) / 120 * FPS / 1e3
            print(
                f"| {width}x{height} | {name} | {rate_bps // 1000} | {made:.0f} | "
                f"{np.mean(found.sharpness_db[30:]):.1f} | {found.encode_s / 150 * 1e3:.1f} | "
                f"{found.decode_s / 150 * 1e3:.1f} |"
            )


def steps() -> None:
    """A call at 1 Mbit/s loses most of its network, and gets it back."""
    columns = "encoder | follows | from, to kbit/s | s after | made | PSNR | worst | left out"
    print(f"| {columns} | keyframes |")
    print("|" + " --- |" * 9)
    pictures = there_and_back(640, 480)
    kept = dict(encoders.IMPLEMENTATIONS)
    for codec in get_args(VideoCodec):
        own = kept[codec][-1]
        for follows in dict.fromkeys([own.follows, None]):
            encoders.IMPLEMENTATIONS = {codec: (replace(own, follows=follows),)}
            for before_bps, after_bps in ((1_000_000, 300_000), (300_000, 1_000_000)):
                found = run(codec, pictures, [before_bps] * 150 + [after_bps] * 300)
                for first_s, last_s in ((0, 1), (1, 5), (5, 10)):
                    first, last = 150 + first_s * FPS, 150 + last_s * FPS
                    figures = found.between(first, last)
                    print(
                        f"| {own.name} | {follows or 'opened anew'} | "
                        f"{before_bps // 1000}, {after_bps // 1000} | {first_s} to {last_s} | "
                        f"{figures} | {found.keyframes - 1 if first_s == 0 else ''} |"
                    )
    encoders.IMPLEMENTATIONS = kept


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=["costs", "steps"])
    only = parser.parse_args().only
    if only != "steps":
        costs()
        print()
    if only != "costs":
        steps()


if __name__ == "__main__":
    main()
