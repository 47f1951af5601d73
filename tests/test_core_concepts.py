"""The user's own description of the library, its snippets run from the text itself.

Snippets are taken out of tests/data/core-concepts.txt by the line they begin with; what a snippet
leaves undefined (a handler, process_frame, an index.html) is supplied here. Where Gradio is not
installed a stand-in for its components is. tests/e2e has them on pages; the one for the telephone
runs in the tests of that room.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx
import numpy as np
import pytest
from fastapi import FastAPI

from core_concepts import FRONTEND, INPUT_HOOK, OUTPUT_HOOK, snippet, video_snippet
from fastrtc import AdditionalOutputs, Stream
from fastrtc.testing import MemoryClient, run
from pictures import number_of, numbered
from recorders import AsyncEcho


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


@pytest.fixture
def gradio(monkeypatch: pytest.MonkeyPatch) -> None:
    """Components: Gradio's own, or nearly nothing where Gradio is not installed."""
    try:
        import gradio  # noqa: F401
    except ImportError:
        module = ModuleType("gradio")
        module.Slider = module.Number = lambda **_: object()  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "gradio", module)


@pytest.mark.usefixtures("gradio")
def test_the_first_stream_flips_pictures() -> None:
    scope: dict[str, Any] = {}
    exec(video_snippet(0), scope)

    async def check() -> None:
        async with MemoryClient(scope["stream"]) as client:
            await client.send_video([numbered(17)])
            await client.listen(0.2)
            (picture,) = client.seen()
            assert number_of(np.flip(picture, axis=0)) == 17

    run(check())


@pytest.mark.usefixtures("gradio")
def test_detection_with_inputs_and_outputs() -> None:
    asked: list[float] = []

    def process_frame(image: Any, conf_threshold: float) -> tuple[Any, int]:
        asked.append(conf_threshold)
        return image, 3

    scope: dict[str, Any] = {"process_frame": process_frame}
    exec(video_snippet(1), scope)
    stream = scope["stream"]

    async def check() -> None:
        async with MemoryClient(stream, "me") as client:
            await client.send_video([numbered(1)])
            await client.listen(0.2)
            stream.set_input("me", 0.7)
            await client.send_video([numbered(2)])
            await client.listen(0.2)
            assert asked == [0.3, 0.7]
            assert [number_of(picture) for picture in client.seen()] == [1, 2]
            outputs = await stream.fetch_latest_output("me")
            assert outputs.args == (3,)
            assert stream.additional_outputs_handler(None, *outputs.args) == 3

    run(check())


class Thresholds(AsyncEcho):
    async def emit(self) -> Any:
        frame = await self.queue.get()
        return frame, AdditionalOutputs(*self.latest_args[1:])


async def test_input_hook_and_output_hook() -> None:
    stream = Stream(Thresholds(), modality="audio")
    scope: dict[str, Any] = {"stream": stream}
    exec(INPUT_HOOK, scope)
    exec(OUTPUT_HOOK, scope)
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
    exec(FRONTEND, scope)
    app = scope["app"]
    async with client_of(app) as client:
        body = {"type": "offer", "sdp": "v=0", "webrtc_id": "me"}
        refused = await client.post("/webrtc/offer", json=body)
        assert refused.status_code == 400
        assert refused.json()["meta"]["error"] == "unsupported_media"
        assert (await client.get("/")).text == "<h1>My page</h1>"
