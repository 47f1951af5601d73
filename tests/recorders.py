"""Handlers that note what is done to them, for tests of sessions."""

from __future__ import annotations

import asyncio
import queue
import threading
from typing import Any

from fastrtc import AsyncStreamHandler, StreamHandler, wait_for_item


class AsyncEcho(AsyncStreamHandler):
    """Says what it heard; notes the order of its calls."""

    def __init__(self, input_sample_rate: int = 48000) -> None:
        super().__init__(input_sample_rate=input_sample_rate)
        self.queue: asyncio.Queue[Any] = asyncio.Queue()
        self.events: list[str] = []

    async def start_up(self) -> None:
        self.events.append("start_up")

    async def receive(self, frame: Any) -> None:
        self.events.append("receive")
        self.queue.put_nowait(frame)

    async def emit(self) -> Any:
        return await wait_for_item(self.queue)

    async def shutdown(self) -> None:
        self.events.append("shutdown")


class SyncEcho(StreamHandler):
    """The same with blocking methods, as the original's documentation writes it."""

    def __init__(self, input_sample_rate: int = 48000) -> None:
        super().__init__(input_sample_rate=input_sample_rate)
        self.queue: queue.Queue[Any] = queue.Queue()
        self.events: list[str] = []
        self.threads: set[int] = set()

    def start_up(self) -> None:
        self.events.append("start_up")

    def receive(self, frame: Any) -> None:
        self.threads.add(threading.get_ident())
        self.events.append("receive")
        self.queue.put(frame)

    def emit(self) -> Any:
        self.threads.add(threading.get_ident())
        return self.queue.get()

    def shutdown(self) -> None:
        self.events.append("shutdown")
