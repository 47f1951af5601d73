"""A server that is told to end does, with sessions live and a response streaming their outputs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time

import pytest

APP = textwrap.dedent(
    """
    import asyncio, threading, urllib.request
    from contextlib import asynccontextmanager
    import uvicorn
    from fastapi import FastAPI
    from fastapi.responses import StreamingResponse
    from fastrtc import AsyncStreamHandler, Stream
    from fastrtc.testing import MemoryClient

    class Quiet(AsyncStreamHandler):
        async def receive(self, frame): ...
        async def emit(self): await asyncio.sleep(3600)
        async def shutdown(self): print("handler shut down", flush=True)

    stream = Stream(Quiet(), modality="audio")

    @asynccontextmanager
    async def lifespan(app):
        yield
        print("application ended", flush=True)

    app = FastAPI(lifespan=lifespan)
    stream.mount(app)

    @app.get("/updates")
    async def updates():
        await MemoryClient(stream, "me").connect()
        async def lines():
            yield "begun\\n"
            async for output in stream.output_stream("me"):
                yield str(output)
        return StreamingResponse(lines())

    def read():
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/updates") as response:
            print(response.readline().decode(), end="", flush=True)
            response.read()

    import socket
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    threading.Timer(1.0, read).start()
    uvicorn.run(app, host="127.0.0.1", port=port, log_level="warning")
    """
)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_streaming_response_does_not_keep_the_server_from_ending(number: signal.Signals) -> None:
    server = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", APP], stdout=subprocess.PIPE, text=True
    )
    assert server.stdout is not None
    try:
        assert server.stdout.readline() == "begun\n"
        os.kill(server.pid, number)
        told = time.monotonic()
        rest = server.communicate(timeout=20)[0]
        assert time.monotonic() - told < 8
        assert rest == "handler shut down\napplication ended\n"
    finally:
        server.kill()
