"""Telnyx media streaming in bidirectional RTP mode: PCMU or PCMA at 8 kHz in JSON. Pure.

https://developers.telnyx.com/api-reference/websockets/stream-call-media-over-websocket
https://developers.telnyx.com/docs/voice/programmable-voice/texml-verbs/stream

Audio goes back in the encoding in which it comes; ask for ``bidirectionalCodec`` accordingly, as
our answer to the call does. Telnyx does not promise the order of its media messages: one that is
older than the newest is dropped.
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
    Protest,
    Sound,
    Started,
    Stopped,
    WireError,
    field,
    from_base64,
    read_json,
    to_base64,
)

__all__ = ["TelnyxWire"]

CODECS: Final[dict[str, Encoding]] = {"PCMU": "mulaw", "PCMA": "alaw"}


class TelnyxWire:
    """One call."""

    name = "telnyx"
    kind: Literal["websocket", "phone"] = "phone"
    frame_s = 0.02
    whole_frames = True
    """Telnyx wants messages of at least 20 ms."""

    def __init__(self) -> None:
        self.heard: AudioFormat | None = None
        self.said: AudioFormat | None = None
        self._chunk = -1

    def parse(self, message: Message) -> Event | None:
        """What a message from Telnyx means.

        Raises:
            WireError: see :class:`~fastrtc.wire.events.Wire`.
        """
        value = read_json(message, "Telnyx")
        event = value.get("event")
        if event == "media":
            return self._media(value)
        if event == "start":
            return self._start(value)
        if event == "dtmf":
            return Dtmf(field(value, "dtmf", "digit"))
        if event == "mark":
            return Played(field(value, "mark", "name"))
        if event == "error":
            return Protest(f"Telnyx reports {json.dumps(value.get('payload'))[:200]}")
        return Stopped() if event == "stop" else None

    def _start(self, message: dict[str, Any]) -> Started:
        codec = field(message, "start", "media_format", "encoding").upper()
        rate_hz = field(message, "start", "media_format", "sample_rate")
        if codec not in CODECS or rate_hz != "8000":
            raise WireError(
                f"Telnyx streams {codec!r} at {rate_hz!r} Hz; set the stream's codec and "
                "bidirectional codec to PCMU or PCMA at 8000 Hz"
            )
        self.heard = self.said = AudioFormat(CODECS[codec], 8000)
        return Started(field(message, "stream_id"))

    def _media(self, message: dict[str, Any]) -> Sound | None:
        payload = field(message, "media", "payload")
        if message["media"].get("track") == "outbound":
            return None
        chunk = message["media"].get("chunk")
        if isinstance(chunk, (int, str)) and str(chunk).isdecimal():
            if int(chunk) <= self._chunk:
                return None
            self._chunk = int(chunk)
        return Sound(from_base64(payload))

    def sound(self, payload: bytes) -> Message:
        """``media``."""
        return f'{{"event": "media", "media": {{"payload": "{to_base64(payload)}"}}}}'

    def clear(self) -> Message:
        """``clear``; Telnyx then sends back the marks that were waiting."""
        return '{"event": "clear"}'

    def mark(self, name: str) -> Message:
        """``mark``."""
        return json.dumps({"event": "mark", "mark": {"name": name}})

    def ping(self) -> None:
        """Telnyx answers none; its media proves that it is there."""

    def pong(self) -> None:
        """Telnyx asks for none."""
