"""What a provider is told when somebody calls: connect the call to our WebSocket. Pure.

Twilio: https://www.twilio.com/docs/voice/twiml/stream
Telnyx: https://developers.telnyx.com/docs/voice/programmable-voice/texml-verbs/stream
Plivo: https://docs.plivo.com/docs/voice/xml/audiostream
Vonage: https://developer.vonage.com/en/voice/voice-api/guides/websockets
Exotel: https://developer.exotel.com/docs/agentstream/stream-voicebot-applet
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Final
from xml.etree import ElementTree as ET

from fastrtc.telephony.guard import TICKET

__all__ = ["ANSWERS", "answer_call", "with_ticket"]

GREETING: Final = "Connecting to the AI assistant."
FAREWELL: Final = "The call has been disconnected."
XML: Final = "application/xml"
JSON: Final = "application/json"


def answer_call(provider: str, url: str, ticket: str = "") -> tuple[str, str]:
    """The body that connects a call, and its media type.

    Args:
        provider: one of :data:`ANSWERS`.
        url: of our WebSocket, ``wss://...``.
        ticket: admits the call there; see ``telephony/guard.py``.

    Raises:
        ValueError: the provider is none that we know.
    """
    answer = ANSWERS.get(provider.lower())
    if answer is None:
        raise ValueError(f"provider is {provider!r}; allowed: {', '.join(ANSWERS)}")
    return answer(url, ticket)


def with_ticket(url: str, ticket: str) -> str:
    """A URL that brings the ticket in its query."""
    return f"{url}{'&' if '?' in url else '?'}{TICKET}={ticket}" if ticket else url


def _xml(response: ET.Element) -> tuple[str, str]:
    body = ET.tostring(response, encoding="unicode")
    return f'<?xml version="1.0" encoding="UTF-8"?>{body}', XML


def _twilio(url: str, ticket: str) -> tuple[str, str]:
    response = ET.Element("Response")
    ET.SubElement(response, "Say").text = GREETING
    stream = ET.SubElement(ET.SubElement(response, "Connect"), "Stream", url=url)
    if ticket:
        # Twilio takes the query off a stream's URL.
        ET.SubElement(stream, "Parameter", name=TICKET, value=ticket)
    ET.SubElement(response, "Say").text = FAREWELL
    return _xml(response)


def _telnyx(url: str, ticket: str) -> tuple[str, str]:
    response = ET.Element("Response")
    form = {"codec": "PCMU", "bidirectionalMode": "rtp", "bidirectionalCodec": "PCMU"}
    ET.SubElement(
        ET.SubElement(response, "Connect"), "Stream", {"url": with_ticket(url, ticket), **form}
    )
    return _xml(response)


def _plivo(url: str, ticket: str) -> tuple[str, str]:
    response = ET.Element("Response")
    form = {
        "bidirectional": "true",
        "keepCallAlive": "true",
        "contentType": "audio/x-mulaw;rate=8000",
    }
    ET.SubElement(response, "Stream", form).text = with_ticket(url, ticket)
    return _xml(response)


def _vonage(url: str, ticket: str) -> tuple[str, str]:
    uri = with_ticket(url, ticket)
    endpoint = {"type": "websocket", "uri": uri, "content-type": "audio/l16;rate=16000"}
    return json.dumps([{"action": "connect", "endpoint": [endpoint]}]), JSON


def _exotel(url: str, ticket: str) -> tuple[str, str]:
    return json.dumps({"url": with_ticket(url, ticket)}), JSON


ANSWERS: Final[dict[str, Callable[[str, str], tuple[str, str]]]] = {
    "twilio": _twilio,
    "telnyx": _telnyx,
    "plivo": _plivo,
    "vonage": _vonage,
    "exotel": _exotel,
}
