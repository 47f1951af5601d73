"""The snippets of docs/video.md run, and show pictures."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fastrtc.testing import MemoryClient, run
from pictures import camera

PAGE = Path(__file__).parents[2] / "docs" / "video.md"
SNIPPETS = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)


@pytest.mark.parametrize("source", SNIPPETS)
def test_a_snippet_shows_what_it_is_shown(source: str) -> None:
    scope: dict[str, Any] = {"__name__": "docs"}
    exec(compile(source, str(PAGE), "exec"), scope)
    stream = scope["stream"]

    async def check() -> None:
        async with MemoryClient(stream) as client:
            async with asyncio.TaskGroup() as both:
                both.create_task(client.send_video(camera(10)))
                if stream.modality == "audio-video":
                    both.create_task(client.send_audio(np.full(8000, 500, np.int16)))
            await client.listen(0.2)
            assert len(client.shown) == 10
            assert stream.modality == "video" or client.heard().any()
            assert not any(message["type"] == "error" for message in client.messages)

    run(check())
