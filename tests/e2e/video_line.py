"""A page that reaches a server with pictures only through a bad network, and what became of the
pictures: how many were lost, how long they stood still."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import numpy as np

from e2e.browser import Chromium, Tab
from e2e.netem import BadNetwork
from e2e.server import Server, free_port
from e2e.watching import VideoCall, column

NARROW_KBPS = 300
FOLLOWED_BPS = 1.1e3 * NARROW_KBPS
"""A narrow way, and the target of a server that has noticed."""
EVEN_FOR_MS, EVEN_GAP_MS = 600.0, 120.0
"""Pictures come evenly again when none is later than this for so long."""


@dataclass
class VideoLine:
    """The page, the server, and what is between them."""

    network: BadNetwork
    server: Server
    tab: Tab


@contextmanager
def video_line(chromium: Chromium, way: str = "flip") -> Iterator[VideoLine]:
    """Serves ``apps/mirror.py`` in the way ``way``, behind a network that is good at first."""
    udp_port = free_port(socket.SOCK_DGRAM)
    with BadNetwork(udp_port) as network:
        env = {
            "MIRROR": way,
            "FASTRTC_UDP_PORT": str(udp_port),
            "FASTRTC_PUBLIC_ADDRESS": f"127.0.0.1:{network.port}",
        }
        with Server("e2e.apps.mirror:app", env) as server, chromium.open(server.url) as tab:
            tab.hide_addresses()
            yield VideoLine(network, server, tab)


def stats_of(server: Server, call: VideoCall) -> dict[str, Any]:
    """What the server counts of a call."""
    found: dict[str, Any] = httpx.get(f"{server.url}/stats").raise_for_status().json()[call.id]
    return found


def since(report: dict[str, Any], begin_ms: float, end_ms: float = np.inf) -> dict[str, Any]:
    """The report with the pictures of a time only."""
    seen = [picture for picture in report["seen"] if begin_ms <= picture["at"] <= end_ms]
    return {**report, "seen": seen}


def longest_gap_ms(report: dict[str, Any], begin_ms: float, end_ms: float) -> float:
    """The longest time between these two in which no picture came."""
    at_ms = column(since(report, begin_ms, end_ms), "at")
    return float(np.max(np.diff([begin_ms, *at_ms, end_ms])))


def lost_share(report: dict[str, Any]) -> float:
    """Of the numbers between the first and the last."""
    numbers = column(report, "number")
    return float(1 - len(set(numbers)) / (numbers.max() - numbers.min() + 1))


def disordered(report: dict[str, Any]) -> int:
    """Pictures that do not come after the one before."""
    return int(np.sum(np.diff(column(report, "number")) <= 0))


def fps_of(report: dict[str, Any]) -> float:
    """Pictures a second."""
    at_ms = column(report, "at")
    return float((len(at_ms) - 1) / (at_ms[-1] - at_ms[0]) * 1e3)


def recovered_ms(report: dict[str, Any], over_ms: float) -> float:
    """From the end of a burst to the first picture from which on they come evenly for a while;
    NaN if they never do."""
    at_ms = column(report, "at")
    for begin in at_ms[at_ms >= over_ms]:
        next_ms = at_ms[(at_ms >= begin) & (at_ms <= begin + EVEN_FOR_MS)]
        if np.max(np.diff(next_ms), initial=np.inf if len(next_ms) < 2 else 0) < EVEN_GAP_MS:
            return float(begin - over_ms)
    return float("nan")
