"""What a session asks of the thing that carries its bytes.

The protocol stands here, with its user, so that the session imports no transport.
"""

from __future__ import annotations

from typing import Protocol, TypeAlias

from fastrtc.audio.convert import AudioChunk

__all__ = ["Stats", "Transport"]

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

    def send_message(self, text: str) -> bool:
        """Sends text to the client; False when there is no open way, never an exception."""

    def close(self, reason: str) -> None:
        """Ends the connection after what was sent; idempotent. Ends in ``on_closed``, within which
        :attr:`sent_s` still counts."""

    def stats(self) -> Stats:
        """A snapshot; also after the end."""
