"""Which telephone provider speaks: by name, or by its first messages. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from fastrtc.wire.events import Message, Unservable, Wire, WireError, read_json
from fastrtc.wire.exotel import ExotelWire
from fastrtc.wire.plivo import PlivoWire
from fastrtc.wire.telnyx import TelnyxWire
from fastrtc.wire.twilio import TwilioWire
from fastrtc.wire.vonage import VonageWire

__all__ = ["PROVIDERS", "detect", "wire_of"]

PROVIDERS: Final[dict[str, Callable[[], Wire]]] = {
    "twilio": TwilioWire,
    "telnyx": TelnyxWire,
    "plivo": PlivoWire,
    "vonage": VonageWire,
    "exotel": ExotelWire,
}


def wire_of(provider: str) -> Wire:
    """The wire format of a provider.

    Raises:
        ValueError: it is not one that we know.
    """
    make = PROVIDERS.get(provider.lower())
    if make is None:
        raise ValueError(f"provider is {provider!r}; allowed: {', '.join(PROVIDERS)}")
    return make()


def detect(message: Message) -> Wire | None:
    """The wire format of whoever sends this message; None while it may be several.

    Twilio, Telnyx and Exotel begin with much the same ``connected``; their ``start`` decides.

    Raises:
        WireError: no provider begins like this; :class:`~fastrtc.wire.events.Unservable` if it
            is a start all the same.
    """
    value = read_json(message, "a telephone provider")
    event = value.get("event")
    start: Any = value.get("start") if isinstance(value.get("start"), dict) else {}
    if event == "websocket:connected":
        return VonageWire()
    if event == "start" and "streamSid" in value:
        return TwilioWire()
    if event == "start" and "stream_id" in value:
        return TelnyxWire()
    if event == "start" and "stream_sid" in value:
        return ExotelWire()
    if event == "start" and "streamId" in start:
        return PlivoWire()
    if event == "connected":
        return None
    kind = Unservable if event == "start" else WireError
    raise kind(
        f"event {str(event)[:40]!r} begins no stream of {', '.join(PROVIDERS)}; the provider can "
        "be named with ?provider="
    )
