"""The snippets of docs/handlers.md run, one after the other, as the page has them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from fastrtc.testing import MemoryClient, run

PAGE = Path(__file__).parents[2] / "docs" / "handlers.md"
FUNCTION, CLASS, ROUTES = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
TONE = np.full(16_000, 1_000, np.int16)


def told(*snippets: str) -> dict[str, Any]:
    scope: dict[str, Any] = {"__name__": "docs"}
    for snippet in snippets:
        exec(snippet, scope)
    return scope


def test_the_function_takes_its_input() -> None:
    scope = told(FUNCTION)

    async def check() -> None:
        async with MemoryClient(scope["stream"], "me") as client:
            await client.send_audio(TONE)
            scope["stream"].set_input("me", 0.1)
            await client.send_audio(TONE)
            await client.listen(0.2)
            heard = client.heard()
            assert abs(np.median(heard[5_000:15_000]) - 500) < 20
            assert abs(np.median(heard[-15_000:-10_000]) - 100) < 20

    run(check())


def test_the_class_says_hello_and_repeats() -> None:
    scope = told(CLASS)

    async def check() -> None:
        async with MemoryClient(scope["stream"], "me") as client:
            await client.send_audio(TONE)
            await client.listen(0.5)
            assert {"type": "log", "data": "hello"} in client.messages
            assert np.median(client.heard()[4_000:12_000]) > 900

    run(check())


async def test_the_routes_take_inputs() -> None:
    scope = told(FUNCTION, ROUTES)
    transport = httpx.ASGITransport(app=scope["app"])
    async with (
        httpx.AsyncClient(transport=transport, base_url="http://test") as http,
        MemoryClient(scope["stream"], "me") as client,
    ):
        posted = await http.post("/inputs", json={"webrtc_id": "me", "volume": 0.25})
        assert posted.status_code == 200
        assert client.session.handler.latest_args[1:] == [0.25]
        body = {"sdp": "no", "type": "offer", "webrtc_id": "you"}
        refused = await http.post("/webrtc/offer", json=body)
        assert (refused.status_code, json.loads(refused.text)["meta"]["error"]) == (
            400,
            "invalid_sdp",
        )
