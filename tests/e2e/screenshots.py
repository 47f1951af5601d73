"""Takes pictures of every page that a stream can have, and the ones that this documentation shows.

cd tests
python -m e2e.screenshots FOLDER   # all: each layout, wide and on a phone, light and dark
python -m e2e.screenshots FOLDER --only video-   # those with this in their names
python -m e2e.screenshots --docs   # those of docs/gradio.md, into docs/
"""

from __future__ import annotations

import argparse
import asyncio
import math
from pathlib import Path

from PIL import Image
from playwright.async_api import Page

from clips import RATE_HZ, clip
from e2e.apps.cells import cells
from e2e.browser import Chromium
from e2e.gradio_page import GradioPage
from e2e.server import Server

DOCS = Path(__file__).resolve().parents[2] / "docs"
SIZES = {"desk": (1100, 820), "phone": (390, 844)}
THEMES = ("light", "dark")
LAYOUTS = [*(name for name in cells if name != "together"), "tell", "chat"]
SHOWN = {
    "gradio-audio": ("audio-send-receive", "desk", "light"),
    "gradio-phone": ("audio-send-receive", "phone", "light"),
    "gradio-dark": ("audio-video-send", "desk", "dark"),
    "gradio-video": ("video-send-receive", "desk", "light"),
    "gradio-video-phone": ("video-send-receive", "phone", "dark"),
    "gradio-call": ("audio-video-send-receive", "desk", "dark"),
    "gradio-chat": ("chat", "desk", "light"),
}
"""Name of the file: layout, size, theme."""
COLOURS = 192
SPEAKING_S = 1.5


async def take(page: Page, url: str, layout: str, size: str, theme: str, target: Path) -> None:
    """One picture, in the middle of a call, with the details panel open."""
    width, height = SIZES[size]
    await page.set_viewport_size({"width": width, "height": height})
    visitor = GradioPage(page, "#typing" if layout == "chat" else ".fastrtc")
    await visitor.open(f"{url}/{layout}/?__theme={theme}")
    if layout == "chat":
        await page.get_by_role("textbox", name="Message").fill("How many letters are these?")
        await page.keyboard.press("Enter")
        await visitor.wait("live")
        await page.get_by_text("27 letters").wait_for()
    else:
        await visitor.start()
    await page.locator(f"{visitor.component} summary").click()
    await asyncio.sleep(SPEAKING_S)
    # What is as tall as the window grows with it: the window first, then the picture.
    needed = await page.evaluate("document.querySelector('footer').getBoundingClientRect().bottom")
    await page.set_viewport_size({"width": width, "height": max(height, math.ceil(needed))})
    await asyncio.sleep(0.2)
    await page.screenshot(path=target, full_page=True)
    shrink(target)


def shrink(picture: Path) -> None:
    """As few bytes as such a picture needs: a palette, no dithering."""
    with Image.open(picture) as taken:
        palette = taken.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)
    palette.save(picture, optimize=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--docs", action="store_true", help="only those of docs/gradio.md")
    parser.add_argument("--only", default="", help="a part of the names of those to take")
    options = parser.parse_args()
    if (options.folder is None) is not options.docs:
        parser.error("name a folder, or say --docs")
    shots = {name: shot for name, shot in SHOWN.items() if options.docs} or {
        f"{layout}-{size}-{theme}": (layout, size, theme)
        for layout in LAYOUTS
        for size in SIZES
        for theme in THEMES
    }
    folder: Path = DOCS if options.docs else options.folder
    folder.mkdir(parents=True, exist_ok=True)
    chromium = Chromium()
    chromium.set_microphone(clip("austen-0870"), RATE_HZ)
    try:
        with Server("e2e.apps.pages:app") as server:
            for name, (layout, size, theme) in shots.items():
                if options.only not in name:
                    continue
                target = folder / f"{name}.png"

                async def visit(
                    page: Page,
                    layout: str = layout,
                    size: str = size,
                    theme: str = theme,
                    target: Path = target,
                ) -> None:
                    await take(page, server.url, layout, size, theme, target)

                chromium.visit(visit)
                print(target, target.stat().st_size // 1000, "kB", flush=True)
    finally:
        chromium.close()


if __name__ == "__main__":
    main()
