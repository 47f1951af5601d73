"""``POST {path}/telephone/incoming``: a provider asks what to do with a call."""

from __future__ import annotations

import logging
from typing import Final
from urllib.parse import parse_qsl, quote

from fastapi import HTTPException, Request, Response

from fastrtc.telephony.addresses import Address, outside_path, spellings
from fastrtc.telephony.answers import answer_call
from fastrtc.telephony.guard import AUTH_TOKEN_VARIABLE, KEY_VARIABLE, TelephoneGuard

__all__ = ["answer_incoming"]

logger = logging.getLogger("fastrtc")

INCOMING: Final = "/telephone/incoming"
HANDLER: Final = "/telephone/handler"
MAX_BODY_BYTES: Final = 1 << 16


async def answer_incoming(
    request: Request, guard: TelephoneGuard, mounted_at: str = ""
) -> Response:
    """The answer that connects the call to our WebSocket.

    Args:
        request: the webhook; ``?provider=`` says whose, Twilio's without it.
        guard: knows who may call, and gives the call its ticket.
        mounted_at: the stream's path, for a route whose own path does not tell.

    Raises:
        HTTPException: 400 for an unknown provider, 403 for one that may not call, 413 for a large
            body.
    """
    provider = request.query_params.get("provider", "twilio")
    address = await _admit(request, guard, provider.lower())
    if address.path.endswith(INCOMING):
        path = address.path.removesuffix(INCOMING) + HANDLER
    else:
        root_path = request.scope.get("root_path", "").rstrip("/")
        path = outside_path(quote(root_path + mounted_at + HANDLER), "", request.headers)
    try:
        body, media_type = answer_call(provider, address.websocket(path), guard.ticket())
    except ValueError as error:
        raise HTTPException(400, str(error)) from None
    return Response(body, media_type=media_type)


async def _admit(request: Request, guard: TelephoneGuard, provider: str) -> Address:
    """The address under which the outside knows this request, if it may call."""
    address = spellings(request.scope, request.headers)[0]
    if guard.is_open or guard.has_secret(request.query_params):
        return address
    url = address.http(request.url.query)
    if provider != "twilio" or not guard.token:
        logger.warning("a call of %s was refused: no valid key in its URL", provider)
        raise HTTPException(
            403,
            f"calls of {provider} have to come with ?key=, the value of {KEY_VARIABLE}, in the "
            "webhook's URL",
        )
    signed = guard.signed(request, lambda known, query: [known.http(query)], await _form(request))
    if not signed:
        logger.warning("a call was refused: no valid X-Twilio-Signature for %s", url)
        raise HTTPException(
            403,
            f"X-Twilio-Signature does not match {url}: Twilio has to call this very URL, and "
            f"{AUTH_TOKEN_VARIABLE} has to be its account's",
        )
    return signed[0]


async def _form(request: Request) -> list[tuple[str, str]]:
    """The fields of the body, whether or not somebody has read them already."""
    raw = bytearray()
    try:
        async for chunk in request.stream():
            raw += chunk
            if len(raw) > MAX_BODY_BYTES:
                raise HTTPException(413, f"the body is larger than {MAX_BODY_BYTES} bytes")
    except RuntimeError:
        # The application's route, or authorize, called request.form(), which keeps its result.
        fields = (await request.form()).multi_items()
        return [(name, value) for name, value in fields if isinstance(value, str)]
    # Where Starlette keeps what it has read: the application may still ask for it.
    request._body = bytes(raw)
    return parse_qsl(raw.decode("utf-8", "replace"), keep_blank_values=True)
