"""What is left of a disturbance: nothing that the server could help, and the same handler."""

import socket
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from e2e import sound
from e2e.browser import Call, Chromium, Tab
from e2e.netem import BadNetwork
from e2e.server import Server, free_port
from e2e.sound import RATE_HZ
from e2e.testimony import account, life, wait_for_life

ORIGINAL = sound.speech("austen-0880.wav")
SETTLE_S = 2.0
"""Disturbances are forgotten within this time."""
LATEST_MS = 120
"""Before the disturbance it is about 30; what is left waiting after one is 200 or more."""
REPORT_S = 1.0
"""Statistics are this old at most."""
QUIET = {"loss": 0, "burst_packets": 0, "reorder": 0, "jitter_ms": 0, "outage": False}


@dataclass
class Line:
    """A page behind the bad network, which alone it reaches the server by."""

    network: BadNetwork
    url: str
    tab: Tab


@pytest.fixture(scope="module")
def line(chromium: Chromium) -> Iterator[Line]:
    chromium.set_microphone(sound.to_int16(ORIGINAL))
    udp_port = free_port(socket.SOCK_DGRAM)
    with BadNetwork(udp_port) as network:
        ports = {
            "FASTRTC_UDP_PORT": str(udp_port),
            "FASTRTC_PUBLIC_ADDRESS": f"127.0.0.1:{network.port}",
        }
        with (
            Server("e2e.apps.witness:app", ports) as server,
            chromium.open(server.url) as tab,
        ):
            tab.hide_addresses()
            yield Line(network, server.url, tab)


@pytest.fixture
def call(line: Line) -> Iterator[Call]:
    """A call that has settled."""
    made = line.tab.connect()
    made.wait()
    wait_for_life(line.url, made.id, lambda life: life["samples"] > 2 * RATE_HZ)
    yield made
    line.network.set("both", **QUIET)
    made.close()


def assert_speech_comes_back(call: Call) -> None:
    heard = sound.to_sound(call.record(2 * len(ORIGINAL) / RATE_HZ + 1))
    fidelity = sound.compare(ORIGINAL, heard)
    assert fidelity.dropouts <= 1, fidelity
    assert fidelity.median > 0.9, fidelity


def our_delay_ms(call: Call) -> float:
    """The round trip without the time in the browser's jitter buffer, which forgets slowly."""
    before = call.report()["inbound"]
    both = sound.to_sound(call.compare(4))
    after = call.report()["inbound"]
    length = round(2.2 * RATE_HZ)
    start = RATE_HZ // 2
    later = sound.compare(both[start : start + length, 0], both[start:, 1]).at
    buffered_s, samples = (
        after[name] - before[name] for name in ("jitterBufferDelay", "jitterBufferEmittedCount")
    )
    return later * 1000 / RATE_HZ - 1000 * float(buffered_s / samples)


def queued_s(line: Line, call: Call) -> float:
    """What usually waits in the server; a process that was not run for a moment has more."""
    looks = []
    for _ in range(5):
        looks.append(life(line.url, call.id)["stats"]["audio_queued_s"])
        time.sleep(0.1)
    return statistics.median(looks)


@pytest.mark.parametrize(
    ("conditions", "lasts_s"),
    [
        ({"loss": 0.2}, 3),
        ({"loss": 0.1, "burst_packets": 5}, 3),
        ({"reorder": 0.1, "reorder_ms": 60}, 3),
        ({"jitter_ms": 200}, 4),
        ({"outage": True}, 0.5),
        ({"outage": True}, 3),
    ],
    ids=["loss", "bursts", "reordering", "jitter", "short outage", "outage"],
)
def test_the_delay_is_back_after_two_seconds(
    line: Line, call: Call, conditions: dict[str, float], lasts_s: float
) -> None:
    line.network.set("both", **conditions)
    call.record(lasts_s)
    line.network.set("both", **QUIET)
    call.record(SETTLE_S + REPORT_S)
    assert queued_s(line, call) <= 0.06, "the server plays late"
    # What was sent ahead is in the browser's decoder now, beyond what its statistics tell.
    call.record(SETTLE_S)
    assert our_delay_ms(call) <= LATEST_MS


def test_a_call_is_current_again_after_the_event_loop_stood_still_for_5_s(
    line: Line, call: Call
) -> None:
    """A handler that calls something blocking. What was said meanwhile is heard, or skipped."""
    call.send("stall for 5")
    call.record(5)
    wait_for_life(line.url, call.id, lambda life: life["texts"] == ["stall for 5"])
    # A second to be sure that it is late, and one to send what it is late by.
    call.record(SETTLE_S + REPORT_S)
    assert queued_s(line, call) <= 0.06, "the server plays late"
    call.record(SETTLE_S)
    assert our_delay_ms(call) <= LATEST_MS


def test_the_handlers_clock_runs_on_through_loss(line: Line, call: Call) -> None:
    line.network.set("up", loss=0.2)
    one = account(line.url, call.id)
    call.record(8)
    other = account(line.url, call.id)
    passed_s = other["at_s"] - one["at_s"]
    heard = other["handlers"][0]["samples"] - one["handlers"][0]["samples"]
    assert heard / RATE_HZ == pytest.approx(passed_s, abs=0.15)
    lost = other["handlers"][0]["stats"]["audio_packets_lost"]
    assert lost > 0.1 * passed_s * 50, "the network lost too little to show anything"


@pytest.mark.patient
def test_an_ice_restart_after_12_s_without_network_goes_on_with_the_same_handler(
    line: Line, call: Call
) -> None:
    line.network.set(outage=True)
    began_s = time.monotonic()
    wait_for_life(line.url, call.id, lambda life: life["state"] == "disconnected", 8)
    assert time.monotonic() - began_s == pytest.approx(6, abs=1.5)
    time.sleep(began_s + 12 - time.monotonic())
    line.network.rebind()
    line.network.set(outage=False)
    answer = call.restart_ice()
    assert ufrag(answer["sdp"]) != ufrag(call.answer["sdp"])
    heard_before = life(line.url, call.id)["samples"]
    call.wait("connected")
    resumed = wait_for_life(
        line.url,
        call.id,
        lambda life: life["state"] == "live" and life["samples"] > heard_before,
        5,
    )
    assert (resumed["starts"], resumed["shutdowns"]) == (1, 0)
    call.send("still there?")
    wait_for_life(line.url, call.id, lambda life: life["texts"] == ["still there?"])
    call.record(SETTLE_S)
    assert_speech_comes_back(call)


def ufrag(sdp: str) -> str:
    """The ICE user fragment of a description."""
    return sdp.partition("a=ice-ufrag:")[2].split()[0]
