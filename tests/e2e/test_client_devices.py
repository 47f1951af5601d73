"""Speakers that a page may choose, and a page that its parent gives no microphone."""

from collections.abc import Callable

import numpy as np
import pytest
from playwright.async_api import Error as PlaywrightError
from playwright.async_api import Frame, Page, Route

from e2e import sound
from e2e.browser import Chromium, Tab
from e2e.server import Server

Serve = Callable[..., Server]
OpenTab = Callable[[str], Tab]

pytestmark = pytest.mark.together

SPEAKERS = "async () => (await (await import('/client/fastrtc.js')).listDevices()).speakers"
SINK = "(client) => client.player.element.sinkId"
HEARD = "(client) => client.levels().heard"
ANOTHER_ELEMENT = """(client) => {
  client.play(document.body.appendChild(document.createElement("audio")));
}"""
CALL = """async (video) => {
  const { Client } = await import("/client/fastrtc.js");
  const client = new Client({ video });
  const why = ({ code, message }) => [code, message];
  const told = await client.connect().then(() => [client.state, ""], why);
  client.close();
  return told;
}"""


@pytest.fixture
def tab(chromium: Chromium, serve: Serve, open_tab: OpenTab) -> Tab:
    """A page of an echo whose microphone hums."""
    hum = 0.3 * np.sin(2 * np.pi * 440 * np.arange(sound.RATE_HZ) / sound.RATE_HZ)
    chromium.set_microphone(sound.to_int16(hum))
    return open_tab(serve("echo").url)


@pytest.mark.parametrize("transport", ["webrtc", "websocket"])
def test_another_speaker_takes_over(tab: Tab, transport: str) -> None:
    call = tab.dial(transport=transport)
    speakers = call.run(SPEAKERS)
    assert all(speaker["label"] for speaker in speakers)
    chosen = next(speaker["id"] for speaker in speakers if speaker["id"] != "default")
    call.run("(client, id) => client.setSpeaker(id)", chosen)
    assert call.run(SINK) == chosen
    with pytest.raises(PlaywrightError, match="No speaker was found"):
        call.run("(client) => client.setSpeaker('nonsense')")
    # An element that takes over plays where the person wanted it, not where it could not be.
    call.run(ANOTHER_ELEMENT)
    tab.wait_for(lambda: call.run(SINK) == chosen)
    tab.wait_for(lambda: call.run(HEARD) > 0.5)
    call.run("(client) => client.setSpeaker('')")
    assert call.run(SINK) == ""
    assert call.report()["state"] == "live"


def test_a_browser_without_a_choice_of_speakers_says_so(tab: Tab) -> None:
    call = tab.dial()
    call.run("(client) => { client.player.element.setSinkId = undefined; }")
    with pytest.raises(PlaywrightError, match="does not let pages choose the speaker"):
        call.run("(client) => client.setSpeaker('any')")


def test_a_page_in_a_page(chromium: Chromium, serve: Serve) -> None:
    """A frame of another origin has the microphone only where the page around it says so."""
    server = serve("echo")
    inner = f"{server.url}/__inner__"
    outer = f"http://localhost:{server.port}/__outer__"

    async def answer(route: Route) -> None:
        frames = [f'<iframe name="{name}" src="{inner}" {allow}></iframe>' for name, allow in ALLOW]
        body = "<!doctype html>" + ("".join(frames) if route.request.url == outer else "")
        await route.fulfill(body=body, content_type="text/html")

    async def visit(page: Page) -> None:
        await page.route("**/__*__", answer)
        await page.goto(outer)

        async def told(name: str, video: bool = False) -> list[str]:
            frame: Frame | None = page.frame(name)
            assert frame is not None
            found: list[str] = await frame.evaluate(CALL, video)
            return found

        code, words = await told("nothing")
        assert code == "embedded"
        assert words == (
            "The page around this one does not let it use the microphone. Open this page by itself."
        )
        code, words = await told("nothing", video=True)
        assert code == "embedded"
        assert "microphone or camera" in words
        assert (await told("microphone"))[0] == "live"

    chromium.visit(visit)


ALLOW = (("nothing", ""), ("microphone", 'allow="microphone"'))
