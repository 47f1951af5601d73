"""What a video session costs a server, and how many it holds: ours beside FastRTC 0.0.34.

``--quick`` takes one minute instead of seven. The handler is ``np.flip(frame, axis=0)``. The load
client (``benchmarks/load``) sends frames that were encoded beforehand; each shows its number. What
comes back is decoded after the run, so that nobody's decoder takes the server's time. Both servers
are told the same bit rate, and the table says what they made of it.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from av import CodecContext, Packet
from av.error import FFmpegError

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE.parents[1] / "tests")]

import measures  # noqa: E402
from contenders import Contender, original, ours  # noqa: E402
from e2e.server import Server  # noqa: E402
from fastrtc.video.encoder import VideoEncoder  # noqa: E402
from fastrtc.video.picture import Picture  # noqa: E402
from table import Row, render  # noqa: E402
from video.scenes import psnr_db, scene  # noqa: E402

RESULTS = HERE.parent / "results"
FPS = 30
FORTH = 75
"""Pictures of the scene; they are shown there and back, so that the loop has no seam."""
BITS = 8
HELD_SHARE, HELD_MS = 0.95, 150.0
BUDGET = 0.6
Samples = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Size:
    """Pictures of one size, what they are sent with, and what a server may take for them."""

    width: int
    height: int
    clip_bps: int
    bitrate_bps: int

    def __str__(self) -> str:
        return f"{self.width}x{self.height}"


SIZES = (Size(640, 480, 1_500_000, 1_000_000), Size(1280, 720, 3_000_000, 1_500_000))
"""1.5 Mbit/s is the most that aiortc makes."""


@dataclass
class Seen:
    """What one session was shown in the measured time."""

    share: float
    """Of the frames sent, that came back."""
    ages_ms: list[float]
    psnr_db: list[float]
    kbps: float

    @property
    def held(self) -> bool:
        """Nearly all frames came back in good time."""
        good = sum(age <= HELD_MS for age in self.ages_ms)
        return bool(self.ages_ms) and self.share * good / len(self.ages_ms) >= HELD_SHARE


class Clip:
    """A scene with numbers in it, encoded: as a file, and as what a decoder makes of that."""

    def __init__(self, size: Size, folder: Path) -> None:
        self.path = folder / f"{size}.ivf"
        there = scene(size.width, size.height, FORTH, detail=4)
        encoder = VideoEncoder("vp8", fps=FPS, bitrate_bps=size.clip_bps)
        frames: list[bytes] = []
        for number, picture in enumerate([*there, *there[::-1]]):
            drawn = picture.copy()
            write_number(drawn, number)
            picture_time = number * 90_000 // FPS
            frames += [
                f.data for f in encoder.encode(Picture.from_array(drawn, "bgr24"), picture_time)
            ]
        encoder.close()
        if len(frames) != 2 * FORTH:
            raise RuntimeError(f"{len(frames)} of {2 * FORTH} frames were encoded; raise clip_bps")
        self.luma = [luma for _, luma in decoded(enumerate(frames))]
        header = b"DKIF\0\0\x20\0VP80" + b"\0" * 20
        with self.path.open("wb") as file:
            file.write(header)
            for index, frame in enumerate(frames):
                file.write(len(frame).to_bytes(4, "little") + index.to_bytes(8, "little") + frame)


def write_number(picture: Samples, number: int) -> None:
    """Draws a number as a row of black and white blocks along the upper edge."""
    block = picture.shape[1] // (BITS + 2)
    for place, bit in enumerate((1, 0, *((number >> at) & 1 for at in range(BITS)))):
        picture[: block // 2, place * block : (place + 1) * block] = 235 if bit else 16


def read_number(luma: Samples) -> int | None:
    """The number of a picture that was turned upside down; None if there is none."""
    block = luma.shape[1] // (BITS + 2)
    strip = luma[luma.shape[0] - block // 4, block // 2 :: block]
    white, black, *bits = (int(level) > 125 for level in strip[: BITS + 2])
    return sum(bit << at for at, bit in enumerate(bits)) if white and not black else None


def decoded(frames: Iterator[tuple[int, bytes]]) -> Iterator[tuple[int, Samples]]:
    """The brightness of each frame that can be decoded, with the time it came with."""
    context: Any = CodecContext.create("vp8", "r")
    for at_us, frame in frames:
        try:
            pictures = context.decode(Packet(frame))
        except FFmpegError:
            continue
        for picture in pictures:
            plane = picture.planes[0]
            rows = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)
            yield at_us, rows[: picture.height, : picture.width]


def frames_of(path: Path) -> Iterator[tuple[int, bytes]]:
    """Frames and their times in an IVF file."""
    data, at = path.read_bytes(), 32
    while at < len(data):
        size = int.from_bytes(data[at : at + 4], "little")
        yield int.from_bytes(data[at + 4 : at + 12], "little"), data[at + 12 : at + 12 + size]
        at += 12 + size


def look(path: Path, line: Any, clip: Clip) -> Seen:
    """What one session was shown of the frames sent in the measured time."""
    from_us, to_us = line["from_us"], line["to_us"]
    due = [(number, at) for number, at in line["sent"] if from_us <= at < to_us]
    found: dict[int, float] = {}
    psnrs: list[float] = []
    size = sum(len(frame) for at, frame in frames_of(path) if from_us <= at < to_us)
    for count, (at_us, luma) in enumerate(decoded(frames_of(path))):
        number = read_number(luma)
        earlier = [at for sent, at in due if sent == number and at < at_us]
        if number is None or not earlier:
            continue
        found.setdefault(earlier[-1], (at_us - earlier[-1]) / 1e3)
        if count % 10 == 0 and luma.shape == clip.luma[number].shape:
            psnrs.append(psnr_db(luma[::-1], clip.luma[number]))
    seconds = (to_us - from_us) / 1e6
    return Seen(len(found) / max(len(due), 1), list(found.values()), psnrs, size * 8e-3 / seconds)


def measure(who: Contender, sessions: int, size: Size, clip: Clip, seconds: float) -> Any:
    """One server, so many sessions: its cost without what it uses when nobody calls."""
    env = who.environment(
        FLIP_LIMIT="100",
        FASTRTC_VIDEO_MAX_BITRATE=str(size.bitrate_bps),
        FASTRTC_VIDEO_START_BITRATE=str(size.bitrate_bps),
    )
    with (
        tempfile.TemporaryDirectory() as folder,
        Server("apps.flip:app", env, who.python) as server,
    ):
        before = measures.cpu_s(server.pid)
        time.sleep(measures.IDLE_S)
        idle_share = (measures.cpu_s(server.pid) - before) / measures.IDLE_S
        command = [
            *(str(measures.LOAD), "--url", f"{server.url}/begin", "--sessions", str(sessions)),
            *("--seconds", str(seconds), "--server-pid", str(server.pid), "--warm-up", "4"),
            *("--clip", str(clip.path), "--out", folder),
            *("--bitrate-bps", str(size.bitrate_bps)),
        ]
        run = subprocess.run(command, check=True, capture_output=True, text=True)
        report = json.loads(run.stdout)
        seen = [
            look(Path(folder) / f"{index}.ivf", line, clip)
            for index, line in enumerate(report["per_session"])
        ]
    ages_ms = np.array([age for one in seen for age in one.ages_ms] or [np.nan])
    return {
        "sessions": sessions,
        "core_share": (report["server"]["core_share"] - idle_share) / sessions,
        "held": sum(one.held for one in seen),
        "back": float(np.mean([one.share for one in seen])),
        "age_ms": float(np.median(ages_ms)),
        "age_p99_ms": float(np.percentile(ages_ms, 99)),
        "psnr_db": float(np.mean([level for one in seen for level in one.psnr_db] or [np.nan])),
        "kbps": float(np.mean([one.kbps for one in seen])),
        "client_share": report["client"]["core_share"],
        "mb": (report["server"]["loaded"]["rss_mb"] - report["server"]["idle"]["rss_mb"])
        / sessions,
        "failures": [line["failure"] for line in report["per_session"] if line["failure"]],
    }


def cost_rows(size: Size, theirs: Any, mine: Any) -> list[Row]:
    """The rows of one session."""
    ratio = mine["core_share"] / theirs["core_share"]
    names = {
        "age_ms": ("age of a frame that came back, median", "ms"),
        "age_p99_ms": ("age of a frame that came back, p99", "ms"),
        "psnr_db": ("sharpness: PSNR to what was sent", "dB"),
        "kbps": (f"bit rate; asked {size.bitrate_bps // 1000}", "kbit/s"),
        "mb": ("memory", "MB"),
    }
    shares = f"came back: {theirs['back']:.1%} and {mine['back']:.1%}"
    cost = Row(
        f"{size}: server CPU of a session",
        "% of a core",
        100 * theirs["core_share"],
        100 * mine["core_share"],
        shares,
    )
    kept = Row(f"{size}: the same, as a share of FastRTC's", "", 1.0, ratio, "", BUDGET)
    rest = [
        Row(f"{size}: {name}", unit, theirs[key], mine[key]) for key, (name, unit) in names.items()
    ]
    return [cost, kept, *rest]


def capacity(who: Contender, size: Size, clip: Clip, steps: tuple[int, ...], seconds: float) -> Any:
    """How many sessions are held; the reports of all steps."""
    reports: list[Any] = []
    for sessions in steps:
        reports.append(measure(who, sessions, size, clip, seconds))
        if reports[-1]["held"] < sessions:
            break
    held = max((r["sessions"] for r in reports if r["held"] == r["sessions"]), default=0)
    return {"held": held, "steps": reports}


def main() -> None:
    """Prints the table and leaves the figures in ``benchmarks/results/``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one size, shorter, no capacity")
    parser.add_argument("--ours", action="store_true", help="leave FastRTC out; prints JSON")
    options = parser.parse_args()
    seconds = 6.0 if options.quick else 12.0
    sizes = SIZES[:1] if options.quick else SIZES
    mine = ours()
    rows: list[Row] = []
    raw: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as name:
        for size in sizes:
            clip = Clip(size, Path(name))
            if options.ours:
                print(json.dumps(measure(mine, 1, size, clip, seconds)), flush=True)
                continue
            theirs = original()
            both = [measure(who, 1, size, clip, seconds) for who in (theirs, mine)]
            raw[str(size)] = both
            rows += cost_rows(size, *both)
            if not options.quick:
                steps = (2, 4, 6, 9, 12, 16) if size is SIZES[0] else (1, 2, 4, 6)
                pair = [capacity(who, size, clip, steps, 6.0) for who in (theirs, mine)]
                raw[f"{size} capacity"] = pair
                bound = f"{HELD_SHARE:.0%} of frames back within {HELD_MS:.0f} ms"
                tried = f"{bound}; tried {', '.join(map(str, steps))}"
                held = [each["held"] for each in pair]
                rows.append(Row(f"{size}: sessions held", "", *held, tried, more_is_better=True))
    if rows:
        RESULTS.mkdir(exist_ok=True)
        stamp = time.strftime("%Y-%m-%dT%H-%M-%S")
        path = RESULTS / f"video-{stamp}.json"
        path.write_text(json.dumps(raw, indent=1))
        print(f"{os.cpu_count()} cores; figures in {path}\n")
        print(render(rows))


if __name__ == "__main__":
    main()
