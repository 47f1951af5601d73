"""Exotel AgentStream (Voicebot applet): 16-bit little-endian PCM in JSON. Pure.

https://developer.exotel.com/docs/agentstream/websocket-protocol
https://developer.exotel.com/docs/agentstream/stream-voicebot-applet

Exotel asks for messages of at least 3200 bytes, in multiples of 320: audio to it goes in messages
of 200 ms at 8 kHz, 100 ms above.
"""

from __future__ import annotations

import json
from typing import Any, Final

from fastrtc.audio.codecs import AudioFormat
from fastrtc.wire.events import (
    Message,
    Started,
    WireError,
    field,
    to_base64,
)
from fastrtc.wire.phone import PhoneWire, ticket_of

__all__ = ["ExotelWire"]

RATES: Final = {"8000": 0.2, "16000": 0.1, "24000": 0.1}
"""Sample rates, and seconds of audio in a message of an allowed length."""


class ExotelWire(PhoneWire):
    """One call."""

    name = "exotel"
    whole_frames = True

    def __init__(self) -> None:
        super().__init__()
        self.frame_s = 0.2
        self._stream_sid = ""

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
        return Started(self._stream_sid, ticket_of(message["start"]))

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
