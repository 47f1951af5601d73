"""Candidates that are malformed, hostile, early or late."""

import asyncio
import re
import time
from contextlib import ExitStack
from typing import Any

import httpx
import numpy as np
import pytest

from e2e.caller import Caller, post
from e2e.server import Server
from e2e.stations import (
    GOOD_CANDIDATE,
    call,
    candidate,
    lines_without,
    received_by,
    udp_socket,
    until_free,
)

pytestmark = [pytest.mark.together, pytest.mark.filterwarnings("ignore::DeprecationWarning")]

HELD_S = 10.0
"""How long the server keeps candidates whose offer has not come."""


@pytest.fixture(scope="module", autouse=True)
def never_came(stations: Server) -> float:
    """When a candidate was sent for an id whose offer never comes."""
    body = {**candidate(GOOD_CANDIDATE), "webrtc_id": "never"}
    response = httpx.post(f"{stations.url}/echo/webrtc/offer", json=body, trust_env=False)
    assert response.json() == {"status": "success"}
    return time.monotonic()


HOSTILE_CANDIDATES: list[Any] = [
    5,
    ["candidate:1"],
    "x" * 900_000,
    "candidate:",
    "candidate:1 1 udp",
    "candidate:1 1 udp 2130706431 192.0.2.7 99999 typ host",
    "candidate:1 1 udp 2130706431 192.0.2.7 0 typ host",
    "candidate:1 1 udp -1 192.0.2.7 4000 typ host",
    "candidate:1 1 udp 99999999999 192.0.2.7 4000 typ host",
    "candidate:1 9 udp 2130706431 192.0.2.7 4000 typ host",
    "candidate:1 1 sctp 2130706431 192.0.2.7 4000 typ host",
    "candidate:1 1 udp 2130706431 192.0.2.7 4000 typ king",
    "candidate:1 1 udp 2130706431 0.0.0.0 4000 typ host",
    "candidate:1 1 udp 2130706431 255.255.255.255 4000 typ host",
    "candidate:1 1 udp 2130706431 224.0.0.1 4000 typ host",
    "candidate:1 1 udp 2130706431 ff02::1 4000 typ host",
    "candidate:1 1 udp 2130706431 fe80::1%eth0 4000 typ host",
    "candidate:1 1 udp 2130706431 intranet.example.com 4000 typ host",
    "candidate:1 1 udp 2130706431 192.0.2.7\r\nHost: x 4000 typ host",
    "candidate:\u202e 1 udp 2130706431 192.0.2.7 4000 typ host",
]


async def test_hostile_candidates_are_named_and_the_call_goes_on(stations: Server) -> None:
    async with call(stations) as (caller, _):
        for text in HOSTILE_CANDIDATES:
            response = await post(caller.url, {**candidate(text), "webrtc_id": caller.id})
            assert response.status_code == 200
            error = response.json().get("meta", {}).get("error")
            expected = None if text == "candidate:" else "invalid_candidate_format"
            assert error == expected, text
        for body in ({"candidate": None}, {"candidate": {}}, {"candidate": {"candidate": ""}}):
            end = {"type": "ice-candidate", "webrtc_id": caller.id, **body}
            assert (await post(caller.url, end)).json() == {"status": "success"}


async def test_a_flood_of_candidates_is_no_flood_of_packets(stations: Server) -> None:
    """A server that checked every address it is told, again and again, would be a weapon."""
    with ExitStack() as sockets:
        victims = [sockets.enter_context(udp_socket()) for _ in range(200)]
        async with call(stations) as (caller, _), httpx.AsyncClient(trust_env=False) as http:
            for number, victim in enumerate(victims):
                text = (
                    f"candidate:{number} 1 udp {2130706431 - number} 127.0.0.1 "
                    f"{victim.getsockname()[1]} typ host"
                )
                body = {**candidate(text), "webrtc_id": caller.id}
                assert (await http.post(f"{caller.url}/webrtc/offer", json=body)).is_success
            await asyncio.sleep(2)
            packets = [len(list(received_by(victim))) for victim in victims]
        assert 0 < np.count_nonzero(packets) <= 100
        assert max(packets) <= 6


async def test_early_candidates_are_held_for_their_offer(stations: Server) -> None:
    caller = Caller(f"{stations.url}/echo")
    sdp = await caller.offer()
    own = re.findall("a=(candidate:.*)", sdp)
    bad = "candidate:nonsense"
    for text in [bad, *own, ""]:
        early = {**candidate(text), "webrtc_id": caller.id}
        assert (await post(caller.url, early)).json() == {"status": "success"}
    response = await caller.post_offer(lines_without(sdp, "a=candidate"))
    await caller.accept(response.json()["sdp"])
    async with asyncio.timeout(5):
        await caller.opened.wait()
    await caller.hang_up()
    await until_free(stations, "echo")


async def test_more_early_candidates_than_fit_are_refused(stations: Server) -> None:
    outcomes = []
    for number in range(34):
        text = GOOD_CANDIDATE.replace("4000", str(4000 + number))
        response = await post(f"{stations.url}/echo", {**candidate(text), "webrtc_id": "early"})
        outcomes.append(response.json().get("meta", {}).get("error"))
    assert outcomes == [None] * 32 + ["unknown_connection"] * 2


async def test_candidates_for_a_call_that_has_ended_are_told_so(stations: Server) -> None:
    caller = await Caller(f"{stations.url}/echo").connect()
    await caller.hang_up()
    await until_free(stations, "echo")
    response = await post(caller.url, {**candidate(GOOD_CANDIDATE), "webrtc_id": caller.id})
    assert response.json()["meta"]["error"] == "connection_closed"


async def test_candidates_for_an_id_that_never_came_are_unknown(
    stations: Server, never_came: float
) -> None:
    await asyncio.sleep(max(0.0, never_came + HELD_S + 0.2 - time.monotonic()))
    response = await post(
        f"{stations.url}/echo", {**candidate(GOOD_CANDIDATE), "webrtc_id": "never"}
    )
    assert response.json()["meta"]["error"] == "unknown_connection"
