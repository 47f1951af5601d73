"""The ``authorize`` hook: who may connect, asked before anything is read or allocated."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from fastapi import HTTPException
from starlette.requests import HTTPConnection

from fastrtc.handlers.signature import is_async_callable
from fastrtc.session.workers import call_sync

__all__ = ["authorise"]


async def authorise(
    authorize: Callable[[Any], Any] | None, connection: HTTPConnection | None
) -> Any:
    """Asks the application's hook; returns the principal, None without a hook.

    Args:
        authorize: sync (runs in a worker thread) or async.
        connection: the HTTP request or WebSocket it is asked about.

    Raises:
        HTTPException: the hook's own, or 403 when it returned something falsy.
        ValueError: there is a hook but nothing to ask it about.
    """
    if authorize is None:
        return None
    if connection is None:
        raise ValueError(
            "this stream has an authorize hook, which needs the HTTP request: "
            "call offer(body, request)"
        )
    if is_async_callable(authorize):
        principal = authorize(connection)
    else:
        principal = await call_sync(authorize, connection)
    if inspect.isawaitable(principal):
        principal = await principal
    if not principal:
        raise HTTPException(status_code=403, detail="not authorized")
    return principal
