"""Speech through a real Chromium while a proxy makes the network between it and the server bad."""

import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import numpy as np
import pytest

from e2e import sound
from e2e.browser import Chromium, Tab
from e2e.netem import BadNetwork
from e2e.server import Server, free_port

SPEECH = "austen-0880.wav"
OpenTab = Callable[[str], Tab]


@dataclass
class Line:
    """A page that reaches the server only through the bad network."""

    network: BadNetwork
    server: Server
    tab: Tab

    def watch(self) -> dict[str, Any]:
        """What the app of ``apps/watched.py`` tells of itself."""
        seen: dict[str, Any] = httpx.get(f"{self.server.url}/watch").raise_for_status().json()
        return seen


@pytest.fixture
def line(chromium: Chromium, serve: Callable[..., Server], open_tab: OpenTab) -> Iterator[Line]:
    chromium.set_microphone(sound.to_int16(sound.speech(SPEECH)))
    udp_port = free_port(socket.SOCK_DGRAM)
    with BadNetwork(udp_port) as network:
        server = serve(
            "watched",
            FASTRTC_UDP_PORT=str(udp_port),
            FASTRTC_PUBLIC_ADDRESS=f"127.0.0.1:{network.port}",
        )
        tab = open_tab(server.url)
        tab.hide_addresses()
        yield Line(network, server, tab)


def heard_speech(record: Callable[[float], Any]) -> sound.Fidelity:
    """Compares enough of what comes back with what is said, over and over, at the other end."""
    original = sound.speech(SPEECH)
    heard = sound.to_sound(record(2 * len(original) / sound.RATE_HZ + 0.5))
    return sound.compare(original, heard)


@pytest.mark.parametrize(
    ("loss", "burst_packets", "least_median", "most_dropouts"),
    [
        (0.01, 0, 0.9, 2),
        (0.05, 0, 0.85, 5),
        (0.10, 0, 0.75, 7),
        (0.20, 0, 0.5, 10),
        (0.05, 3, 0.85, 7),  # about seven bursts in the clip, there or back, each may be a hole
        (0.10, 3, 0.65, 9),
    ],
)
def test_speech_survives_loss(
    line: Line, loss: float, burst_packets: float, least_median: float, most_dropouts: int
) -> None:
    call = line.tab.connect()
    call.wait()
    line.network.set(loss=loss, burst_packets=burst_packets)
    call.record(3)
    fidelity = heard_speech(call.record)
    assert fidelity.median > least_median, fidelity
    assert fidelity.dropouts <= most_dropouts, fidelity
    seen = line.watch()
    assert seen["heard_s"] == pytest.approx(seen["since_first_s"], abs=0.3), (
        "the timeline has holes"
    )


def test_reordered_packets_are_put_in_order(line: Line) -> None:
    call = line.tab.connect()
    call.wait()
    line.network.set(reorder=0.05, reorder_ms=30)
    call.record(3)
    fidelity = heard_speech(call.record)
    assert fidelity.dropouts <= 1, fidelity
    assert fidelity.median > 0.85, fidelity


def test_jitter_of_200_ms_loses_nothing(line: Line) -> None:
    call = line.tab.connect()
    call.wait()
    line.network.set("up", jitter_ms=200)
    call.record(4)
    fidelity = heard_speech(call.record)
    assert fidelity.dropouts <= 1, fidelity


@pytest.mark.patient
def test_an_outage_of_5_s_ends_in_the_same_call(line: Line) -> None:
    call = line.tab.dial()
    call.record(1)
    line.network.set(outage=True)
    time.sleep(5)
    line.network.set(outage=False)
    call.wait("live", 15)
    call.record(2)
    fidelity = heard_speech(call.record)
    assert fidelity.dropouts == 0, fidelity
    assert line.watch()["made"] == 1
    assert line.watch()["shut_down"] == 0


@pytest.mark.patient
def test_an_outage_of_12_s_is_noticed_on_both_sides_and_healed(line: Line) -> None:
    """Pitfalls 32 and 33: noticed within seconds, and the conversation goes on."""
    call = line.tab.dial()
    call.record(1)
    line.network.set(outage=True)
    call.wait("reconnecting", 12)
    deadline = time.monotonic() + 9
    while line.watch()["sessions"][0]["state"] != "disconnected":
        assert time.monotonic() < deadline, line.watch()
        time.sleep(0.1)
    time.sleep(2)
    line.network.set(outage=False)
    call.wait("live", 20)
    call.record(2)
    fidelity = heard_speech(call.record)
    assert fidelity.dropouts == 0, fidelity
    seen = line.watch()
    assert (seen["made"], seen["shut_down"]) == (1, 0)
    assert seen["sessions"][0]["state"] == "live"


@pytest.mark.patient
def test_a_nat_that_forgets_does_not_end_the_call(line: Line) -> None:
    call = line.tab.dial()
    call.record(1)
    line.network.rebind()
    deadline = time.monotonic() + 10
    time.sleep(0.5)
    while np.abs(call.record(1)).max(initial=0) < 1000:
        assert time.monotonic() < deadline, call.report()
    call.record(2)
    fidelity = heard_speech(call.record)
    assert fidelity.dropouts == 0, fidelity
    assert line.watch()["made"] == 1


def test_the_browsers_own_redundancy_repairs_single_losses(chromium: Chromium, line: Line) -> None:
    dense = sound.without_pauses(sound.speech("austen-0870.wav"))  # redundancy is for speech only
    chromium.set_microphone(sound.to_int16(dense))
    call = line.tab.connect()
    call.wait()
    line.network.set("up", loss=0.1)
    call.record(4)  # the browser learns of losses from our reports, one each second
    before = line.watch()["sessions"][0]["stats"]
    call.record(15)
    after = line.watch()["sessions"][0]["stats"]
    lost, recovered = (
        after[name] - before[name]
        for name in ("audio_packets_lost", "audio_packets_recovered_by_fec")
    )
    assert lost > 30
    # A loss is repaired from the packet after it, which 90 % of them have.
    assert recovered >= 0.8 * 0.9 * lost, (recovered, lost)
    assert after["audio_concealed_s"] - before["audio_concealed_s"] <= lost * 0.02 + 0.001


def test_the_delay_comes_back_down_after_loss(chromium: Chromium, line: Line) -> None:
    """Pitfall 5."""
    chromium.set_microphone(sound.to_int16(sound.marks(60)))
    call = line.tab.connect()
    call.wait()
    call.record(4)
    before_ms = delay_ms(call.compare(4))
    line.network.set("up", loss=0.1)
    call.record(5)
    line.network.set("up", loss=0.0)
    call.record(2)
    after_ms = delay_ms(call.compare(4))
    stats = line.watch()["sessions"][0]["stats"]
    assert stats["audio_queued_s"] <= 0.03, "the server still plays late"
    # The browser's own jitter buffer takes longer to forget what was late.
    assert after_ms <= before_ms + 200, (before_ms, after_ms)


def delay_ms(both: Any) -> float:
    """Median delay of marks between the two channels of a recording."""
    heard = sound.to_sound(both)
    return float(np.median(sound.delays_ms(heard[:, 0], heard[:, 1])))
