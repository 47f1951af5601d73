"""Twilio Media Streams, bidirectional: 8 kHz mu-law in JSON. Pure.

https://www.twilio.com/docs/voice/media-streams/websocket-messages
"""

from __future__ import annotations

import json
from typing import Literal

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
    to_base64,
)

__all__ = ["TwilioWire"]


class TwilioWire:
    """One call."""

    name = "twilio"
    kind: Literal["websocket", "phone"] = "phone"
    frame_s = 0.02
    whole_frames = False

    def __init__(self) -> None:
        self.heard: AudioFormat | None = AudioFormat("mulaw", 8000)
        self.said: AudioFormat | None = AudioFormat("mulaw", 8000)
        self.stream_sid = ""

    def parse(self, message: Message) -> Event | None:
        """What a message from Twilio means.

        Raises:
            WireError: see :class:`~fastrtc.wire.events.Wire`.
        """
        value = read_json(message, "Twilio")
        event = value.get("event")
        if event == "media":
            if isinstance(value.get("media"), dict) and value["media"].get("track") == "outbound":
                return None
            return Sound(from_base64(field(value, "media", "payload")))
        if event == "start":
            self.stream_sid = field(value, "streamSid")
            return Started(self.stream_sid)
        if event == "dtmf":
            return Dtmf(field(value, "dtmf", "digit"))
        if event == "mark":
            return Played(field(value, "mark", "name"))
        return Stopped() if event == "stop" else None

    def sound(self, payload: bytes) -> Message:
        """``media``."""
        return (
            f'{{"event": "media", "streamSid": {json.dumps(self.stream_sid)}, '
            f'"media": {{"payload": "{to_base64(payload)}"}}}}'
        )

    def clear(self) -> Message:
        """``clear``; Twilio then sends back the marks that were waiting."""
        return json.dumps({"event": "clear", "streamSid": self.stream_sid})

    def mark(self, name: str) -> Message:
        """``mark``."""
        return json.dumps({"event": "mark", "streamSid": self.stream_sid, "mark": {"name": name}})

    def ping(self) -> None:
        """Twilio answers none; its media proves that it is there."""

    def pong(self) -> None:
        """Twilio asks for none."""
