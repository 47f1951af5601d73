"""The user's own description of the library in a browser, each snippet run from the text itself."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.async_api import Page

from core_concepts import LAUNCH, LIMITS, video_snippet
from e2e.browser import PERMISSIONS, Chromium
from e2e.gradio_page import SOON_MS, WATCH_CONNECTIONS, GradioPage
from e2e.server import Server, free_port, wait_for_port
from proxies import make_certificate, nginx

pytestmark = pytest.mark.together

PROCESS_FRAME = """
import numpy as np

def process_frame(image, conf_threshold):
    return np.flip(image, axis=0), round(10 * (1 - conf_threshold))
"""
"""Finds more objects when less sure is enough."""
HANDLER = """
from fastrtc import Stream

def handler(image):
    return image[:, ::-1]
"""


@contextmanager
def launched(folder: Path, stream: str, **settings: str) -> Iterator[str]:
    """Host and port of a script of a snippet, and the text's own line that launches it."""
    (folder / "app.py").write_text(f"{stream}\n{LAUNCH}\n")
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "app.py"],
        cwd=folder,
        env={
            **os.environ,
            **settings,
            "GRADIO_SERVER_PORT": str(port),
            "GRADIO_ANALYTICS_ENABLED": "False",
        },
        stdout=subprocess.DEVNULL,
    )
    assert wait_for_port(port, process)
    yield f"127.0.0.1:{port}"
    process.terminate()
    process.wait(10)


@pytest.fixture
def first_example(tmp_path: Path) -> Iterator[str]:
    """The first stream, launched, behind a proxy that cuts off a prefix."""
    with (
        launched(tmp_path, video_snippet(0), GRADIO_ROOT_PATH="/voice") as server,
        nginx(server, make_certificate(tmp_path)) as host,
    ):
        yield f"https://{host}/voice/"


def test_the_first_stream_flips_pictures(chromium: Chromium, first_example: str) -> None:
    """Its handler takes no slider, though its page has one: surplus inputs are dropped."""

    async def flip(page: Page) -> None:
        assert page.context.browser
        far = await page.context.browser.new_context(
            permissions=PERMISSIONS, ignore_https_errors=True
        )
        visitor = GradioPage(await far.new_page())
        await visitor.open(first_example)
        await visitor.set_number("", 0.5)
        await visitor.start()
        await visitor.wait_received("video", "framesDecoded", 10)
        await visitor.wait_for_movement("video.main")
        await visitor.stop()
        assert visitor.errors == []
        await far.close()

    chromium.visit(flip)


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with Server("e2e.apps.core_concepts:app") as server:
        yield server.url


def test_detection_with_inputs_and_outputs(chromium: Chromium, tmp_path: Path) -> None:
    async def detect(page: Page) -> None:
        visitor = GradioPage(page)
        await visitor.open(f"http://{server}")
        await visitor.start()
        await visitor.wait_for_number("Number", "value === 7")
        await visitor.set_number("", 0.7)
        await visitor.wait_for_number("Number", "value === 3")
        await visitor.wait_for_movement("video.main")
        await visitor.stop()
        assert visitor.errors == []

    with launched(tmp_path, f"{PROCESS_FRAME}\n{video_snippet(1)}") as server:
        chromium.visit(detect)


def test_a_frontend_with_the_hooks(chromium: Chromium, url: str) -> None:
    """Custom routes, the input hook and the output hook, from a page that is no Gradio's."""

    async def detect(page: Page) -> None:
        await page.add_init_script(WATCH_CONNECTIONS)
        await page.goto(url)
        await page.click("#start")
        await page.get_by_text("live", exact=True).wait_for(timeout=SOON_MS)
        objects = page.locator("#objects")
        await objects.filter(has_text="7").wait_for(timeout=SOON_MS)
        await page.fill("#threshold", "0.7")
        await page.locator("#threshold").blur()
        await objects.filter(has_text="3").wait_for(timeout=SOON_MS)
        visitor = GradioPage(page)
        await visitor.wait_received("video", "framesDecoded", 10)
        await page.click("#stop")
        await visitor.wait_sessions(url, "ui", 0)
        assert visitor.errors == []

    chromium.visit(detect)


def test_a_stream_with_limits(chromium: Chromium, tmp_path: Path) -> None:
    async def look(page: Page) -> None:
        visitor = GradioPage(page)
        await visitor.open(f"http://{server}")
        await visitor.start()
        await visitor.wait_received("video", "framesDecoded", 10)
        await visitor.wait_for_movement("video.main")
        await visitor.stop()
        assert visitor.errors == []

    with launched(tmp_path, f"{HANDLER}\n{LIMITS}") as server:
        chromium.visit(look)
