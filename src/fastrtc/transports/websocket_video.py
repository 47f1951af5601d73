"""The pictures of one WebSocket: files in, files out, and the newest wins.

A WebSocket delivers everything, however late, so what is too much is left out at its ends: of
pictures that a busy handler has not decoded only the newest are kept, of pictures that a slow
connection has not taken only the newest one. Decoding and encoding happen in the worker threads
that call :meth:`SocketVideo.decode` and :meth:`SocketVideo.send`.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, cast

from fastrtc.session.frame_clock import CLOCK_RATE_HZ
from fastrtc.session.transport import InboundPicture, Stats
from fastrtc.types import PictureFormat
from fastrtc.wire.browser import BrowserWire
from fastrtc.wire.events import Image, Message
from fastrtc.wire.pictures import MAX_PICTURE_PIXELS

if TYPE_CHECKING:
    from fastrtc.session.video import Video
    from fastrtc.video.picture import Picture

__all__ = ["SocketVideo", "load_picture_codecs"]

UNDECODED_BOUND: Final = 3
"""Pictures that wait to be decoded; as many as may wait for a handler after that."""
AHEAD_BOUND: Final = 4
"""Pictures that a client which acknowledges them may still have to acknowledge."""
MARK: Final = "fastrtc-video-"


def load_picture_codecs() -> None:
    """Imports what takes a while, so that no event loop waits for it."""
    import fastrtc.video.stills  # noqa: F401


class Undecoded:
    """What :attr:`InboundPicture.data` is here: a file, until it is decoded or left out."""

    def __init__(self, data: bytes, format: PictureFormat) -> None:  # noqa: A002
        self.data: bytes | None = data
        self.format: PictureFormat = format


class SocketVideo:
    """The way of pictures over one WebSocket.

    Args:
        video: the session's; is told of what arrives.
        wire: the client's protocol, started.
        loop: the session's.
        wake: called on the loop when there is something to :meth:`take`.
        complain: called on the loop with what is wrong with a picture.
    """

    def __init__(
        self,
        video: Video,
        wire: BrowserWire,
        loop: asyncio.AbstractEventLoop,
        wake: Callable[[], None],
        complain: Callable[[ValueError], None],
    ) -> None:
        from fastrtc.video.stills import StillDecoder, StillEncoder

        self._video = video
        self._wire = wire
        self._loop = loop
        self._wake = wake
        self._complain = complain
        self._decoder = StillDecoder(max_pixels=MAX_PICTURE_PIXELS)
        self._encoder = StillEncoder(wire.picture_format)
        self._undecoded: deque[Undecoded] = deque()
        self._newest: Message | None = None
        self._newest_lock = threading.Lock()
        self._closed = False
        self._sent = 0
        self._acknowledged = 0
        self._counts = {"pictures_sent": 0, "pictures_left_out": 0, "pictures_not_decoded": 0}
        video.open(self)

    # On the loop.

    def on_image(self, image: Image, now_s: float) -> None:
        """A file came in."""
        arrival = Undecoded(image.payload, image.format)
        self._undecoded.append(arrival)
        if len(self._undecoded) > UNDECODED_BOUND:
            oldest = self._undecoded.popleft()
            self._counts["pictures_not_decoded"] += oldest.data is not None
            oldest.data = None
        self._video.on_picture(InboundPicture(arrival, round(now_s * CLOCK_RATE_HZ), now_s))

    def take(self) -> list[Message]:
        """The newest picture for the client and the mark behind it; nothing while it is behind."""
        if self._sent - self._acknowledged >= AHEAD_BOUND:
            return []
        with self._newest_lock:
            picture, self._newest = self._newest, None
        if picture is None:
            return []
        self._counts["pictures_sent"] += 1
        mark = self._wire.mark(f"{MARK}{self._sent + 1}")
        if mark is None:
            return [picture]
        self._sent += 1
        return [picture, mark]

    def shown(self, name: str) -> bool:
        """The client answers a mark; False when it is none of a picture."""
        number = name.removeprefix(MARK)
        if number == name or not (number.isascii() and number.isdecimal() and len(number) < 16):
            return False
        self._acknowledged = min(self._sent, max(self._acknowledged, int(number)))
        return True

    def close(self) -> None:
        """The connection has ended."""
        self._closed = True

    def stats(self) -> Stats:
        """Counters and gauges, by name."""
        return {**self._counts, "picture_format": self._wire.picture_format}

    # In worker threads.

    def decode(self, arrival: InboundPicture) -> list[Picture]:
        """The picture in a file; none when newer ones came, or it is no good."""
        from fastrtc.errors import CorruptFrame

        file = cast(Undecoded, arrival.data)
        data, file.data = file.data, None
        if data is None:
            return []
        try:
            return [self._decoder.decode(data, file.format)]
        except CorruptFrame as error:
            self._on_loop(self._complain, ValueError(str(error)))
            return []

    def send(self, picture: Picture, rtp_time: int) -> bool:
        """Makes a file of a picture, to be sent unless a newer one comes before its turn. False
        when it takes the place of one that never had its turn: so many fewer are sent."""
        if self._closed:
            return False
        message = self._wire.picture(self._encoder.encode(picture))
        with self._newest_lock:
            replaces = self._newest is not None
            self._newest = message
        self._counts["pictures_left_out"] += replaces
        self._on_loop(self._wake)
        return not replaces

    # Inside.

    def _on_loop(self, fn: Callable[..., object], *args: object) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(fn, *args)
