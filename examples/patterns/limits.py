"""Who may call, how many at once, and for how long. ``uvicorn limits:app``."""

import secrets

from fastapi import FastAPI

from fastrtc import Stream, WebRTCError, get_current_context

TOKENS = {"let-me-in": "Ada"}


def authorize(connection):
    """Called before anything is allocated; the result is the call's principal, falsy refuses.

    In the browser: ``new Client({ headers: { "X-Token": "let-me-in" } })``.
    """
    given = connection.headers.get("x-token", "")
    return next(
        (name for token, name in TOKENS.items() if secrets.compare_digest(token, given)), ""
    )


def echo(frame):
    """Knows who calls; what a ``WebRTCError`` says is shown to the client."""
    if get_current_context().principal not in TOKENS.values():
        raise WebRTCError("You are not on the list.")
    return frame


stream = Stream(echo, modality="audio", concurrency_limit=10, time_limit=3600, authorize=authorize)
app = FastAPI()
stream.mount(app)
