"""A shared stream watched by a real Chromium: one run of the handler, whoever comes and goes."""

from collections.abc import Callable
from typing import Any

import httpx
import numpy as np

from e2e.browser import Tab
from e2e.server import Server
from e2e.watching import VideoCall, column

FPS = 30
BEEP_EVERY = 30
"""Pictures from one beep to the next."""


def lips_ms(report: dict[str, Any]) -> list[float]:
    """How much later than its beep each picture was shown that had one."""
    at_ms = {seen["number"]: seen["at"] for seen in reversed(report["seen"])}
    onsets_ms = np.array(report["onsets"])
    found = []
    for number, shown_ms in sorted(at_ms.items()):
        if number % BEEP_EVERY == 0 and len(onsets_ms):
            off_ms = shown_ms - onsets_ms
            nearest = float(off_ms[np.abs(off_ms).argmin()])
            # Half a beat away there is no saying which beep it was.
            if abs(nearest) < 400:
                found.append(nearest)
    return found


def watches(call: VideoCall, pictures: int, beeps: int) -> dict[str, Any]:
    """Waits until so much more was seen and heard."""
    before = call.now()
    seen, heard = len(before["seen"]) + pictures, len(before["onsets"]) + beeps
    return call.watch(lambda now: len(now["seen"]) >= seen and len(now["onsets"]) >= heard)


def test_viewers_come_and_go_while_the_handler_runs_once(
    serve: Callable[..., Server], open_tab: Callable[[str], Tab]
) -> None:
    server = serve("channel")

    def channel() -> dict[str, Any]:
        told: dict[str, Any] = httpx.get(f"{server.url}/channel").json()
        return told

    first_tab, second_tab = open_tab(server.url), open_tab(server.url)
    page = VideoCall(first_tab, direction="recvonly", audio=True)
    alone = watches(page, pictures=60, beeps=2)
    player = VideoCall(second_tab, direction="recvonly", audio=True, whep=True)
    late = watches(player, pictures=90, beeps=3)
    early = page.now()
    for report in (early, late):
        numbers = column(report, "number", 5)
        assert np.all(np.diff(numbers) >= 0), "in order, the last perhaps repeated"
        rate = np.ptp(numbers) / np.ptp(column(report, "at", 5)) * 1e3
        assert 0.6 * FPS < rate < 1.3 * FPS, "they move as fast as they were made"
    assert late["seen"][0]["number"] >= alone["seen"][-1]["number"], "no second run"
    told = channel()
    assert (told["begun"], told["ended"], len(told["sessions"])) == (1, 0, 2)
    encoded = [session["stats"]["shared_frames_encoded"] for session in told["sessions"]]
    assert np.ptp(encoded) <= 2, "one encoder, of which both tell, one after the other"
    # Chromium fits the two to each other in the first seconds, on a busy machine in more.
    offsets_ms = [float(np.median(lips_ms(report)[-2:])) for report in (early, late)]
    assert min(map(abs, offsets_ms)) < 200, offsets_ms

    page.close()
    first_tab.wait_for(lambda: len(channel()["sessions"]) == 1, timeout_s=15)
    watches(player, pictures=60, beeps=2)
    assert (channel()["begun"], channel()["ended"]) == (1, 0)
    player.close()
    second_tab.wait_for(lambda: channel()["ended"] == 1, timeout_s=15)
    assert channel()["sessions"] == []
