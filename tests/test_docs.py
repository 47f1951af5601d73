"""The snippets of docs/websocket.md and docs/telephone.md do what the pages say."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import httpx
import numpy as np
import pytest

from fastrtc import Stream
from fastrtc.video.picture import Picture
from fastrtc.video.stills import StillDecoder, StillEncoder
from phones import Twilio
from pictures import number_of, numbered
from sockets import served
from wavs import read_wav

DOCS = Path(__file__).parent.parent / "docs"
DATA = Path(__file__).parent / "data"


def snippets(page: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", (DOCS / page).read_text(), re.DOTALL)


def test_the_websocket_page() -> None:
    server, client, camera = snippets("websocket.md")
    scope: dict[str, Any] = {"__name__": "docs"}
    exec(server, scope)
    exec(client, scope)
    speech = read_wav(DATA / "austen-0880.wav")[0][:16_000]
    with served(app=scope["app"]) as host:
        heard = asyncio.run(scope["talk"](f"ws://{host}/websocket/offer", speech))
    assert np.array_equal(heard[: len(speech)], speech)
    exec(camera, scope)
    encoder, decoder = StillEncoder("jpeg"), StillDecoder()
    pictures = [Picture.from_array(numbered(number), "bgr24") for number in range(20)]
    mirror = Stream(lambda frame: np.flip(frame, axis=1), modality="video")
    with served(mirror) as host:
        jpegs = [encoder.encode(picture) for picture in pictures]
        back = asyncio.run(scope["through_the_handler"](f"ws://{host}/websocket/offer", jpegs))
    numbers = [number_of(decoder.decode(jpeg, "jpeg").to_array("bgr24")) for jpeg in back]
    assert numbers[0] == 0


async def test_the_page_for_programs_of_old() -> None:
    """A coroutine because Gradio makes an event loop, and leaves it open, where none runs."""
    [program] = snippets("from-0.0.34.md")
    scope: dict[str, Any] = {"__name__": "docs"}
    exec(program, scope)
    stream = scope["stream"]
    page = stream.ui.get_config_file()
    [click] = [d for d in page["dependencies"] if d["inputs"] == [stream.webrtc_component._id]]
    assert click["targets"][0][1] == "click"
    with pytest.raises(ValueError, match='modality="audio"'):
        Stream(scope["ReplyOnPause"](scope["reply"]))


def test_the_telephone_page(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TWILIO_AUTH_TOKEN", raising=False)
    server, outbound, own_routes = snippets("telephone.md")
    scope: dict[str, Any] = {"__name__": "docs"}
    exec(server, scope)
    apps = [(scope["app"], "/telephone/incoming")]
    exec(outbound, scope)
    assert scope["account"].provider == "twilio"
    exec(own_routes, scope)
    apps.append((scope["app"], "/calls"))

    async def call(url: str) -> None:
        async with Twilio(url) as caller, asyncio.timeout(15):
            await caller.press("#")
            while caller.id not in scope["stream"].handlers:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
            handler = scope["stream"].handlers[caller.id]
            while handler.digits != "#" or not caller.heard:  # noqa: ASYNC110
                await asyncio.sleep(0.02)

    for app, webhook in apps:
        with served(app=app) as host:
            answer = httpx.post(f"http://{host}{webhook}")
            stream = ET.fromstring(answer.text).find("Connect/Stream")
            assert stream is not None
            asyncio.run(call(stream.attrib["url"]))
