"""Who leaves says so twice: with a packet that may get lost, and with a request."""

import json
from collections.abc import Iterator
from urllib.request import urlopen

import pytest
from playwright.async_api import Page

from e2e.browser import Chromium
from e2e.gradio_page import GradioPage
from e2e.server import Server

pytestmark = pytest.mark.together

LOSE_PACKETS = """
RTCPeerConnection.prototype.close = () => {};
RTCDataChannel.prototype.close = () => {};
"""
"""What a server sees of a call whose last packets are lost: nothing."""
AGAIN_AND_AGAIN = """async (times) => {
  const { Client } = await import("/client/fastrtc.js");
  for (let call = 0; call < times; call++) {
    const client = new Client();
    await client.connect();
    client.close();
    // The offer is on its way, and nobody waits for the answer.
    const hasty = new Client();
    const real = window.fetch;
    window.fetch = (...request) => {
      if (request[1]?.body?.includes('"offer"')) setTimeout(() => hasty.close());
      return real(...request);
    };
    await hasty.connect().catch(() => {});
    window.fetch = real;
  }
}"""
CALL = """async () => {
  const { Client } = await import("/client/fastrtc.js");
  await new Client().connect();
}"""


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with Server("e2e.apps.farewells:app") as server:
        yield server.url


def heard(url: str) -> dict[str, int]:
    with urlopen(f"{url}/heard") as answer:
        found: dict[str, int] = json.load(answer)
        return found


def test_the_next_call_gets_the_only_place_at_once(chromium: Chromium, url: str) -> None:
    async def call(page: Page) -> None:
        await page.add_init_script(LOSE_PACKETS)
        await page.goto(f"{url}/heard")
        await page.evaluate(AGAIN_AND_AGAIN, 10)

    chromium.visit(call)
    assert heard(url)["goodbyes"] >= 20


def test_stop_and_start_on_a_gradio_page(chromium: Chromium, url: str) -> None:
    async def press(page: Page) -> None:
        await page.add_init_script(LOSE_PACKETS)
        visitor = GradioPage(page)
        await visitor.open(f"{url}/page")
        await visitor.start()
        for _ in range(10):
            await page.evaluate(
                """() => {
                  const { shadowRoot } = document.querySelector(".fastrtc");
                  const toggle = shadowRoot.querySelector(".toggle");
                  toggle.click();
                  toggle.click();
                }"""
            )
            await visitor.wait("live")
        assert not await page.locator(".fastrtc .problem").is_visible()
        await visitor.stop()
        assert visitor.errors == []

    chromium.visit(press)


@pytest.mark.parametrize("path", ["heard", "page"])
def test_a_page_that_is_left_says_goodbye(chromium: Chromium, url: str, path: str) -> None:
    async def leave(page: Page) -> None:
        if path == "page":
            visitor = GradioPage(page)
            await visitor.open(f"{url}/page")
            await visitor.start()
        else:
            await page.goto(f"{url}/heard")
            await page.evaluate(CALL)
        await page.goto("about:blank")
        await page.goto(f"{url}/heard")
        # Not the packet, which comes too: the server tells the two apart.
        await page.wait_for_function(
            """async ([url, before]) => {
              const { goodbyes, sessions } = await (await fetch(`${url}/heard`)).json();
              return goodbyes > before && sessions === 0;
            }""",
            arg=[url, before],
            timeout=10_000,
        )

    before = heard(url)["goodbyes"]
    chromium.visit(leave)
