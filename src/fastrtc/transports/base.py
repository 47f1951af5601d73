"""What every transport has in common: the protocol it follows and what a stream allows it.

The protocol itself stands with its user, the session.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from fastrtc.session.session import RECONNECT_TIMEOUT_S
from fastrtc.session.transport import Stats, Transport
from fastrtc.types import StreamMode

__all__ = ["Allowed", "Stats", "Transport"]


@dataclass(frozen=True)
class Allowed:
    """What media a stream takes from its clients.

    Attributes:
        audio: whether it has audio at all.
        video: whether it has video at all.
        mode: directions, named from the client.
        allow_extra_tracks: whether an offer may have media of a kind that is not served.
        rtp_params: RTP sending parameters, such as ``{"maxBitrate": 32000}``.
        reconnect_timeout_s: how long a client that is not heard keeps its connection.
    """

    audio: bool
    video: bool
    mode: StreamMode
    allow_extra_tracks: bool = False
    rtp_params: dict[str, Any] = field(default_factory=dict)
    reconnect_timeout_s: float = RECONNECT_TIMEOUT_S
