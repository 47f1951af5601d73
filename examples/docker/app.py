"""Says back each thing that its caller has said; what the Dockerfile beside it serves."""

from collections.abc import Iterator
from typing import Any

from fastapi import FastAPI

from fastrtc import ReplyOnPause, Stream


def parrot(audio: tuple[int, Any]) -> Iterator[tuple[int, Any]]:
    """The turn, as it was heard."""
    yield audio


stream = Stream(ReplyOnPause(parrot), modality="audio", mode="send-receive", concurrency_limit=100)
app = FastAPI()
stream.mount(app)


@app.get("/health")
def health() -> dict[str, int]:
    """For load balancers; how many calls there are."""
    return {"calls": len(stream.connections)}
