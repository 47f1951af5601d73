"""What a telephone frame costs in our own code: no server, no sockets, no waiting.

``python benchmarks/doors/own_part.py`` takes ten seconds. Sessions of an echo, or of a handler that
speaks all the time, hang on sockets that are queues, in virtual time, so that the CPU time is the
session's, the wire format's and the event loop's, and not uvicorn's and the kernel's.
"""

import argparse
import asyncio
import base64
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

RATE_HZ = 8000
os.environ["ECHO_RATE_HZ"] = str(RATE_HZ)
HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE.parents[1] / "tests")]

from apps.echo import Echo  # noqa: E402
from fastrtc import AsyncStreamHandler, Stream  # noqa: E402
from fastrtc.audio.g711 import mulaw_encode  # noqa: E402
from fastrtc.testing import run  # noqa: E402
from fastrtc.transports.reader import serve_socket  # noqa: E402
from fastrtc.wire.twilio import TwilioWire  # noqa: E402

FRAME_S = 0.02
TONE = np.round(8000 * np.sin(np.arange(160) / 7)).astype(np.int16)


class Speaker(Echo):
    """Speaks all the time, half a second at once, and hears nothing of what comes."""

    async def receive(self, frame: Any) -> None:
        pass

    async def emit(self) -> Any:
        return RATE_HZ, np.tile(TONE, 25).reshape(1, -1)

    def copy(self) -> "Speaker":
        return Speaker()


class Socket:
    """A WebSocket that takes everything at once."""

    def __init__(self) -> None:
        self.waiting: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.media = 0

    def say(self, text: str) -> None:
        self.waiting.put_nowait({"type": "websocket.receive", "text": text})

    async def receive(self) -> Any:
        return await self.waiting.get()

    async def send_text(self, data: str) -> None:
        if '"media"' in data:
            self.media += 1
        elif '"mark"' in data:
            self.say(data)

    async def send_bytes(self, data: bytes) -> None:
        raise AssertionError("Twilio's messages are text")

    async def close(self, code: int = 1000, reason: str | None = None) -> None:
        pass


async def ignore(socket: Socket) -> None:
    """Reads like a session and does nothing, to know what the measurement itself takes."""
    while '"stop"' not in (await socket.receive())["text"]:
        pass


async def talk(
    handler: AsyncStreamHandler | None, sessions: int, seconds: float
) -> tuple[float, int]:
    """CPU seconds of so much audio, and the messages with audio that came back."""
    sockets = [Socket() for _ in range(sessions)]
    if handler is None:
        serving = [asyncio.ensure_future(ignore(socket)) for socket in sockets]
    else:
        stream = Stream(handler, modality="audio", concurrency_limit=None)
        serving = [
            asyncio.ensure_future(serve_socket(socket, stream.factory, TwilioWire()))
            for socket in sockets
        ]
    for number, socket in enumerate(sockets):
        socket.say(json.dumps({"event": "start", "streamSid": f"MZ{number}", "start": {}}))
    payload = base64.b64encode(mulaw_encode(TONE)).decode()
    media = {"track": "inbound", "chunk": "1", "timestamp": "5", "payload": payload}
    message = json.dumps({"event": "media", "streamSid": "MZ", "media": media})
    await asyncio.sleep(0.1)
    began_s = time.process_time()
    for _ in range(round(seconds / FRAME_S)):
        for socket in sockets:
            socket.say(message)
            # Phases are spread over a frame, as callers' are.
            await asyncio.sleep(FRAME_S / sessions)
    taken_s = time.process_time() - began_s
    for socket in sockets:
        socket.say(json.dumps({"event": "stop"}))
    await asyncio.wait(serving)
    return taken_s, sum(socket.media for socket in sockets)


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sessions", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=5.0, help="of audio, in each session")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    frames = options.sessions * round(options.seconds / FRAME_S)

    def cost_us(handler: type[Echo] | None) -> float:
        costs = []
        for _ in range(options.rounds):
            made = None if handler is None else handler()
            taken_s, media = run(talk(made, options.sessions, options.seconds))
            assert made is None or media >= 0.9 * frames, f"{media} of {frames} frames came back"
            costs.append(taken_s / frames * 1e6)
        return min(costs)

    nothing_us = cost_us(None)
    print(f"the measurement itself: {nothing_us:.1f} us, taken off below")
    for what, handler in (("an echo", Echo), ("one who speaks all the time", Speaker)):
        print(f"{what}: {cost_us(handler) - nothing_us:.1f} us for a frame in and one out")


if __name__ == "__main__":
    main()
