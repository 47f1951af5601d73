"""The snippets of docs/gradio.md, run one after the other, as a reader would."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from fastrtc.testing import MemoryClient

DOCS = Path(__file__).parents[2] / "docs"


async def test_the_page() -> None:
    text = (DOCS / "gradio.md").read_text()
    scope: dict[str, Any] = {"__name__": "docs"}
    for snippet in re.findall(r"```python\n(.*?)```", text, re.DOTALL):
        exec(snippet, scope)
    transport = httpx.ASGITransport(app=scope["app"])
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        assert "gradio" in (await client.get("/ui/")).text
        assert (await client.post("/webrtc/offer", json={})).status_code == 422
    async with MemoryClient(scope["stream"], "me") as session:
        await session.send_audio(np.full(960, 1000, np.int16))
        await session.listen(0.1)
        assert (await scope["stream"].fetch_latest_output("me")).args == (1000,)
    drawn = {component["type"] for component in scope["demo"].get_config_file()["components"]}
    assert {"webrtc", "chatbot"} <= drawn


def test_its_pictures_are_there_and_small() -> None:
    pictures = re.findall(r"!\[[^]]*\]\(([^)]+)\)", (DOCS / "gradio.md").read_text())
    assert pictures
    for picture in pictures:
        assert 1_000 < (DOCS / picture).stat().st_size < 120_000
