"""A WebSocket that the test plays, for virtual time."""

from __future__ import annotations

import asyncio
import json
from typing import Any


class Line:
    """A WebSocket that does what the test says."""

    def __init__(self) -> None:
        self.incoming: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.sent: list[tuple[float, Any]] = []
        self.closed: tuple[int, str | None] | None = None
        self.is_stuck = False

    async def receive(self) -> Any:
        return await self.incoming.get()

    async def send_text(self, data: str) -> None:
        if self.is_stuck:
            await asyncio.Event().wait()
        self.sent.append((asyncio.get_running_loop().time(), json.loads(data)))

    async def send_bytes(self, data: bytes) -> None:
        await self.send_text(json.dumps(len(data)))

    async def close(self, code: int = 1000, reason: str | None = None) -> None:
        self.closed = (code, reason)
        self.incoming.put_nowait({"type": "websocket.disconnect"})

    def say(self, message: dict[str, Any]) -> None:
        self.incoming.put_nowait({"type": "websocket.receive", "text": json.dumps(message)})
