"""WebRTC: offers in, answers out, and a session's transport over a peer of the media plane.

Per-packet work is the media plane's; this module only translates its events into calls on a
session, and a session's calls into hand-overs.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final

from fastrtc.errors import InvalidCandidate, InvalidSdp, OfferRefused, UnsupportedMedia
from fastrtc.session.shared import Viewer
from fastrtc.transports.base import Allowed
from fastrtc.transports.media_plane import LoopHub, loop_hub, media_plane
from fastrtc.transports.shared_video import Seat
from fastrtc.transports.webrtc_video import WebRTCVideo, load_codecs

if TYPE_CHECKING:
    from fastrtc._core import Peer
    from fastrtc.audio.convert import AudioChunk
    from fastrtc.session.session import Session
    from fastrtc.session.transport import Stats

__all__ = ["PendingConnection", "WebRTCDoor", "WebRTCTransport", "fingerprint_of"]

logger = logging.getLogger("fastrtc")

GATHER_THREADS: Final = 16
"""Offers that may wait for STUN and TURN servers at once; others queue."""
RENEGOTIATION_TIMEOUT_S: Final = 5.0
# Numbers of the events, as fastrtc._core has them; literals because this is per frame.
AUDIO: Final = 0
TEXT: Final = 1
STATE: Final = 2
ANSWER: Final = 3
VIDEO: Final = 4
KEYFRAME_REQUEST: Final = 5
BITRATE: Final = 6
WARNING: Final = 7
QUEUE: Final = 8


def _make_gatherers() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(GATHER_THREADS, thread_name_prefix="fastrtc-offer")


def _start_afresh() -> None:
    """In a forked child: the parent's threads are not there, though its executor counts them."""
    global _gatherers
    _gatherers = _make_gatherers()


_gatherers = _make_gatherers()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_start_afresh)


def fingerprint_of(sdp: str) -> str | None:
    """The DTLS fingerprint of an offer in one spelling, for comparing; None without one.

    Example::

        fingerprint_of(offer_sdp)  # "sha-256 AB:CD:..."
    """
    for line in sdp.splitlines():
        if line.startswith("a=fingerprint:"):
            name, _, digest = line.removeprefix("a=fingerprint:").strip().partition(" ")
            return f"{name.lower()} {digest.strip().upper()}"
    return None


def ice_servers_of(configuration: dict[str, Any] | None) -> list[tuple[str, str, str]]:
    """The servers of an ``RTCConfiguration`` as ``(url, username, credential)``.

    Args:
        configuration: ``{"iceServers": [{"urls": ..., "username": ..., "credential": ...}]}``,
            "urls" one URL or a list.

    Raises:
        ValueError: it has another form.
    """
    servers: Iterable[Any] = (configuration or {}).get("iceServers") or []
    found: list[tuple[str, str, str]] = []
    for server in servers:
        if not isinstance(server, dict) or not (server.get("urls") or server.get("url")):
            raise ValueError(
                "each entry of iceServers is a dict with 'urls', and for TURN 'username' and "
                f"'credential'; received {type(server).__name__} "
                f"{sorted(server) if isinstance(server, dict) else ''}".rstrip()
            )
        urls: Any = server.get("urls") or server.get("url")
        user, password = str(server.get("username", "")), str(server.get("credential", ""))
        found += [(url, user, password) for url in ([urls] if isinstance(urls, str) else urls)]
    return found


class WebRTCDoor:
    """Answers the WebRTC offers of one stream.

    Args:
        allowed: what the stream takes.
    """

    def __init__(self, *, allowed: Allowed) -> None:
        self._allowed = allowed

    async def accept(
        self,
        sdp: str,
        *,
        input_rate_hz: int = 48_000,
        input_channels: int = 1,
        server_rtc_configuration: dict[str, Any] | None = None,
    ) -> PendingConnection:
        """Answers an offer; takes at most 500 ms longer when servers are configured.

        Raises:
            InvalidSdp: it is no offer.
            UnsupportedMedia: it asks for what the stream does not do.
            ConfigurationError: the media plane cannot start.
            ValueError: ``server_rtc_configuration`` has a wrong form.
        """
        servers = ice_servers_of(server_rtc_configuration)
        plane = media_plane()
        hub = loop_hub()
        bitrate = self._allowed.rtp_params.get("maxBitrate")
        from fastrtc._core import OfferError

        def answer() -> Peer:
            if self._allowed.video:
                load_codecs()
            return plane.accept(
                hub.hub,
                sdp,
                audio=self._allowed.audio,
                video=self._allowed.video,
                allow_extra_tracks=self._allowed.allow_extra_tracks,
                rate_hz=input_rate_hz,
                channels=input_channels,
                ice_servers=servers,
                close_after_s=self._allowed.reconnect_timeout_s,
                audio_bitrate_bps=None if bitrate is None or self._allowed.video else int(bitrate),
            )

        try:
            peer = await asyncio.get_running_loop().run_in_executor(_gatherers, answer)
        except OfferError as error:
            raise _refusal(*error.args) from None
        for warning in peer.warnings:
            logger.warning("ICE server gave no address: %s", warning)
        return PendingConnection(peer, hub, None if bitrate is None else int(bitrate))


def _refusal(kind: str, message: str) -> OfferRefused:
    return UnsupportedMedia(message) if kind == "unsupported_media" else InvalidSdp(message)


class PendingConnection:
    """An answered offer that no session has taken yet.

    Attributes:
        answer_sdp: the answer, with all our candidates.
        fingerprint: the client's DTLS fingerprint.
    """

    def __init__(self, peer: Peer, hub: LoopHub, max_bitrate_bps: int | None) -> None:
        self._peer = peer
        self._hub = hub
        self._max_bitrate_bps = max_bitrate_bps
        self.answer_sdp = peer.answer
        self.fingerprint = peer.fingerprint

    def attach(self, session: Session) -> WebRTCTransport:
        """Starts media: from now on events reach the session."""
        return WebRTCTransport(self._peer, self._hub, session, self._max_bitrate_bps)

    def discard(self) -> None:
        """The offer is refused after all."""
        self._peer.close()


def _video_of(
    peer: Peer, session: Session, max_bitrate_bps: int | None
) -> WebRTCVideo | Seat | None:
    """What its pictures are to this session: its own, everybody's, or none."""
    if isinstance(session.handler, Viewer):
        seat = Seat(peer, lambda: session.state == "live", session.loop.time)
        session.handler.seat = seat
        return seat
    if session.video is None:
        return None
    return WebRTCVideo(peer, session.video, session.loop.time, max_bitrate_bps)


class WebRTCTransport:
    """A session's way in and out over one peer of the media plane."""

    name = "webrtc"

    def __init__(
        self, peer: Peer, hub: LoopHub, session: Session, max_bitrate_bps: int | None
    ) -> None:
        self._peer = peer
        self._hub = hub
        self._session = session
        self._answers: dict[int, asyncio.Future[str]] = {}
        self._closed = False
        self._video = _video_of(peer, session, max_bitrate_bps)
        hub.add(peer.id, self)
        peer.start()

    def on_event(self, kind: int, content: Any, detail: Any) -> None:
        """Translates one event of the media plane."""
        session = self._session
        if kind == AUDIO:
            session.on_audio(content, detail)
        elif kind == TEXT:
            session.on_message(content)
        elif kind == STATE:
            if content == "live":
                session.on_live()
            elif content == "disconnected":
                session.on_disconnected()
            else:
                self._end()
                session.on_closed(detail)
        elif kind == ANSWER:
            self._answered(content, *detail)
        elif self._video is not None and kind == VIDEO:
            self._video.on_frame(content, detail)
        elif self._video is not None and kind == KEYFRAME_REQUEST:
            self._video.on_keyframe_request()
        elif self._video is not None and kind == BITRATE:
            self._video.on_bitrate(detail)
        elif self._video is not None and kind == QUEUE:
            self._video.on_queue(*detail)
        elif kind == WARNING:
            logger.warning("session %s: %s", session.id, content)

    def play(self, audio: AudioChunk) -> None:
        """Hands audio to the pacer."""
        if not self._closed:
            self._peer.play(audio.samples, audio.rate_hz, audio.channels)

    @property
    def queued_s(self) -> float:
        """Seconds handed over and not yet sent; 0 after the end."""
        return 0.0 if self._closed else self._peer.queued_s

    @property
    def sent_s(self) -> float:
        """Seconds sent since the last clear."""
        return self._peer.sent_s

    def clear(self) -> float:
        """Drops what is queued; nothing queued before is sent after it."""
        return self._peer.clear()

    def bundle_audio(self, span_s: float) -> None:
        """The media plane holds audio back, and nothing else."""
        self._peer.bundle_audio(span_s)

    def send_message(self, text: str) -> bool:
        """Sends on the data channel, or keeps the text until a channel that was offered opens."""
        return not self._closed and self._peer.send_text(text)

    def close(self, reason: str) -> None:
        """Says goodbye to the client."""
        if not self._closed:
            self._end()
            self._peer.close()
            self._session.on_closed(reason)

    def stats(self) -> Stats:
        """The media plane's counters, renewed every second."""
        found: Stats = dict(self._peer.stats())
        if self._video is not None:
            found.update(self._video.stats())
        return found

    def add_candidate(self, candidate: str) -> None:
        """Takes a trickled candidate.

        Raises:
            InvalidCandidate: it is none.
        """
        try:
            self._peer.add_candidate(candidate)
        except ValueError as error:
            raise InvalidCandidate(str(error)) from None

    async def renegotiate(self, sdp: str) -> str:
        """Answers a later offer of the same client.

        Raises:
            InvalidSdp: it is no offer, or the peer has ended.
            UnsupportedMedia: it asks for what the stream does not do.
        """
        request = self._peer.renegotiate(sdp)
        answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._answers[request] = answer
        try:
            async with asyncio.timeout(RENEGOTIATION_TIMEOUT_S):
                return await answer
        except TimeoutError:
            raise InvalidSdp("the connection ended before the offer was answered") from None
        finally:
            self._answers.pop(request, None)

    def _answered(self, sdp: str | None, request: int, error: tuple[str, str] | None) -> None:
        answer = self._answers.get(request)
        if answer is None or answer.done():
            return
        if sdp is not None:
            if self._video is not None:
                self._video.on_answer(sdp)
            answer.set_result(sdp)
        elif error is not None:
            answer.set_exception(_refusal(*error))

    def _end(self) -> None:
        self._closed = True
        self._hub.remove(self._peer.id)
        if self._video is not None:
            # Not here, because it waits for a picture that is being encoded.
            self._session.lane().call(self._video.close)
        for answer in self._answers.values():
            if not answer.done():
                answer.set_exception(InvalidSdp("the connection ended"))
