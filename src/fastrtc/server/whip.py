"""WHIP and WHEP: offers by plain HTTP, for encoders that send and players that watch.

RFC 9725 (WHIP) and draft-ietf-wish-whep. One POST of an SDP offer makes a session and answers 201
with its URL in ``Location``: who knows it, and nobody else, may PATCH candidates to it and DELETE
it.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Awaitable, Callable
from typing import Any, Final, Literal

from fastapi import APIRouter, HTTPException, Request, Response

from fastrtc.errors import (
    ConcurrencyLimitReached,
    ConnectionClosed,
    InvalidCandidate,
    OfferRefused,
    UnknownConnection,
    UnsupportedMedia,
)
from fastrtc.server.auth import authorise
from fastrtc.server.offers import Offers
from fastrtc.server.schemas import Body
from fastrtc.session.factory import SessionFactory

__all__ = ["add_whip_routes", "ice_links", "trickled"]

SDP: Final = "application/sdp"
TRICKLE: Final = "application/trickle-ice-sdpfrag"
MAX_BODY_BYTES: Final = 1 << 16
RETRY_AFTER_S: Final = 5
REFUSED: Final = 400
ACCEPTED: Final = re.compile(r"^m=\S+ [1-9]", re.MULTILINE)
"""A medium that the answer does not decline, which it does with port 0 (RFC 3264, section 6)."""
NO_CODEC: Final = "none of the offer's codecs is taken; audio is Opus, opus/48000/2"
TOKEN: Final = re.compile(r"[A-Za-z0-9_-]{32}")


def add_whip_routes(
    router: APIRouter,
    kind: Literal["whip", "whep"],
    offers: Offers,
    factory: SessionFactory,
    authorize: Callable[[Any], Any] | None,
    configuration: Callable[[], Awaitable[dict[str, Any] | None]],
    tags: list[Any] | None,
) -> None:
    """Adds ``/whip`` or ``/whep`` and the sessions under it.

    Args:
        router: of the stream, with its prefix.
        kind: "whip" for clients that send, "whep" for those that watch.
        offers: answers them, in that direction.
        factory: has their sessions.
        authorize: the stream's hook; a bearer token is in the request's headers.
        configuration: the stream's ``RTCConfiguration``, for the ``Link`` headers.
        tags: for the routes' documentation.
    """

    async def create(request: Request) -> Response:
        principal = await authorise(authorize, request)
        sdp = await _text(request, SDP)
        id_ = f"{kind}-{secrets.token_urlsafe(24)}"
        try:
            answer = await offers.handle(Body(type="offer", sdp=sdp, webrtc_id=id_), principal)
        except OfferRefused as refusal:
            raise _refused(refusal) from None
        if not ACCEPTED.search(answer["sdp"]):
            close(id_, "nothing in its offer is served")
            raise HTTPException(REFUSED, f"{UnsupportedMedia.code}: {NO_CODEC}")
        headers = {
            # Relative to the request's URL, of which a proxy may have taken a prefix.
            "Location": f"{kind}/{id_.removeprefix(kind + '-')}",
            "ETag": f'"{id_[-16:]}"',
            "Accept-Patch": TRICKLE,
        }
        response = Response(answer["sdp"], 201, headers, SDP)
        for link in ice_links(await configuration()):
            response.headers.append("Link", link)
        return response

    async def trickle(token: str, request: Request) -> Response:
        fragment = await _text(request, TRICKLE)
        id_ = _existing(token)
        candidates = trickled(fragment)
        if not candidates and "a=ice-ufrag:" in fragment:
            raise HTTPException(422, "ICE restarts are not supported here: DELETE, then POST anew")
        try:
            for candidate in candidates:
                body = Body(type="ice-candidate", candidate=candidate, webrtc_id=id_)
                await offers.handle(body)
        except OfferRefused as refusal:
            raise _refused(refusal) from None
        return Response(status_code=204)

    async def end(token: str) -> Response:
        close(_existing(token), f"the {kind} client said goodbye")
        return Response(status_code=200)

    def close(id_: str, reason: str) -> None:
        session = factory.registry.get(id_)
        if session is not None:
            session.loop.call_soon_threadsafe(session.close, reason)

    def _existing(token: str) -> str:
        id_ = f"{kind}-{token}"
        if not TOKEN.fullmatch(token) or not offers.made(id_):
            raise HTTPException(404, "no such session")
        return id_

    name = kind.upper()
    router.add_api_route(
        f"/{kind}", create, methods=["POST"], tags=tags, status_code=201, name=f"{name} offer"
    )
    router.add_api_route(
        f"/{kind}/{{token}}", trickle, methods=["PATCH"], tags=tags, name=f"{name} candidates"
    )
    router.add_api_route(
        f"/{kind}/{{token}}", end, methods=["DELETE"], tags=tags, name=f"{name} end"
    )


async def _text(request: Request, media_type: str) -> str:
    received = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if received != media_type:
        raise HTTPException(
            415,
            f"the body is {received or 'of no type'}; it has to be {media_type}",
            headers={"Accept-Post" if media_type == SDP else "Accept-Patch": media_type},
        )
    raw = bytearray()
    async for chunk in request.stream():
        raw += chunk
        if len(raw) > MAX_BODY_BYTES:
            raise HTTPException(413, f"the body is larger than {MAX_BODY_BYTES} bytes")
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise HTTPException(REFUSED, f"the body is not UTF-8: {error}") from None


def _refused(refusal: OfferRefused) -> HTTPException:
    if isinstance(refusal, (ConcurrencyLimitReached, ConnectionClosed)):
        return HTTPException(503, str(refusal), headers={"Retry-After": str(RETRY_AFTER_S)})
    if isinstance(refusal, UnknownConnection):
        return HTTPException(404, "no such session")
    if isinstance(refusal, InvalidCandidate):
        return HTTPException(REFUSED, str(refusal))
    return HTTPException(REFUSED, f"{refusal.code}: {refusal}")


def trickled(fragment: str) -> list[dict[str, Any]]:
    """The candidates of a ``trickle-ice-sdpfrag`` (RFC 8840), as ``RTCIceCandidateInit``.

    The end of candidates is one with empty text.
    """
    found: list[dict[str, Any]] = []
    ufrag: str | None = None
    for line in fragment.splitlines():
        name, _, value = line.strip().partition(":")
        if name == "a=ice-ufrag":
            ufrag = value
        elif name == "a=candidate":
            found.append({"candidate": f"candidate:{value}", "usernameFragment": ufrag})
        elif name == "a=end-of-candidates":
            found.append({"candidate": ""})
    return found


def ice_links(configuration: dict[str, Any] | None) -> list[str]:
    """``Link`` headers that name STUN and TURN servers (RFC 9725, section 4.6)."""
    links = []
    for server in (configuration or {}).get("iceServers") or []:
        urls = server.get("urls") or server.get("url") or []
        for url in [urls] if isinstance(urls, str) else urls:
            link = f'<{url}>; rel="ice-server"'
            if server.get("username") is not None:
                user, password = server["username"], server.get("credential", "")
                link += f'; username="{user}"; credential="{password}"; credential-type="password"'
            links.append(link)
    return links
