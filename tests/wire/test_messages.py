"""Messages to the client have the forms that API.md fixes."""

from __future__ import annotations

import json

from fastrtc import create_message
from fastrtc.wire.messages import error_message, warning_message


def test_a_message_has_type_and_data() -> None:
    assert json.loads(create_message("log", "started_talking")) == {
        "type": "log",
        "data": "started_talking",
    }
    assert json.loads(create_message("send_input", [])) == {"type": "send_input", "data": []}


def test_errors_and_warnings_have_a_message() -> None:
    assert json.loads(error_message("ä")) == {"type": "error", "message": "ä"}
    assert json.loads(warning_message("b")) == {"type": "warning", "message": "b"}
