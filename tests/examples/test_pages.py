"""The examples with a Gradio page: each builds its page, and does what its head says."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np

from fastrtc import AdditionalOutputs, Stream, WebRTCData, get_tts_model
from fastrtc.testing import MemoryClient

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def example(name: str) -> Any:
    """The module of ``examples/{name}/app.py``."""
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / name / "app.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def drawn(page: gr.Blocks) -> set[str]:
    return {component["type"] for component in page.get_config_file()["components"]}


async def test_the_echo() -> None:
    stream: Stream = example("page_echo").stream
    assert {"webrtc", "slider", "number"} <= drawn(stream.ui)
    async with MemoryClient(stream, "me") as client:
        stream.set_input("me", 2)
        await client.send_audio(np.full(960, 1000, np.int16))
        await client.listen(0.1)
        assert (await stream.fetch_latest_output("me")).args == (2000,)
        assert client.heard().max() == 2000


async def test_the_chat() -> None:
    chat = example("page_chat")
    assert {"webrtc", "chatbot"} <= drawn(chat.stream.ui)
    said = get_tts_model("espeak").tts("two. three")
    outputs, *sound = chat.reply(said, [{"role": "user", "content": "before"}])
    assert isinstance(outputs, AdditionalOutputs)
    before, mine, its = outputs.args[0]
    assert before["content"] == "before"
    assert mine["content"] == "two three"
    assert its["content"] == "That makes 5."
    assert sound


async def test_the_camera() -> None:
    stream: Stream = example("page_camera").stream
    assert {"webrtc", "slider", "number"} <= drawn(stream.ui)
    async with MemoryClient(stream, "me") as client:
        stream.set_input("me", 0.5)
        await client.send_video([np.full((48, 64, 3), 200, np.uint8)] * 3, fps=30)
        await client.listen(0.2)
        assert (await stream.fetch_latest_output("me")).args == (100,)


async def test_the_page_of_ones_own() -> None:
    page = example("page_blocks")
    assert {"webrtc", "chatbot", "radio"} <= drawn(page.demo)
    outputs, *sound = page.reply(WebRTCData("me", "hello"), "polite")
    assert outputs.args == ("hello", "Thank you. You wrote 5 letters.")
    assert len(page.add_turn([], *outputs.args)) == 2
    assert sound
