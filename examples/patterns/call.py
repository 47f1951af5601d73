"""Sound and picture in one call: both come back, the picture mirrored. ``uvicorn call:app``."""

import asyncio

from fastapi import FastAPI

from fastrtc import AsyncAudioVideoStreamHandler, Stream, wait_for_item


class Mirror(AsyncAudioVideoStreamHandler):
    """Each client gets a copy, so queues are its own."""

    def __init__(self):
        super().__init__(input_sample_rate=24000, output_sample_rate=24000)
        self.sounds = asyncio.Queue()
        self.pictures = asyncio.Queue(maxsize=1)

    def copy(self):
        return Mirror()

    async def receive(self, frame):
        self.sounds.put_nowait(frame)

    async def emit(self):
        return await wait_for_item(self.sounds)

    async def video_receive(self, frame):
        if self.pictures.full():
            self.pictures.get_nowait()  # only the newest is worth sending
        self.pictures.put_nowait(frame[:, ::-1])

    async def video_emit(self):
        return await wait_for_item(self.pictures)


stream = Stream(Mirror(), modality="audio-video", mode="send-receive", concurrency_limit=2)
app = FastAPI()
stream.mount(app)
