"""Text beside the sound: the page asks, the handler plays and tells. ``uvicorn messages:app``."""

import asyncio
import json

import numpy as np
from fastapi import FastAPI

from fastrtc import AsyncStreamHandler, CloseStream, Stream

RATE_HZ = 24000


class Player(AsyncStreamHandler):
    """Plays a tone when it is told to; in the browser, ``client.send({ play: 440 })``."""

    def __init__(self):
        super().__init__(input_sample_rate=RATE_HZ, output_sample_rate=RATE_HZ)
        self.replies = asyncio.Queue()

    def copy(self):
        return Player()

    async def on_message(self, text):
        wish = json.loads(text)
        if wish == "stop":
            self.clear_queue()
            await self.send_message(json.dumps({"played_s": round(self.played_s, 1)}))
        elif wish == "bye":
            await self.replies.put(CloseStream("It was a pleasure."))
        else:
            angle = 2 * np.pi * wish["play"] * np.arange(2 * RATE_HZ) / RATE_HZ
            await self.replies.put((RATE_HZ, (0.2 * np.sin(angle)).astype(np.float32)))

    async def receive(self, frame):
        """The microphone is not listened to."""

    async def emit(self):
        return await self.replies.get()


stream = Stream(Player(), modality="audio", mode="send-receive", concurrency_limit=10)
app = FastAPI()
stream.mount(app)
