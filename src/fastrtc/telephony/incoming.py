"""``POST {path}/telephone/incoming``: a provider asks what to do with a call."""

from __future__ import annotations

import logging
from typing import Final
from urllib.parse import parse_qsl, quote

from fastapi import HTTPException, Request, Response

from fastrtc.errors import FeatureUnavailable
from fastrtc.telephony.addresses import Address, outside_path, spellings
from fastrtc.telephony.answers import answer_call
from fastrtc.telephony.guard import KEY_VARIABLE, TelephoneGuard
from fastrtc.telephony.signers import SIGNERS, Webhook

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
    if not guard.can_check(provider):
        logger.warning("a call of %s was refused: no valid key in its URL", provider)
        signer = SIGNERS.get(provider)
        also = f", or be signed, with {signer.variable} in the environment" if signer else ""
        raise HTTPException(
            403,
            f"calls of {provider} have to come with ?key=, the value of {KEY_VARIABLE}, in the "
            f"webhook's URL{also}",
        )
    body, form = await _read(request)
    if body is None and SIGNERS[provider].needs_body:
        raise _unsigned(provider, address.http(request.url.query), has_body=False)
    for known in spellings(request.scope, request.headers):
        webhook = Webhook(request.headers, known.http(request.url.query), body or b"", form)
        try:
            if guard.signed(provider, webhook):
                return known
        except (FeatureUnavailable, ValueError) as error:
            logger.error("a call of %s could not be checked: %s", provider, error)
            raise HTTPException(503, f"calls of {provider} cannot be checked here") from None
    raise _unsigned(provider, address.http(request.url.query), has_body=body is not None)


def _unsigned(provider: str, url: str, *, has_body: bool) -> HTTPException:
    signer = SIGNERS[provider]
    logger.warning("a call was refused: no valid %s for %s", signer.header, url)
    if signer.needs_body and not has_body:
        return HTTPException(
            403,
            f"{signer.header} signs the body as it came, but the application has read it as a "
            "form: call handle_incoming_call first, or await request.body() before the form",
        )
    return HTTPException(
        403,
        f"{signer.header} does not match {url}: {provider.capitalize()} has to call this very URL, "
        f"within five minutes where it signs the time, and {signer.variable} has to be its "
        "account's",
    )


async def _read(request: Request) -> tuple[bytes | None, list[tuple[str, str]]]:
    """The body and its fields, whether or not somebody has read them already; None for a body that
    only its fields are left of."""
    raw = bytearray()
    try:
        async for chunk in request.stream():
            raw += chunk
            if len(raw) > MAX_BODY_BYTES:
                raise HTTPException(413, f"the body is larger than {MAX_BODY_BYTES} bytes")
    except RuntimeError:
        # The application's route, or authorize, called request.form(), which keeps its result.
        fields = (await request.form()).multi_items()
        return None, [(name, value) for name, value in fields if isinstance(value, str)]
    # Where Starlette keeps what it has read: the application may still ask for it.
    request._body = bytes(raw)
    return bytes(raw), parse_qsl(raw.decode("utf-8", "replace"), keep_blank_values=True)
