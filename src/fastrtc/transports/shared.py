"""What a shared stream's session plays, on its way to many WebRTC peers: encoded once for all.

Audio is paced and encoded by a thread of the media plane, which hands the packets to each peer;
pictures are :mod:`fastrtc.transports.shared_video`'s. Who watches, and when there is anything to
watch, is decided elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from fastrtc.transports.base import Allowed
from fastrtc.transports.media_plane import audio_broadcast
from fastrtc.transports.shared_video import Seat, SharedVideo

if TYPE_CHECKING:
    from fastrtc.audio.convert import AudioChunk
    from fastrtc.session.session import Session
    from fastrtc.session.transport import Stats

__all__ = ["SharedTransport", "broadcast_of"]


def broadcast_of(allowed: Allowed) -> Callable[[Session, Callable[[str], None]], SharedTransport]:
    """Makes the transports of what the viewers of one stream watch."""

    def open_broadcast(session: Session, tell: Callable[[str], None]) -> SharedTransport:
        return SharedTransport(session, tell, allowed)

    return open_broadcast


class SharedTransport:
    """The way out of the session that makes what viewers watch.

    Args:
        session: that one.
        tell: takes text for all viewers.
        allowed: what the stream has, and how many bits a second it may take.
    """

    name = "shared"

    def __init__(self, session: Session, tell: Callable[[str], None], allowed: Allowed) -> None:
        self._session = session
        self._tell = tell
        self._closed = False
        bitrate: Any = allowed.rtp_params.get("maxBitrate")
        max_bps = None if bitrate is None else int(bitrate)
        self._audio = audio_broadcast(None if allowed.video else max_bps) if allowed.audio else None
        self._video = (
            None if session.video is None else SharedVideo(session, session.video, max_bps)
        )
        self._viewers = 0

    def add(self, seat: Seat) -> None:
        """A viewer gets what is made from now on."""
        self._viewers += 1
        if self._audio is not None:
            self._audio.add(seat.peer)
        if self._video is not None:
            self._video.add(seat)

    def remove(self, seat: Seat) -> None:
        """It gets no more."""
        self._viewers -= 1
        if self._audio is not None:
            self._audio.remove(seat.peer)
        if self._video is not None:
            self._video.remove(seat)

    def play(self, audio: AudioChunk) -> None:
        """Hands audio to the thread that encodes it."""
        if self._audio is not None and not self._closed:
            self._audio.play(audio.samples, audio.rate_hz, audio.channels)

    @property
    def queued_s(self) -> float:
        """Seconds not encoded yet; 0 after the end."""
        return 0.0 if self._closed or self._audio is None else self._audio.queued_s

    @property
    def sent_s(self) -> float:
        """Seconds sent to whoever watched since the last clear."""
        return 0.0 if self._audio is None else self._audio.sent_s

    def clear(self) -> float:
        """Drops what is queued, for all."""
        return 0.0 if self._audio is None else self._audio.clear()

    def bundle_audio(self, span_s: float) -> None:
        """Nothing comes in."""

    def send_message(self, text: str) -> bool:
        """Tells all viewers, each of which has a queue of its own."""
        if not self._closed:
            self._tell(text)
        return not self._closed

    def close(self, reason: str) -> None:
        """Ends; the viewers' own connections are their sessions'."""
        if not self._closed:
            self._closed = True
            self._session.on_closed(reason)
            if self._audio is not None:
                self._audio.close()
            if self._video is not None:
                # Not here, because it waits for a picture that is being encoded.
                self._session.lane().call(self._video.close)

    def stats(self) -> Stats:
        """What was made, once, and for how many."""
        found: Stats = {"viewers": self._viewers}
        if self._audio is not None:
            found["audio_packets_encoded"] = self._audio.packets
            found["audio_fec_percent"] = self._audio.fec_percent
        if self._video is not None:
            found.update(self._video.stats())
        return found
