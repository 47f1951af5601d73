"""The HTTP routes of one stream."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any, Final

from fastapi import APIRouter, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import ValidationError

from fastrtc.errors import OfferRefused
from fastrtc.server.auth import authorise
from fastrtc.server.offers import Offers
from fastrtc.server.schemas import Body

__all__ = ["answer_offer", "make_router"]

MAX_BODY_BYTES: Final = 1 << 20

Authorize = Callable[[Any], Any] | None


def make_router(
    offers: Offers,
    authorize: Authorize,
    configuration: Callable[[], Awaitable[dict[str, Any] | None]],
    path: str,
    tags: list[Any] | None,
    offer: Callable[..., Any] | None = None,
) -> APIRouter:
    """The routes of one stream's signalling.

    Args:
        offers: answers them.
        authorize: the stream's hook.
        configuration: makes the ``RTCConfiguration`` for a browser, asked each time.
        path: prefix of the routes.
        tags: for their documentation.
        offer: answers offers instead, where a subclass of the stream has its own.
    """
    router = APIRouter(prefix=path)

    async def webrtc_offer(request: Request) -> JSONResponse:
        """Answers a WebRTC offer, or takes a trickled ICE candidate."""
        principal = await authorise(authorize, request)
        status, answer = await answer_offer(offers, await read_body(request), principal)
        return JSONResponse(answer, status_code=status)

    router.add_api_route(
        "/webrtc/offer",
        webrtc_offer if offer is None else offer,
        methods=["POST"],
        tags=tags,
        openapi_extra={
            "requestBody": {
                "required": True,
                "content": {"application/json": {"schema": Body.model_json_schema()}},
            }
        },
    )

    @router.get("/webrtc/configuration", tags=tags)
    async def webrtc_configuration(request: Request) -> JSONResponse:
        """The ``RTCConfiguration`` for a browser: STUN and TURN servers, with fresh credentials."""
        await authorise(authorize, request)
        return JSONResponse(await configuration() or {}, headers={"Cache-Control": "no-store"})

    return router


async def answer_offer(offers: Offers, body: Body, principal: Any) -> tuple[int, dict[str, Any]]:
    """HTTP status and body for one signalling request, refusals included."""
    try:
        return 200, await offers.handle(body, principal)
    except OfferRefused as refusal:
        return refusal.http_status, refusal.body()


async def read_body(request: Request) -> Body:
    """Reads and validates a request's body.

    Raises:
        HTTPException: 413 for one of more than 1 MiB, of which no more is read.
        RequestValidationError: it is not JSON, or not of this form.
    """
    raw = bytearray()
    async for chunk in request.stream():
        raw += chunk
        if len(raw) > MAX_BODY_BYTES:
            raise HTTPException(413, f"the body is larger than {MAX_BODY_BYTES} bytes")
    try:
        return Body.model_validate(json.loads(bytes(raw), parse_constant=_refuse_constant))
    except ValidationError as error:
        details = error.errors(include_url=False, include_context=False, include_input=False)
        raise RequestValidationError(
            [{**detail, "loc": ("body", *detail["loc"])} for detail in details]
        ) from None
    except (ValueError, RecursionError) as error:
        raise RequestValidationError(
            [{"type": "json_invalid", "loc": ("body",), "msg": f"not JSON: {error}"}]
        ) from None


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON value")
