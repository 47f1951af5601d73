"""Vonage Voice WebSockets: 16-bit little-endian PCM in binary messages, JSON for the rest. Pure.

https://developer.vonage.com/en/voice/voice-api/guides/websockets
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Callable
from typing import Any, Final

from fastrtc.audio.codecs import AudioFormat
from fastrtc.wire.events import (
    Dtmf,
    Event,
    Message,
    Played,
    Sound,
    Started,
    WireError,
    field,
    read_json,
)
from fastrtc.wire.phone import PhoneWire

__all__ = ["VonageWire"]

CONTENT_TYPE: Final = re.compile(r"audio/l16;\s*rate=(8000|16000|24000)", re.IGNORECASE)


class VonageWire(PhoneWire):
    """One call.

    Args:
        new_id: names a call whose first message has no ``uuid`` header of the application's.
    """

    name = "vonage"
    whole_frames = True
    """Vonage wants messages of 20 ms."""

    def __init__(self, new_id: Callable[[], str] = lambda: secrets.token_hex(16)) -> None:
        super().__init__()
        self._new_id = new_id

    def parse(self, message: Message) -> Event | None:
        """What a message from Vonage means.

        Raises:
            WireError: see :class:`~fastrtc.wire.events.Wire`.
        """
        if isinstance(message, bytes):
            if self.heard is None:
                raise WireError("audio before websocket:connected")
            return Sound(message)
        value = read_json(message, "Vonage")
        event = value.get("event")
        if event == "websocket:connected":
            return self._start(value)
        if event == "websocket:dtmf":
            # The guide has the digit at the top, older calls a "dtmf" object.
            return Dtmf(field(value, *(("dtmf", "digit") if "dtmf" in value else ("digit",))))
        if event == "websocket:notify":
            return Played(field(value, "payload", "name"))
        return None

    def _start(self, message: dict[str, Any]) -> Started:
        content_type = field(message, "content-type")
        match = CONTENT_TYPE.fullmatch(content_type.strip())
        if match is None:
            raise WireError(
                f"Vonage streams {content_type!r}; set the endpoint's content-type to "
                "'audio/l16;rate=16000' (or 8000, 24000)"
            )
        self.heard = self.said = AudioFormat("pcm16", int(match[1]))
        uuid = message.get("uuid")
        return Started(uuid if isinstance(uuid, str) and uuid else self._new_id())

    def sound(self, payload: bytes) -> Message:
        """The samples."""
        return payload

    def clear(self) -> Message:
        """``clear``."""
        return '{"action": "clear"}'

    def mark(self, name: str) -> Message:
        """``notify``, which Vonage answers with ``websocket:notify`` and the same payload."""
        return json.dumps({"action": "notify", "payload": {"name": name}})
