"""An app that answers each turn with six seconds of a tone. Runs on FastRTC 0.0.34 too."""

import numpy as np
from fastapi import FastAPI

from fastrtc import ReplyOnPause, Stream

TONE = (8000 * np.sin(2 * np.pi * 500 * np.arange(2400) / 24000)).astype(np.int16)


def reply(audio):  # type: ignore[no-untyped-def]
    """Sixty pieces of 0.1 s."""
    for _ in range(60):
        yield 24000, TONE


stream = Stream(ReplyOnPause(reply), modality="audio", mode="send-receive")
app = FastAPI()
stream.mount(app)
