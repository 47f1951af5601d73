"""The app of ``chromium.py`` for this library and for FastRTC 0.0.34: a ReplyOnPause and an echo.

``TURNS_WEIGHTS`` is the model file for FastRTC, which would download another. ``TURNS_SMART=1``
asks Smart Turn whether an utterance is complete. Ours notes when it heard and did what, at
``/notes``.
"""

import importlib.util
import itertools
import os
from typing import Any

from fastapi import FastAPI

from e2e.apps.echo import Echo
from fastrtc import ReplyOnPause, SileroVadOptions, Stream
from turns import tones

IS_OURS = importlib.util.find_spec("fastrtc.turns") is not None
numbers = itertools.count()
app = FastAPI()


def reply(audio: tuple[int, Any]) -> Any:
    """A tone, each time another."""
    for piece in tones.reply(next(numbers)):
        yield tones.OUT_HZ, piece.reshape(1, -1)


def handler() -> ReplyOnPause:
    """Ours with its defaults, noted; the original with the weights it is given."""
    if IS_OURS:
        from turns.notes import Asked, Noted, notes

        app.get("/notes")(notes)
        smart = Asked() if os.environ.get("TURNS_SMART") else None
        return Noted(reply, end_of_turn=smart)
    from turns.same_weights import SameWeights

    model = SameWeights(os.environ["TURNS_WEIGHTS"])
    options = SileroVadOptions(window_size_samples=512)
    return ReplyOnPause(reply, model=model, model_options=options)


for path, served in (("", handler()), ("/echo", Echo())):
    stream = Stream(served, modality="audio", mode="send-receive", concurrency_limit=10)
    stream.mount(app, path=path)
