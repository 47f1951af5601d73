"""The demo as a person meets it: start it, open the page, press start, hear the answer, stop."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.async_api import Page

from e2e import sound
from e2e.browser import Chromium
from e2e.server import free_port, wait_for_port

APP = Path(__file__).resolve().parents[2] / "examples" / "talk" / "app.py"
SOURCE_SHOWN = "document.getElementById('source').childNodes.length > 0"
LEVEL = "Number(document.getElementById('{}').getAttribute('aria-valuenow'))"


@pytest.fixture
def demo_url() -> Iterator[str]:
    port = free_port()
    process = subprocess.Popen([sys.executable, str(APP), "--port", str(port)])
    wait_for_port(port, process)
    yield f"http://localhost:{port}/"
    process.terminate()
    process.wait(10)


def test_a_person_talks_and_hears_the_handler(chromium: Chromium, demo_url: str) -> None:
    chromium.set_microphone(sound.to_int16(sound.speech("austen-0870.wav")))

    async def talk(page: Page) -> None:
        errors: list[str] = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        await page.goto(demo_url)
        await page.wait_for_function(SOURCE_SHOWN)
        assert "class Parrot(AsyncStreamHandler)" in await page.inner_text("#source")
        await page.click("#toggle")
        await page.wait_for_selector('[data-state="live"]')
        await page.wait_for_function(LEVEL.format("sent") + " > 20")
        await page.wait_for_function(LEVEL.format("heard") + " > 20")
        assert (await page.inner_text("#connect")).endswith("ms")
        await page.click("#toggle")
        await page.wait_for_selector('[data-state="closed"]')
        assert await page.inner_text("#status") == "The call has ended."
        assert not await page.is_visible("#problem")
        await page.click("#toggle")
        await page.wait_for_selector('[data-state="live"]')
        assert errors == []

    chromium.visit(talk)


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
