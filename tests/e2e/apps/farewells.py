"""A stream with one place, mounted and on a Gradio page, and a route that counts goodbyes."""

import gradio as gr
from fastapi import FastAPI, Request, Response
from starlette.middleware.base import RequestResponseEndpoint

from fastrtc import Stream

stream = Stream(lambda frame: frame, modality="audio", concurrency_limit=1)
heard = {"goodbyes": 0}
app = FastAPI()


@app.get("/heard")
def tell() -> dict[str, int]:
    """Goodbyes so far, and live sessions."""
    return {**heard, "sessions": len(stream.sessions)}


@app.middleware("http")
async def count(request: Request, call_next: RequestResponseEndpoint) -> Response:
    """Counts what reaches the server, whatever it thinks of it."""
    if request.method == "POST" and b'"bye"' in await request.body():
        heard["goodbyes"] += 1
    return await call_next(request)


stream.mount(app)
gr.mount_gradio_app(app, stream.ui, path="/page")
