"""A visitor of a Gradio page with a call in it. Knows the page and our component, no stream."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import axe_playwright_python
from playwright.async_api import Page, TimeoutError

AXE = Path(axe_playwright_python.__file__).with_name("axe.min.js")
LOADED_MS = 60_000
SOON_MS = 20_000
WATCH_CONNECTIONS = """
const Original = window.RTCPeerConnection;
window.connections = [];
window.RTCPeerConnection = class extends Original {
  constructor(...given) {
    super(...given);
    window.connections.push(this);
  }
};
"""
RECEIVED = """async ([kind, counter]) => {
  let sum = 0;
  for (const connection of window.connections)
    for (const entry of (await connection.getStats()).values())
      if (entry.type === "inbound-rtp" && entry.kind === kind) sum += entry[counter] ?? 0;
  return sum;
}"""

FOCUSED = """(component) => {
  const focused = document.querySelector(component).shadowRoot.activeElement;
  return focused && getComputedStyle(focused).outlineStyle !== "none" ? focused.textContent : null;
}"""
MOVED = """([component, element]) => {
  const video = document.querySelector(component).shadowRoot.querySelector(element);
  if (!video.videoWidth) return false;
  const canvas = Object.assign(document.createElement("canvas"), { width: 64, height: 48 });
  const pen = canvas.getContext("2d");
  pen.drawImage(video, 0, 0, 64, 48);
  const now = pen.getImageData(0, 0, 64, 48).data;
  const before = window.picture ?? now;
  window.picture = now;
  return now.filter((value, at) => Math.abs(value - before[at]) > 24).length > 100;
}"""


ICE_FRAGMENT = r"/a=ice-ufrag:(\S+)/.exec(connections.at(-1).currentLocalDescription.sdp)[1]"


class GradioPage:
    """One visitor.

    Args:
        page: Playwright's.
        component: which of our components, as a CSS selector.
    """

    def __init__(self, page: Page, component: str = ".fastrtc") -> None:
        self.page = page
        self.component = component
        self.errors: list[str] = []
        page.on("pageerror", lambda error: self.errors.append(str(error)))

    async def open(self, url: str, tab: str | None = None) -> None:
        """Loads the page and waits until the component is there, in a tab of the page's."""
        await self.page.add_init_script(WATCH_CONNECTIONS)
        await self.page.goto(url)
        if tab is not None:
            await self.page.get_by_role("tab", name=tab).click(timeout=LOADED_MS)
        await self.page.wait_for_selector(f"{self.component} .card", timeout=LOADED_MS)

    async def press_start(self) -> None:
        """Presses the button that starts: the component's, or the page's where that has none."""
        own = self.page.locator(f"{self.component} .toggle")
        other = self.page.get_by_role("button", name="Start stream")
        await own.or_(other).filter(visible=True).click()

    async def start(self) -> None:
        """Presses start and waits for the call."""
        await self.press_start()
        await self.wait("live")

    async def stop(self) -> None:
        """Presses stop."""
        await self.page.click(f"{self.component} .toggle")
        await self.wait("idle")

    async def tab_to(self, name: str, key: str = "Tab", presses: int = 60) -> None:
        """Moves the keyboard's focus on until it is seen to be on one of the component's parts."""
        focused = None
        for _ in range(presses + 1):
            focused = await self.page.evaluate(FOCUSED, self.component)
            if focused == name:
                return
            if presses:
                await self.page.keyboard.press(key)
        raise AssertionError(f"{name!r} has no visible focus; {focused!r} has")

    async def wait(self, state: str) -> None:
        """Waits for a state of the call."""
        selector = f'{self.component} .card[data-state="{state}"]'
        await self.page.wait_for_selector(selector, timeout=SOON_MS)

    async def ice_fragment(self) -> str:
        """What names the latest connection's present way, until ICE begins anew."""
        found: str = await self.page.evaluate(ICE_FRAGMENT)
        return found

    async def wait_ice_restart(self, before: str) -> None:
        """Waits until ICE has begun anew since ``before`` was read, and found a way."""
        await self.page.wait_for_function(
            f"""(before) => {ICE_FRAGMENT} !== before
              && ["connected", "completed"].includes(connections.at(-1).iceConnectionState)""",
            arg=before,
            timeout=SOON_MS,
        )

    async def wait_for_problem(self, part: str) -> None:
        """Waits until the component shows a sentence with this in it."""
        problem = self.page.locator(f"{self.component} .problem")
        try:
            await problem.filter(has_text=part).wait_for(timeout=SOON_MS)
        except TimeoutError as error:
            instead = await problem.text_content()
            raise AssertionError(f"{part!r} is not shown, but {instead!r}") from error

    async def set_number(self, label: str, value: float) -> None:
        """Types a number into a Number or a Slider; "" is the first one, whatever it is called."""
        numbers = self.page.locator("input[type=number]")
        named = self.page.locator(f"input[type=number][aria-label*='{label}']")
        field = named.or_(self.page.get_by_label(label, exact=True)) if label else numbers
        await field.first.fill(str(value))
        await field.first.press("Enter")
        await field.first.blur()

    async def wait_for_number(self, label: str, condition: str) -> None:
        """Waits until a Number's ``value`` fulfils a condition in JavaScript."""
        await self.page.wait_for_function(
            f"""label => [...document.querySelectorAll("input[type=number]")].some((input) => {{
              const name = input.closest("label, .block")?.innerText ?? "";
              const value = Number(input.value);
              return name.includes(label) && input.value !== "" && {condition};
            }})""",
            arg=label,
            timeout=SOON_MS,
        )

    async def wait_for_changes(self, label: str, count: int) -> None:
        """Waits until a Number has shown so many values other than the one before."""
        await self.page.evaluate("window.shown = []")
        condition = "(window.shown.at(-1) === value || window.shown.push(value)) && "
        await self.wait_for_number(label, f"{condition} window.shown.length > {count}")

    async def wait_for_movement(self, element: str) -> None:
        """Waits until a picture of the component is not what it was."""
        await self.page.wait_for_function(
            MOVED, arg=[self.component, element], timeout=SOON_MS, polling=100
        )

    async def wait_received(self, kind: str, counter: str, least: float) -> None:
        """Waits until the calls of this page received so much; ``counter`` of getStats()."""
        await self.page.wait_for_function(
            f"async ([kind, counter, least]) => await ({RECEIVED})([kind, counter]) >= least",
            arg=[kind, counter, least],
            timeout=SOON_MS,
        )

    async def wait_sessions(self, url: str, name: str, count: int) -> None:
        """Waits until a stream of ``apps/pages.py`` has so many sessions."""
        await self.page.wait_for_function(
            "async ([url, name, count]) =>"
            " (await (await fetch(`${url}/sessions`)).json())[name] === count",
            arg=[url, name, count],
            timeout=SOON_MS,
        )

    async def complaints(self) -> list[str]:
        """What axe-core finds in our components that keeps people from using them."""
        await self.page.evaluate(AXE.read_text())
        found: list[str] = await self.page.evaluate(
            """async () => {
              const { violations } = await axe.run({ include: [".fastrtc"] });
              return violations
                .filter(({ impact }) => impact === "serious" || impact === "critical")
                .map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.html).join(", ")}`);
            }"""
        )
        return found

    async def misfit(self) -> float:
        """How many pixels more or less than the page leaves to it the component takes, opened."""
        await self.page.click(f"{self.component} summary")
        missing: float = await self.page.evaluate(
            """(component) => {
              const host = document.querySelector(component);
              const boxes = [host, host.shadowRoot.querySelector(".card")];
              const [given, taken] = boxes.map((box) => box.getBoundingClientRect().height);
              return Math.abs(given - taken);
            }""",
            self.component,
        )
        return missing

    async def cut_off(self) -> float:
        """How many pixels of the picture's height are not seen."""
        missing: float = await self.page.evaluate(
            """(component) => {
              const { shadowRoot } = document.querySelector(component);
              const boxes = [".stage", ".main"].map((part) => shadowRoot.querySelector(part));
              const [stage, main] = boxes.map((box) => box.getBoundingClientRect());
              return Math.max(stage.top - main.top, main.bottom - stage.bottom);
            }""",
            self.component,
        )
        return missing

    async def overflow(self, width: int) -> int:
        """By how many pixels the page is wider than a screen."""
        await self.page.set_viewport_size({"width": width, "height": 800})
        needed: int = await self.page.evaluate("document.documentElement.scrollWidth")
        return needed - width

    async def weight(self) -> dict[str, Any]:
        """Bytes that came for our modules: over the wire, and unpacked."""
        weight: dict[str, Any] = await self.page.evaluate(
            """() => performance.getEntriesByType("resource")
              .filter(({ name }) => name.includes("/custom_component/") && name.endsWith(".js"))
              .reduce((sum, { encodedBodySize, decodedBodySize }) => ({
                wire: sum.wire + encodedBodySize, unpacked: sum.unpacked + decodedBodySize }),
                { wire: 0, unpacked: 0 })"""
        )
        return weight
