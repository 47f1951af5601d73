"""Audio-video handlers that say and show what they hear and see, and note what was called."""

from __future__ import annotations

import asyncio
import queue
from typing import Any

from fastrtc import AsyncAudioVideoStreamHandler, AudioVideoStreamHandler, wait_for_item


class SyncMirror(AudioVideoStreamHandler):
    """Says and shows what it hears and sees."""

    def __init__(self) -> None:
        super().__init__()
        self.pictures: queue.Queue[Any] = queue.Queue()
        self.sounds: queue.Queue[Any] = queue.Queue()
        self.calls: set[str] = set()

    def video_receive(self, frame: Any) -> None:
        self.calls.add("video_receive")
        self.pictures.put(frame)

    def video_emit(self) -> Any:
        self.calls.add("video_emit")
        return self.pictures.get()

    def receive(self, frame: Any) -> None:
        self.calls.add("receive")
        self.sounds.put(frame)

    def emit(self) -> Any:
        self.calls.add("emit")
        return self.sounds.get()


class AsyncMirror(AsyncAudioVideoStreamHandler):
    """The same in coroutines."""

    def __init__(self) -> None:
        super().__init__()
        self.pictures: asyncio.Queue[Any] = asyncio.Queue()
        self.sounds: asyncio.Queue[Any] = asyncio.Queue()
        self.calls: set[str] = set()

    async def video_receive(self, frame: Any) -> None:
        self.calls.add("video_receive")
        self.pictures.put_nowait(frame)

    async def video_emit(self) -> Any:
        self.calls.add("video_emit")
        return await wait_for_item(self.pictures)

    async def receive(self, frame: Any) -> None:
        self.calls.add("receive")
        self.sounds.put_nowait(frame)

    async def emit(self) -> Any:
        self.calls.add("emit")
        return await wait_for_item(self.sounds)
