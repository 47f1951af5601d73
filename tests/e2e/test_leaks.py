"""A thousand real calls come and go, and the server process is as it was. Pitfall 7."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from e2e.load import result, start_load
from e2e.programs import REPOSITORY
from e2e.server import Server

CALLS_PER_BATCH = 50
WARM_UP_BATCHES = 8
BATCHES = 20
MAX_GROWTH_MB = 10
WORKERS_IDLE_S = 10.0
"""How long a worker thread waits for the next call before it ends."""
OFFER = (REPOSITORY / "rust/tests/offers/aiortc.sdp").read_text()


@pytest.fixture
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    """Its parameter is how long a client may take to connect."""
    with Server("e2e.apps.stations:app", {"CONNECT_TIMEOUT_S": request.param}) as running:
        yield running


def state(server: Server) -> dict[str, Any]:
    held: dict[str, Any] = httpx.get(f"{server.url}/state", timeout=30, trust_env=False).json()
    return held


def until(holds: Callable[[], bool], within_s: float) -> None:
    deadline = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < deadline, "what was waited for did not come"
        time.sleep(0.1)


def settled(server: Server) -> dict[str, Any]:
    """The state once all calls and their threads are gone."""

    def is_idle() -> bool:
        held = state(server)
        calls = sum(held["sessions"].values()) + held["plane"]["peers"]
        return not calls and "fastrtc-worker" not in held["threads"]

    until(is_idle, WORKERS_IDLE_S + 5)
    return state(server)


def holdings(held: dict[str, Any]) -> dict[str, Any]:
    """What has to be the same before and after. Threads that answer offers stay, at most 16."""
    own = [name for name in held["threads"] if not name.startswith("fastrtc-offer")]
    media = [name for name in held["system_threads"] if name.startswith("fastrtc")]
    return {
        "sessions": sum(held["sessions"].values()),
        "peers": held["plane"]["peers"],
        "routes": held["plane"]["routes"],
        "tasks": held["tasks"],
        "descriptors": held["descriptors"],
        "threads": own,
        "media threads": media,
    }


@pytest.mark.together
@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="counts in /proc")
@pytest.mark.parametrize("server", ["20"], indirect=True)
def test_a_thousand_calls_leave_nothing_behind(server: Server) -> None:
    before: dict[str, Any] = {}
    for batch in range(BATCHES):
        if batch == WARM_UP_BATCHES:
            before = settled(server)
        load = start_load(f"{server.url}/echo", CALLS_PER_BATCH, 0.2, starts_per_s=200)
        assert result(load)["sum"]["connected"] == CALLS_PER_BATCH
        until(lambda: not state(server)["sessions"]["echo"], 5)
    after = settled(server)
    assert after["shutdowns"] == {"Echo": BATCHES * CALLS_PER_BATCH}
    assert holdings(after) == holdings(before)
    assert sum(name.startswith("fastrtc-offer") for name in after["threads"]) <= 16
    grown_mb = after["rss_mb"] - before["rss_mb"]
    assert grown_mb <= MAX_GROWTH_MB, f"{before['rss_mb']:.1f} MB became {after['rss_mb']:.1f} MB"


@pytest.mark.patient
@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="counts in /proc")
@pytest.mark.parametrize("server", ["2"], indirect=True)
def test_clients_that_never_connect_leave_nothing_behind(server: Server) -> None:
    with httpx.Client(trust_env=False) as http:

        def offer(webrtc_id: str) -> None:
            body = {"type": "offer", "sdp": OFFER, "webrtc_id": webrtc_id}
            assert "sdp" in http.post(f"{server.url}/echo/webrtc/offer", json=body).json()

        offer("first")
        before = settled(server)
        for number in range(300):
            offer(str(number))
        assert state(server)["plane"]["peers"] > 100
    assert holdings(settled(server)) == holdings(before)
