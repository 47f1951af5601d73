"""Which session the running code belongs to.

Holds the context variable and what user code reads through it; starts and ends nothing.
"""

from __future__ import annotations

import logging
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fastrtc.wire.messages import warning_message

if TYPE_CHECKING:
    from fastrtc.session.session import Session

logger = logging.getLogger("fastrtc")

__all__ = ["Context", "Warning", "current_context", "get_current_context"]


@dataclass(frozen=True)
class Context:
    """The session that the running code belongs to.

    Attributes:
        webrtc_id: the client's name for the session.
        websocket: the client's WebSocket, where there is one.
        session: the session itself.
        principal: what ``authorize`` returned for this client.

    Example::

        context = get_current_context()
        context.session.send_message(create_message("log", context.webrtc_id))
    """

    webrtc_id: str
    websocket: Any = None
    session: Session | None = None
    principal: Any = None


current_context: ContextVar[Context | None] = ContextVar("fastrtc_context", default=None)


def get_current_context() -> Context:
    """The context of the running handler; works in every method and function of a handler.

    Raises:
        RuntimeError: the caller was not called on behalf of a session.

    Example::

        user = get_current_context().principal
    """
    context = current_context.get()
    if context is None:
        raise RuntimeError(
            "get_current_context() works only in code that a session runs: the methods of a "
            "handler, or the functions given to Stream"
        )
    return context


def Warning(message: str = "Warning issued.") -> None:  # noqa: A001, N802
    """Makes the client of the running handler show a warning. From any thread.

    Code that runs for no client has the warning logged instead.

    Example::

        Warning("Please come closer to the microphone.")
    """
    context = current_context.get()
    if context is None or context.session is None:
        logger.warning("%s", message)
    else:
        context.session.send_message(warning_message(message))
