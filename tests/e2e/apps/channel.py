"""A channel that all viewers share: numbered pictures, and a beep with each thirtieth of them.

``/channel`` tells how often the handler began and ended, and what each viewer's session counts.
"""

from typing import Any

import numpy as np
from fastapi import FastAPI

from fastrtc import AsyncAudioVideoStreamHandler, Stream

RATE_HZ, FPS = 24_000, 30
BITS, HEIGHT, WIDTH = 16, 480, 640
STRIP = 128
"""High enough for the page's eye if pictures are sent smaller for a while."""
BEEP_S = 0.1


class Channel(AsyncAudioVideoStreamHandler):
    """Shows and says what nobody asked for."""

    begun = ended = 0

    def __init__(self) -> None:
        super().__init__(output_sample_rate=RATE_HZ, fps=FPS)
        self.shown = self.said = 0

    async def start_up(self) -> None:
        Channel.begun += 1

    async def shutdown(self) -> None:
        Channel.ended += 1

    async def video_receive(self, frame: Any) -> None:
        """Nobody sends any."""

    async def receive(self, frame: Any) -> None:
        """Nobody sends any."""

    async def video_emit(self) -> Any:
        picture = np.full((HEIGHT, WIDTH, 3), 100, np.uint8)
        # Something that moves, and the number as the page's eye reads it.
        picture[STRIP:, 8 * self.shown % WIDTH :][:, :40] = 255
        bits = self.shown >> np.arange(BITS - 1, -1, -1) & 1
        picture[:STRIP] = (255 * bits).repeat(WIDTH // BITS)[:, None]
        self.shown += 1
        return picture

    async def emit(self) -> Any:
        times_s = (self.said + np.arange(RATE_HZ // 50)) / RATE_HZ
        self.said += len(times_s)
        tone = 0.5 * np.sin(2 * np.pi * 1000 * times_s)
        return RATE_HZ, np.where(times_s % 1 < BEEP_S, tone, 0).astype(np.float32)


stream = Stream(
    Channel(), modality="audio-video", mode="receive", shared=True, concurrency_limit=10
)
app = FastAPI()
stream.mount(app)


@app.get("/channel")
async def channel() -> dict[str, Any]:
    """Everything a test may want to know."""
    sessions = [{"id": session.id, "stats": session.stats} for session in stream.sessions]
    return {"begun": Channel.begun, "ended": Channel.ended, "sessions": sessions}
