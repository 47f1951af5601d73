"""What a session asks of the thing that carries its bytes.

The protocol stands here, with its user, so that the session imports no transport.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeAlias

from fastrtc.audio.convert import AudioChunk

if TYPE_CHECKING:
    from fastrtc.video.picture import Picture

__all__ = ["InboundPicture", "Stats", "Transport", "VideoWay"]

Stats: TypeAlias = dict[str, float | int | str]
"""Counters and gauges by name; units are in the names."""


class Transport(Protocol):
    """One client's way in and out. Every call comes from the session's event loop.

    A transport in turn calls ``Session.on_live``, ``on_disconnected``, ``on_reconnected``,
    ``on_channel_open``, ``on_audio``, ``on_message`` and ``on_closed``, on that same loop.
    """

    name: str
    """"webrtc", "websocket", "phone" or "memory"."""

    def play(self, audio: AudioChunk) -> None:
        """Takes audio to send in real time. Never blocks; ignored after :meth:`close`."""

    @property
    def queued_s(self) -> float:
        """Seconds taken by :meth:`play` and not yet sent."""

    @property
    def sent_s(self) -> float:
        """Seconds of played audio sent since the last :meth:`clear`."""

    def clear(self) -> float:
        """Drops what is queued; returns the seconds sent since the last call."""

    def bundle_audio(self, span_s: float) -> None:
        """The client's audio may come in pieces of up to ``span_s``, to wake the loop less often;
        0 to have it as it comes. A transport that is woken for each packet anyway does nothing."""

    def send_message(self, text: str) -> bool:
        """Sends text to the client; False when there is no open way, never an exception."""

    def close(self, reason: str) -> None:
        """Ends the connection after what was sent; idempotent. Ends in ``on_closed``, within which
        :attr:`sent_s` still counts."""

    def stats(self) -> Stats:
        """A snapshot; also after the end."""


class InboundPicture(NamedTuple):
    """A picture from the client, still encoded.

    Attributes:
        data: what the transport's own :meth:`VideoWay.decode` takes.
        rtp_time: the client's, 90 kHz ticks.
        arrived_s: when its first byte came, on the loop's clock.
        contiguous: nothing was lost before it.
    """

    data: Any
    rtp_time: int
    arrived_s: float
    contiguous: bool = True


class VideoWay(Protocol):
    """How pictures get in and out over one transport, which gives it to ``Session.video`` before
    the session begins, and calls ``Session.video.on_picture`` on the loop.

    Both methods are called in worker threads, each by one thread at a time.
    """

    def decode(self, arrival: InboundPicture) -> list[Picture]:
        """The pictures in what arrived; none when it makes no sense without what was lost, and
        then the client is asked to begin anew. Gets all that arrives, in order."""

    def send(self, picture: Picture, rtp_time: int) -> bool:
        """Sends a picture; ``rtp_time`` in 90 kHz ticks. False when it is left out: the way is
        too narrow at the moment, or has ended."""
