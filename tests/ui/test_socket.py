"""The WebSocket of a page, for browsers that no WebRTC reaches."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import gradio as gr
import httpx
import pytest
import uvicorn
from fastapi import FastAPI
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


async def test_pictures_have_none() -> None:
    stream = Stream(lambda image: image, modality="video")
    async with serving(stream) as page:
        assert await path_of(page, stream) == ""
