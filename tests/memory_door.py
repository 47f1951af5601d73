"""A door whose clients live in memory: what the offer routes are tested with, without media."""

from __future__ import annotations

import asyncio
from typing import Any

from fastrtc.errors import InvalidCandidate, InvalidSdp, UnsupportedMedia
from fastrtc.session.session import Session
from fastrtc.transports.memory import MemoryTransport


def offer(fingerprint: str = "sha-256 AA:01", media: str = "audio") -> str:
    """Enough of an SDP offer for this door."""
    return f"v=0\r\nm={media} 9 UDP/TLS/RTP/SAVPF 111\r\na=fingerprint:{fingerprint}\r\n"


class DoorTransport(MemoryTransport):
    """A memory transport that takes candidates and later offers."""

    def __init__(self, session: Session) -> None:
        self.texts: list[str] = []
        self.candidates: list[str] = []
        super().__init__(session, self.texts.append, lambda: None)

    def add_candidate(self, candidate: str) -> None:
        if candidate and not candidate.startswith("candidate:"):
            raise InvalidCandidate(f"not a candidate: {candidate!r}")
        self.candidates.append(candidate)

    async def renegotiate(self, sdp: str) -> str:
        if not sdp.startswith("v=0"):
            raise InvalidSdp("no v=0")
        return "renegotiated answer"


class _Pending:
    def __init__(self, door: MemoryDoor, fingerprint: str) -> None:
        self.answer_sdp = "answer"
        self.fingerprint = fingerprint
        self._door = door

    def attach(self, session: Session) -> DoorTransport:
        transport = DoorTransport(session)
        self._door.transports[session.id] = transport
        if self._door.goes_live:
            session.on_live()
        return transport

    def discard(self) -> None:
        self._door.discarded += 1


class MemoryDoor:
    """Accepts offers after ``delay_s``."""

    def __init__(self, *, delay_s: float = 0.0, goes_live: bool = True) -> None:
        self.delay_s = delay_s
        self.goes_live = goes_live
        self.discarded = 0
        self.configurations: list[Any] = []
        self.transports: dict[str, DoorTransport] = {}

    async def accept(
        self,
        sdp: str,
        *,
        input_rate_hz: int,
        input_channels: int,
        server_rtc_configuration: dict[str, Any] | None,
    ) -> _Pending:
        self.configurations.append(server_rtc_configuration)
        await asyncio.sleep(self.delay_s)
        if not sdp.startswith("v=0") or "a=fingerprint:" not in sdp:
            raise InvalidSdp("no v=0, or no fingerprint")
        if "m=video" in sdp:
            raise UnsupportedMedia("this stream has no video")
        fingerprint = sdp.split("a=fingerprint:")[1].strip()
        return _Pending(self, fingerprint)
