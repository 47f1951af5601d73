"""The browser client as the package serves it."""

from __future__ import annotations

import re

import httpx
import pytest
from fastapi import FastAPI

from fastrtc import Stream
from fastrtc.server.client_files import CLIENT
from recorders import AsyncEcho

FIRST_LOAD_BYTES = 60_000


@pytest.fixture
def client() -> httpx.AsyncClient:
    app = FastAPI()
    stream = Stream(AsyncEcho(), modality="audio", authorize=lambda request: False)
    stream.mount(app, path="/voice")
    return httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://test")


async def test_every_module_that_a_page_loads_is_there_and_they_are_small(
    client: httpx.AsyncClient,
) -> None:
    waiting, loaded = ["fastrtc.js"], dict[str, int]()
    async with client:
        while waiting:
            name = waiting.pop()
            answer = await client.get(f"/voice/client/{name}")
            assert answer.status_code == 200, name
            assert answer.headers["content-type"].startswith("text/javascript")
            assert answer.headers["access-control-allow-origin"] == "*"
            loaded[name] = len(answer.content)
            imported = re.findall(r'^(?:import|export) .*? from "\./(.+?)";', answer.text, re.M)
            waiting += [other for other in imported if other not in loaded]
    assert "socket.js" not in loaded  # only where WebRTC finds no path
    assert {"client.js", "peer.js"} < set(loaded)
    assert sum(loaded.values()) < FIRST_LOAD_BYTES, loaded


async def test_files_are_packed_for_who_can_unpack_them(client: httpx.AsyncClient) -> None:
    async with client:
        packed = await client.get("/voice/client/client.js")
        plain = await client.get("/voice/client/client.js", headers={"Accept-Encoding": "identity"})
    assert packed.headers["content-encoding"] == "gzip"
    assert "content-encoding" not in plain.headers
    assert packed.content == plain.content == (CLIENT / "client.js").read_bytes()
    assert int(packed.headers["content-length"]) < len(plain.content) / 2


async def test_what_a_browser_has_is_not_sent_again(client: httpx.AsyncClient) -> None:
    async with client:
        first = await client.get("/voice/client/fastrtc.js")
        known = {"If-None-Match": first.headers["etag"]}
        again = await client.get("/voice/client/fastrtc.js", headers=known)
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["cache-control"] == "no-cache"
        head = await client.head("/voice/client/fastrtc.js")
        assert (head.status_code, head.content) == (200, b"")


@pytest.mark.parametrize("name", ["jsconfig.json", "nothing.js", "..%2f..%2fstream.py", "..%2f.js"])
async def test_nothing_else_is_served(client: httpx.AsyncClient, name: str) -> None:
    assert (CLIENT / "jsconfig.json").exists()
    async with client:
        assert (await client.get(f"/voice/client/{name}")).status_code == 404
