"""Telnyx media streaming in bidirectional RTP mode: PCMU or PCMA at 8 kHz in JSON. Pure.

https://developers.telnyx.com/api-reference/websockets/stream-call-media-over-websocket
https://developers.telnyx.com/docs/voice/programmable-voice/texml-verbs/stream

Audio goes back in the encoding in which it comes; ask for ``bidirectionalCodec`` accordingly, as
our answer to the call does. Telnyx does not promise the order of its media messages: one that is
older than the newest is dropped.
"""

from __future__ import annotations

import json
from typing import Any, Final

from fastrtc.audio.codecs import AudioFormat, Encoding
from fastrtc.wire.events import (
    Event,
    Message,
    Protest,
    Sound,
    Started,
    WireError,
    field,
    to_base64,
)
from fastrtc.wire.phone import PhoneWire, ticket_of

__all__ = ["TelnyxWire"]

CODECS: Final[dict[str, Encoding]] = {"PCMU": "mulaw", "PCMA": "alaw"}


class TelnyxWire(PhoneWire):
    """One call."""

    name = "telnyx"
    whole_frames = True
    """Telnyx wants messages of at least 20 ms."""

    def __init__(self) -> None:
        super().__init__()
        self._chunk = -1

    def _start(self, message: dict[str, Any]) -> Started:
        codec = field(message, "start", "media_format", "encoding").upper()
        rate_hz = field(message, "start", "media_format", "sample_rate")
        if codec not in CODECS or rate_hz != "8000":
            raise WireError(
                f"Telnyx streams {codec!r} at {rate_hz!r} Hz; set the stream's codec and "
                "bidirectional codec to PCMU or PCMA at 8000 Hz"
            )
        self.heard = self.said = AudioFormat(CODECS[codec], 8000)
        return Started(field(message, "stream_id"), ticket_of(message["start"]))

    def _media(self, message: dict[str, Any]) -> Sound | None:
        sound = super()._media(message)
        if sound is None:
            return None
        chunk = message["media"].get("chunk")
        if isinstance(chunk, (int, str)) and str(chunk).isdecimal():
            if int(chunk) <= self._chunk:
                return None
            self._chunk = int(chunk)
        return sound

    def _other(self, message: dict[str, Any]) -> Event | None:
        if message.get("event") == "error":
            return Protest(f"Telnyx reports {json.dumps(message.get('payload'))[:200]}")
        return None

    def sound(self, payload: bytes) -> Message:
        """``media``."""
        return f'{{"event": "media", "media": {{"payload": "{to_base64(payload)}"}}}}'

    def clear(self) -> Message:
        """``clear``; Telnyx then sends back the marks that were waiting."""
        return '{"event": "clear"}'

    def mark(self, name: str) -> Message:
        """``mark``."""
        return json.dumps({"event": "mark", "mark": {"name": name}})
