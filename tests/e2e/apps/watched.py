"""The echo app with a look inside: what the handler heard and what the session counts."""

import time
from typing import Any

from fastapi import FastAPI

from e2e.apps.echo import Echo
from fastrtc import Stream


class Watched(Echo):
    """Echo that counts."""

    made = 0
    """Handlers that were given to a client."""
    heard_s = 0.0
    """Seconds of sound heard, by whichever handler."""
    first_heard_at: float | None = None
    shut_down = 0

    def copy(self) -> "Watched":
        Watched.made += 1
        return Watched()

    async def receive(self, frame: tuple[int, Any]) -> None:
        rate_hz, samples = frame
        if Watched.first_heard_at is None:
            Watched.first_heard_at = time.monotonic()
        Watched.heard_s += samples.shape[-1] / rate_hz
        await super().receive(frame)

    def shutdown(self) -> None:
        Watched.shut_down += 1


stream = Stream(Watched(), modality="audio", mode="send-receive", concurrency_limit=10)
app = FastAPI()
stream.mount(app)


@app.get("/watch")
async def watch() -> dict[str, Any]:
    """Everything a test may want to know."""
    first = Watched.first_heard_at
    return {
        "made": Watched.made,
        "shut_down": Watched.shut_down,
        "heard_s": Watched.heard_s,
        "since_first_s": 0.0 if first is None else time.monotonic() - first,
        "sessions": [{"id": s.id, "state": s.state, "stats": s.stats} for s in stream.sessions],
    }
