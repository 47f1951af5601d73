"""Plivo audio streaming, bidirectional: mu-law at 8 kHz or 16-bit PCM at 8 or 16 kHz in JSON. Pure.

https://plivo.com/docs/voice/audio-streaming/audio-streaming
https://docs.plivo.com/docs/voice/xml/audiostream
"""

from __future__ import annotations

import json
from typing import Any, Final, Literal

from fastrtc.audio.codecs import AudioFormat, Encoding
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

__all__ = ["PlivoWire"]

CODECS: Final[dict[tuple[str, str], Encoding]] = {
    ("audio/x-mulaw", "8000"): "mulaw",
    ("audio/x-l16", "8000"): "pcm16",
    ("audio/x-l16", "16000"): "pcm16",
}


class PlivoWire:
    """One call."""

    name = "plivo"
    kind: Literal["websocket", "phone"] = "phone"
    frame_s = 0.02
    whole_frames = False

    def __init__(self) -> None:
        self.heard: AudioFormat | None = None
        self.said: AudioFormat | None = None
        self._stream_id = ""
        self._content_type = ""

    def parse(self, message: Message) -> Event | None:
        """What a message from Plivo means.

        Raises:
            WireError: see :class:`~fastrtc.wire.events.Wire`.
        """
        value = read_json(message, "Plivo")
        event = value.get("event")
        if event == "media":
            if isinstance(value.get("media"), dict) and value["media"].get("track") == "outbound":
                return None
            return Sound(from_base64(field(value, "media", "payload")))
        if event == "start":
            return self._start(value)
        if event == "dtmf":
            return Dtmf(field(value, "dtmf", "digit"))
        if event == "playedStream":
            return Played(field(value, "name"))
        return Stopped() if event == "stop" else None

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

    def ping(self) -> None:
        """Plivo answers none; its media proves that it is there."""

    def pong(self) -> None:
        """Plivo asks for none."""
