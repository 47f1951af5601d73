"""Handlers that raise, block, or return what is no sound: told once, and no other call is hurt."""

import asyncio
import re

import pytest

from e2e.caller import Caller, until
from e2e.load import result, start_load
from e2e.server import Server
from e2e.stations import call, state, until_free, until_no_peer

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.mark.together
@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("raises-in-receive", "receive failed: ValueError: I cannot hear this"),
        ("raises-in-emit", "emit failed: ValueError: I have nothing to say"),
        ("raises-in-start-up", "start_up failed: ValueError: I am not awake"),
        ("returns-text", "emit failed: OutputError: audio output is str"),
        ("returns-shape", "emit failed: OutputError: audio samples have shape (3, 960)"),
        ("returns-dtype", "emit failed: OutputError: audio samples have dtype int64"),
        ("returns-rate", "emit failed: OutputError: audio rate is 0 Hz"),
        ("returns-nan", "emit failed: OutputError: audio samples contain NaN"),
    ],
    ids=lambda value: value if "-" in value else "",
)
async def test_what_a_handler_does_wrong_is_told_once_and_hurts_nobody_else(
    stations: Server, name: str, error: str
) -> None:
    before = len(stations.log)
    async with call(stations):
        caller = await Caller(f"{stations.url}/{name}").connect()
        told = await caller.told("error")
        what, _, cause = error.partition(": ")
        found = re.fullmatch(rf"{what} \((error [0-9a-f]{{8}})\)", told["message"])
        assert found, told
        await asyncio.sleep(1)
        await caller.hang_up()
        await until_free(stations, name)
    assert [text["message"] for text in caller.texts if text["type"] == "error"] == [
        told["message"]
    ]
    printed = stations.log[before:]
    assert printed.count("Traceback (most recent call last)") == 1, printed
    assert cause in printed
    assert found[1] in printed


@pytest.mark.together
async def test_a_handler_that_fails_every_time_ends_its_own_session(stations: Server) -> None:
    caller = await Caller(f"{stations.url}/raises-in-receive").connect()
    message = await caller.told("end_stream")
    assert message["data"] == "receive failed 100 times in a row"
    async with asyncio.timeout(5):
        await caller.closed.wait()
    await caller.hang_up()
    await until_free(stations, "raises-in-receive")


@pytest.mark.together
async def test_a_handler_that_raises_in_shutdown_holds_nothing(stations: Server) -> None:
    before = len(stations.log)
    caller = await Caller(f"{stations.url}/raises-in-shutdown").connect()
    await caller.hang_up()
    await until_free(stations, "raises-in-shutdown")
    await asyncio.sleep(0.2)
    assert (await state(stations))["shutdowns"]["RaisesInShutdown"] == 1
    assert stations.log[before:].count("Traceback (most recent call last)") == 1


@pytest.mark.together
async def test_a_handler_that_raises_in_copy_takes_no_slot(
    stations: Server, offer_sdp: str
) -> None:
    response = await Caller(f"{stations.url}/raises-in-copy").post_offer(offer_sdp)
    assert response.status_code == 500
    held = await state(stations)
    assert held["sessions"]["raises-in-copy"] == 0
    await until_no_peer(stations)


@pytest.mark.together
async def test_a_handler_that_blocks_for_ever_holds_nobody_up(stations: Server) -> None:
    """Pitfall 42."""
    async with call(stations):
        callers = [await Caller(f"{stations.url}/blocks").connect() for _ in range(3)]
        await asyncio.sleep(1)
        for caller in callers:
            await caller.hang_up()
        await until_free(stations, "blocks")

    async def are_shut_down() -> bool:
        return (await state(stations))["shutdowns"].get("Blocks") == 3

    await until(are_shut_down)


@pytest.mark.parametrize("name", ["hogs", "blocks-the-loop"])
async def test_queued_audio_keeps_leaving_while_a_handler_holds_the_interpreter(
    stations: Server, name: str
) -> None:
    """Pitfall 3; the precise figure is the benchmark's."""
    load = await asyncio.to_thread(start_load, f"{stations.url}/plays", 1, 8.0, warm_up=1.0)
    caller = await Caller(f"{stations.url}/{name}", hums=False).connect()
    await asyncio.sleep(2)
    caller.channel.send("2")
    if name == "hogs":
        took_s = (await caller.told("log"))["data"][0]
        assert took_s > 1, "the interpreter was not held long enough to show anything"
    report = await asyncio.to_thread(result, load)
    await caller.hang_up()
    gaps_ms = report["sum"]["gap_ms"]
    assert gaps_ms["count"] > 350
    assert gaps_ms["p99"] <= 60, gaps_ms
    assert gaps_ms["max"] <= 250, gaps_ms
    await until_free(stations, name)
    await until_free(stations, "plays")
