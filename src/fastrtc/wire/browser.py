"""The messages of ``WS {path}/websocket/offer``: pages and apps, not telephones. Pure.

Client: ``{"event": "start", "websocket_id": ...}`` first, optionally with ``"format"``,
``"sample_rate"``, ``"video"`` and ``"marks": true``; then ``{"event": "media", "media":
{"payload": base64}}`` or binary messages; ``stop``, ``ping``, ``pong``, and ``mark`` when asked
for. Whatever else it sends is text for the application. Server: ``media`` (binary if the client
named a format), ``clear``, ``pong``, ``ping``, ``mark``, and the messages of
``wire/messages.py``.

Pictures are binary messages both ways, each a JPEG or WebP file. Where there is audio too, a binary
message begins with a byte that tells which it is.
"""

from __future__ import annotations

import json
from typing import Any, Final, Literal, get_args

from fastrtc.audio.codecs import AudioFormat, Encoding
from fastrtc.types import Modality, PictureFormat
from fastrtc.wire.events import (
    Event,
    Image,
    Message,
    Ping,
    Played,
    Pong,
    Sound,
    Started,
    Stopped,
    Text,
    WireError,
    field,
    from_base64,
    to_base64,
)
from fastrtc.wire.pictures import PICTURE_FORMATS, picture_head

__all__ = ["AUDIO_TAG", "MAX_PICTURE_BYTES", "VIDEO_TAG", "BrowserWire"]

Format = Literal["mulaw", "pcm16", "opus"]
FORMATS: Final = get_args(Format)
LOWEST_HZ: Final = 8_000
HIGHEST_HZ: Final = 48_000
MAX_MESSAGE_BYTES: Final = 1 << 20
MAX_PICTURE_BYTES: Final = 4 << 20
"""The longest message of a stream with video."""
AUDIO_TAG: Final = b"\x00"
VIDEO_TAG: Final = b"\x01"
"""What a binary message begins with where it may be either."""


class BrowserWire:
    """One client's side of the protocol.

    Args:
        handler_input_hz: the rate of media to us when the client names none.
        handler_output_hz: the rate of media to the client when it names none.
        modality: of the stream.

    Attributes:
        has_video: whether pictures go either way.
        max_message_bytes: what a client may send at once.
        picture_format: of pictures to the client.
    """

    name = "websocket"
    kind: Literal["websocket", "phone"] = "websocket"
    frame_s = 0.02

    def __init__(
        self, handler_input_hz: int, handler_output_hz: int, modality: Modality = "audio"
    ) -> None:
        self._has_audio = modality != "video"
        self.has_video = modality != "audio"
        self.max_message_bytes = MAX_PICTURE_BYTES if self.has_video else MAX_MESSAGE_BYTES
        self.picture_format: PictureFormat = "jpeg"
        self.heard: AudioFormat | None = AudioFormat("mulaw", handler_input_hz)
        self.said: AudioFormat | None = AudioFormat("mulaw", handler_output_hz)
        self.whole_frames = False
        self._binary = False
        self._started = False
        self._marks = False

    def parse(self, message: Message) -> Event | None:
        """What a message of the client means.

        Raises:
            WireError: see :class:`~fastrtc.wire.events.Wire`.
        """
        if isinstance(message, bytes):
            return self._binary_message(message)
        try:
            value = json.loads(message)
        except (ValueError, RecursionError):
            value = None
        event = value.get("event") if isinstance(value, dict) else None
        if event == "media":
            return self._sound(from_base64(field(value, "media", "payload")))
        if event == "start":
            return self._start(value)
        if event == "ping":
            return Ping()
        if event == "pong":
            return Pong()
        if event == "stop":
            return Stopped()
        if event == "mark":
            return Played(field(value, "mark", "name"))
        if not self._started:
            raise WireError(
                'the first message has to be {"event": "start", "websocket_id": ...}, received '
                f"{message[:80]!r}"
            )
        return Text(message)

    def _binary_message(self, message: bytes) -> Event:
        if not self.has_video:
            return self._sound(message)
        if not self._has_audio:
            return self._image(message)
        tag, payload = message[:1], message[1:]
        if tag == AUDIO_TAG:
            return self._sound(payload)
        if tag == VIDEO_TAG:
            return self._image(payload)
        raise WireError(
            "a binary message of an audio-video stream begins with a byte that is 0 before audio "
            f"and 1 before a picture; received {tag.hex() or 'nothing'}"
        )

    def _sound(self, payload: bytes) -> Sound:
        self._check_started()
        if not self._has_audio:
            raise WireError("audio, but this stream is of modality 'video'")
        return Sound(payload)

    def _image(self, payload: bytes) -> Image:
        self._check_started()
        head = picture_head(payload)
        return Image(payload, head.format)

    def _check_started(self) -> None:
        if not self._started:
            raise WireError('media before {"event": "start", "websocket_id": ...}')

    def _start(self, message: dict[str, Any]) -> Started:
        if self._started:
            raise WireError("a second start: open another WebSocket for another session")
        started = Started(field(message, "websocket_id"))
        encoding: Encoding = "mulaw"
        if message.get("format") is not None:
            if message["format"] not in FORMATS:
                raise WireError(
                    f"format is {message['format']!r}; allowed: {', '.join(map(repr, FORMATS))}"
                )
            encoding = message["format"]
            self._binary = True
        rate_hz = message.get("sample_rate")
        if rate_hz is not None:
            whole = isinstance(rate_hz, int) and not isinstance(rate_hz, bool)
            if not whole or not LOWEST_HZ <= rate_hz <= HIGHEST_HZ or rate_hz % 50:
                raise WireError(
                    f"sample_rate is {rate_hz!r}; allowed: multiples of 50 from {LOWEST_HZ} to "
                    f"{HIGHEST_HZ}"
                )
        picture_format = message.get("video")
        if picture_format is not None:
            if not self.has_video:
                raise WireError(f"video is {picture_format!r}, but this stream has no video")
            if picture_format not in PICTURE_FORMATS:
                raise WireError(
                    f"video is {picture_format!r}; allowed: {', '.join(map(repr, PICTURE_FORMATS))}"
                )
            self.picture_format = picture_format
        assert self.heard is not None
        assert self.said is not None
        self.heard = AudioFormat(encoding, rate_hz or self.heard.rate_hz)
        self.said = AudioFormat(encoding, rate_hz or self.said.rate_hz)
        self.whole_frames = encoding == "opus"
        self._marks = message.get("marks") is True
        self._started = True
        return started

    def sound(self, payload: bytes) -> Message:
        """``media``, or the bytes themselves."""
        if self._binary:
            return AUDIO_TAG + payload if self.has_video else payload
        return f'{{"event": "media", "media": {{"payload": "{to_base64(payload)}"}}}}'

    def picture(self, payload: bytes) -> Message:
        """The message that brings a picture."""
        return VIDEO_TAG + payload if self._has_audio else payload

    def clear(self) -> Message:
        """Have the client flush what it has not played."""
        return '{"event": "clear"}'

    def mark(self, name: str) -> Message | None:
        """For clients that asked for marks."""
        return json.dumps({"event": "mark", "mark": {"name": name}}) if self._marks else None

    def ping(self) -> Message:
        """Asks whether the client is there."""
        return '{"event": "ping"}'

    def pong(self) -> Message:
        """We are here."""
        return '{"event": "pong"}'
