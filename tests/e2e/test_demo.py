"""The demo as a person meets it: start it, open the page, press start, hear the answer, stop."""

import base64
import difflib
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from playwright.async_api import Page

from e2e import sound
from e2e.browser import Chromium
from e2e.gradio_page import GradioPage
from e2e.server import free_port, wait_for_port
from fastrtc import get_stt_model, get_tts_model

APP = Path(__file__).resolve().parents[2] / "examples" / "demo" / "app.py"
NUMBERS = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]
RECORD = """() => {
  const context = new AudioContext({ sampleRate: 48000 });
  const [{ track }] = window.connections.at(-1).getReceivers();
  const source = context.createMediaStreamSource(new MediaStream([track]));
  const tap = context.createScriptProcessor(4096, 1, 1);
  window.recording = [];
  tap.onaudioprocess = ({ inputBuffer }) =>
    window.recording.push(inputBuffer.getChannelData(0).slice());
  source.connect(tap).connect(context.destination);
}"""
RECORDED = """() => {
  const bytes = new Uint8Array(window.recording.length * 4096 * 4);
  window.recording.forEach((piece, at) => bytes.set(new Uint8Array(piece.buffer), at * 16384));
  let text = "";
  for (let at = 0; at < bytes.length; at += 16384)
    text += String.fromCharCode(...bytes.subarray(at, at + 16384));
  return btoa(text);
}"""


@pytest.fixture(scope="module")
def demo_url() -> Iterator[str]:
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, str(APP), "--host", "0.0.0.0", "--port", str(port)],
        env={**os.environ, "GRADIO_ANALYTICS_ENABLED": "False"},
        stdout=subprocess.DEVNULL,
    )
    wait_for_port(port, process)
    yield f"http://localhost:{port}/"
    process.terminate()
    process.wait(10)


def spoken(text: str) -> "sound.Sound":
    """A second of silence, the text in a machine's voice, and time to answer it."""
    rate_hz, samples = get_tts_model("espeak").tts(text)
    said = sound.resample(samples / 32768, rate_hz, sound.RATE_HZ)
    return np.concatenate([np.zeros(sound.RATE_HZ), said, np.zeros(20 * sound.RATE_HZ)])


def test_a_person_asks_and_is_answered(chromium: Chromium, demo_url: str) -> None:
    chromium.set_microphone(sound.to_int16(spoken("count to five")))

    async def talk(page: Page) -> bytes:
        visitor = GradioPage(page, ".fastrtc:visible")
        await visitor.open(demo_url)
        assert "handler = ReplyOnPause(reply)" in await page.inner_text(".cm-content:visible")
        await visitor.start()
        await page.evaluate(RECORD)
        for turn in ("hearing", "speaking", "listening"):
            await page.wait_for_selector(f'.card[data-turn="{turn}"]')
        said = page.get_by_role("log", name="chatbot conversation").get_by_role("paragraph")
        assert await said.all_inner_texts() == ["count to five", "One. Two. Three. Four. Five."]
        recorded = base64.b64decode(await page.evaluate(RECORDED))
        await visitor.stop()
        assert visitor.errors == []
        return recorded

    reply = np.frombuffer(chromium.visit(talk), np.float32)
    ears = get_stt_model("pocketsphinx", words=NUMBERS)
    heard = ears.stt((sound.RATE_HZ, reply)).split()
    asked = NUMBERS[:5]
    # The recogniser itself may miss some; chance would bring one or two in this order.
    in_order = difflib.SequenceMatcher(None, heard, asked, autojunk=False).get_matching_blocks()
    assert sum(block.size for block in in_order) >= 4, heard


def test_the_camera_and_its_numbers_fit_on_a_phone(chromium: Chromium, demo_url: str) -> None:
    async def look(page: Page) -> None:
        visitor = GradioPage(page, ".fastrtc:visible")
        await visitor.open(demo_url)
        for tab in ("Conversation", "Echo", "Camera"):
            await page.get_by_role("tab", name=tab).click()
            assert await page.locator(".cm-content:visible").count() == 1
            assert await visitor.overflow(390) == 0
        await visitor.start()
        await visitor.wait_received("video", "framesDecoded", 10)
        await visitor.wait_for_number("Edges", "value > 0")
        rates = page.locator(".rates:visible")
        for part in (r"\d+ pictures per second", r"\d+ ms old", r"\d+ kbit/s"):
            await rates.filter(has_text=re.compile(part)).wait_for()
        await visitor.stop()
        assert visitor.errors == []

    chromium.visit(look)
