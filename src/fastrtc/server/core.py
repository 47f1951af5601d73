"""What a stream and the component that shows it have in common: one counter, one signalling.

Puts parts together and asks for nothing; routes and pages are made of it elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastrtc.errors import OfferRefused, UnsupportedMedia
from fastrtc.handlers.base import StreamHandlerBase
from fastrtc.handlers.prototype import make_prototype
from fastrtc.server.offers import UNWRITTEN, NoHandlerYet, Offers, ServerConfiguration
from fastrtc.session.factory import SessionFactory
from fastrtc.session.session import RECONNECT_TIMEOUT_S
from fastrtc.session.shared import NOT_WATCHED, SharedFactory
from fastrtc.transports.base import Allowed
from fastrtc.transports.shared import broadcast_of
from fastrtc.types import Modality, StreamMode

__all__ = ["Core"]


class Core:
    """The sessions of one handler and what answers their offers.

    Args:
        handler: a handler, a function, or ``...`` for one that is still to be written.
        mode: directions, named from the client.
        modality: what the stream carries.
        has_inputs: whether the client has inputs to send.
        limit: sessions at once; None for no limit.
        time_limit_s: how long a session may be live; None for no limit.
        allow_extra_tracks: accept offers with media that is not served.
        rtp_params: RTP sending parameters.
        server_rtc_configuration: STUN and TURN servers for our side.
        authorize: see :class:`fastrtc.Stream`.
        reconnect_timeout_s: how long a client that is not heard keeps its session.
        shared: whether all clients watch one run of the handler.

    Attributes:
        socket_refusal: why it takes no WebSockets and calls; None when it does.

    Raises:
        ValueError: the handler does not fit; the message says what is allowed.
    """

    def __init__(
        self,
        handler: StreamHandlerBase | Callable[..., Any] | Any,
        *,
        mode: StreamMode,
        modality: Modality,
        has_inputs: bool,
        limit: int | None,
        time_limit_s: float | None = None,
        allow_extra_tracks: bool = False,
        rtp_params: dict[str, Any] | None = None,
        server_rtc_configuration: ServerConfiguration = None,
        authorize: Callable[[Any], Any] | None = None,
        reconnect_timeout_s: float = RECONNECT_TIMEOUT_S,
        shared: bool = False,
    ) -> None:
        self.authorize = authorize
        self.modality: Modality = modality
        prototype = make_prototype(handler, mode, modality, has_inputs)
        if shared and mode != "receive":
            raise ValueError(f"shared=True is for mode 'receive', in which all watch; not {mode!r}")
        self.allowed = Allowed(
            audio=modality != "video",
            video=modality != "audio",
            mode=mode,
            allow_extra_tracks=allow_extra_tracks,
            rtp_params=rtp_params or {},
            reconnect_timeout_s=reconnect_timeout_s,
        )
        options: dict[str, Any] = {
            "mode": mode,
            "limit": limit,
            "time_limit_s": time_limit_s,
            "reconnect_timeout_s": reconnect_timeout_s,
        }
        self.factory = (
            SharedFactory(prototype, open_broadcast=broadcast_of(self.allowed), **options)
            if shared
            else SessionFactory(prototype, **options)
        )
        self.door = NoHandlerYet() if handler is ... else None
        self.socket_refusal: OfferRefused | None = None
        if handler is ...:
            self.socket_refusal = UnsupportedMedia(UNWRITTEN)
        elif shared:
            self.socket_refusal = UnsupportedMedia(NOT_WATCHED)
        self.offers = Offers(self.factory, self.allowed, server_rtc_configuration, self.door)

    def renew(
        self,
        handler: StreamHandlerBase | Callable[..., Any],
        has_inputs: bool,
        limit: int | None,
        time_limit_s: float | None,
    ) -> None:
        """From now on new sessions get this handler and these limits; those that live go on."""
        factory = self.factory
        factory.prototype = make_prototype(handler, factory.mode, self.modality, has_inputs)
        factory.registry.limit = limit
        factory.time_limit_s = time_limit_s
