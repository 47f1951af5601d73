"""A visitor of a Gradio page with a call in it. Knows the page and our component, no stream."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import axe_playwright_python
from playwright.async_api import Page

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

    async def open(self, url: str) -> None:
        """Loads the page and waits until the component is there."""
        await self.page.add_init_script(WATCH_CONNECTIONS)
        await self.page.goto(url)
        await self.page.wait_for_selector(f"{self.component} .card", timeout=LOADED_MS)

    async def start(self) -> None:
        """Presses start and waits for the call."""
        await self.page.click(f"{self.component} .toggle")
        await self.wait("live")

    async def stop(self) -> None:
        """Presses stop."""
        await self.page.click(f"{self.component} .toggle")
        await self.wait("idle")

    async def wait(self, state: str) -> None:
        """Waits for a state of the call."""
        selector = f'{self.component} .card[data-state="{state}"]'
        await self.page.wait_for_selector(selector, timeout=SOON_MS)

    async def wait_for_problem(self, part: str) -> None:
        """Waits until the component shows a sentence with this in it."""
        problem = self.page.locator(f"{self.component} .problem", has_text=part)
        await problem.wait_for(timeout=SOON_MS)

    async def set_number(self, label: str, value: float) -> None:
        """Types a number into a Number or a Slider."""
        field = self.page.locator(f"input[type=number][aria-label*='{label}']").or_(
            self.page.get_by_label(label, exact=True)
        )
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
