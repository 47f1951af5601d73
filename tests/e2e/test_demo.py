"""The demo as a person meets it: start it, open the page, press start, hear the answer, stop."""

import base64
import difflib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from playwright.async_api import Page

from e2e import sound
from e2e.browser import Chromium
from e2e.server import free_port, wait_for_port
from fastrtc import get_stt_model, get_tts_model

APP = Path(__file__).resolve().parents[2] / "examples" / "talk" / "app.py"
SOURCE_SHOWN = "document.getElementById('source').childNodes.length > 0"
NUMBERS = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]
RECORD = """() => {
  const context = new AudioContext({ sampleRate: 48000 });
  const source = context.createMediaStreamSource(document.getElementById("audio").srcObject);
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


@pytest.fixture
def demo_url() -> Iterator[str]:
    port = free_port()
    process = subprocess.Popen([sys.executable, str(APP), "--port", str(port)])
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
        errors: list[str] = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        await page.goto(demo_url)
        await page.wait_for_function(SOURCE_SHOWN)
        assert "handler = ReplyOnPause(reply)" in await page.inner_text("#source")
        await page.click("#toggle")
        await page.wait_for_selector('#call[data-state="live"][data-turn="listening"]')
        await page.wait_for_function("document.getElementById('audio').srcObject !== null")
        await page.evaluate(RECORD)
        for turn in ("hearing", "speaking", "listening"):
            await page.wait_for_selector(f'#call[data-turn="{turn}"]')
        assert await page.locator("#said li").all_inner_texts() == [
            "count to five",
            "One. Two. Three. Four. Five.",
        ]
        assert (await page.inner_text("#connect")).endswith("ms")
        recorded = base64.b64decode(await page.evaluate(RECORDED))
        await page.click("#toggle")
        await page.wait_for_selector('[data-state="closed"]')
        assert await page.inner_text("#status") == "The call has ended."
        assert not await page.is_visible("#problem")
        await page.click("#toggle")
        await page.wait_for_selector('[data-state="live"]')
        assert errors == []
        return recorded

    reply = np.frombuffer(chromium.visit(talk), np.float32)
    ears = get_stt_model("pocketsphinx", words=NUMBERS)
    heard = ears.stt((sound.RATE_HZ, reply)).split()
    asked = NUMBERS[:5]
    # The recogniser itself may miss some; chance would bring one or two in this order.
    in_order = difflib.SequenceMatcher(None, heard, asked, autojunk=False).get_matching_blocks()
    assert sum(block.size for block in in_order) >= 4, heard


def test_a_blocked_microphone_is_explained(chromium: Chromium, demo_url: str) -> None:
    async def refuse(page: Page) -> None:
        await page.add_init_script(
            "navigator.mediaDevices.getUserMedia ="
            " () => Promise.reject(new DOMException('no', 'NotAllowedError'))"
        )
        await page.goto(demo_url)
        await page.click("#toggle")
        await page.wait_for_selector('[data-state="closed"]')
        assert "microphone is blocked" in await page.inner_text("#problem")

    chromium.visit(refuse)


@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_is_cut_off_on_a_phone_or_a_desk(
    chromium: Chromium, demo_url: str, width: int
) -> None:
    async def measure(page: Page) -> None:
        await page.set_viewport_size({"width": width, "height": 800})
        await page.goto(demo_url)
        await page.wait_for_function(SOURCE_SHOWN)
        assert await page.evaluate("document.documentElement.scrollWidth") <= width

    chromium.visit(measure)
