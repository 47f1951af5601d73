"""Streams on Gradio pages as visitors meet them: every cell that there is, in one server."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from playwright.async_api import Page

from e2e.browser import RATE_HZ, Chromium
from e2e.gradio_page import GradioPage
from e2e.server import Server, free_port, wait_for_port

pytestmark = pytest.mark.together

CORE_CONCEPTS = Path(__file__).parents[1] / "data" / "core-concepts.txt"


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with Server("e2e.apps.pages:app") as server:
        yield server.url


@pytest.fixture(autouse=True)
def hum(chromium: Chromium) -> None:
    """What the microphone hears: a tone."""
    angle = 2 * np.pi * 300 * np.arange(2 * RATE_HZ) / RATE_HZ
    chromium.set_microphone((8000 * np.sin(angle)).astype(np.int16))


def test_a_call_from_start_to_stop(chromium: Chromium, url: str) -> None:
    async def talk(page: Page) -> None:
        visitor = GradioPage(page)
        await visitor.open(f"{url}/talk/?__theme=dark")
        await visitor.start()
        # The slider's first value was there from the first frame, and every change arrives.
        await visitor.wait_for_number("Used gain", "value === 0.5")
        await visitor.wait_received("audio", "totalAudioEnergy", 1e-4)
        await visitor.set_number("Gain", 0.25)
        await visitor.wait_for_number("Used gain", "value === 0.25")

        await page.click(".fastrtc summary")
        await page.get_by_text("Round trip").wait_for()
        await page.get_by_text("Sound dropped there").wait_for()
        assert await visitor.complaints() == []

        other = GradioPage(await page.context.new_page())
        await other.open(f"{url}/talk")
        await other.page.click(".fastrtc .toggle")
        await other.wait_for_problem("All places are taken (1)")
        await other.page.close()

        await visitor.set_number("Gain", 1.9)
        await visitor.wait_for_problem("That is too loud.")
        await page.get_by_test_id("toast-body").first.wait_for()
        await visitor.stop()
        await visitor.wait_sessions(url, "talk", 0)

        await visitor.set_number("Gain", 1)
        await visitor.start()
        await visitor.wait_sessions(url, "talk", 1)
        await page.reload()
        await visitor.wait_sessions(url, "talk", 0)
        assert visitor.errors == []

    chromium.visit(talk)


def test_a_button_starts_what_the_server_plays(chromium: Chromium, url: str) -> None:
    async def listen(page: Page) -> None:
        visitor = GradioPage(page)
        await visitor.open(f"{url}/listen")
        assert not await page.is_visible(".fastrtc .toggle")
        await visitor.set_number("Frequency", 300)
        for _ in range(2):
            await page.get_by_role("button", name="Start stream").click()
            await visitor.wait("live")
            await visitor.wait_for_number("Played", "value === 300")
            await visitor.stop()
        await page.get_by_role("button", name="Start stream").click()
        await visitor.wait_received("audio", "totalAudioEnergy", 1e-3)
        await page.goto("about:blank")
        await visitor.open(f"{url}/tell")
        await visitor.wait_sessions(url, "listen", 0)
        assert visitor.errors == []

    chromium.visit(listen)


def test_a_microphone_that_is_only_sent(chromium: Chromium, url: str) -> None:
    async def tell(page: Page) -> None:
        visitor = GradioPage(page)
        await visitor.open(f"{url}/tell")
        icon = page.locator(".fastrtc .icon img")
        assert await icon.evaluate("image => image.decode().then(() => image.naturalWidth)") == 64
        await visitor.start()
        await visitor.wait_for_number("Level", "value > 1000")
        await page.get_by_role("button", name="Mute").click()
        await visitor.wait_for_number("Level", "value < 100")
        await visitor.stop()
        await visitor.wait_sessions(url, "tell", 0)
        weight = await visitor.weight()
        assert 10_000 < weight["wire"] < 60_000
        assert visitor.errors == []

    chromium.visit(tell)


def test_components_beside_each_other(chromium: Chromium, url: str) -> None:
    """Two of them in tabs, made without a Stream; one is typed to."""

    async def chat(page: Page) -> None:
        typing = GradioPage(page, "#typing")
        await typing.open(f"{url}/chat")
        await page.get_by_role("textbox", name="Message").fill("hello")
        await page.get_by_role("button", name="Send").click()
        await page.get_by_text("5 letters").wait_for()
        await page.get_by_role("textbox", name="Message").fill("goodbye")
        await page.get_by_role("textbox", name="Message").press("Enter")
        await page.get_by_text("7 letters").wait_for()
        assert await typing.complaints() == []
        assert await page.get_by_text("5 letters").is_visible()

        await page.get_by_role("tab", name="Echo").click()
        echo = GradioPage(page, "#echo")
        assert await page.inner_text("#echo .toggle") == "Talk"
        await echo.start()
        assert await page.inner_text("#echo .toggle") == "Be quiet"
        await echo.wait_sessions(url, "echo", 1)
        await echo.wait_sessions(url, "typing", 1)

        # Gradio makes a copy of the component for this visitor; the call and its limit stay.
        await page.get_by_role("button", name="Rename").click()
        await page.get_by_role("heading", name="Another name").wait_for()
        await echo.wait("live")
        await echo.stop()
        await echo.wait_sessions(url, "echo", 0)
        await echo.start()
        await echo.wait_sessions(url, "echo", 1)

        await page.get_by_role("tab", name="Drawn").click()
        drawn = GradioPage(page, "#kept")
        await drawn.start()
        await page.get_by_role("button", name="Redraw").click()
        await page.get_by_role("heading", name="Drawn 1").wait_for()
        await drawn.wait("live")
        assert typing.errors == []

    chromium.visit(chat)


@pytest.mark.parametrize("name", ["mirror", "watch", "paint", "call"])
def test_pictures(chromium: Chromium, url: str, name: str) -> None:
    async def look(page: Page) -> None:
        visitor = GradioPage(page)
        await visitor.open(f"{url}/{name}")
        if name == "paint":
            await page.get_by_role("button", name="Start stream").click()
            await visitor.wait("live")
        else:
            await visitor.start()
        await visitor.wait_for_number("Used share", "value === 0.5")
        if name != "watch":
            await visitor.wait_received("video", "framesDecoded", 10)
        if name == "call":
            await visitor.wait_received("audio", "totalAudioEnergy", 1e-4)
        if name in ("mirror", "watch"):
            await visitor.set_number("Share", 0.25)
            await visitor.wait_for_number("Used share", "value === 0.25")
        # What is shown moves: the camera's own picture, or the server's.
        await page.wait_for_function(
            "() => document.querySelector('.fastrtc').shadowRoot"
            ".querySelector('video.main').currentTime > 0.5"
        )
        assert await visitor.complaints() == []
        assert await visitor.overflow(390) == 0
        await visitor.stop()
        await visitor.wait_sessions(url, name, 0)
        assert visitor.errors == []

    chromium.visit(look)


@pytest.fixture
def first_example(tmp_path: Path) -> Iterator[str]:
    """The first snippet of the user's own description, run as it is."""
    lines = CORE_CONCEPTS.read_text().splitlines()
    start = lines.index("from fastrtc import Stream")
    program = [*lines[start : lines.index(")", start) + 1], "stream.ui.launch()"]
    assert program[-1] in lines
    (tmp_path / "app.py").write_text("\n".join(program))
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "app.py"],
        cwd=tmp_path,
        env={**os.environ, "GRADIO_SERVER_PORT": str(port), "GRADIO_ANALYTICS_ENABLED": "False"},
        stdout=subprocess.DEVNULL,
    )
    wait_for_port(port, process)
    yield f"http://127.0.0.1:{port}"
    process.terminate()
    process.wait(10)


def test_the_users_own_description(chromium: Chromium, first_example: str) -> None:
    """Its handler takes no slider, though its page has one: surplus inputs are dropped."""

    async def flip(page: Page) -> None:
        visitor = GradioPage(page)
        await visitor.open(first_example)
        assert await page.locator("input[type=range]").first.is_visible()
        await visitor.start()
        await visitor.wait_received("video", "framesDecoded", 10)
        await visitor.stop()
        assert visitor.errors == []

    chromium.visit(flip)
