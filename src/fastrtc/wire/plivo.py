"""Plivo audio streaming, bidirectional: mu-law at 8 kHz or 16-bit PCM at 8 or 16 kHz in JSON. Pure.

https://plivo.com/docs/voice/audio-streaming/audio-streaming
https://docs.plivo.com/docs/voice/xml/audiostream
"""

from __future__ import annotations

import json
from typing import Any, Final

from fastrtc.audio.codecs import AudioFormat, Encoding
from fastrtc.wire.events import (
    Event,
    Message,
    Played,
    Started,
    WireError,
    field,
    to_base64,
)
from fastrtc.wire.phone import PhoneWire

__all__ = ["PlivoWire"]

CODECS: Final[dict[tuple[str, str], Encoding]] = {
    ("audio/x-mulaw", "8000"): "mulaw",
    ("audio/x-l16", "8000"): "pcm16",
    ("audio/x-l16", "16000"): "pcm16",
}


class PlivoWire(PhoneWire):
    """One call."""

    name = "plivo"

    def __init__(self) -> None:
        super().__init__()
        self._stream_id = ""
        self._content_type = ""

    def _start(self, message: dict[str, Any]) -> Started:
        content_type = field(message, "start", "mediaFormat", "encoding")
        rate_hz = field(message, "start", "mediaFormat", "sampleRate")
        encoding = CODECS.get((content_type, rate_hz))
        if encoding is None:
            raise WireError(
                f"Plivo streams {content_type!r} at {rate_hz!r} Hz; set the stream's contentType "
                "to audio/x-mulaw;rate=8000 or audio/x-l16 at 8000 or 16000"
            )
        self.heard = self.said = AudioFormat(encoding, int(rate_hz))
        self._content_type = content_type
        self._stream_id = field(message, "start", "streamId")
        return Started(self._stream_id)

    def _other(self, message: dict[str, Any]) -> Event | None:
        return Played(field(message, "name")) if message.get("event") == "playedStream" else None

    def sound(self, payload: bytes) -> Message:
        """``playAudio``."""
        assert self.said is not None
        return (
            f'{{"event": "playAudio", "media": {{"contentType": "{self._content_type}", '
            f'"sampleRate": {self.said.rate_hz}, "payload": "{to_base64(payload)}"}}}}'
        )

    def clear(self) -> Message:
        """``clearAudio``."""
        return json.dumps({"event": "clearAudio", "streamId": self._stream_id})

    def mark(self, name: str) -> Message:
        """``checkpoint``, which Plivo answers with ``playedStream``."""
        return json.dumps({"event": "checkpoint", "streamId": self._stream_id, "name": name})
