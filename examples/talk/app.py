"""A page to talk to a program: ``python examples/talk/app.py [--host HOST] [--port PORT]``.

``handler.py`` is all there is to write; the page shows its source beside the call. What it says and
understands is in ``phrases.py``. Nothing is downloaded, and no key is needed.
"""

import argparse
import json
from collections.abc import AsyncIterator
from pathlib import Path

import uvicorn
from fastapi import FastAPI
from fastapi.responses import FileResponse, StreamingResponse
from handler import handler

from fastrtc import Stream

HERE = Path(__file__).parent

stream = Stream(handler, modality="audio", mode="send-receive", concurrency_limit=20)
app = FastAPI(title="Talk to a program")
stream.mount(app)


@app.get("/")
def page() -> FileResponse:
    """What the caller sees."""
    return FileResponse(HERE / "index.html")


@app.get("/page.js")
def page_script() -> FileResponse:
    """What moves on it."""
    return FileResponse(HERE / "page.js", media_type="text/javascript")


@app.get("/handler.py")
def handler_source() -> FileResponse:
    """What answers the caller, as it runs."""
    return FileResponse(HERE / "handler.py", media_type="text/plain")


@app.get("/updates")
def outputs(webrtc_id: str) -> StreamingResponse:
    """What was heard and answered in one call, as server-sent events."""

    async def events() -> AsyncIterator[str]:
        async for output in stream.output_stream(webrtc_id):
            heard, said = output.args
            yield f"data: {json.dumps({'heard': heard, 'said': said})}\n\n"

    return StreamingResponse(events(), media_type="text/event-stream")


def main() -> None:
    """Serves the page until Ctrl-C."""
    parser = argparse.ArgumentParser(description="Serves a page to talk to a program.")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--port", type=int, default=8000, help="port to listen on")
    options = parser.parse_args()
    shown = "localhost" if options.host in ("127.0.0.1", "0.0.0.0", "::") else options.host
    print(f"Open http://{shown}:{options.port} and press start. Ctrl-C ends.")
    uvicorn.run(app, host=options.host, port=options.port, log_level="warning")


if __name__ == "__main__":
    main()
