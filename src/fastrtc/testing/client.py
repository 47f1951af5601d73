"""A client of a Stream in memory: speaks, listens, sends messages, comes and goes.

Joins the stream's session the way a network transport does; decides nothing about the handler.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from types import TracebackType
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from fastrtc.errors import HandlerError
from fastrtc.handlers.base import StreamHandlerBase
from fastrtc.session.frame_clock import CLOCK_RATE_HZ
from fastrtc.session.session import Session
from fastrtc.session.transport import InboundPicture
from fastrtc.stream import Stream
from fastrtc.transports.memory import MemoryTransport, Played, Shown

__all__ = ["MemoryClient"]

FRAME_S = 0.02


class MemoryClient:
    """One client of a stream, as an async context manager: connected inside the block.

    Args:
        stream: its handler is copied and run as for any other client.
        webrtc_id: the client's name.
        principal: what ``authorize`` would have returned.

    Attributes:
        messages: everything the client was sent, parsed.
        session: its session.

    Raises:
        OfferRefused: on entering, when the stream has no room for it.
    """

    def __init__(
        self, stream: Stream, webrtc_id: str = "memory-client", *, principal: Any = None
    ) -> None:
        self.messages: list[dict[str, Any]] = []
        self.session: Session
        self._stream = stream
        self._webrtc_id = webrtc_id
        self._principal = principal
        self._transport: MemoryTransport
        self._news = asyncio.Event()

    async def __aenter__(self) -> Self:
        await self.connect()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    @property
    def handler(self) -> StreamHandlerBase:
        """The handler that serves this client."""
        return self.session.handler

    @property
    def state(self) -> str:
        """The session's state."""
        return self.session.state

    async def connect(self) -> None:
        """Makes the session, and has it live."""
        factory = self._stream.factory
        factory.check_open()
        handler = await factory.new_handler()
        self.session = factory.admit(self._webrtc_id, handler, principal=self._principal)
        self.session.open(self._attach)
        self.session.on_live()
        await asyncio.sleep(0)

    async def send_audio(self, samples: npt.NDArray[np.int16]) -> None:
        """Says something in real (virtual) time: a frame of 20 ms each 20 ms.

        Args:
            samples: int16 at the handler's input rate; shape ``(n,)`` or ``(1, n)``, interleaved
                for a stereo handler. The last frame may be shorter.

        Raises:
            TypeError: the samples are not int16.
        """
        if samples.dtype != np.int16:
            raise TypeError(f"samples have dtype {samples.dtype}; allowed: int16")
        handler = self.handler
        channels = 2 if handler.expected_layout == "stereo" else 1
        frame = round(handler.input_sample_rate * FRAME_S) * channels
        flat = samples.reshape(-1)
        loop = self.session.loop
        start_s = loop.time()
        for number, first in enumerate(range(0, len(flat), frame), start=1):
            if self.session.state == "closed":
                return
            data = bytearray(np.ascontiguousarray(flat[first : first + frame]).tobytes())
            self.session.on_audio(data, handler.input_sample_rate)
            await asyncio.sleep(start_s + number * FRAME_S - loop.time())

    async def send_silence(self, duration_s: float) -> None:
        """Says nothing for a while, as a microphone does: frames of zeros."""
        channels = 2 if self.handler.expected_layout == "stereo" else 1
        length = round(duration_s * self.handler.input_sample_rate) * channels
        await self.send_audio(np.zeros(length, np.int16))

    async def send_video(
        self, pictures: Iterable[npt.NDArray[np.uint8]], fps: float = 30.0
    ) -> None:
        """Shows something in real (virtual) time, ``fps`` pictures each second.

        No codec stands between: the handler gets what a perfect one would leave.

        Args:
            pictures: uint8 of shape ``(height, width, 3)`` in BGR order.
            fps: pictures per second.

        Raises:
            HandlerError: the stream has no video.
            OutputError: a picture is of another form.
        """
        from fastrtc.video.picture import Picture

        video = self.session.video
        if video is None:
            raise HandlerError("the stream has no video; its modality is 'audio'")
        loop = self.session.loop
        start_s = loop.time()
        for number, picture in enumerate(pictures, start=1):
            if self.session.state == "closed":
                return
            rtp_time = round(loop.time() * CLOCK_RATE_HZ)
            data = Picture.from_array(picture, "bgr24")
            video.on_picture(InboundPicture(data, rtp_time, loop.time()))
            await asyncio.sleep(start_s + number / fps - loop.time())

    async def send_message(self, message: str | dict[str, Any]) -> None:
        """Sends text, or a dict as JSON, over the data channel."""
        self.session.on_message(message if isinstance(message, str) else json.dumps(message))
        await asyncio.sleep(0)

    async def listen(self, duration_s: float) -> None:
        """Lets time pass."""
        await asyncio.sleep(duration_s)

    async def wait_for_message(self, type: str, timeout_s: float = 60.0) -> dict[str, Any]:  # noqa: A002
        """The first message of this type, once it has come.

        Raises:
            TimeoutError: it did not come in time.
        """
        async with asyncio.timeout(timeout_s):
            while True:
                for message in self.messages:
                    if message.get("type") == type:
                        return message
                self._news.clear()
                await self._news.wait()

    async def wait_closed(self, timeout_s: float = 60.0) -> None:
        """Returns once the session is closed and its handler was shut down.

        Raises:
            TimeoutError: it did not close in time.
        """
        async with asyncio.timeout(timeout_s):
            while self.session.state != "closed":
                self._news.clear()
                await self._news.wait()
            await self.session.wait_ended()

    @property
    def played(self) -> list[Played]:
        """The timeline of what the client heard and, at its end, will hear if nothing clears it."""
        return self._transport.played

    def heard(self) -> npt.NDArray[np.int16]:
        """All samples sent to the client up to now, joined without the pauses between them."""
        now_s = self.session.loop.time()
        parts = []
        for played in self.played:
            share = min(1.0, (now_s - played.at_s) / max(played.audio.duration_s, 1e-9))
            if share > 0:
                frames = round(share * len(played.audio.samples) / played.audio.channels)
                parts.append(played.audio.samples[: frames * played.audio.channels])
        return np.concatenate(parts) if parts else np.zeros(0, np.int16)

    @property
    def shown(self) -> list[Shown]:
        """All pictures that the client was sent."""
        return self._transport.shown

    def seen(self) -> list[npt.NDArray[np.uint8]]:
        """:attr:`shown` as arrays: uint8 of shape ``(height, width, 3)`` in BGR order."""
        return [shown.picture.to_array("bgr24") for shown in self.shown]

    async def disconnect(self) -> None:
        """Vanishes without a word, as in a tunnel."""
        self.session.on_disconnected()
        await asyncio.sleep(0)

    async def reconnect(self) -> None:
        """Is heard again."""
        self.session.on_reconnected()
        await asyncio.sleep(0)

    async def close(self) -> None:
        """Says goodbye, and waits until the handler was shut down. Idempotent."""
        self._transport.close("closed by the client")
        await self.session.wait_ended()

    def _attach(self, session: Session) -> MemoryTransport:
        self._transport = MemoryTransport(session, self._take, self._news.set)
        return self._transport

    def _take(self, text: str) -> None:
        self.messages.append(json.loads(text))
        self._news.set()
