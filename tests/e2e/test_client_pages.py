"""Pages that use the shipped client, as visitors meet them: the documentation's, the examples'."""

import re
from pathlib import Path

import numpy as np
import pytest
from playwright.async_api import Page, Route

from e2e import sound
from e2e.browser import Chromium
from e2e.server import TESTS, Server

pytestmark = pytest.mark.together

ROOT = Path(__file__).resolve().parents[2]
MODULES = ROOT / ".tools" / "node_modules"
REACT = {
    "react": "react/cjs/react.production.js",
    "scheduler": "scheduler/cjs/scheduler.production.js",
    "react-dom": "react-dom/cjs/react-dom.production.js",
    "client": "react-dom/cjs/react-dom-client.production.js",
}
STATUS = "document.getElementById('status')"
ECHO = """
from fastapi import FastAPI
from fastapi.responses import HTMLResponse
from fastrtc import Stream

stream = Stream(lambda audio: audio, modality="audio")
app = FastAPI()
stream.mount(app)

@app.get("/")
def page():
    return HTMLResponse(open("PAGE").read())
"""


@pytest.fixture(autouse=True)
def hum(chromium: Chromium) -> None:
    """The visitor hums."""
    tone = 0.3 * np.sin(2 * np.pi * 440 * np.arange(sound.RATE_HZ) / sound.RATE_HZ)
    chromium.set_microphone(sound.to_int16(tone))


def example(name: str) -> Server:
    return Server("app:app", {"PYTHONPATH": f"{ROOT / 'examples' / name}:{TESTS}"})


def test_the_page_of_the_documentation(chromium: Chromium, tmp_path: Path) -> None:
    (html,) = re.findall(r"```html\n(.*?)```", (ROOT / "docs" / "client.md").read_text(), re.DOTALL)
    assert len(html.splitlines()) <= 10
    page_file = tmp_path / "index.html"
    page_file.write_text(html)
    (tmp_path / "documented.py").write_text(ECHO.replace("PAGE", str(page_file)))

    with Server("documented:app", {"PYTHONPATH": f"{tmp_path}:{TESTS}"}) as server:

        async def visit(page: Page) -> None:
            await page.goto(server.url)
            await page.click("#talk")
            await page.wait_for_function(f"{STATUS}.value === 'live'")
            # The stream takes one call, and this is another.
            await page.click("#talk")
            await page.wait_for_function(f"{STATUS}.value.startsWith('All places are taken (1)')")

        chromium.visit(visit)


def test_the_frontend_of_ones_own(chromium: Chromium) -> None:
    async def visit(page: Page) -> None:
        errors: list[str] = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        await page.goto(server.url)
        await page.click("#toggle")
        await page.wait_for_function(f"{STATUS}.value === 'live'")
        await page.wait_for_function("document.getElementById('peak').value > 3000")
        assert await page.locator("#microphones option").count() > 0
        await page.fill("#loudness", "0")
        await page.wait_for_function("document.getElementById('peak').value === 0")
        await page.fill("#loudness", "1")
        await page.wait_for_function("document.getElementById('peak').value > 3000")
        await page.click("#mute")
        await page.wait_for_function("document.getElementById('peak').value < 300")
        await page.click("#toggle")
        await page.wait_for_function(f"{STATUS}.value === 'closed'")
        assert errors == []

    with example("frontend") as server:
        chromium.visit(visit)


def test_the_talk_page(chromium: Chromium) -> None:
    """What it says of a call; the conversation itself is the demo's, whose test has it."""

    async def visit(page: Page) -> None:
        errors: list[str] = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        await page.goto(server.url)
        await page.wait_for_selector("#source .keyword")
        assert "handler = ReplyOnPause(reply)" in await page.inner_text("#source")
        for width in (1280, 390):
            await page.set_viewport_size({"width": width, "height": 800})
            assert await page.evaluate("document.documentElement.scrollWidth") <= width
        await page.click("#toggle")
        await page.wait_for_selector('#call[data-state="live"][data-turn="listening"]')
        assert (await page.inner_text("#connect")).endswith("ms")
        await page.click("#toggle")
        await page.wait_for_selector('[data-state="closed"]')
        assert await page.inner_text("#status") == "The call has ended."
        assert not await page.is_visible("#problem")
        await page.evaluate(
            "() => { navigator.mediaDevices.getUserMedia ="
            " () => Promise.reject(new DOMException('no', 'NotAllowedError')); }"
        )
        await page.click("#toggle")
        await page.wait_for_selector("text=The microphone is blocked")
        assert errors == []

    with example("talk") as server:
        chromium.visit(visit)


def test_the_react_component(chromium: Chromium) -> None:
    async def visit(page: Page) -> None:
        errors: list[str] = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        await page.route("https://esm.sh/**", react)
        await page.goto(server.url)
        await page.click("button")
        await page.wait_for_selector("text=live")
        for side in ("sent", "heard"):
            await page.wait_for_function(
                f"document.querySelector('[aria-label={side}]').value > 0.5"
            )
        await page.click("button")
        await page.wait_for_selector("text=closed")
        assert errors == []

    with example("react") as server:
        chromium.visit(visit)


async def react(route: Route) -> None:
    """React from npm in the CDN's place, as the modules that the CDN makes of it."""
    if "react-dom" in route.request.url:
        body = (
            'import React from "https://esm.sh/react@19";'
            'export const createRoot = React.rooms("client").createRoot;'
        )
    else:
        rooms = ",".join(
            f"{name!r}: (module, exports, require) => {{{(MODULES / path).read_text()}}}"
            for name, path in REACT.items()
        )
        names = "createElement, useCallback, useEffect, useRef, useState"
        body = f"""
            const made = {{}}, rooms = {{{rooms}}};
            const require = (name) => {{
              if (made[name]) return made[name].exports;
              const module = (made[name] = {{ exports: {{}} }});
              rooms[name](module, module.exports, require);
              return module.exports;
            }};
            export default {{ rooms: require }};
            export const {{ {names} }} = require("react");
        """
    headers = {"Access-Control-Allow-Origin": "*"}
    await route.fulfill(body=body, content_type="text/javascript", headers=headers)
