"""A page that ``launch()`` serves: reached where WebRTC is not, and not left alone at its end."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest
from playwright.async_api import Page

from e2e import sound
from e2e.browser import Chromium
from e2e.gradio_page import GradioPage
from e2e.server import TESTS, free_port, wait_for_port

pytestmark = pytest.mark.together


@pytest.fixture
def launched() -> Iterator[tuple[str, "subprocess.Popen[bytes]"]]:
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "e2e.apps.launched"],
        cwd=TESTS,
        env={**os.environ, "GRADIO_SERVER_PORT": str(port), "GRADIO_ANALYTICS_ENABLED": "False"},
        stdout=subprocess.DEVNULL,
    )
    wait_for_port(port, process)
    yield f"http://127.0.0.1:{port}", process
    process.kill()
    process.wait()


def test_calls_over_both_links_hear_of_the_servers_end(
    chromium: Chromium, launched: tuple[str, "subprocess.Popen[bytes]"]
) -> None:
    url, process = launched
    chromium.set_microphone(sound.to_int16(sound.speech("austen-0880.wav")))

    async def talk(page: Page) -> None:
        sockets: list[str] = []
        page.on("websocket", lambda socket: sockets.append(socket.url))
        visitors = {name: GradioPage(page, f"#{name}") for name in ("near", "far")}
        await visitors["near"].open(url)
        for name, visitor in visitors.items():
            await visitor.start()
            await visitor.wait_for_number(f"Level of {name}", "value > 2000")
            await page.wait_for_selector(f'#{name} .card[data-speaker="heard"]')
        visitors["mirror"] = GradioPage(page, "#mirror")
        await visitors["mirror"].start()
        await visitors["mirror"].wait_for_movement("video.main")
        assert len(sockets) == 2
        assert all("/fastrtc/" in address for address in sockets)
        process.send_signal(signal.SIGINT)
        for visitor in visitors.values():
            await visitor.wait_for_problem("The server is shutting down")
            await visitor.wait("idle")
            assert visitor.errors == []

    chromium.visit(talk)
    process.wait(15)


def test_a_call_hears_of_sigterm(
    chromium: Chromium, launched: tuple[str, "subprocess.Popen[bytes]"]
) -> None:
    url, process = launched

    async def talk(page: Page) -> None:
        visitor = GradioPage(page, "#near")
        await visitor.open(url)
        await visitor.start()
        process.terminate()
        await visitor.wait_for_problem("The server is shutting down")
        await visitor.wait("idle")

    chromium.visit(talk)
    assert process.wait(15) == -signal.SIGTERM
