"""Offers and candidates for one stream: checked, answered, and joined to sessions.

Takes validated bodies and returns bodies, or raises what refuses them; HTTP is in routes.py. An
answer is ready before a slot is taken, so nothing that fails here holds one.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import time
import weakref
from collections import Counter
from collections.abc import Callable, Coroutine
from typing import Any, Final, Protocol, TypeAlias, TypeVar, cast

from fastrtc.errors import (
    ConnectionAlreadyExists,
    ConnectionClosed,
    InvalidCandidate,
    UnknownConnection,
    UnsupportedMedia,
)
from fastrtc.handlers.signature import is_async_callable
from fastrtc.server.candidates import EarlyCandidates
from fastrtc.server.schemas import Body
from fastrtc.session.factory import SessionFactory
from fastrtc.session.session import Session
from fastrtc.session.workers import call_sync
from fastrtc.transports.base import Allowed, Transport
from fastrtc.transports.webrtc import WebRTCDoor, fingerprint_of
from fastrtc.types import StreamMode

__all__ = ["UNWRITTEN", "Door", "Offers", "PendingConnection", "ServerConfiguration", "resolve"]

logger = logging.getLogger("fastrtc")
T = TypeVar("T")

GOODBYE: Final = "the client said goodbye"
GIVEN_UP_BOUND: Final = 256
UNWRITTEN: Final = "this stream was made with ... instead of a handler"

ServerConfiguration: TypeAlias = dict[str, Any] | Callable[[], Any] | None


class WebRTCTransport(Transport, Protocol):
    """A transport that signalling can talk to later on."""

    def add_candidate(self, candidate: str) -> None: ...
    async def renegotiate(self, sdp: str) -> str: ...


class PendingConnection(Protocol):
    """An answered offer that holds no slot yet."""

    answer_sdp: str
    fingerprint: str

    def attach(self, session: Session) -> WebRTCTransport: ...
    def discard(self) -> None: ...


class Door(Protocol):
    """What answers offers: ``transports/webrtc.py``, or a double in tests."""

    async def accept(
        self,
        sdp: str,
        *,
        input_rate_hz: int,
        input_channels: int,
        server_rtc_configuration: dict[str, Any] | None,
    ) -> PendingConnection: ...


class Offers:
    """The signalling of one stream.

    Args:
        factory: makes the sessions.
        allowed: what media the stream takes.
        server_rtc_configuration: for our side of each connection; a callable is asked each time.
        door: what answers offers; None for WebRTC's own.
        mode: directions of these clients, where they use fewer than the stream has.
    """

    def __init__(
        self,
        factory: SessionFactory,
        allowed: Allowed,
        server_rtc_configuration: ServerConfiguration = None,
        door: Door | None = None,
        mode: StreamMode | None = None,
    ) -> None:
        self._factory = factory
        self._mode: StreamMode | None = mode
        self._server_rtc_configuration = server_rtc_configuration
        self._door: Door = WebRTCDoor(allowed=allowed) if door is None else door
        self._early = EarlyCandidates()
        self._accepting: Counter[str] = Counter()
        self._given_up: set[tuple[str, str]] = set()
        """Ids and fingerprints of offers that are being answered to nobody."""
        # Not their transports, which hold the sessions: then none would ever be forgotten.
        self._fingerprints: weakref.WeakKeyDictionary[Session, str] = weakref.WeakKeyDictionary()

    async def handle(self, body: Body, principal: Any = None) -> dict[str, Any]:
        """Answers one request.

        Raises:
            OfferRefused: one of its kinds, to be answered with its ``body()``.
        """
        if body.type == "ice-candidate":
            return await self._candidate(body.webrtc_id, body.candidate)
        sdp = body.sdp or ""
        session = self._factory.registry.get(body.webrtc_id)
        if body.type == "bye":
            return await self._bye(body.webrtc_id, session, sdp)
        if session is not None:
            return _answer(await self._renegotiate(session, sdp))
        return _answer(await self._accept(body.webrtc_id, sdp, principal))

    def made(self, webrtc_id: str) -> bool:
        """Whether a session of this id lives and came by one of these offers."""
        session = self._factory.registry.get(webrtc_id)
        return session is not None and session in self._fingerprints

    async def _accept(self, webrtc_id: str, sdp: str, principal: Any) -> str:
        self._accepting[webrtc_id] += 1
        try:
            return await self._answer(webrtc_id, sdp, principal)
        finally:
            self._accepting -= Counter((webrtc_id,))
            if not self._accepting[webrtc_id]:
                self._given_up = {gone for gone in self._given_up if gone[0] != webrtc_id}

    async def _answer(self, webrtc_id: str, sdp: str, principal: Any) -> str:
        factory = self._factory
        factory.check_open()
        prototype = factory.prototype
        configuration = await resolve(self._server_rtc_configuration)
        pending = await self._door.accept(
            sdp,
            input_rate_hz=prototype.input_sample_rate,
            input_channels=2 if prototype.expected_layout == "stereo" else 1,
            server_rtc_configuration=configuration,
        )
        try:
            handler = await factory.new_handler()
            session = factory.admit(webrtc_id, handler, principal=principal, mode=self._mode)
        except BaseException:
            pending.discard()
            raise
        try:
            session.open(pending.attach)
        except BaseException:
            session.close("the connection could not be started")
            pending.discard()
            raise
        self._fingerprints[session] = pending.fingerprint
        transport = _transport_of(session)
        for candidate in self._early.take(webrtc_id, time.monotonic()):
            try:
                transport.add_candidate(candidate)
            except InvalidCandidate as error:
                logger.info("session %s: early candidate ignored: %s", webrtc_id, error)
        if (webrtc_id, pending.fingerprint) in self._given_up:
            session.close(GOODBYE)
        return pending.answer_sdp

    async def _renegotiate(self, session: Session, sdp: str) -> str:
        known = self._fingerprints.get(session)
        if known is None or fingerprint_of(sdp) != known:
            raise ConnectionAlreadyExists(session.id)
        return await _on_loop_of(session, _transport_of(session).renegotiate(sdp))

    async def _bye(self, webrtc_id: str, session: Session | None, sdp: str) -> dict[str, Any]:
        """Ends a connection, whatever its state: media may be lost, or may never have come, and
        then its place would be taken until it times out. One that has ended already is fine."""
        proof = fingerprint_of(sdp)
        if session is None:
            if self._accepting[webrtc_id] and proof and len(self._given_up) < GIVEN_UP_BOUND:
                self._given_up.add((webrtc_id, proof))
            elif not self._factory.registry.was_closed(webrtc_id):
                raise UnknownConnection(webrtc_id)
            return {"status": "success"}
        known = self._fingerprints.get(session)
        if known is None or proof != known:
            raise UnknownConnection(webrtc_id)

        async def end() -> None:
            session.close(GOODBYE)

        await _on_loop_of(session, end())
        return {"status": "success"}

    async def _candidate(self, webrtc_id: str, init: dict[str, Any] | None) -> dict[str, Any]:
        text = candidate_text(init)
        session = self._factory.registry.get(webrtc_id)
        if session is None:
            if self._factory.registry.was_closed(webrtc_id) and not self._accepting[webrtc_id]:
                raise ConnectionClosed(f"connection {webrtc_id!r} has ended")
            if not self._early.hold(webrtc_id, text, time.monotonic()):
                raise UnknownConnection(webrtc_id)
        elif session not in self._fingerprints:
            raise UnknownConnection(webrtc_id)
        else:

            async def add() -> None:
                _transport_of(session).add_candidate(text)

            await _on_loop_of(session, add())
        return {"status": "success"}


class NoHandlerYet:
    """The door of ``Stream(...)``, whose handler is still to be written: refuses every offer."""

    async def accept(self, sdp: str, **_: Any) -> PendingConnection:
        raise UnsupportedMedia(UNWRITTEN)


def candidate_text(init: dict[str, Any] | None) -> str:
    """The candidate of an ``RTCIceCandidateInit`` with its ufrag; "" for end of candidates.

    Raises:
        InvalidCandidate: there is no text in it.
    """
    text = "" if init is None else init.get("candidate", "")
    if text is None:
        return ""
    if not isinstance(text, str):
        raise InvalidCandidate(f"candidate is a {type(text).__name__}, not text")
    ufrag = None if init is None else init.get("usernameFragment")
    if text and isinstance(ufrag, str) and ufrag and " ufrag " not in text:
        text = f"{text} ufrag {ufrag}"
    return text


async def resolve(configuration: Any) -> Any:
    """A configuration as a value: a callable is called, sync ones in a worker thread."""
    if callable(configuration):
        if is_async_callable(configuration):
            configuration = configuration()
        else:
            configuration = await call_sync(configuration)
        if inspect.isawaitable(configuration):
            configuration = await configuration
    return configuration


async def _on_loop_of(session: Session, coroutine: Coroutine[Any, Any, T]) -> T:
    if session.loop is asyncio.get_running_loop():
        return await coroutine
    return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(coroutine, session.loop))


def _transport_of(session: Session) -> WebRTCTransport:
    """The transport of a session that came by an offer."""
    return cast(WebRTCTransport, session.transport)


def _answer(sdp: str) -> dict[str, Any]:
    return {"sdp": sdp, "type": "answer"}
