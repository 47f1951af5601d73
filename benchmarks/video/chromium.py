"""Video through a real Chromium: ``python benchmarks/video/chromium.py [--quick] [--only ...]``.

The browser's camera draws a number into each picture and keeps the time; a server turns the
pictures upside down; the page reads numbers, times and sharpness from what comes back. Beside it
the same browser shows the same camera from one of its peers to another, with no server between. A
bad network is the project's own UDP proxy. Prints Markdown tables.
"""

import argparse
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE.parents[1] / "tests")]

from e2e.browser import Chromium  # noqa: E402
from e2e.server import Server  # noqa: E402
from e2e.video_line import (  # noqa: E402
    FOLLOWED_BPS,
    NARROW_KBPS,
    disordered,
    fps_of,
    longest_gap_ms,
    lost_share,
    recovered_ms,
    since,
    stats_of,
    video_line,
)
from e2e.watching import VideoCall, column  # noqa: E402
from table import number  # noqa: E402

CODECS = ("VP8", "VP9", "H264", "AV1")
SIZES = ((640, 480), (1280, 720))
SETTLED_S = 4.0
"""Until a browser sends its full size."""
POLL_S = 0.1
PARTS = ("codecs", "loss", "bandwidth", "slow")


def heading(*columns: str) -> None:
    print(f"\n| {' | '.join(columns)} |\n|{' --- |' * len(columns)}", flush=True)


def row(*cells: str | float | None) -> None:
    """One row; figures with three digits."""
    shown = [cell if isinstance(cell, str) else number(cell) for cell in cells]
    print(f"| {' | '.join(shown)} |", flush=True)


def codecs(chromium: Chromium, seconds: float, chosen: tuple[str, ...]) -> None:
    """Each codec and size, through the server and without it."""
    print(f"\nFlipped by a server, and Chromium alone: {seconds:.0f} s each once it has settled.")
    heading(
        "codec", "size", "through", "sent as", "shown, 1/s", "lost, %", "out of order",
        "age, median ms", "age, p95 ms", "PSNR, dB", "SSIM", "shown as",
    )  # fmt: skip
    with Server("e2e.apps.mirror:app", {"MIRROR": "flip"}) as server:
        for codec in chosen:
            for width, height in SIZES:
                for alone in (False, True):
                    with chromium.open(server.url) as tab:
                        call = VideoCall(
                            tab, codec=codec, flipped=not alone, alone=alone,
                            width=width, height=height,
                        )  # fmt: skip
                        begin_ms = settled(call)["now"]
                        time.sleep(seconds)
                        whole = call.now()
                        report = since(whole, begin_ms)
                        sent_as = "" if alone else stats_of(server, call)["video_codec"]
                        call.close()
                    ages_ms = column(report, "age")
                    row(
                        codec, f"{width}x{height}", "Chromium alone" if alone else "fastrtc",
                        sent_as, fps_of(report), 100 * lost_share(report), str(disordered(report)),
                        np.median(ages_ms), np.percentile(ages_ms, 95),
                        mean(report, "psnr"), mean(report, "ssim", 4), size_of(whole),
                    )  # fmt: skip


def size_of(report: dict[str, Any]) -> str:
    """Of what is shown."""
    return "x".join(map(str, report["size"]))


def mean(report: dict[str, Any], name: str, digits: int = 1) -> str:
    """Of a figure that not every picture has."""
    values = column(report, name)
    return f"{values.mean():.{digits}f}" if len(values) else "-"


def settled(call: VideoCall) -> dict[str, Any]:
    """Waits until pictures come, and then for bit rate and size."""
    call.pictures(10)
    time.sleep(SETTLED_S)
    return call.now()


def loss(chromium: Chromium, seconds: float, chosen: tuple[str, ...]) -> None:
    """Random loss both ways, and a burst: nothing passes for a while."""
    print("\n640x480, 20 ms each way, packets lost both ways; then a burst in which none passes.")
    heading(
        "codec", "loss, %", "shown, 1/s", "pictures lost, %", "out of order", "age, median ms",
        "longest freeze, ms", "PSNR, dB", "burst of 200 ms: even again after, ms",
    )  # fmt: skip
    for codec in chosen:
        for share in (0.0, 0.02, 0.05, 0.1):
            with video_line(chromium) as line:
                network = line.network
                network.set(delay_ms=20)
                call = VideoCall(line.tab, codec=codec, flipped=True)
                settled(call)
                network.set(loss=share)
                begin_ms = call.now()["now"]
                time.sleep(seconds)
                end_ms = call.now()["now"]
                network.set(outage=True)
                time.sleep(0.2)
                network.set(outage=False)
                over_ms = call.now()["now"]
                time.sleep(4)
                whole = call.now()
                call.close()
            report = since(whole, begin_ms, end_ms)
            row(
                codec, number(100 * share), fps_of(report), 100 * lost_share(report),
                str(disordered(report)), np.median(column(report, "age")),
                longest_gap_ms(whole, begin_ms, end_ms),
                mean(report, "psnr"), recovered_ms(whole, over_ms),
            )  # fmt: skip


def bandwidth(chromium: Chromium, seconds: float, chosen: tuple[str, ...]) -> None:
    """The way to the browser becomes narrow, and wide again."""
    print(f"\n640x480, the way to the browser narrowed to {NARROW_KBPS} kbit/s for a while.")
    heading(
        "codec", "before, kbit/s", "down within, s", "longest freeze, ms", "age meanwhile, ms",
        "shown meanwhile, 1/s", "3/4 of before again within, s",
        "longest freeze then, ms",
    )  # fmt: skip
    for codec in chosen:
        with video_line(chromium) as line:
            network, server = line.network, line.server
            network.set(delay_ms=20)
            call = VideoCall(line.tab, codec=codec, flipped=True)
            settled(call)
            before_bps = stats_of(server, call)["video_bitrate_target_bps"]
            network.set("down", rate_kbps=NARROW_KBPS)
            narrow_ms = call.now()["now"]
            down_s = reached_s(server, call, 0, FOLLOWED_BPS, max(seconds, 6.0))
            wide_ms = call.now()["now"]
            network.set("down", rate_kbps=0)
            up_s = reached_s(server, call, 0.75 * before_bps, np.inf, 15.0)
            whole = call.now()
            call.close()
        narrow = since(whole, narrow_ms, wide_ms)
        row(
            codec, before_bps / 1e3, down_s, longest_gap_ms(whole, narrow_ms, wide_ms),
            np.median(column(narrow, "age")), fps_of(narrow), up_s,
            longest_gap_ms(whole, wide_ms, whole["now"]),
        )  # fmt: skip


def reached_s(
    server: Server, call: VideoCall, least_bps: float, most_bps: float, within_s: float
) -> float:
    """After which time the server aims for a bit rate between these, and still does at the end."""
    began_s, since_s = time.monotonic(), float("nan")
    while (now_s := time.monotonic() - began_s) < within_s:
        target_bps = stats_of(server, call)["video_bitrate_target_bps"]
        if not least_bps <= target_bps <= most_bps:
            since_s = float("nan")
        elif np.isnan(since_s):
            since_s = now_s
        time.sleep(POLL_S)
    return since_s


def slow(chromium: Chromium, seconds: float, _: tuple[str, ...]) -> None:
    """A handler of 200 ms, and a neighbour whose handler is none."""
    print(
        "\nA handler that takes 200 ms for each of 30 pictures a second, 640x480, and a neighbour."
    )
    heading(
        "session", "age shown, median ms", "the same in the last fifth", "age at the server, ms",
        "shown, 1/s", "server's memory, MB more",
    )  # fmt: skip
    with (
        Server("e2e.apps.mirror:app", {"MIRROR": "slow"}) as server,
        chromium.open(server.url) as tab,
    ):
        calls = {name: VideoCall(tab, codec="VP8", id=name) for name in ("slow", "neighbour")}
        for call in calls.values():
            begin_ms = settled(call)["now"]
        before_mb = resident_mb(server.pid)
        time.sleep(2 * seconds)
        grown_mb = resident_mb(server.pid) - before_mb
        for name, call in calls.items():
            report = since(call.now(), begin_ms)
            ages_ms = column(report, "age")
            row(
                    name, np.median(ages_ms), np.median(ages_ms[-len(ages_ms) // 5 :]),
                    stats_of(server, call)["video_age_ms"], fps_of(report), grown_mb,
                )  # fmt: skip
            call.close()


def resident_mb(pid: int) -> float:
    """Memory of a process."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) / 1e3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="less of everything")
    parser.add_argument("--only", default=",".join(PARTS), help=f"some of: {','.join(PARTS)}")
    parser.add_argument("--codecs", default=",".join(CODECS), help="some of them")
    options = parser.parse_args()
    chosen = tuple(options.codecs.split(","))
    seconds = 5.0 if options.quick else 15.0
    chromium = Chromium()
    try:
        for part in options.only.split(","):
            {"codecs": codecs, "loss": loss, "bandwidth": bandwidth, "slow": slow}[part](
                chromium, seconds, chosen
            )
    finally:
        chromium.close()


if __name__ == "__main__":
    main()
