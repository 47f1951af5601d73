"""Twilio Media Streams, bidirectional: 8 kHz mu-law in JSON. Pure.

https://www.twilio.com/docs/voice/media-streams/websocket-messages
"""

from __future__ import annotations

import json
from typing import Any

from fastrtc.audio.codecs import AudioFormat
from fastrtc.wire.events import (
    Message,
    Started,
    field,
    to_base64,
)
from fastrtc.wire.phone import PhoneWire, ticket_of

__all__ = ["TwilioWire"]


class TwilioWire(PhoneWire):
    """One call."""

    name = "twilio"

    def __init__(self) -> None:
        super().__init__()
        self.heard = self.said = AudioFormat("mulaw", 8000)
        self.stream_sid = ""
        self._sound_head = ""

    def _start(self, message: dict[str, Any]) -> Started:
        self.stream_sid = field(message, "streamSid")
        sid = json.dumps(self.stream_sid)
        self._sound_head = f'{{"event": "media", "streamSid": {sid}, "media": {{"payload": "'
        return Started(self.stream_sid, ticket_of(message.get("start")))

    def sound(self, payload: bytes) -> Message:
        """``media``."""
        return f'{self._sound_head}{to_base64(payload)}"}}}}'

    def clear(self) -> Message:
        """``clear``; Twilio then sends back the marks that were waiting."""
        return json.dumps({"event": "clear", "streamSid": self.stream_sid})

    def mark(self, name: str) -> Message:
        """``mark``."""
        return json.dumps({"event": "mark", "streamSid": self.stream_sid, "mark": {"name": name}})
