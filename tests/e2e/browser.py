"""A real Chromium whose microphone plays what a test gives it. Knows nothing of servers.

Playwright's event loop lives in a thread of its own, so that tests stay plain functions and tests
with an event loop of their own are not disturbed.
"""

import asyncio
import base64
import shutil
import tempfile
import threading
import time
import wave
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from playwright.async_api import Browser, Page, Route, async_playwright

from e2e.closing import Closing
from e2e.sound import resample

T = TypeVar("T")
Samples = npt.NDArray[np.int16]
RATE_HZ = 48000
HARNESS = Path(__file__).with_name("page") / "harness.js"
CALL_TIMEOUT_S = 60.0
# The harness' page is none of the server's, so that Chromium asks before it lets its WebSockets in.
PERMISSIONS = ["camera", "microphone", "local-network-access"]
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-quic",
    "--no-first-run",
    "--autoplay-policy=no-user-gesture-required",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
]


class Chromium:
    """One browser process. ``set_microphone`` decides what the next opened microphone plays."""

    def __init__(self) -> None:
        executable = shutil.which("chromium")
        if executable is None:
            raise RuntimeError("Chromium is missing; install Debian's package chromium")
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="playwright")
        self._thread.start()
        self._folder = tempfile.TemporaryDirectory()
        self._microphone = Path(self._folder.name) / "microphone.wav"
        self.set_microphone(np.zeros(RATE_HZ, np.int16))
        self._browser = self.run(self._launch(executable))

    async def _launch(self, executable: str) -> Browser:
        self._playwright = await async_playwright().start()
        return await self._playwright.chromium.launch(
            executable_path=executable,
            args=[*FLAGS, f"--use-file-for-fake-audio-capture={self._microphone}"],
        )

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Runs a Playwright coroutine and waits for it."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(CALL_TIMEOUT_S)

    def set_microphone(self, samples: Samples, rate_hz: int = RATE_HZ) -> None:
        """``samples`` int16 of shape (n,) or (n, channels); played in a loop from its start each
        time a page opens the microphone."""
        with wave.open(str(self._microphone), "wb") as file:
            file.setnchannels(1 if samples.ndim == 1 else samples.shape[1])
            file.setsampwidth(2)
            file.setframerate(rate_hz)
            file.writeframes(np.ascontiguousarray(samples).tobytes())

    def open(self, url: str = "http://localhost") -> "Tab":
        """A fresh page with the harness, at the origin of ``url``."""
        return Tab(self, self.run(self._open(url)))

    async def _open(self, url: str) -> Page:
        context = await self._browser.new_context(permissions=PERMISSIONS)
        page = await context.new_page()

        async def answer(route: Route) -> None:
            if route.request.url.endswith("/harness.js"):
                await route.fulfill(path=HARNESS, content_type="text/javascript")
            else:
                await route.fulfill(
                    body='<!doctype html><script src="/__harness__/harness.js"></script>',
                    content_type="text/html",
                )

        await page.route("**/__harness__/**", answer)
        await page.goto(f"{url}/__harness__/")
        return page

    def visit(self, visitor: Callable[[Page], Coroutine[Any, Any, T]]) -> T:
        """Runs ``await visitor(page)`` with a fresh page that has no harness."""

        async def visited() -> T:
            context = await self._browser.new_context(permissions=PERMISSIONS)
            try:
                return await visitor(await context.new_page())
            finally:
                await context.close()

        return self.run(visited())

    def close(self) -> None:
        """Ends the browser and the thread."""
        self.run(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._folder.cleanup()

    async def _close(self) -> None:
        await self._browser.close()
        await self._playwright.stop()


class Tab(Closing):
    """A page with ``window.harness`` in it."""

    def __init__(self, chromium: Chromium, page: Page) -> None:
        self.chromium = chromium
        self.page = page

    def call(self, name: str, *arguments: Any) -> Any:
        """Calls ``harness.name(...arguments)`` and waits for what it resolves to."""
        script = "([name, args]) => window.harness[name](...args)"
        return self.chromium.run(self.page.evaluate(script, [name, list(arguments)]))

    def connect(self, **options: Any) -> "Call":
        """Makes a call; options are harness.js's ``CallOptions``."""
        made = self.call("connect", options)
        return Call(self, made["id"], made["answer"])

    def hide_addresses(self) -> None:
        """From now on the server learns this page's addresses only from its packets."""
        self.call("hideAddresses")

    def dial(self, **options: Any) -> "Dialled":
        """Makes a call with the shipped browser client; options are client.js's
        ``ClientOptions``."""
        return Dialled(self, self.call("dial", options))

    def wait_for(self, condition: Callable[[], bool], timeout_s: float = 15.0) -> None:
        """Asks again and again until the condition holds.

        Raises:
            TimeoutError: it never did.
        """
        deadline = time.monotonic() + timeout_s
        while not condition():
            if time.monotonic() > deadline:
                raise TimeoutError(f"not within {timeout_s} s")
            time.sleep(0.05)

    def loopback(self, seconds: float) -> Samples:
        """Sends the microphone from one peer of this page to another; shape (n, 2): sent, heard."""
        return _decode(self.call("loopback", seconds))

    def close(self) -> None:
        """Closes the page as a user does: nobody says goodbye to the server."""
        self.chromium.run(self.page.context.close())


class Call:
    """A call from a page to a server."""

    def __init__(self, tab: Tab, webrtc_id: str, answer: dict[str, Any]) -> None:
        self.id = webrtc_id
        self.answer = answer
        self._tab = tab

    def wait(self, state: str = "connected", timeout_s: float = 15.0) -> dict[str, Any]:
        """Waits for the connection's state; returns the report of that moment."""
        return self.wait_until(lambda report: report["state"] == state, timeout_s)

    def wait_until(
        self, condition: Callable[[dict[str, Any]], bool], timeout_s: float = 15.0
    ) -> dict[str, Any]:
        """Waits until the report fulfils a condition.

        Raises:
            TimeoutError: with the last report in it.
        """
        deadline = time.monotonic() + timeout_s
        while True:
            report = self.report()
            if condition(report):
                return report
            if time.monotonic() > deadline:
                raise TimeoutError(f"after {timeout_s} s the call is {report}")
            time.sleep(0.05)

    def report(self) -> dict[str, Any]:
        """``state``, ``states``, ``connect_ms``, ``first_sound_ms`` and parts of getStats()."""
        report: dict[str, Any] = self._tab.call("report", self.id)
        return report

    def record(self, seconds: float) -> Samples:
        """What the page hears from now on, sample by sample at 48 kHz: (n,), stereo (n, 2)."""
        self._tab.call("take", self.id)
        time.sleep(seconds)
        return self.take()

    def take(self) -> Samples:
        """What the page has heard since the last take or record."""
        return _decode(self._tab.call("take", self.id))

    def compare(self, seconds: float) -> Samples:
        """Microphone and returned sound on one clock, shape (n, 2)."""
        return _decode(self._tab.call("compare", self.id, seconds))

    def messages(self) -> list[str]:
        """What came over the data channel since the last call."""
        messages: list[str] = self._tab.call("messages", self.id)
        return messages

    def send(self, text: str) -> None:
        """Sends over the data channel."""
        self._tab.call("send", self.id, text)

    def post(self, **body: Any) -> dict[str, Any]:
        """Posts to the offer URL with this call's id; the answer and its ``http_status``."""
        answer: dict[str, Any] = self._tab.call("post", self.id, body)
        return answer

    def restart_ice(self) -> dict[str, Any]:
        """Offers again with new ICE credentials, as a client does after its network changed."""
        answer: dict[str, Any] = self._tab.call("restart", self.id)
        return answer

    def close(self) -> None:
        """Hangs up."""
        self._tab.call("close", self.id)


class Dialled:
    """A call made with the browser client that the package ships."""

    def __init__(self, tab: Tab, webrtc_id: str) -> None:
        self.id = webrtc_id
        self._tab = tab

    def report(self) -> dict[str, Any]:
        """``state``, all ``states`` so far, ``reason``, ``messages``, ``connectMs``,
        ``transport``."""
        report: dict[str, Any] = self._tab.call("dialled", self.id)
        return report

    def wait(self, state: str, timeout_s: float) -> dict[str, Any]:
        """Waits for a state.

        Raises:
            TimeoutError: with the last report in it.
        """
        deadline = time.monotonic() + timeout_s
        while (report := self.report())["state"] != state:
            if time.monotonic() > deadline:
                raise TimeoutError(f"after {timeout_s} s the call is {report}")
            time.sleep(0.05)
        return report

    def record(self, seconds: float) -> Samples:
        """What the page hears from now on at 48 kHz, mixed down to shape (n,)."""
        rate_hz, heard = self._record(seconds)
        mono = heard.mean(axis=1) if heard.ndim == 2 else heard.astype(np.float64)
        # Over a WebSocket the browser's own rate is heard.
        whole = mono if rate_hz == RATE_HZ or not len(mono) else resample(mono, rate_hz, RATE_HZ)
        return np.clip(whole, -32768, 32767).astype(np.int16)

    def record_stereo(self, seconds: float) -> Samples:
        """The same sample by sample: (n,) when the browser has one channel, else (n, 2)."""
        rate_hz, heard = self._record(seconds)
        assert rate_hz == RATE_HZ
        return heard

    def _record(self, seconds: float) -> tuple[int, Samples]:
        self._tab.call("dialledTake", self.id)
        time.sleep(seconds)
        recording = self._tab.call("dialledTake", self.id)
        return recording["rateHz"], _samples(recording)

    def send(self, message: str | dict[str, Any]) -> bool:
        """Sends over the data channel; False when it is not open."""
        sent: bool = self._tab.call("dialledSend", self.id, message)
        return sent

    def run(self, script: str, *arguments: Any) -> Any:
        """Calls ``script``, a JavaScript function of the client and the arguments, in the page."""
        wrapped = f"([id, args]) => ({script})(window.harness.client(id), ...args)"
        page = self._tab.page
        return self._tab.chromium.run(page.evaluate(wrapped, [self.id, list(arguments)]))

    def hang_up(self) -> None:
        """Ends the call."""
        self._tab.call("hangUp", self.id)


def _decode(recording: dict[str, Any]) -> Samples:
    if recording["rateHz"] != RATE_HZ:
        raise ValueError(f"expected {RATE_HZ} Hz, recorded {recording['rateHz']}")
    return _samples(recording)


def _samples(recording: dict[str, Any]) -> Samples:
    samples = np.frombuffer(base64.b64decode(recording["pcm"]), np.int16)
    channels = recording["channels"]
    return samples if channels == 1 else samples.reshape(-1, channels)
