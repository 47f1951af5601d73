"""A call from a real Firefox: short-form candidates, an echo that is heard, messages, a goodbye."""

import base64
import io
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from e2e.firefox import Firefox
from e2e.server import Server
from e2e.sound import Sound
from e2e.testimony import wait_for_life

PAGE = Path(__file__).with_name("page") / "firefox.js"
SHORT_FORM = re.compile(r"candidate:\d+ 1 UDP \d+ \S+ \d+ typ host$")
"""Nine tokens or less: the original wanted ten."""


@pytest.fixture(scope="module")
def firefox() -> Iterator[Firefox]:
    with Firefox() as browser:
        yield browser


@pytest.fixture
def page(firefox: Firefox, serve: Callable[..., Server]) -> tuple[Firefox, str]:
    """The browser on a page of the witness' origin, and that origin."""
    server = serve("witness")
    firefox.open(f"{server.url}/")
    firefox.run(f"async () => {{ {PAGE.read_text()} }}")
    return firefox, server.url


def test_a_call_from_firefox(page: tuple[Firefox, str]) -> None:
    firefox, url = page
    webrtc_id = firefox.run("() => window.call.connect()")["id"]
    wait_for(firefox, lambda seen: seen["state"] == "connected")
    report = wait_for(firefox, lambda seen: seen["gathered"] and len(seen["trickled"]) > 1)
    assert all(sent["status"] == "success" for sent in report["trickled"]), report["trickled"]
    assert any(SHORT_FORM.match(sent["candidate"]) for sent in report["trickled"]), report

    wait_for_life(url, webrtc_id, lambda life: life["samples"] > 48_000)
    said, heard = (hear(firefox, end) for end in ("microphone", "heard"))
    assert pitch_hz(heard) == pytest.approx(pitch_hz(said), abs=2)
    # Files of one and of two channels become mono 3 dB apart.
    assert level_db(heard) == pytest.approx(level_db(said), abs=6)

    wait_for(firefox, lambda seen: seen["channel"] == "open")
    firefox.run("() => window.call.send('good day')")
    wait_for(firefox, lambda seen: "heard: good day" in seen["messages"])

    firefox.run("() => window.call.close()")
    life = wait_for_life(url, webrtc_id, lambda life: life["state"] == "closed", timeout_s=3)
    assert "client closed" in life["close_reason"]
    wait_for_life(url, webrtc_id, lambda life: life["shutdowns"] == 1)


def wait_for(
    firefox: Firefox, condition: Callable[[dict[str, Any]], bool], timeout_s: float = 15
) -> dict[str, Any]:
    """Waits until the call's report fulfils a condition."""
    deadline = time.monotonic() + timeout_s
    while True:
        report: dict[str, Any] = firefox.run("() => window.call.report()")
        if condition(report):
            return report
        assert time.monotonic() < deadline, report
        time.sleep(0.1)


def hear(firefox: Firefox, end: str) -> Sound:
    """A second and a half from the middle of what one end records, mono at 48 kHz."""
    file = base64.b64decode(firefox.run("(end) => window.call.record(end, 2.5)", end))
    resampler = av.AudioResampler("flt", "mono", 48_000)
    with av.open(io.BytesIO(file), "r") as container:
        frames = [out for frame in container.decode(audio=0) for out in resampler.resample(frame)]
    samples = np.concatenate([frame.to_ndarray()[0] for frame in frames]).astype(np.float64)
    return samples[24_000:96_000]


def pitch_hz(sound: Sound) -> float:
    """The frequency that is loudest."""
    spectrum = np.abs(np.fft.rfft(sound * np.hanning(len(sound))))
    return float(np.argmax(spectrum)) * 48_000 / len(sound)


def level_db(sound: Sound) -> float:
    """Relative to full scale."""
    return float(10 * np.log10(np.mean(sound**2)))
