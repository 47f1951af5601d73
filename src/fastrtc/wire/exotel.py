"""Exotel AgentStream (Voicebot applet): 16-bit little-endian PCM in JSON. Pure.

https://developer.exotel.com/docs/agentstream/websocket-protocol
https://developer.exotel.com/docs/agentstream/stream-voicebot-applet

Exotel asks for messages of at least 3200 bytes, in multiples of 320: audio to it goes in messages
of 200 ms at 8 kHz, 100 ms above.
"""

from __future__ import annotations

import json
from typing import Any, Final, Literal

from fastrtc.audio.codecs import AudioFormat
from fastrtc.wire.events import (
    Dtmf,
    Event,
    Message,
    Played,
    Sound,
    Started,
    Stopped,
    WireError,
    field,
    from_base64,
    read_json,
    to_base64,
)

__all__ = ["ExotelWire"]

RATES: Final = {"8000": 0.2, "16000": 0.1, "24000": 0.1}
"""Sample rates, and seconds of audio in a message of an allowed length."""


class ExotelWire:
    """One call."""

    name = "exotel"
    kind: Literal["websocket", "phone"] = "phone"
    whole_frames = True

    def __init__(self) -> None:
        self.heard: AudioFormat | None = None
        self.said: AudioFormat | None = None
        self.frame_s = 0.2
        self._stream_sid = ""

    def parse(self, message: Message) -> Event | None:
        """What a message from Exotel means.

        Raises:
            WireError: see :class:`~fastrtc.wire.events.Wire`.
        """
        value = read_json(message, "Exotel")
        event = value.get("event")
        if event == "media":
            return Sound(from_base64(field(value, "media", "payload")))
        if event == "start":
            return self._start(value)
        if event == "dtmf":
            return Dtmf(field(value, "dtmf", "digit"))
        if event == "mark":
            return Played(field(value, "mark", "name"))
        return Stopped() if event == "stop" else None

    def _start(self, message: dict[str, Any]) -> Started:
        rate_hz = field(message, "start", "media_format", "sample_rate")
        if rate_hz not in RATES:
            raise WireError(
                f"Exotel streams at {rate_hz!r} Hz; set the applet's sample-rate to "
                f"{', '.join(RATES)}"
            )
        self.frame_s = RATES[rate_hz]
        self.heard = self.said = AudioFormat("pcm16", int(rate_hz))
        self._stream_sid = field(message, "stream_sid")
        return Started(self._stream_sid)

    def sound(self, payload: bytes) -> Message:
        """``media``."""
        return (
            f'{{"event": "media", "stream_sid": {json.dumps(self._stream_sid)}, '
            f'"media": {{"payload": "{to_base64(payload)}"}}}}'
        )

    def clear(self) -> Message:
        """``clear``."""
        return json.dumps({"event": "clear", "stream_sid": self._stream_sid})

    def mark(self, name: str) -> Message:
        """``mark``."""
        return json.dumps({"event": "mark", "stream_sid": self._stream_sid, "mark": {"name": name}})

    def ping(self) -> None:
        """Exotel answers none; its media proves that it is there."""

    def pong(self) -> None:
        """Exotel asks for none."""
