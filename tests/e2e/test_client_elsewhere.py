"""The browser client on a page of another origin, under a strict Content-Security-Policy."""

from collections.abc import Callable

import numpy as np
import pytest
from playwright.async_api import Page

from e2e import sound
from e2e.browser import Chromium
from e2e.server import Server

pytestmark = pytest.mark.together

CALL = """async (transport) => {
  const client = new Client({ transport });
  await client.connect();
  const deadline = performance.now() + 10000;
  while (client.levels().heard < 0.5 && performance.now() < deadline)
    await new Promise((resolve) => setTimeout(resolve, 50));
  const seen = [client.state, client.transport, client.levels().heard > 0.5];
  client.close();
  return [...seen, violations];
}"""


def test_a_call_from_another_origin(chromium: Chromium, serve: Callable[..., Server]) -> None:
    tone = 0.3 * np.sin(2 * np.pi * 440 * np.arange(sound.RATE_HZ) / sound.RATE_HZ)
    chromium.set_microphone(sound.to_int16(tone))
    # Each knows the other's address: the stream whom to let in, the page whom to call.
    stream = serve("neighbourly")
    page_server = serve("elsewhere", ELSEWHERE_STREAM=stream.url)

    async def visit(page: Page) -> None:
        await page.goto(page_server.url)
        await page.wait_for_function("() => window.Client !== undefined")
        for transport in ("webrtc", "websocket"):
            seen = await page.evaluate(CALL, transport)
            assert seen == ["live", transport, True, []]

    chromium.visit(visit)
