"""The handler of this example, by itself because the page shows it."""

import asyncio

import numpy as np

from fastrtc import AsyncStreamHandler


class Parrot(AsyncStreamHandler):
    """Says back what it hears, one second later."""

    async def start_up(self):
        self.heard = asyncio.Queue()
        one_second = np.zeros(48000, np.int16)
        await self.heard.put((48000, one_second))

    async def receive(self, frame):
        await self.heard.put(frame)

    async def emit(self):
        return await self.heard.get()
