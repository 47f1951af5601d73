"""An app that answers each utterance with ten seconds of a tone, for those who interrupt it."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from fastapi import FastAPI

from fastrtc import ReplyOnPause, Stream

RATE_HZ = 24_000
PIECE = np.full((1, RATE_HZ // 5), 8000, np.int16)


def reply(audio: tuple[int, Any]) -> Iterator[Any]:
    for _ in range(50):
        yield RATE_HZ, PIECE


stream = Stream(ReplyOnPause(reply), modality="audio", concurrency_limit=100)
app = FastAPI()
stream.mount(app)
