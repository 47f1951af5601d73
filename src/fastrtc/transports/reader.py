"""From an accepted WebSocket to the end of its session: who says what, and what follows.

Reads one socket. Refusals and bad messages are answered where the client can read answers, and
counted everywhere; what a session is, and who may have one, is decided elsewhere.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from starlette.websockets import WebSocketDisconnect

from fastrtc.errors import ConcurrencyLimitReached, ConnectionClosed, OfferRefused
from fastrtc.session.factory import SessionFactory
from fastrtc.session.workers import call_sync
from fastrtc.transports.websocket import Socket, SocketTransport
from fastrtc.transports.websocket_video import load_picture_codecs
from fastrtc.wire.browser import MAX_MESSAGE_BYTES, BrowserWire
from fastrtc.wire.events import (
    Dtmf,
    Event,
    Image,
    Message,
    Ping,
    Played,
    Pong,
    Protest,
    Sound,
    Started,
    Stopped,
    Text,
    Unservable,
    Wire,
    WireError,
)
from fastrtc.wire.messages import error_message
from fastrtc.wire.providers import detect

if TYPE_CHECKING:
    from fastrtc.session.session import Session

__all__ = [
    "MAX_BAD_MESSAGES",
    "MAX_MESSAGE_BYTES",
    "START_TIMEOUT_S",
    "refuse_socket",
    "serve_socket",
]

logger = logging.getLogger("fastrtc")

START_TIMEOUT_S: Final = 30.0
MAX_BAD_MESSAGES: Final = 100
"""Messages of one client that may be no good within a minute before it is sent away."""
BAD_WINDOW_S: Final = 60.0
CLOSE_PATIENCE_S: Final = 2.0
STOPPED: Final = "the client said stop"

# RFC 6455, section 7.4.1, and IANA's registry.
POLICY: Final = 1008
TOO_BIG: Final = 1009
INTERNAL: Final = 1011
RESTART: Final = 1012
TRY_LATER: Final = 1013


class _End(Exception):
    """Nothing more is read: the socket is to be closed with this code and reason."""

    def __init__(self, reason: str, code: int = 1000) -> None:
        super().__init__(reason)
        self.reason = reason
        self.code = code


class _Gone(Exception):
    """The client has closed the socket, or lost it."""


async def serve_socket(
    socket: Socket,
    factory: SessionFactory,
    wire: Wire | None,
    *,
    principal: Any = None,
    honours: Callable[[str], bool] | None = None,
) -> None:
    """Serves one accepted WebSocket until it has ended; raises nothing that a client can cause.

    Args:
        socket: Starlette's, accepted; the session's context has it too.
        factory: makes the session.
        wire: the client's protocol; None for a telephone provider that its first messages tell.
        principal: what ``authorize`` returned.
        honours: says whether the ticket in the start admits the client; None to ask for none.
    """
    reader = _Reader(socket, wire)
    try:
        started = await reader.wait_for_start()
        if honours is not None and not honours(started.ticket):
            logger.warning("a call was refused: its stream has no valid ticket of our answer")
            raise _End("not authorized", POLICY)
        if isinstance(reader.wire, BrowserWire) and reader.wire.has_video:
            await call_sync(load_picture_codecs)
        session = await _admit(socket, factory, started, principal)
    except _Gone:
        return
    except _End as end:
        await _close(socket, end)
        return
    except OfferRefused as refusal:
        await refuse_socket(socket, refusal, tell=reader.can_be_answered)
        return
    except Exception:
        logger.exception("a WebSocket session could not begin")
        await _close(socket, _End("the session could not begin", INTERNAL))
        return
    await _serve(socket, reader, session)


async def refuse_socket(socket: Socket, refusal: OfferRefused, *, tell: bool) -> None:
    """Closes an accepted socket for which there is no session.

    Args:
        tell: send the ``failed`` body first, for clients that read it.
    """
    logger.info("WebSocket refused: %s", refusal)
    if tell:
        try:
            await _answer(socket, json.dumps(refusal.body()))
        except _Gone:
            return
    await _close(socket, _End(refusal.code, _close_code(refusal)))


async def _admit(
    socket: Socket, factory: SessionFactory, started: Started, principal: Any
) -> Session:
    factory.check_open()
    handler = await factory.new_handler()
    return factory.admit(started.id, handler, principal=principal, websocket=socket)


async def _serve(socket: Socket, reader: _Reader, session: Session) -> None:
    wire = reader.wire
    assert wire is not None
    try:
        transport = SocketTransport(session, wire, socket)
        session.open(lambda _: transport)
    except Exception:
        logger.exception("session %s could not begin", session.id)
        session.close("the session could not begin")
        await _close(socket, _End("the session could not begin", INTERNAL))
        return
    writing = asyncio.ensure_future(transport.write())
    session.on_live()
    session.on_channel_open()
    reading = asyncio.ensure_future(reader.read(session, transport))
    try:
        await asyncio.wait([reading, writing, transport.ended], return_when=asyncio.FIRST_COMPLETED)
        if reading.done():
            reading.result()
        await asyncio.wait([writing], timeout=CLOSE_PATIENCE_S)
        if writing.done():
            writing.result()
    except Exception:
        logger.exception("session %s: the WebSocket failed", session.id)
        transport.close("internal error", INTERNAL)
        await asyncio.wait([writing], timeout=CLOSE_PATIENCE_S)
    finally:
        transport.close("the server ended the connection")
        reading.cancel()
        writing.cancel()


class _Reader:
    """The messages of one client."""

    def __init__(self, socket: Socket, wire: Wire | None) -> None:
        self.wire = wire
        self._socket = socket
        self._bad = 0
        self._bad_since_s = float("-inf")
        self._was_warned = False

    @property
    def can_be_answered(self) -> bool:
        """Whether the client reads text that is not of its protocol."""
        return self.wire is not None and self.wire.kind == "websocket"

    async def wait_for_start(self) -> Started:
        """The client's start.

        Raises:
            _End: it says goodbye before that, takes too long, talks nonsense, or is a telephone
                that cannot be served: the caller would hear nothing until the time is over.
            _Gone: it leaves.
        """
        try:
            async with asyncio.timeout(START_TIMEOUT_S):
                while True:
                    event = await self._next_before_start()
                    if isinstance(event, Started):
                        return event
                    if isinstance(event, Stopped):
                        raise _End(STOPPED)
                    if isinstance(event, Protest):
                        self._warn(event.text)
                    if isinstance(event, Ping) and self.wire is not None:
                        await _answer(self._socket, self.wire.pong())
        except TimeoutError:
            raise _End(f"no start within {START_TIMEOUT_S:g} s", POLICY) from None

    async def _next_before_start(self) -> Event | None:
        message = await self._receive()
        try:
            if self.wire is None:
                self.wire = detect(message)
            return None if self.wire is None else self.wire.parse(message)
        except WireError as error:
            if isinstance(error, Unservable) or (self.wire and not self.can_be_answered):
                logger.error("a telephone's stream cannot be served: %s", error)
                raise _End(f"cannot be served: {error}", POLICY) from None
            await _answer(self._socket, self._complaint(error))
            return None

    async def read(self, session: Session, transport: SocketTransport) -> None:
        """Hands everything to the session until the client or the session ends."""
        wire = self.wire
        assert wire is not None
        transport.on_bad_picture = partial(self._complain, transport)
        try:
            while session.state != "closed":
                message = await self._receive()
                transport.heard(message)
                try:
                    event = wire.parse(message)
                    if isinstance(event, Protest):
                        self._warn(event.text)
                    else:
                        _hand_over(event, session, transport)
                except ValueError as error:
                    self._complain(transport, error)
        except _Gone:
            transport.close("the client left")
        except _End as end:
            transport.close(end.reason, end.code)

    async def _receive(self) -> Message:
        try:
            received = await self._socket.receive()
        except (OSError, RuntimeError, WebSocketDisconnect) as error:
            raise _Gone from error
        if received["type"] != "websocket.receive":
            raise _Gone
        text = received.get("text")
        message: Message = received.get("bytes") or b"" if text is None else text
        wire = self.wire
        longest = wire.max_message_bytes if isinstance(wire, BrowserWire) else MAX_MESSAGE_BYTES
        if len(message) > longest:
            raise _End(f"a message is larger than {longest} bytes", TOO_BIG)
        return message

    def _complain(self, transport: SocketTransport, error: Exception) -> None:
        try:
            complaint = self._complaint(error)
        except _End as end:
            transport.close(end.reason, end.code)
            return
        if complaint is not None:
            transport.send_message(complaint)

    def _complaint(self, error: Exception) -> str | None:
        """What the client is told about a bad message; None if it cannot read it.

        Raises:
            _End: there were too many.
        """
        now_s = asyncio.get_running_loop().time()
        if now_s - self._bad_since_s > BAD_WINDOW_S:
            self._bad, self._bad_since_s = 0, now_s
        self._bad += 1
        if self._bad >= MAX_BAD_MESSAGES:
            raise _End(f"{MAX_BAD_MESSAGES} bad messages, the last: {error}", POLICY)
        if self.can_be_answered:
            return error_message(str(error))
        self._warn(f"bad message on a telephone's WebSocket: {error}")
        return None

    def _warn(self, text: str) -> None:
        """Logs what a telephone's provider does wrong, or complains of: the first time only."""
        if not self._was_warned:
            self._was_warned = True
            logger.warning("%s", text)


def _hand_over(event: Event | None, session: Session, transport: SocketTransport) -> None:
    if isinstance(event, Sound):
        transport.on_sound(event.payload)
    elif isinstance(event, Image):
        transport.on_image(event)
    elif isinstance(event, Text):
        session.on_message(event.text)
    elif isinstance(event, Dtmf):
        session.on_dtmf(event.digit)
    elif isinstance(event, Played):
        transport.on_played(event.name)
    elif isinstance(event, Ping):
        transport.on_ping()
    elif isinstance(event, Pong):
        transport.on_pong()
    elif isinstance(event, Started):
        raise WireError("a second start: open another WebSocket for another session")
    elif isinstance(event, Stopped):
        raise _End(STOPPED)


def _close_code(refusal: OfferRefused) -> int:
    if isinstance(refusal, ConcurrencyLimitReached):
        return TRY_LATER
    return RESTART if isinstance(refusal, ConnectionClosed) else POLICY


async def _answer(socket: Socket, message: Message | None) -> None:
    """Sends before there is a session.

    Raises:
        _Gone: the client is.
    """
    if message is None:
        return
    try:
        if isinstance(message, str):
            await socket.send_text(message)
        else:
            await socket.send_bytes(message)
    except (OSError, RuntimeError, WebSocketDisconnect) as error:
        raise _Gone from error


async def _close(socket: Socket, end: _End) -> None:
    reason = end.reason.encode(errors="replace")[:120].decode(errors="ignore")
    try:
        await socket.close(end.code, reason)
    except (OSError, RuntimeError, WebSocketDisconnect):
        logger.debug("a WebSocket was gone before it could be closed: %s", end.reason)
