"""``POST {path}/telephone/incoming``: a provider asks what to do with a call."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from typing import Final
from urllib.parse import parse_qsl, quote

from fastapi import HTTPException, Request, Response

from fastrtc.telephony.addresses import outside_path, spellings
from fastrtc.telephony.answers import answer_call
from fastrtc.telephony.signature import twilio_signed

__all__ = ["AUTH_TOKEN_VARIABLE", "answer_incoming"]

logger = logging.getLogger("fastrtc")

AUTH_TOKEN_VARIABLE: Final = "TWILIO_AUTH_TOKEN"
INCOMING: Final = "/telephone/incoming"
HANDLER: Final = "/telephone/handler"
MAX_BODY_BYTES: Final = 1 << 16


async def answer_incoming(
    request: Request, mounted_at: str = "", environment: Mapping[str, str] = os.environ
) -> Response:
    """The answer that connects the call to our WebSocket.

    Args:
        request: the webhook; ``?provider=`` says whose, Twilio's without it.
        mounted_at: the stream's path, for a route whose own path does not tell.
        environment: with ``TWILIO_AUTH_TOKEN`` in it, only what Twilio signed is answered.

    Raises:
        HTTPException: 400 for an unknown provider, 403 for a wrong signature, 413 for a large body.
    """
    provider = request.query_params.get("provider", "twilio")
    addresses = spellings(request.scope, request.headers)
    token = environment.get(AUTH_TOKEN_VARIABLE, "")
    if token and provider.lower() == "twilio":
        query, form = request.url.query, await _form(request)
        signature = request.headers.get("x-twilio-signature", "")
        url = addresses[0].http(query)
        addresses = [
            address
            for address in addresses
            if twilio_signed(signature, token, address.http(query), form)
        ]
        if not addresses:
            logger.warning("a call was refused: no valid X-Twilio-Signature for %s", url)
            raise HTTPException(
                403,
                f"X-Twilio-Signature does not match {url}: Twilio has to call this very URL, and "
                f"{AUTH_TOKEN_VARIABLE} has to be its account's",
            )
    address = addresses[0]
    if address.path.endswith(INCOMING):
        path = address.path.removesuffix(INCOMING) + HANDLER
    else:
        root_path = request.scope.get("root_path", "").rstrip("/")
        path = outside_path(quote(root_path + mounted_at + HANDLER), "", request.headers)
    try:
        body, media_type = answer_call(provider, address.websocket(path))
    except ValueError as error:
        raise HTTPException(400, str(error)) from None
    return Response(body, media_type=media_type)


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
