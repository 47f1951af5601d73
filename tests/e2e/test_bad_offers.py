"""Offers of clients that are mistaken, hostile or gone: refused clearly, no slot held."""

import asyncio
import re
from typing import Any

import httpx
import pytest

from e2e.caller import Caller, post
from e2e.server import Server
from e2e.stations import (
    CONNECT_TIMEOUT_S,
    call,
    lines_without,
    state,
    until_free,
    until_no_peer,
)

pytestmark = [pytest.mark.together, pytest.mark.filterwarnings("ignore::DeprecationWarning")]


def audio_section(sdp: str) -> str:
    return sdp[sdp.index("m=audio") : sdp.index("m=application")]


BAD_SDP = {
    "empty": lambda sdp: "",
    "prose": lambda sdp: "please call me",
    "zeros": lambda sdp: "\0" * 1000,
    "first half": lambda sdp: sdp[: len(sdp) // 2],
    "cut in the first section": lambda sdp: sdp[: sdp.index("a=rtpmap")],
    "backwards": lambda sdp: "\r\n".join(reversed(sdp.splitlines())),
    "no section": lambda sdp: sdp[: sdp.index("m=")],
    "no fingerprint": lambda sdp: lines_without(sdp, "a=fingerprint"),
    "odd fingerprint": lambda sdp: re.sub("a=fingerprint.*", "a=fingerprint:md5 zz", sdp),
    "no ufrag": lambda sdp: lines_without(sdp, "a=ice-ufrag"),
    "no password": lambda sdp: lines_without(sdp, "a=ice-pwd"),
    "no codec": lambda sdp: lines_without(sdp, "a=rtpmap:96"),
    "another codec": lambda sdp: sdp.replace("opus/48000/2", "speex/48000"),
    "video": lambda sdp: sdp.replace("m=audio", "m=video").replace("opus", "VP8"),
    "fax": lambda sdp: sdp.replace("m=audio", "m=image"),
    "two voices": lambda sdp: sdp + audio_section(sdp).replace("a=mid:0", "a=mid:2"),
    "one name for two": lambda sdp: sdp.replace("a=mid:1", "a=mid:0"),
    "one type for two": lambda sdp: sdp.replace("opus/48000/2", "opus/48000/2\r\na=rtpmap:96 x/1"),
    "impossible type": lambda sdp: sdp.replace(":96 ", ":300 ").replace(" 96 ", " 300 "),
    "huge": lambda sdp: sdp + "a=x:y\r\n" * 30_000,
}


@pytest.mark.parametrize("kind", BAD_SDP)
async def test_a_bad_offer_is_refused_and_holds_no_slot(
    stations: Server, offer_sdp: str, kind: str
) -> None:
    """Pitfall 17."""
    sdp = BAD_SDP[kind](offer_sdp)
    response = await post(f"{stations.url}/one", {"type": "offer", "sdp": sdp, "webrtc_id": kind})
    answer = response.json()
    assert response.status_code == 400, answer
    assert answer["status"] == "failed"
    assert answer["meta"]["error"] in ("invalid_sdp", "unsupported_media")
    assert answer["meta"]["reason"]
    held = await state(stations)
    assert held["sessions"]["one"] == 0
    assert held["plane"]["peers"] == 0
    assert "Traceback" not in stations.log


async def test_a_good_call_finds_the_only_slot_free_after_bad_ones(
    stations: Server, offer_sdp: str
) -> None:
    """Pitfall 17."""
    for kind, spoil in BAD_SDP.items():
        await post(
            f"{stations.url}/one", {"type": "offer", "sdp": spoil(offer_sdp), "webrtc_id": kind}
        )
    caller = await Caller(f"{stations.url}/one").connect()
    other = await Caller(f"{stations.url}/one").post_offer(offer_sdp)
    assert other.status_code == 200
    assert other.json()["meta"] == {"error": "concurrency_limit_reached", "limit": 1}
    await caller.hang_up()
    await until_free(stations, "one")
    await (await Caller(f"{stations.url}/one").connect()).hang_up()
    await until_free(stations, "one")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"\xff\xff",
        b"[" * 500_000,
        [],
        "offer",
        {},
        {"type": "offer"},
        {"type": "offer", "sdp": 5, "webrtc_id": "a"},
        {"type": "offer", "sdp": ["v=0"], "webrtc_id": "a"},
        {"type": "offer", "sdp": None, "webrtc_id": "a"},
        {"type": "answer", "sdp": "v=0", "webrtc_id": "a"},
        {"type": ["offer"], "sdp": "v=0", "webrtc_id": "a"},
        {"type": "offer", "sdp": "v=0"},
        {"type": "offer", "sdp": "v=0", "webrtc_id": None},
        {"type": "offer", "sdp": "v=0", "webrtc_id": {"a": 1}},
        {"type": "offer", "sdp": "v=0", "webrtc_id": ""},
        {"type": "offer", "sdp": "v=0", "webrtc_id": "a" * 10_000},
        b'{"type": "offer", "sdp": "v=0", "webrtc_id": "\\ud800"}',
        b'{"type": "offer", "sdp": "v=0\\ud800", "webrtc_id": "a"}',
        b'{"type": "offer", "sdp": "v=0", "webrtc_id": NaN}',
        {"type": "ice-candidate", "candidate": "candidate:1", "webrtc_id": "a"},
        {"type": "ice-candidate", "candidate": [1], "webrtc_id": "a"},
    ],
    ids=lambda body: repr(body)[:60],
)
async def test_a_body_of_another_form_is_422(stations: Server, body: Any) -> None:
    response = await post(f"{stations.url}/one", body)
    assert response.status_code == 422
    assert response.json()["detail"]


async def test_ten_megabytes_are_refused_unread(stations: Server) -> None:
    sdp = "v=0\r\n" + "a" * 10_000_000
    before_mb = (await state(stations))["rss_mb"]
    for _ in range(5):
        try:
            response = await post(
                f"{stations.url}/one", {"type": "offer", "sdp": sdp, "webrtc_id": "big"}
            )
        except httpx.WriteError:
            continue  # The server answered and closed while we were still sending.
        assert response.status_code == 413
        assert "larger than" in response.json()["detail"]
    assert (await state(stations))["rss_mb"] - before_mb < 20


# Strangers.


async def test_a_stranger_cannot_take_a_session_over(stations: Server, offer_sdp: str) -> None:
    """Pitfall 22."""
    async with call(stations) as (caller, _):
        stranger = await post(
            caller.url, {"type": "offer", "sdp": offer_sdp, "webrtc_id": caller.id}
        )
        assert stranger.status_code == 200
        assert stranger.json()["meta"]["error"] == "connection_already_exists"
        for spoil in BAD_SDP.values():
            body = {"type": "offer", "sdp": spoil(offer_sdp), "webrtc_id": caller.id}
            refused = await post(caller.url, body)
            assert refused.json()["status"] == "failed"


async def test_bad_later_offers_are_refused_and_the_call_goes_on(stations: Server) -> None:
    async with call(stations) as (caller, _):
        for kind, spoil in BAD_SDP.items():
            response = await caller.post_offer(spoil(caller.connection.localDescription.sdp))
            answer = response.json()
            assert answer["status"] == "failed", (kind, answer)
            assert answer["meta"]["error"] in (
                "invalid_sdp",
                "unsupported_media",
                "connection_already_exists",
            )


# Who leaves early.


async def test_a_client_that_never_comes_gives_its_slot_back(
    stations: Server, offer_sdp: str
) -> None:
    caller = Caller(f"{stations.url}/one")
    assert (await caller.post_offer(offer_sdp)).json()["type"] == "answer"
    assert (await state(stations))["sessions"]["one"] == 1
    await until_free(stations, "one", CONNECT_TIMEOUT_S + 1)
    await caller.hang_up()
    await (await Caller(f"{stations.url}/one").connect()).hang_up()
    await until_free(stations, "one")


async def test_a_client_that_vanishes_in_the_handshake_gives_its_slot_back(
    stations: Server,
) -> None:
    caller = Caller(f"{stations.url}/one")
    began = asyncio.Event()

    def on_ice() -> None:
        if caller.connection.iceConnectionState == "completed":
            began.set()

    caller.connection.on("iceconnectionstatechange", on_ice)
    await caller.begin()
    async with asyncio.timeout(5):
        await began.wait()
    await caller.vanish()
    await until_free(stations, "one", CONNECT_TIMEOUT_S + 1)
    await until_no_peer(stations)
    assert (await state(stations))["plane"]["routes"] == 0
