"""The browser client where no WebRTC passes: the same call over a WebSocket."""

import json
from collections.abc import Callable
from urllib.request import urlopen

import numpy as np
import pytest
from playwright.async_api import Error as PlaywrightError

from e2e import sound
from e2e.browser import Chromium, Dialled, Tab
from e2e.server import Server
from e2e.watching import VideoCall, column

Serve = Callable[..., Server]
OpenTab = Callable[[str], Tab]
NO_PATH = {"configuration": {"iceTransportPolicy": "relay"}, "fallbackAfterMs": 300}
"""Relays only, of which there are none: what a network does that lets no UDP out."""


def test_a_call_falls_back_and_is_heard(
    chromium: Chromium, serve: Serve, open_tab: OpenTab
) -> None:
    original = sound.speech("austen-0880.wav")[: 2 * sound.RATE_HZ]
    chromium.set_microphone(sound.to_int16(original))
    tab = open_tab(serve("echo", ECHO_LIMIT="1").url)
    call = tab.dial(**NO_PATH)
    report = call.report()
    assert report["transport"] == "websocket"
    assert report["states"] == ["asking", "connecting", "live"]
    heard = sound.to_sound(call.record(2 * len(original) / sound.RATE_HZ + 1))
    fidelity = sound.compare(original, heard)
    assert fidelity.dropouts == 0, fidelity
    statistics = call.run("async (client) => [await client.stats(), client.levels()]")
    assert statistics[0]["transport"] == "websocket"
    assert statistics[0]["roundTripMs"] < 2000
    assert 0 < statistics[0]["jitterBufferMs"] < 1000
    call.hang_up()
    # Its place is free again: neither try holds one.
    tab.wait_for(lambda: tab.dial(transport="websocket").report()["state"] == "live")


@pytest.mark.together
def test_refusals_and_goodbyes_are_told_over_it_too(serve: Serve, open_tab: OpenTab) -> None:
    tab = open_tab(serve("conversant", CONVERSANT_LIMIT="1", CONVERSANT_TIME_LIMIT_S="3").url)
    call = tab.dial(transport="websocket")
    with pytest.raises(PlaywrightError, match=r"All places are taken \(1\)"):
        tab.dial(transport="websocket")
    report = call.wait("closed", 10)
    assert report["reason"] == "Time limit of 3 s reached"
    assert call.run("(client) => client.error.code") == "time-limit"


def test_an_interrupted_reply_falls_silent_and_what_was_heard_is_counted(
    serve: Serve, open_tab: OpenTab
) -> None:
    server = serve("conversant")
    tab = open_tab(server.url)
    call = tab.dial(transport="websocket")
    with urlopen(f"{server.url}/sessions") as answer:
        assert json.load(answer) == [{"id": call.id, "transport": "websocket"}]
    assert call.send("talk")
    tab.wait_for(lambda: loudness(call) > 0.1)
    call.record(1)
    assert call.send("stop")
    call.record(0.5)
    assert loudness(call) < 0.001
    tab.wait_for(lambda: bool(call.report()["messages"]))
    (told,) = call.report()["messages"]
    assert 0.3 < told["played_s"] < 8


def test_pictures_fall_back_too(serve: Serve, open_tab: OpenTab) -> None:
    """The first example of the user's document, in a network that lets no UDP out."""
    tab = open_tab(serve("mirror", MIRROR="flip").url)
    client = {**NO_PATH, "audio": False}
    call = VideoCall(tab, client=client, flipped=True, width=320, height=240)
    report = call.pictures(40)
    assert report["transport"] == "websocket"
    numbers = column(report, "number")
    assert np.all(np.diff(numbers) > 0), "in order, none twice"
    assert np.median(column(report, "psnr")) > 25
    assert np.median(column(report, "age")) < 1000
    assert report["size"] == [320, 240]
    statistics = report["statistics"]
    assert statistics["videoFps"] > 0
    assert statistics["sentKbps"] > 0
    assert [statistics["videoWidth"], statistics["videoHeight"]] == [320, 240]
    call.replace_camera(width=320, height=180)
    call.watch(lambda found: found["size"] == [320, 180])
    call.close()


def test_sound_and_pictures_share_a_socket(
    chromium: Chromium, serve: Serve, open_tab: OpenTab
) -> None:
    tone = 0.3 * np.sin(2 * np.pi * 440 * np.arange(sound.RATE_HZ) / sound.RATE_HZ)
    chromium.set_microphone(sound.to_int16(tone))
    tab = open_tab(serve("mirror", MIRROR="both").url)
    call = VideoCall(tab, client={"transport": "websocket"}, width=320, height=240)
    report = call.watch(lambda found: len(found["seen"]) >= 40 and found["heard"] > 0.5)
    assert np.all(np.diff(column(report, "number")) > 0)
    assert np.median(column(report, "age")) < 1000
    call.close()


def loudness(call: Dialled) -> float:
    """RMS of what the page hears in the next 0.3 s."""
    heard = sound.to_sound(call.record(0.3))
    return float(np.sqrt(np.mean(heard**2))) if len(heard) else 0.0
