"""What messages on a WebSocket mean, whoever sends them: the events of all wire formats.

Pure. A wire format translates one client's messages; it opens, sends and waits for nothing.
"""

from __future__ import annotations

import binascii
import json
from dataclasses import dataclass
from typing import Any, Final, Literal, Protocol, TypeAlias

from fastrtc.audio.codecs import AudioFormat
from fastrtc.types import PictureFormat

__all__ = [
    "Dtmf",
    "Event",
    "Image",
    "Message",
    "Ping",
    "Played",
    "Pong",
    "Protest",
    "Sound",
    "Started",
    "Stopped",
    "Text",
    "Unservable",
    "Wire",
    "WireError",
    "field",
    "from_base64",
    "read_json",
    "to_base64",
]

Message: TypeAlias = str | bytes
LONGEST_ID: Final = 256


class WireError(ValueError):
    """A message that is not what its sender's protocol says; the text tells the sender."""


class Unservable(WireError):
    """A telephone's start that we cannot serve, and after which no better one comes."""


@dataclass(frozen=True)
class Started:
    """The client said who it is; from now on :class:`Wire` knows its audio's form.

    Attributes:
        id: the client's name for itself.
        ticket: that a telephone's provider brings back from our answer to the call.

    Raises:
        WireError: the id is too long for a name, or not to be printed: it stands in logs.
    """

    id: str
    ticket: str = ""

    def __post_init__(self) -> None:
        if not 0 < len(self.id) <= LONGEST_ID:
            raise WireError(f"the id has {len(self.id)} characters; allowed: 1 to {LONGEST_ID}")
        if not self.id.isprintable():
            raise WireError("the id has characters that cannot be printed")


@dataclass(frozen=True)
class Sound:
    """Audio, in the form of :attr:`Wire.heard`."""

    payload: bytes


@dataclass(frozen=True)
class Image:
    """A picture, as a file of this format whose head was found in order."""

    payload: bytes
    format: PictureFormat


@dataclass(frozen=True)
class Text:
    """Text for the application."""

    text: str


@dataclass(frozen=True)
class Dtmf:
    """A key was pressed."""

    digit: str


@dataclass(frozen=True)
class Played:
    """What came before the mark of this name has been played, or was dropped by a clear."""

    name: str


@dataclass(frozen=True)
class Ping:
    """The client asks whether we are there."""


@dataclass(frozen=True)
class Pong:
    """The client is there."""


@dataclass(frozen=True)
class Protest:
    """The provider tells that something we sent is no good; for the log."""

    text: str


@dataclass(frozen=True)
class Stopped:
    """The client has ended its stream."""


Event: TypeAlias = Started | Sound | Image | Text | Dtmf | Played | Ping | Pong | Protest | Stopped


class Wire(Protocol):
    """One client's protocol, from its first message on.

    Attributes:
        heard: form of the audio that comes; known once :class:`Started` came. None: as the
            handler wants it, in mu-law.
        said: form of the audio that goes, in the same way.
        frame_s: seconds of audio in each message that goes.
        whole_frames: whether a shorter frame has to be filled with silence.
        kind: "websocket" or "phone".
    """

    name: str
    kind: Literal["websocket", "phone"]
    heard: AudioFormat | None
    said: AudioFormat | None
    frame_s: float
    whole_frames: bool

    def parse(self, message: Message) -> Event | None:
        """What a message means; None when nothing follows from it.

        Raises:
            WireError: it is not as the protocol says.
        """

    def sound(self, payload: bytes) -> Message:
        """The message that brings audio in the form of :attr:`said`."""

    def clear(self) -> Message | None:
        """What makes the client drop the audio it has not played."""

    def mark(self, name: str) -> Message | None:
        """What the client answers once everything before it was played; None if it cannot."""

    def ping(self) -> Message | None:
        """What a live client answers; None if it cannot."""

    def pong(self) -> Message | None:
        """The answer to the client's ping."""


def read_json(message: Message, sender: str) -> dict[str, Any]:
    """The object that a text message holds.

    Raises:
        WireError: it is binary, no JSON, or no object.
    """
    if not isinstance(message, str):
        raise WireError(f"{sender} sends JSON text, received {len(message)} binary bytes")
    try:
        value = json.loads(message)
    except (ValueError, RecursionError) as error:
        raise WireError(f"not JSON: {error}") from None
    if not isinstance(value, dict):
        raise WireError(f"a message is a JSON object, received a {type(value).__name__}")
    return value


def field(message: dict[str, Any], *path: str) -> str:
    """The text at ``message[path[0]][path[1]]...``; numbers become text.

    Raises:
        WireError: it is missing, or neither text nor a number.
    """
    value: Any = message
    for step, key in enumerate(path):
        if not isinstance(value, dict):
            where = ".".join(path[:step])
            raise WireError(f"{where!r} is a {type(value).__name__}; it has to be an object")
        if key not in value:
            event = message.get("event")
            raise WireError(f"{'.'.join(path[: step + 1])!r} is missing in event {event!r}")
        value = value[key]
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str):
        raise WireError(f"{'.'.join(path)!r} is a {type(value).__name__}; it has to be text")
    return value


def from_base64(text: str) -> bytes:
    """The bytes of a payload; encoders may have broken it into lines.

    Raises:
        WireError: it is not base64.
    """
    try:
        return binascii.a2b_base64(text, strict_mode=True)
    except ValueError as error:
        whole = "".join(text.split())
        if whole != text:
            return from_base64(whole)
        raise WireError(f"the media payload is not base64: {error}") from None


def to_base64(payload: bytes) -> str:
    """A payload as it goes into JSON."""
    return binascii.b2a_base64(payload, newline=False).decode("ascii")
