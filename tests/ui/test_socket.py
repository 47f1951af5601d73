"""The WebSocket of a page, for browsers that no WebRTC reaches."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from io import BytesIO
from typing import Any

import gradio as gr
import httpx
import numpy as np
import pytest
import uvicorn
from fastapi import FastAPI
from PIL import Image
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from fastrtc import Stream
from recorders import AsyncEcho

START = {"event": "start", "websocket_id": "me", "format": "pcm16", "sample_rate": 24000}


@asynccontextmanager
async def serving(stream: Stream) -> AsyncIterator[str]:
    """The host and path of the stream's page, on the running loop."""
    app = gr.mount_gradio_app(FastAPI(), stream.ui, path="/page")
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="off"))
    running = asyncio.ensure_future(server.serve([listener]))
    yield f"127.0.0.1:{listener.getsockname()[1]}/page"
    await stream.shutdown(drain_s=0)
    server.should_exit = True
    await running
    listener.close()


async def path_of(page: str, stream: Stream) -> Any:
    body = {
        "component_id": stream.webrtc_component._id,
        "fn_name": "socket",
        "session_hash": "visitor",
        "data": None,
    }
    async with httpx.AsyncClient() as client:
        url = f"http://{page}/gradio_api/component_server"
        return (await client.post(url, json=body)).json()


async def test_a_call_over_it_is_one_of_the_streams_sessions() -> None:
    stream = Stream(AsyncEcho(), modality="audio")
    async with serving(stream) as page:
        path = await path_of(page, stream)
        assert await path_of(page, stream) == path
        async with connect(f"ws://{page}/{path}") as first:
            await first.send(json.dumps(START))
            await first.send('{"event": "ping"}')
            assert json.loads(await first.recv()) == {"event": "pong"}
            assert list(stream.connections) == ["me"]
            async with connect(f"ws://{page}/{path}") as second:
                await second.send(json.dumps({**START, "websocket_id": "you"}))
                refusal = json.loads(await second.recv())
                assert refusal["meta"] == {"error": "concurrency_limit_reached", "limit": 1}


async def test_nobody_guesses_it_and_authorize_is_asked() -> None:
    stream = Stream(AsyncEcho(), modality="audio", authorize=lambda connection: False)
    async with serving(stream) as page:
        for path in ("fastrtc/guess", await path_of(page, stream)):
            with pytest.raises(InvalidStatus, match="403"):
                await connect(f"ws://{page}/{path}")
        assert not stream.connections


async def test_pictures_go_over_it() -> None:
    stream = Stream(lambda image: image[::-1], modality="video")
    async with (
        serving(stream) as page,
        connect(f"ws://{page}/{await path_of(page, stream)}") as socket,
    ):
        await socket.send(json.dumps({"event": "start", "websocket_id": "me"}))
        await socket.send(jpeg(np.linspace(0, 255, 240)))
        shown = await socket.recv()
        assert isinstance(shown, bytes)
        with Image.open(BytesIO(shown)) as picture:
            column = np.asarray(picture.convert("L"))[:, 160]
        assert column[10] > 200 > 50 > column[-10], "upside down"


async def test_goodbyes_are_taken_there() -> None:
    stream = Stream(AsyncEcho(), modality="audio")
    async with serving(stream) as page, httpx.AsyncClient() as client:
        url = f"http://{page}/{await path_of(page, stream)}"
        bye = {"type": "bye", "sdp": "v=0", "webrtc_id": "me"}
        answer = (await client.post(url, json=bye)).json()
        assert answer["meta"]["error"] == "unknown_connection"
        assert (await client.post(url, json={**bye, "type": "offer"})).status_code == 400
        assert (await client.post(url, content=b"no JSON")).status_code == 422
        for method, path in (("GET", url), ("POST", f"http://{page}/fastrtc/guess")):
            assert (await client.request(method, path)).status_code in (404, 405)


def jpeg(rows: Any) -> bytes:
    """A file of a picture whose rows are so bright, 320 wide."""
    file = BytesIO()
    Image.fromarray(np.repeat(rows[:, None], 320, axis=1).astype(np.uint8)).save(file, "JPEG")
    return file.getvalue()
