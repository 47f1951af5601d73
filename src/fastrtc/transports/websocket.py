"""A session over one WebSocket: of a page, an app, or a telephone provider.

Carries bytes and keeps time. What messages mean is ``wire/``; who may connect is ``server/``.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np
from starlette.websockets import WebSocketDisconnect

from fastrtc.audio.codecs import AudioFormat, decoder, encoder
from fastrtc.audio.rates import Resampler
from fastrtc.transports.beat import Alarm, beat_of
from fastrtc.transports.pacing import Pacer
from fastrtc.transports.stepping import Rest, begin
from fastrtc.transports.websocket_video import SocketVideo
from fastrtc.wire.browser import BrowserWire
from fastrtc.wire.events import Image, Message, Wire

if TYPE_CHECKING:
    from fastrtc.audio.convert import AudioChunk
    from fastrtc.session.session import Session
    from fastrtc.session.transport import Stats

__all__ = ["LEAD_S", "PHONE_LEAD_S", "PING_S", "Socket", "SocketTransport"]

logger = logging.getLogger("fastrtc")

LEAD_S: Final = 0.1
"""How far ahead of real time audio leaves for a page or an app."""
PHONE_LEAD_S: Final = 0.2
"""The same for a telephone provider, whose buffer we can clear."""
MARK_EVERY_S: Final = 0.2
PING_S: Final = 15.0
"""A client that was not heard for this long is asked whether it is there..."""
SILENCE_LIMIT_S: Final = 45.0
"""...and one that is known to answer, or to send all the time, is given up after this long."""
IDLE_LIMIT_S: Final = 300.0
"""A connection on which neither side has said anything for this long is given up; our pings do not
count, the client's do."""
TIMER_SLACK_S: Final = 1.0
STALL_LIMIT_S: Final = 30.0
"""A client that takes nothing for this long while something is sent is given up."""
FASTEST: Final = 4.0
"""Seconds of audio a second that a client may send for long..."""
AHEAD_S: Final = 60.0
"""...and how many it may be ahead of that, after a stall or with a recording."""
MESSAGE_S: Final = 0.001
"""What a message counts for besides its audio..."""
PICTURE_S: Final = 1 / 30
"""...and what a picture does."""
TEXTS_BOUND: Final = 256
GONE: Final = (OSError, RuntimeError, WebSocketDisconnect)
"""What sending to a client that has gone raises; Starlette has a RuntimeError for a closed one."""
LONGEST_REASON_BYTES: Final = 120
"""A close frame takes 123 (RFC 6455, section 5.5)."""


class Socket(Protocol):
    """What this module asks of a WebSocket: Starlette's, accepted."""

    async def receive(self) -> Any: ...
    async def send_text(self, data: str) -> None: ...
    async def send_bytes(self, data: bytes) -> None: ...
    async def close(self, code: int = 1000, reason: str | None = None) -> None: ...


class SocketTransport:
    """One session's way in and out. :meth:`write` has to run as long as it lives.

    Args:
        session: whom it serves.
        wire: the client's protocol, started.
        socket: accepted.
    """

    def __init__(self, session: Session, wire: Wire, socket: Socket) -> None:
        assert wire.heard is not None
        assert wire.said is not None
        self.name: str = wire.kind
        self._session = session
        self._wire = wire
        self._socket = socket
        self._loop = session.loop
        handler = session.handler
        self._hear = _Ears(
            wire.heard, handler.input_sample_rate, 2 if handler.expected_layout == "stereo" else 1
        )
        self._said = wire.said
        self._encode = encoder(wire.said)
        self._resampler = Resampler(wire.said.rate_hz, wire.said.rate_hz)
        self._pacer = Pacer(
            wire.said.rate_hz,
            frame_s=wire.frame_s,
            lead_s=max(PHONE_LEAD_S if wire.kind == "phone" else LEAD_S, 2 * wire.frame_s),
            whole_frames=wire.whole_frames,
        )
        self._video = (
            SocketVideo(session.video, wire, self._loop, self._wake, self._bad_picture)
            if session.video is not None and isinstance(wire, BrowserWire)
            else None
        )
        self.on_bad_picture: Callable[[ValueError], None] = self._ignore
        """Called with what a picture turned out to be; set by whoever reads the socket."""
        self._texts: deque[Message] = deque()
        self._waker: asyncio.Future[None] | None = None
        self._unfinished: Rest | None = None
        self._failure: Exception | None = None
        self._beat = beat_of(self._loop)
        self._alarm: Alarm | asyncio.TimerHandle | None = None
        self._alarm_at_s = 0.0
        self._closed = False
        self._reason = ""
        self._code = 1000
        self._unmarked_s = 0.0
        self._marks = 0
        self.ended: asyncio.Future[None] = self._loop.create_future()
        """Done once :meth:`close` was called."""
        self._credit_s = AHEAD_S
        self._heard_at_s = self._said_at_s = self._sending_since_s = self._loop.time()
        self._is_sending = False
        self._watch = self._loop.call_later(PING_S, self._check_alive)
        self._always_heard = wire.kind == "phone"
        self._counts = {
            "messages_sent": 0,
            "bytes_sent": 0,
            "messages_received": 0,
            "bytes_received": 0,
            "frames_sent": 0,
        }

    # What the session calls.

    def play(self, audio: AudioChunk) -> None:
        """Takes audio to send in real time."""
        if self._closed:
            return
        samples, rate_hz, channels = audio
        if channels == 2:
            samples = (samples.reshape(-1, 2).sum(axis=1, dtype=np.int32) >> 1).astype(np.int16)
        if rate_hz != self._resampler.from_hz:
            self._change_rate(rate_hz)
        samples = self._resampler.push(samples)
        # The handler may fill its array anew.
        owned = samples.copy() if samples is audio.samples else samples
        now_s = self._loop.time()
        self._pacer.push(owned, now_s)
        self._send_due(now_s)

    @property
    def queued_s(self) -> float:
        """Seconds that the client has not played yet; 0 after the end."""
        return 0.0 if self._closed else self._pacer.queued_s(self._loop.time())

    @property
    def sent_s(self) -> float:
        """Seconds that the client played since the last clear, as far as we can know."""
        return self._pacer.sent_s(self._loop.time())

    def clear(self) -> float:
        """Drops what is queued, here and at the client."""
        now_s = self._loop.time()
        played_any = self._pacer.is_used
        sent_s = self._pacer.clear(now_s)
        # A frame may be on its way out at this moment: no mark is to follow it.
        self._unmarked_s = 0.0
        self._resampler = Resampler(self._resampler.from_hz, self._said.rate_hz)
        if played_any:
            self._signal(self._wire.clear())
        return sent_s

    def bundle_audio(self, span_s: float) -> None:
        """Each message wakes the loop, whatever becomes of it."""

    def send_message(self, text: str) -> bool:
        """Sends text; a telephone has nobody to read it, so it is dropped there."""
        if self._closed:
            return False
        if self._wire.kind == "phone":
            return True
        if len(self._texts) >= TEXTS_BOUND:
            return False
        self._said_at_s = self._loop.time()
        self._send_soon(text)
        return True

    def close(self, reason: str, code: int = 1000) -> None:
        """Ends the connection once the messages that wait are sent; idempotent."""
        if not self._closed:
            self._closed = True
            self._reason, self._code = reason, code
            self._watch.cancel()
            if self._alarm is not None:
                self._alarm.cancel()
            if self._video is not None:
                self._video.close()
            self.ended.set_result(None)
            self._wake()
            # First: the session still reads how much was sent.
            self._session.on_closed(reason)
            self._pacer.clear(self._loop.time())

    def stats(self) -> Stats:
        """What went in and out."""
        return {
            **self._counts,
            **({} if self._video is None else self._video.stats()),
            "bytes_queued": sum(map(len, self._texts)),
            "queued_s": self.queued_s,
            "skipped_s": self._pacer.skipped_s,
            "encoding": self._said.encoding,
        }

    # What whoever reads the socket calls.

    def heard(self, message: Message) -> None:
        """Something came from the client."""
        now_s = self._loop.time()
        self._credit_s = min(AHEAD_S, self._credit_s + (now_s - self._heard_at_s) * FASTEST)
        self._heard_at_s = now_s
        self._spend(MESSAGE_S)
        self._counts["messages_received"] += 1
        self._counts["bytes_received"] += len(message)

    def on_sound(self, payload: bytes) -> None:
        """Audio came.

        Raises:
            ValueError: it cannot be audio of the agreed encoding.
        """
        samples = self._hear(payload)
        self._spend(len(samples) / self._hear.bytes_per_s)
        if samples and not self._closed:
            self._session.on_audio(samples, self._hear.rate_hz)

    def on_image(self, image: Image) -> None:
        """A picture came."""
        self._spend(PICTURE_S)
        if self._video is not None and not self._closed:
            self._video.on_image(image, self._loop.time())

    def on_played(self, name: str) -> None:
        """The client tells what it has played, or shown."""
        if self._video is not None and self._video.shown(name):
            self._wake()
            return
        self._pacer.played(name, self._loop.time())

    def on_ping(self) -> None:
        """The client asks whether we are there."""
        if not self._closed and len(self._texts) < TEXTS_BOUND:
            self._signal(self._wire.pong())

    def on_pong(self) -> None:
        """The client answers pings: from now on its silence tells."""
        self._always_heard = True

    async def write(self) -> None:
        """Sends what :meth:`play` cannot send at once, until the end; then closes the socket."""
        try:
            while True:
                if self._failure is not None:
                    raise self._failure
                if self._unfinished is not None:
                    unfinished, self._unfinished = self._unfinished, None
                    await unfinished
                    continue
                if self._texts:
                    await self._send(self._texts.popleft())
                    continue
                if self._closed:
                    break
                now_s = self._loop.time()
                self._send_due(now_s)
                if self._unfinished is not None or self._failure is not None:
                    continue
                if self._video is not None and (messages := self._video.take()):
                    self._said_at_s = now_s
                    for message in messages:
                        await self._send(message)
                    continue
                self._waker = self._loop.create_future()
                await self._waker
            reason = self._reason.encode(errors="replace")[:LONGEST_REASON_BYTES]
            await self._socket.close(self._code, reason.decode(errors="ignore"))
        except GONE as error:
            logger.debug("session %s: the socket is gone: %r", self._session.id, error)
            self._texts.clear()
            self.close("the client is gone")

    # Inside.

    def _bad_picture(self, error: ValueError) -> None:
        self.on_bad_picture(error)

    def _ignore(self, error: ValueError) -> None:
        logger.debug("session %s: %s", self._session.id, error)

    def _spend(self, audio_s: float) -> None:
        """Gives up a client that is so fast that others would have to wait."""
        self._credit_s -= audio_s
        if self._credit_s < 0:
            self.close(f"more than {FASTEST:g} seconds of media a second", 1008)

    def _send_due(self, now_s: float) -> None:
        """Sends the audio that is due in the caller's own step: a socket that has room takes it
        without waiting, and to wake the writer for it would cost as much as the sending."""
        while not (self._is_sending or self._texts or self._closed):
            due_s = self._pacer.due_in(now_s)
            if due_s is None:
                return
            if due_s > 0:
                self._set_alarm(now_s + due_s)
                return
            try:
                self._unfinished = begin(self._send_frame(now_s))
            except Exception as error:  # noqa: BLE001 - raised where the session can end of it
                # Who plays does not expect the session to end meanwhile.
                self._is_sending, self._failure = True, error
                self._wake()
                return
            if self._unfinished is not None:
                self._wake()

    def _set_alarm(self, at_s: float) -> None:
        if self._alarm is not None:
            if self._alarm_at_s <= at_s:
                return
            self._alarm.cancel()
        clock = self._beat if self._pacer.has_frame else self._loop
        self._alarm, self._alarm_at_s = clock.call_at(at_s, self._on_alarm), at_s

    def _on_alarm(self) -> None:
        self._alarm = None
        self._send_due(self._loop.time())

    async def _send_frame(self, now_s: float) -> None:
        frame = self._pacer.take(now_s)
        self._counts["frames_sent"] += 1
        self._said_at_s = now_s
        self._unmarked_s += len(frame) / self._said.rate_hz
        await self._send(self._wire.sound(self._encode(frame)))
        if self._unmarked_s >= MARK_EVERY_S and not self._closed:
            self._unmarked_s = 0.0
            self._marks += 1
            name = f"fastrtc-{self._marks}"
            mark = self._wire.mark(name)
            if mark is not None:
                self._pacer.marked(name)
                await self._send(mark)

    async def _send(self, message: Message) -> None:
        self._counts["messages_sent"] += 1
        self._counts["bytes_sent"] += len(message)
        self._is_sending, self._sending_since_s = True, self._loop.time()
        if isinstance(message, str):
            await self._socket.send_text(message)
        else:
            await self._socket.send_bytes(message)
        self._is_sending = False

    def _send_soon(self, message: Message) -> None:
        self._texts.append(message)
        self._wake()

    def _signal(self, message: Message | None) -> None:
        """Sends a clear, a ping or a pong, of which one in a row is as good as many."""
        if message is not None and (not self._texts or self._texts[-1] != message):
            self._send_soon(message)

    def _wake(self) -> None:
        waker, self._waker = self._waker, None
        if waker is not None and not waker.done():
            waker.set_result(None)

    def _check_alive(self) -> None:
        """Every 15 s: asks a silent client whether it is there, gives up one that is of no use."""
        now_s = self._loop.time()
        silent_s = now_s - self._heard_at_s
        if self._always_heard and silent_s >= SILENCE_LIMIT_S:
            self.close(f"nothing heard for {SILENCE_LIMIT_S:g} s", 1011)
            return
        if self._is_sending and now_s - self._sending_since_s >= STALL_LIMIT_S:
            self.close(f"the client took nothing for {STALL_LIMIT_S:g} s", 1011)
            return
        if now_s - max(self._heard_at_s, self._said_at_s) >= IDLE_LIMIT_S:
            self.close(f"idle for {IDLE_LIMIT_S:g} s", 1008)
            return
        self._watch = self._loop.call_later(PING_S, self._check_alive)
        if silent_s >= PING_S - TIMER_SLACK_S:
            self._signal(self._wire.ping())

    def _change_rate(self, rate_hz: int) -> None:
        changed = Resampler(rate_hz, self._said.rate_hz)
        self._pacer.push(self._resampler.flush(), self._loop.time())
        self._resampler = changed


class _Ears:
    """What a client says, as its handler wants it."""

    def __init__(self, form: AudioFormat, rate_hz: int, channels: int) -> None:
        self.rate_hz = rate_hz
        self.bytes_per_s = rate_hz * channels * 2
        self._decode = decoder(form)
        self._resampler = Resampler(form.rate_hz, rate_hz)
        self._channels = channels

    def __call__(self, payload: bytes) -> bytearray:
        samples = self._resampler.push(self._decode(payload))
        if self._channels == 2:
            samples = np.repeat(samples, 2)
        return bytearray(samples.tobytes())
