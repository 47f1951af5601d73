"""The WebSocket fallback where less goes up than the microphone gives."""

import time
from collections.abc import Callable

import numpy as np
import pytest

from e2e import sound
from e2e.browser import Chromium, Dialled, Tab
from e2e.narrow import NarrowUplink
from e2e.server import Server

pytestmark = pytest.mark.together

NARROW = 45_000
"""Bytes a second; the microphone gives 88,000, or 96,000."""
NARROW_S = 6.5
LATE_S = 5.0
"""How late words may be then. They are 2 s late as a rule and never over 4.3 s; they would be 6 s
late, and more and more, if all were sent."""


def test_what_a_narrow_uplink_cannot_carry_is_left_out(
    chromium: Chromium, serve: Callable[..., Server], open_tab: Callable[[str], Tab]
) -> None:
    # Browsers press together what they send: of noise nothing can be left out.
    noise = 0.2 * np.random.default_rng(1).standard_normal(4 * sound.RATE_HZ)
    chromium.set_microphone(sound.to_int16(noise.clip(-1, 1)))
    with NarrowUplink(serve("talkative").port) as way:
        tab = open_tab(way.url)
        call = tab.dial(transport="websocket")
        assert answered_after_s(tab, call, 1) < 1
        way.bytes_per_s = NARROW
        time.sleep(NARROW_S)
        assert answered_after_s(tab, call, 2) < LATE_S
        way.bytes_per_s = None
        tab.wait_for(lambda: answered_after_s(tab, call, time.monotonic_ns()) < 0.5)
        assert call.report()["state"] == "live"


def answered_after_s(tab: Tab, call: Dialled, number: int) -> float:
    """How long a word takes to the server, behind all that was sent before, and back."""
    asked_at = time.monotonic()
    assert call.send({"ask": str(number)})
    tab.wait_for(lambda: {"heard": {"ask": str(number)}} in call.report()["messages"])
    return time.monotonic() - asked_at
