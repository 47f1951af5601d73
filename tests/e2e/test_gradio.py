"""Streams on Gradio pages as visitors meet them: every cell that there is, in one server."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from playwright.async_api import Page

from clips import RATE_HZ, clip
from e2e.apps.cells import cells
from e2e.browser import Chromium
from e2e.gradio_page import GradioPage
from e2e.server import Server

pytestmark = pytest.mark.together

SPEECH = clip("austen-0870")
GENERATED = ("audio-receive", "video-receive")
"""Cells whose handler is a generator."""
# Chromium tells pages with this event that they are in another network.
OTHER_NETWORK = "navigator.connection.dispatchEvent(new Event('change'))"


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with Server("e2e.apps.pages:app") as server:
        yield server.url


@pytest.fixture(autouse=True)
def speech(chromium: Chromium) -> None:
    """What the microphone hears."""
    chromium.set_microphone(SPEECH, RATE_HZ)


async def two_visitors(page: Page, address: str) -> tuple[GradioPage, GradioPage]:
    """The same page in two tabs, the second one dark."""
    one, two = GradioPage(page), GradioPage(await page.context.new_page())
    await asyncio.gather(one.open(address), two.open(f"{address}/?__theme=dark"))
    return one, two


async def media_flows(visitor: GradioPage, name: str) -> None:
    """What the page plays and shows moves, and so does what the handler gets."""
    shows = not name.endswith("-send")
    if shows and "audio" in name:
        await visitor.wait_received("audio", "totalAudioEnergy", 1e-4)
    if shows and "video" in name:
        await visitor.wait_received("video", "framesDecoded", 10)
    if "video" in name:
        await visitor.wait_for_movement("video.main")
    if "send" in name:
        await visitor.wait_for_changes("Noticed", 3)


@pytest.mark.parametrize("name", [name for name in cells if name != "together"])
def test_a_cell(chromium: Chromium, url: str, name: str) -> None:
    """One visitor talks and looks, another is refused and has the next turn."""

    async def meet(page: Page) -> None:
        one, two = await two_visitors(page, f"{url}/{name}")
        await one.start()
        await one.wait_for_number("Used share", "value === 0.5")
        await media_flows(one, name)
        assert await one.misfit() < 1
        assert await one.complaints() == []
        assert await one.overflow(390) == 0
        assert "video" not in name or await one.cut_off() < 1

        await two.press_start()
        await two.wait_for_problem("All places are taken (1)")
        await one.wait("live")

        if "send" in name:
            await one.set_number("Share", 0.25)
            await one.wait_for_number("Used share", "value === 0.25")
        await one.set_number("Share", 1)
        if name in GENERATED:
            # Its inputs are those of the beginning.
            await one.stop()
            await one.press_start()
        await one.wait_for_problem("That is too much.")
        await page.get_by_test_id("toast-body").first.wait_for()
        if name in GENERATED:
            # What fails has no more to play; the reason stays to be read.
            await one.wait("idle")
            await one.wait_for_problem("That is too much.")
        else:
            await one.stop()
        await one.wait_sessions(url, name, 0)

        # A session that a page left behind would keep the only place.
        await one.set_number("Share", 0.75)
        await one.start()
        await one.wait_for_number("Used share", "value === 0.75")
        await page.reload()
        await two.wait_sessions(url, name, 0)
        await two.start()
        await two.wait_for_number("Used share", "value === 0.5")
        assert await two.complaints() == []
        await two.page.goto("about:blank")
        await one.wait_sessions(url, name, 0)
        assert one.errors == two.errors == []

    chromium.visit(meet)


def test_two_tabs_at_once(chromium: Chromium, url: str) -> None:
    """Each has its own inputs, its own outputs, and its own end."""

    async def meet(page: Page) -> None:
        one, two = await two_visitors(page, f"{url}/together")
        await two.set_number("Share", 0.75)
        await asyncio.gather(one.start(), two.start())
        await one.wait_for_number("Used share", "value === 0.5")
        await two.wait_for_number("Used share", "value === 0.75")
        await media_flows(one, "audio-video-send-receive")
        await one.set_number("Share", 0.25)
        await one.wait_for_number("Used share", "value === 0.25")
        await two.wait_for_changes("Noticed", 3)
        await two.wait_for_number("Used share", "value === 0.75")
        await one.stop()
        await one.wait_sessions(url, "together", 1)
        await media_flows(two, "audio-video-send-receive")
        await two.stop()
        await one.wait_sessions(url, "together", 0)
        assert one.errors == two.errors == []

    chromium.visit(meet)


def test_everything_by_keyboard(chromium: Chromium, url: str) -> None:
    async def press(page: Page) -> None:
        visitor = GradioPage(page)
        await visitor.open(f"{url}/audio-video-send-receive")
        await visitor.tab_to("Start")
        await page.keyboard.press("Enter")
        await visitor.wait("live")
        for now, then in (("Mute", "Unmute"), ("Camera off", "Camera on")):
            await visitor.tab_to(now)
            await page.keyboard.press("Space")
            await visitor.tab_to(then, presses=0)
        looks = "(mine) => getComputedStyle(mine).transform"
        assert (await page.locator("video.mine").evaluate(looks)).startswith("matrix(-1,")
        await visitor.tab_to("Full screen")
        await page.keyboard.press("Enter")
        await page.wait_for_function("document.fullscreenElement !== null")
        await page.evaluate("document.exitFullscreen()")
        await page.wait_for_function("document.fullscreenElement === null")
        await visitor.tab_to("Devices and connection")
        await page.keyboard.press("Enter")
        await page.get_by_text("Round trip").wait_for()
        await page.get_by_text("Sound dropped there").wait_for()
        assert await visitor.complaints() == []
        await visitor.tab_to("Stop", key="Shift+Tab")
        await page.keyboard.press("Space")
        await visitor.wait("idle")
        await visitor.wait_sessions(url, "audio-video-send-receive", 0)

    chromium.visit(press)


def test_a_microphone_that_is_only_sent(chromium: Chromium, url: str) -> None:
    async def tell(page: Page) -> None:
        visitor = GradioPage(page)
        await visitor.open(f"{url}/tell")
        said = page.locator("em", has_text="something")
        assert await said.evaluate("words => getComputedStyle(words).textAlign") == "center"
        icon = page.locator(".fastrtc .icon img")
        assert await icon.evaluate("image => image.decode().then(() => image.naturalWidth)") == 64
        await visitor.start()
        await visitor.wait_for_number("Level", "value > 1000")
        await page.get_by_role("button", name="Mute").click()
        await visitor.wait_for_number("Level", "value < 100")
        assert await visitor.complaints() == []
        await visitor.stop()
        await visitor.wait_sessions(url, "tell", 0)
        weight = await visitor.weight()
        assert 10_000 < weight["wire"] < 60_000
        assert visitor.errors == []

    chromium.visit(tell)


def test_inputs_that_wait_for_enter(chromium: Chromium, url: str) -> None:
    """``send_input_on="submit"``: what is typed stays on the page until one of them is entered."""

    async def enter(page: Page) -> None:
        visitor = GradioPage(page)
        await visitor.open(f"{url}/entered")
        await visitor.start()
        await visitor.wait_for_number("Used share", "value === 0.5")
        share = page.get_by_label("Share", exact=True)
        await share.fill("0.25")
        await share.blur()
        await visitor.wait_for_changes("Noticed", 5)
        await visitor.wait_for_number("Used share", "value === 0.5")
        await share.press("Enter")
        await visitor.wait_for_number("Used share", "value === 0.25")
        # All of them go together, whichever is entered.
        await share.fill("0.75")
        await page.get_by_label("Note", exact=True).press("Enter")
        await visitor.wait_for_number("Used share", "value === 0.75")
        await visitor.stop()
        assert visitor.errors == []

    chromium.visit(enter)


def test_components_beside_each_other(chromium: Chromium, url: str) -> None:
    """Three of them in tabs, made without a Stream; one is typed to, one changes."""

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
        await page.get_by_role("button", name="Hide").click()
        await page.wait_for_selector("#echo", state="hidden")
        await page.get_by_role("button", name="Show").click()
        await page.wait_for_selector("#echo .card", state="visible")
        await echo.wait("live")
        await echo.wait_sessions(url, "echo", 1)
        await page.get_by_role("button", name="Remove").click()
        await echo.wait_sessions(url, "echo", 0)
        await page.get_by_role("button", name="Show").click()
        await echo.start()
        await echo.wait_sessions(url, "echo", 1)
        await echo.wait_sessions(url, "typing", 1)
        assert typing.errors == []

    chromium.visit(chat)


def test_a_call_outlives_a_redrawing_and_another_network(chromium: Chromium, url: str) -> None:
    """``gr.render`` makes a new component with the same key; the call is the old one."""

    async def redraw(page: Page) -> None:
        visitor = GradioPage(page, "#kept")
        await visitor.open(f"{url}/chat", tab="Drawn")
        await visitor.start()
        await page.get_by_role("button", name="Redraw").click()
        await page.get_by_role("heading", name="Drawn 1").wait_for()
        await visitor.wait("live")
        fragment = await visitor.ice_fragment()
        await page.evaluate(OTHER_NETWORK)
        await visitor.wait_ice_restart(fragment)
        await visitor.wait("live")
        await visitor.wait_received("audio", "totalAudioEnergy", 1e-4)
        await visitor.set_number("Share", 0.25)
        await visitor.wait_for_number("Used share", "value === 0.25")
        await visitor.wait_sessions(url, "kept", 1)
        await visitor.stop()
        await visitor.wait_sessions(url, "kept", 0)
        await visitor.start()
        assert visitor.errors == []

    chromium.visit(redraw)
