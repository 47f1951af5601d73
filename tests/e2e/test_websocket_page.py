"""A page in a real Chromium that speaks over a WebSocket, by the documented messages alone."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.async_api import Page

from e2e import sound
from e2e.browser import Chromium
from e2e.server import Server
from e2e.testimony import wait_for_life

SCRIPT = (Path(__file__).with_name("page") / "socket.js").read_text()
SCRIPT = SCRIPT[SCRIPT.index("async (") :].rstrip().removesuffix(";")
ORIGINAL = sound.speech("austen-0880.wav")[: 2 * sound.RATE_HZ]
FORMS: dict[str, dict[str, Any]] = {
    "mulaw in JSON": {},
    "binary PCM": {"format": "pcm16", "sample_rate": 16_000},
}


@pytest.mark.parametrize("form", FORMS)
def test_a_page_hears_its_echo(chromium: Chromium, serve: Callable[..., Server], form: str) -> None:
    server = serve("witness")
    rate_hz = FORMS[form].get("sample_rate", sound.RATE_HZ)
    said = sound.to_int16(sound.resample(ORIGINAL, sound.RATE_HZ, rate_hz))

    async def talk(page: Page) -> dict[str, Any]:
        await page.goto(server.url)
        options = {
            "start": FORMS[form],
            "rateHz": rate_hz,
            "said": said.tolist(),
            "text": "good day",
        }
        answer: dict[str, Any] = await page.evaluate(SCRIPT, options)
        return answer

    told = chromium.visit(talk)
    # Resamplers keep the last milliseconds until more comes.
    heard = np.pad(np.array(told["heard"]) / 32768, (0, rate_hz))
    fidelity = sound.compare(ORIGINAL, sound.resample(heard, rate_hz, sound.RATE_HZ))
    assert fidelity.dropouts <= 1, fidelity
    assert fidelity.median > 0.9, fidelity
    assert "heard: good day" in told["texts"]
    assert "pong" in told["events"]
    life = wait_for_life(server.url, "page", lambda life: life["shutdowns"] == 1)
    assert life["close_reason"] == "the client said stop"
    assert life["texts"] == ["good day"]
