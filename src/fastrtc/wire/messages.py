"""The JSON that a client is sent over the data channel or its WebSocket.

Only builds and names messages; nothing here is sent.
"""

from __future__ import annotations

import json
from typing import Any, Literal, TypeAlias

__all__ = ["MessageType", "create_message", "error_message", "warning_message"]

MessageType: TypeAlias = Literal[
    "send_input",
    "end_stream",
    "fetch_output",
    "stopword",
    "error",
    "warning",
    "log",
    "update_connection",
]


def create_message(type: MessageType, data: list[Any] | str) -> str:  # noqa: A002
    """``{"type": type, "data": data}`` as JSON text.

    Raises:
        TypeError: ``data`` is not JSON serialisable.

    Example::

        await self.send_message(create_message("log", "thinking"))
    """
    return json.dumps({"type": type, "data": data})


def error_message(message: str) -> str:
    """What makes the client show an error."""
    return json.dumps({"type": "error", "message": message})


def warning_message(message: str) -> str:
    """What makes the client show a warning."""
    return json.dumps({"type": "warning", "message": message})
