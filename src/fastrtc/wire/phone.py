"""What the media streams of telephone providers have in common. Pure.

Most speak JSON with the events ``start``, ``media``, ``dtmf``, ``mark`` and ``stop``; a provider's
own module has the names of its fields and what else it says.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Literal

from fastrtc.audio.codecs import AudioFormat
from fastrtc.wire.events import (
    Dtmf,
    Event,
    Message,
    Played,
    Sound,
    Started,
    Stopped,
    field,
    from_base64,
    read_json,
)

__all__ = ["PhoneWire", "ticket_of"]


class PhoneWire(ABC):
    """One call; a :class:`~fastrtc.wire.events.Wire` once a provider fills it in."""

    name: str
    kind: Literal["websocket", "phone"] = "phone"
    frame_s = 0.02
    whole_frames = False

    def __init__(self) -> None:
        self.heard: AudioFormat | None = None
        self.said: AudioFormat | None = None

    def parse(self, message: Message) -> Event | None:
        """What a message from the provider means.

        Raises:
            WireError: see :class:`~fastrtc.wire.events.Wire`.
        """
        value = read_json(message, self.name.capitalize())
        event = value.get("event")
        if event == "media":
            return self._media(value)
        if event == "start":
            return self._start(value)
        if event == "dtmf":
            return Dtmf(field(value, "dtmf", "digit"))
        if event == "mark":
            return Played(field(value, "mark", "name"))
        return Stopped() if event == "stop" else self._other(value)

    @abstractmethod
    def _start(self, message: dict[str, Any]) -> Started:
        """What ``start`` says of the call; sets :attr:`heard` and :attr:`said`."""

    def _media(self, message: dict[str, Any]) -> Sound | None:
        """Audio of the caller; some providers send back what they play as another track."""
        payload = field(message, "media", "payload")
        return None if message["media"].get("track") == "outbound" else Sound(from_base64(payload))

    def _other(self, message: dict[str, Any]) -> Event | None:
        """An event that not all providers have."""
        return None

    @abstractmethod
    def sound(self, payload: bytes) -> Message:
        """The message that brings audio in the form of :attr:`said`."""

    @abstractmethod
    def clear(self) -> Message:
        """What makes the provider drop the audio it has not played."""

    @abstractmethod
    def mark(self, name: str) -> Message:
        """What the provider answers once everything before it was played."""

    def ping(self) -> Message | None:
        """Providers answer none; their media proves that they are there."""
        return None

    def pong(self) -> Message | None:
        """Providers ask for none."""
        return None


def ticket_of(start: Any) -> str:
    """The parameter "ticket" that our answer to a call gave its stream; "" without one."""
    for name in ("customParameters", "custom_parameters"):
        parameters = start.get(name) if isinstance(start, dict) else None
        ticket = parameters.get("ticket") if isinstance(parameters, dict) else None
        if isinstance(ticket, str):
            return ticket
    return ""
