"""Talks to ``apps/stations.py``: its state, and a call to its echo that nothing may harm."""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import httpx
import numpy as np

from e2e.caller import Caller, until
from e2e.server import Server

CONNECT_TIMEOUT_S = 5.0
"""Of the fixture ``stations``: how long a client may take to connect."""
GOOD_CANDIDATE = "candidate:1 1 udp 2130706431 192.0.2.7 4000 typ host"


async def state(server: Server) -> dict[str, Any]:
    async with httpx.AsyncClient(timeout=30, trust_env=False) as http:
        held: dict[str, Any] = (await http.get(f"{server.url}/state")).json()
        return held


async def until_free(server: Server, name: str, within_s: float = 3.0) -> None:
    """Waits until a stream holds no session."""

    async def is_free() -> bool:
        return not (await state(server))["sessions"][name]

    await until(is_free, within_s)


async def until_no_peer(server: Server) -> None:
    """Waits until the media plane holds no peer."""

    async def has_none() -> bool:
        return not (await state(server))["plane"]["peers"]

    await until(has_none)


def candidate(text: Any) -> dict[str, Any]:
    """A signalling body with a candidate's line."""
    return {"type": "ice-candidate", "candidate": {"candidate": text, "sdpMid": "0"}}


def lines_without(sdp: str, start: str) -> str:
    return "".join(line for line in sdp.splitlines(True) if not line.startswith(start))


def udp_socket() -> socket.socket:
    """A socket of this machine that never waits."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(("127.0.0.1", 0))
    sock.setblocking(False)
    return sock


def received_by(sock: socket.socket) -> Iterator[bytes]:
    while True:
        try:
            yield sock.recv(2048)
        except BlockingIOError:
            return


@asynccontextmanager
async def call(server: Server) -> AsyncIterator[tuple[Caller, tuple[str, int]]]:
    """A call to the echo that has to come through unharmed; yields it and the media address.

    Counted is at the server, against what the client took to send: on a busy machine aiortc sends
    less than it should and loses some of what it gets. What it hears must not stop.
    """
    caller = await Caller(f"{server.url}/echo").connect()
    loop = asyncio.get_running_loop()
    await caller.hears()
    await asyncio.sleep(1)
    before = (await state(server))["stats"][caller.id]
    start_s, sent_before = loop.time(), caller.hum.frames
    held = await state(server)
    try:
        yield caller, ("127.0.0.1", held["udp_port"])
        await asyncio.sleep(max(0.0, start_s + 2 - loop.time()))
        sent, after = 0, before

        async def has_arrived() -> bool:
            nonlocal sent, after
            sent = caller.hum.frames - sent_before
            after = (await state(server))["stats"][caller.id]
            counters = ("frames_in", "chunks_played")
            return all(after[name] - before[name] >= 0.9 * sent for name in counters)

        # What was sent last, perhaps much at once after a stall, is still on its way.
        with suppress(TimeoutError):
            await until(has_arrived, 5)
        heard = caller.heard_since(start_s)
        assert sent > 20, "the client sent too little to show anything"
        lost = after.get("audio_packets_lost", 0) - before.get("audio_packets_lost", 0)
        assert lost == 0, after
        assert after["frames_in"] - before["frames_in"] >= 0.9 * sent, (sent, before, after)
        assert after["chunks_played"] - before["chunks_played"] >= 0.9 * sent, (sent, before, after)
        assert len(heard) >= 0.5 * sent, f"{len(heard)} of {sent} frames were heard"
        assert np.diff(heard).max() < 1
    finally:
        await caller.hang_up()
    await until_free(server, "echo")
