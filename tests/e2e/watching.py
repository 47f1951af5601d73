"""A call with a camera, from a page: pictures that say which they are, and what became of them."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from e2e.browser import Tab

SCRIPT = Path(__file__).with_name("page") / "video.js"


class VideoCall:
    """A call whose camera numbers its pictures.

    Args:
        tab: the page, at the server's origin.
        direction: of the video, and of the audio if there is any.
        audio: whether the microphone is sent, or sound received.
        codec: the only one to offer, such as "VP8"; None for all.
        flipped: whether the server turns pictures upside down.
        alone: send to another peer of the page, with no server between.
        whep: watch by WHEP, and hang up by its DELETE, instead of an offer.
        id: the call's name; None for a random one.
        client: options of the shipped client, which then makes the call.
        camera: "width", "height", "fps".
    """

    def __init__(
        self,
        tab: Tab,
        *,
        direction: str = "sendrecv",
        audio: bool = False,
        codec: str | None = None,
        flipped: bool = False,
        alone: bool = False,
        whep: bool = False,
        id: str | None = None,  # noqa: A002
        client: dict[str, Any] | None = None,
        **camera: int,
    ) -> None:
        self._tab = tab
        tab.chromium.run(tab.page.add_script_tag(path=SCRIPT))
        options = {
            "direction": direction,
            "audio": audio,
            "codec": codec,
            "flipped": flipped,
            "alone": alone,
            "whep": whep,
            "id": id,
            "camera": {"width": 640, "height": 480, "fps": 30, **camera},
        }
        if client is None:
            made = self._call("connect", options)
        else:
            made = self._call("dial", client, options)
        self.id: str = made["id"]
        self.answer: dict[str, Any] = made["answer"]

    def watch(
        self, until: Callable[[dict[str, Any]], bool], timeout_s: float = 20.0
    ) -> dict[str, Any]:
        """Waits until the report fulfils a condition; returns it.

        Raises:
            TimeoutError: with the last report in it, but for its pictures.
        """
        deadline = time.monotonic() + timeout_s
        while True:
            report = self.now()
            if until(report):
                return report
            if time.monotonic() > deadline:
                seen = report.pop("seen")
                raise TimeoutError(f"after {timeout_s} s: {len(seen)} pictures, {report}")
            time.sleep(0.2)

    def pictures(self, count: int, timeout_s: float = 20.0) -> dict[str, Any]:
        """Waits for so many pictures."""
        return self.watch(lambda report: len(report["seen"]) >= count, timeout_s)

    def now(self) -> dict[str, Any]:
        """The report of this moment; its "now" is on the clock of the pictures' "at"."""
        report: dict[str, Any] = self._call("report", self.id)
        return report

    def replace_camera(self, **camera: int) -> None:
        """Goes over to another camera, as when a screen is shared, without a new offer."""
        self._call("replace", self.id, {"fps": 30, **camera})

    def close(self) -> None:
        """Hangs up."""
        self._call("close", self.id)

    def _call(self, name: str, *arguments: Any) -> Any:
        script = "([name, args]) => window.watching[name](...args)"
        return self._tab.chromium.run(self._tab.page.evaluate(script, [name, list(arguments)]))


def column(report: dict[str, Any], name: str, skip: int = 0) -> Any:
    """One property of the pictures seen, without those that lack it, as an array.

    Args:
        report: of a call.
        name: "number", "at", "age", "psnr" or "ssim".
        skip: pictures at the start that are left out.
    """
    values = [seen[name] for seen in report["seen"][skip:] if seen[name] is not None]
    return np.array(values)
