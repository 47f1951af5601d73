"""An app that answers each turn with six seconds of a tone. Runs on FastRTC 0.0.34 too.

``TURNS_RESUME=1``: three seconds, which pause for a cough and go on.
"""

import os

import numpy as np
from fastapi import FastAPI

from fastrtc import AlgoOptions, ReplyOnPause, Stream

TONE = (8000 * np.sin(2 * np.pi * 500 * np.arange(2400) / 24000)).astype(np.int16)
RESUMES = bool(os.environ.get("TURNS_RESUME"))


def reply(audio):  # type: ignore[no-untyped-def]
    """Pieces of 0.1 s."""
    for _ in range(30 if RESUMES else 60):
        yield 24000, TONE


if RESUMES:
    patient = AlgoOptions(audio_chunk_duration=1.0, started_talking_threshold=0.6)
    handler = ReplyOnPause(reply, algo_options=patient, resume_after_s=1.0)
else:
    handler = ReplyOnPause(reply)
stream = Stream(handler, modality="audio", mode="send-receive")
app = FastAPI()
stream.mount(app)
