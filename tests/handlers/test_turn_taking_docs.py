"""The snippets of docs/turn-taking.md run, and hold a conversation."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from conversation import clip
from fastrtc import ReplyOnPause, ReplyOnStopWords, Stream
from fastrtc.testing import MemoryClient, run

PAGE = Path(__file__).parents[2] / "docs" / "turn-taking.md"
SNIPPETS = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)


def run_snippet(source: str) -> dict[str, Any]:
    scope: dict[str, Any] = {"__name__": "docs"}
    exec(compile(source, str(PAGE), "exec"), scope)
    return scope


@pytest.mark.parametrize("source", SNIPPETS)
def test_a_snippet_answers(source: str) -> None:
    scope = run_snippet(source)
    handler = scope.get("handler")
    stream = scope["stream"] if handler is None else Stream(handler, modality="audio")
    is_for_stop_words = isinstance(handler, ReplyOnStopWords)

    async def check() -> None:
        async with MemoryClient(stream) as client:
            words = np.repeat(clip("austen-0880"), 3)
            await client.send_audio(words)
            await client.send_silence(3)
            assert bool(client.played) is not is_for_stop_words
            assert not any(message["type"] == "error" for message in client.messages)

    run(check())


def test_the_history_is_what_was_heard() -> None:
    (source,) = (snippet for snippet in SNIPPETS if "histories" in snippet)
    scope = run_snippet(source)

    async def check() -> None:
        async with MemoryClient(Stream(scope["handler"], modality="audio")) as client:
            words = np.repeat(clip("go-forward"), 3)
            await client.send_audio(words)
            await client.send_silence(1.5)
            await client.send_audio(words)
            assert scope["histories"] == {"memory-client": [["First this."]]}

    run(check())


def test_a_silent_user_is_asked_and_then_left() -> None:
    (source,) = (snippet for snippet in SNIPPETS if "on_idle" in snippet)
    scope = run_snippet(source)

    async def check() -> None:
        async with MemoryClient(Stream(scope["handler"], modality="audio")) as client:
            await client.listen(50)
            assert [message["type"] for message in client.messages] == ["warning"] * 2
            await client.wait_closed()

    run(check())


def test_every_parameter_is_explained() -> None:
    text = PAGE.read_text()
    for name in inspect.signature(ReplyOnPause).parameters:
        if name not in ("fn", "expected_layout", "output_frame_size"):
            assert f"`{name}" in text, f"{name} is missing"
