"""What a viewer of a film costs the server, with one encoder for all and with one for each.

``python benchmarks/doors/shared.py`` takes under two minutes; ``--viewers 1,10,30`` and ``--seconds
8`` choose. The viewers come by WHEP in one process of aiortc that counts frames and decodes none.
"""

import argparse
import asyncio
import sys
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE.parents[1] / "tests")]

import aiortc  # noqa: E402
import aiortc.rtcrtpreceiver  # noqa: E402
import httpx  # noqa: E402

from contenders import ours  # noqa: E402
from e2e.server import Server  # noqa: E402
from measures import cpu_s  # noqa: E402

FPS = 30
SETTLE_S = 4.0
JOIN_S = 20.0
OWN_AT_MOST = 10
"""Encoders of 640x480 that this machine may have to run at once."""


class Counter:
    """Takes the place of aiortc's decoder."""

    frames = 0

    def decode(self, frame: Any) -> list[Any]:
        Counter.frames += 1
        return []


async def watch(server: Server, viewers: int, seconds: float) -> tuple[float, float]:
    """The server's share of a core while they watch, and the frames each got a second."""
    Counter.frames = 0
    connections = []
    async with httpx.AsyncClient(base_url=server.url, timeout=JOIN_S) as http:
        for _ in range(viewers):
            connection = aiortc.RTCPeerConnection()
            connection.addTransceiver("video", direction="recvonly")
            await connection.setLocalDescription(await connection.createOffer())
            answer = await http.post(
                "/whep",
                content=connection.localDescription.sdp,
                headers={"Content-Type": "application/sdp"},
            )
            answer.raise_for_status()
            await connection.setRemoteDescription(
                aiortc.RTCSessionDescription(answer.text, "answer")
            )
            connections.append(connection)
        await asyncio.sleep(SETTLE_S)
        frames, before_s, began_s = Counter.frames, cpu_s(server.pid), time.monotonic()
        await asyncio.sleep(seconds)
        took_s = time.monotonic() - began_s
        share = (cpu_s(server.pid) - before_s) / took_s
        rate = (Counter.frames - frames) / took_s / viewers
        for connection in connections:
            await connection.close()
    return share, rate


def main() -> None:
    """Measures and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--viewers", default="1,10,30")
    parser.add_argument("--seconds", type=float, default=8.0)
    options = parser.parse_args()
    aiortc.rtcrtpreceiver.get_decoder = lambda codec: Counter()
    print("| viewers | encoders | CPU, % of a core | for each viewer | frames/s each |", flush=True)
    print("|---|---|---|---|---|", flush=True)
    for viewers in map(int, options.viewers.split(",")):
        for shared in (True, False):
            if not shared and viewers > OWN_AT_MOST:
                continue
            env = ours().environment(CHANNEL_SHARED="1" if shared else "0")
            with Server("apps.channel:app", env) as server:
                share, rate = asyncio.run(watch(server, viewers, options.seconds))
            encoders = "one" if shared else "one each"
            print(
                f"| {viewers} | {encoders} | {100 * share:.1f} | {100 * share / viewers:.2f} "
                f"| {rate:.1f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
