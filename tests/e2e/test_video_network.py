"""Pictures through a real Chromium: large ones, and over networks that lose or are narrow."""

import time
from collections.abc import Callable

import numpy as np

from e2e.browser import Chromium, Tab
from e2e.server import Server
from e2e.video_line import (
    FOLLOWED_BPS,
    NARROW_KBPS,
    VideoLine,
    disordered,
    longest_gap_ms,
    lost_share,
    recovered_ms,
    since,
    stats_of,
    video_line,
)
from e2e.watching import VideoCall, column

STARTED = 30
"""Pictures until a call has settled."""
Serve = Callable[..., Server]
OpenTab = Callable[[str], Tab]


def wait_for_target(line: VideoLine, call: VideoCall, least: float, most: float) -> None:
    """Until the server aims for a bit rate between these."""

    def reached() -> bool:
        target = stats_of(line.server, call).get("video_bitrate_target_bps", 0)
        return bool(least <= target <= most)

    line.tab.wait_for(reached, 20.0)


def test_1280x720_comes_back_whole(serve: Serve, open_tab: OpenTab) -> None:
    server = serve("mirror", MIRROR="flip")
    call = VideoCall(open_tab(server.url), codec="VP8", flipped=True, width=1280, height=720)
    report = call.watch(
        lambda found: len(column(found, "psnr")) >= 6 and found["size"] == [1280, 720], 30.0
    )
    assert disordered(report) == 0
    assert report["video_in"]["packetsLost"] == 0
    assert lost_share({**report, "seen": report["seen"][STARTED:]}) < 0.5, "a busy machine's share"
    assert np.median(column(report, "psnr")) > 30
    assert np.median(column(report, "ssim")) > 0.9
    stats = stats_of(server, call)
    assert stats["handler_failures"] == stats["video_keyframes_asked"] == 0
    call.close()


def test_pictures_keep_moving_over_a_network_that_loses(chromium: Chromium) -> None:
    with video_line(chromium) as line:
        call = VideoCall(line.tab, codec="VP8", flipped=True, width=320, height=240)
        call.pictures(STARTED)
        line.network.set(delay_ms=20, loss=0.05)
        begin_ms = call.now()["now"]
        call.pictures(STARTED + 120)
        end_ms = call.now()["now"]
        line.network.set(outage=True)
        time.sleep(0.4)
        line.network.set(outage=False)
        over_ms = call.now()["now"]
        report = call.watch(lambda found: not np.isnan(recovered_ms(found, over_ms)))
        network = line.network.stats()
        call.close()
    assert all(network[way]["sent"] < 0.98 * network[way]["received"] for way in ("up", "down"))
    assert disordered(report) == 0
    assert longest_gap_ms(report, begin_ms, end_ms) < 1_500
    assert np.median(column(since(report, begin_ms, end_ms), "psnr")) > 30, (
        "nothing broken is shown"
    )
    assert recovered_ms(report, over_ms) < 5_000


def test_the_rate_follows_a_narrow_way_down_and_up(chromium: Chromium) -> None:
    with video_line(chromium) as line:
        line.network.set(delay_ms=20)
        call = VideoCall(line.tab, codec="VP8", flipped=True)
        wait_for_target(line, call, 2 * FOLLOWED_BPS, np.inf)
        call.pictures(STARTED)
        line.network.set("down", rate_kbps=NARROW_KBPS)
        narrow_ms = call.now()["now"]
        wait_for_target(line, call, 0, FOLLOWED_BPS)
        followed_ms = call.now()["now"]
        found = call.watch(lambda found: len(since(found, followed_ms)["seen"]) >= 150)
        wide_ms = found["now"]
        line.network.set("down", rate_kbps=0)
        wait_for_target(line, call, 1.5 * FOLLOWED_BPS, np.inf)
        report = call.now()
        call.close()
    assert followed_ms - narrow_ms < 3_000
    assert longest_gap_ms(report, narrow_ms, wide_ms) < 1_500
    assert disordered(report) == 0
    late = since(report, wide_ms - 2_000, wide_ms)
    assert len(late["seen"]) > 20, "it goes on moving on the narrow way"
    assert np.median(column(late, "age")) < 1_000, "and no queue stands in front of it"
