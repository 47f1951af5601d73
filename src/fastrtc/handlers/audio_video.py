"""The handler classes for audio and video together.

No task, no thread and no codec is made here; the session runs what is defined here.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, cast

from fastrtc.handlers.base import AsyncStreamHandler, StreamHandler
from fastrtc.handlers.video import VideoEmitType
from fastrtc.types import PixelFormat

__all__ = ["AsyncAudioVideoStreamHandler", "AudioVideoStreamHandler"]


class AudioVideoStreamHandler(StreamHandler):
    """A handler of blocking methods; each runs in a worker thread, never on the event loop.

    The four methods run beside each other; none overlaps itself. ``emit`` and ``video_emit`` may
    block. What they return is sent as it comes: pictures at most ``fps`` each second, audio in
    real time. In mode "send" the emit methods are not called, in mode "receive" the receive
    methods are not.

    Attributes:
        pixel_format: class attribute, of the pictures in and out; see
            :class:`~fastrtc.VideoStreamHandler`.

    Example::

        class Mirror(AudioVideoStreamHandler):
            def __init__(self): super().__init__(); self.pictures = queue.Queue()
            def video_receive(self, frame): self.pictures.put(frame[:, ::-1])
            def video_emit(self): return self.pictures.get()
            def receive(self, frame): pass
            def emit(self): return None
    """

    pixel_format: PixelFormat = "bgr24"

    @abstractmethod
    def video_receive(self, frame: Any) -> None:
        """Takes a picture: uint8 of shape ``(height, width, 3)`` in BGR order. Up to three wait
        while it is busy; then the oldest is dropped."""

    @abstractmethod
    def video_emit(self) -> VideoEmitType:
        """Returns a picture for the client, or None for nothing at the moment."""

    def copy(self) -> AudioVideoStreamHandler:
        return cast(AudioVideoStreamHandler, super().copy())


class AsyncAudioVideoStreamHandler(AsyncStreamHandler):
    """A handler of coroutines, which run on the event loop and therefore must not block it.

    As :class:`AudioVideoStreamHandler` in all else.

    Example::

        class Mirror(AsyncAudioVideoStreamHandler):
            def __init__(self): super().__init__(); self.pictures = asyncio.Queue()
            async def video_receive(self, frame): self.pictures.put_nowait(frame[:, ::-1])
            async def video_emit(self): return await wait_for_item(self.pictures)
            async def receive(self, frame): pass
            async def emit(self): return None
    """

    pixel_format: PixelFormat = "bgr24"

    @abstractmethod
    async def video_receive(self, frame: Any) -> None:
        """Takes a picture: uint8 of shape ``(height, width, 3)`` in BGR order. Up to three wait
        while it is busy; then the oldest is dropped."""

    @abstractmethod
    async def video_emit(self) -> VideoEmitType:
        """Returns a picture for the client, or None for nothing at the moment."""

    def copy(self) -> AsyncAudioVideoStreamHandler:
        return cast(AsyncAudioVideoStreamHandler, super().copy())
