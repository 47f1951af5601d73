"""The user's own description of the library, its snippets run from the text itself.

Snippets are taken out of tests/data/core-concepts.txt by the line they begin with; what a snippet
leaves undefined (a handler, an index.html) is supplied here. Those for video, for a page and for
the telephone run in the tests of the rooms that serve them.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from fastrtc import AdditionalOutputs, Stream
from fastrtc.testing import MemoryClient
from recorders import AsyncEcho

LINES = (Path(__file__).parent / "data" / "core-concepts.txt").read_text().splitlines()


def snippet(first_line: str, last_line: str) -> str:
    """The text from one line to the next that equals the other."""
    start = LINES.index(first_line)
    end = next(n for n in range(start, len(LINES)) if LINES[n] == last_line)
    return "\n".join(LINES[start : end + 1])


def client_of(app: FastAPI) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://test")


async def test_mount() -> None:
    scope: dict[str, Any] = {
        "FastAPI": FastAPI,
        "stream": Stream(AsyncEcho(), modality="audio"),
    }
    exec(snippet("app = FastAPI()", "stream.mount(app)"), scope)
    async with client_of(scope["app"]) as client:
        assert (await client.post("/webrtc/offer", json={})).status_code == 422


class Thresholds(AsyncEcho):
    async def emit(self) -> Any:
        frame = await self.queue.get()
        return frame, AdditionalOutputs(*self.latest_args[1:])


async def test_input_hook_and_output_hook() -> None:
    stream = Stream(Thresholds(), modality="audio")
    scope: dict[str, Any] = {"stream": stream}
    exec(
        snippet(
            "from pydantic import BaseModel, Field",
            "    stream.set_input(data.webrtc_id, data.conf_threshold)",
        ),
        scope,
    )
    exec(snippet("from fastapi.responses import StreamingResponse", "    )"), scope)
    async with MemoryClient(stream, "me") as session, client_of(scope["app"]) as client:

        async def read() -> str:
            return (await client.get("/updates", params={"webrtc_id": "me"})).text

        reading = asyncio.create_task(read())
        body = {"webrtc_id": "me", "conf_threshold": 0.7}
        assert (await client.post("/input_hook", json=body)).status_code == 200
        refused = await client.post("/input_hook", json={**body, "conf_threshold": 7})
        assert refused.status_code == 422
        await session.send_silence(0.02)
        await session.listen(0.05)
        await session.close()
        assert await reading == "data: 0.7\n\n"


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # the snippet leaves its file open
async def test_custom_routes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "index.html").write_text("<h1>My page</h1>")
    monkeypatch.chdir(tmp_path)
    scope: dict[str, Any] = {}
    source = snippet(
        "from fastapi.responses import HTMLResponse",
        '    return HTMLResponse(content=open("index.html").read())',
    )
    exec(source, scope)
    app = scope["app"]
    async with client_of(app) as client:
        body = {"type": "offer", "sdp": "v=0", "webrtc_id": "me"}
        refused = await client.post("/webrtc/offer", json=body)
        assert refused.status_code == 400
        assert refused.json()["meta"]["error"] == "unsupported_media"
        assert (await client.get("/")).text == "<h1>My page</h1>"
