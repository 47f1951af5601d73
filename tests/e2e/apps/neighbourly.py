"""An echo that pages of other origins may call, as docs/client.md tells it."""

from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware

from fastrtc import Stream

stream = Stream(lambda audio: audio, modality="audio", concurrency_limit=4)
app = FastAPI()
app.add_middleware(
    CORSMiddleware,
    allow_origin_regex=r"http://127\.0\.0\.1:\d+",
    allow_methods=["GET", "POST"],
    allow_headers=["Content-Type"],
)
stream.mount(app)
