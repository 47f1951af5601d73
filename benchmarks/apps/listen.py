"""An app that waits for somebody to speak. Runs on FastRTC 0.0.34 too, with the same weights.

``LISTEN_WEIGHTS`` is the model file for FastRTC, which would download another.
"""

import importlib.util
import os
from typing import Any

from fastapi import FastAPI

from apps.loopback import stay_on_loopback
from fastrtc import ReplyOnPause, SileroVadOptions, Stream

stay_on_loopback()


def reply(audio: tuple[int, Any]) -> Any:
    """Says back what was said."""
    yield audio


def handler() -> ReplyOnPause:
    """Ours as it is; the original with the weights it is given."""
    if importlib.util.find_spec("fastrtc.turns"):
        return ReplyOnPause(reply)
    from turns.same_weights import SameWeights

    model = SameWeights(os.environ["LISTEN_WEIGHTS"])
    options = SileroVadOptions(window_size_samples=512)
    return ReplyOnPause(reply, model=model, model_options=options)


stream = Stream(handler(), modality="audio", mode="send-receive", concurrency_limit=1000)
app = FastAPI()
stream.mount(app)
