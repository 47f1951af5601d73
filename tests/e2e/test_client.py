"""The browser client that the package ships, in a real Chromium against a real server."""

from collections.abc import Callable

import numpy as np
import pytest
from playwright.async_api import Error as PlaywrightError

from e2e import sound
from e2e.browser import Chromium, Tab
from e2e.server import Server

Serve = Callable[..., Server]
OpenTab = Callable[[str], Tab]


@pytest.fixture
def tab(chromium: Chromium, serve: Serve, open_tab: OpenTab) -> Tab:
    chromium.set_microphone(sound.to_int16(sound.speech("austen-0880.wav")))
    return open_tab(serve("talkative").url)


def test_a_call_goes_through_its_states_and_is_heard(tab: Tab) -> None:
    call = tab.dial()
    report = call.report()
    assert report["states"] == ["asking", "connecting", "live"]
    assert 0 < report["connectMs"] < 5000
    original = sound.speech("austen-0880.wav")
    heard = sound.to_sound(call.record(2 * len(original) / sound.RATE_HZ + 1))
    assert sound.compare(original, heard).dropouts == 0
    call.hang_up()
    assert call.report()["state"] == "closed"
    assert call.report()["reason"] == ""


@pytest.mark.together
def test_messages_go_both_ways(tab: Tab) -> None:
    call = tab.dial()
    tab.wait_for(lambda: call.send({"ask": "what"}))
    tab.wait_for(lambda: {"heard": {"ask": "what"}} in call.report()["messages"])


@pytest.mark.together
def test_the_servers_goodbye_is_told_as_it_was_said(tab: Tab) -> None:
    call = tab.dial()
    tab.wait_for(lambda: call.send("bye"))
    report = call.wait("closed", 5)
    assert report["reason"] == "It was a pleasure."


@pytest.mark.together
def test_a_refusal_is_told_in_words(chromium: Chromium, serve: Serve, open_tab: OpenTab) -> None:
    server = serve("echo", ECHO_LIMIT="1")
    open_tab(server.url).dial()
    with pytest.raises(PlaywrightError, match=r"All places are taken \(1\)"):
        open_tab(server.url).dial()


@pytest.mark.together
def test_a_server_that_is_not_there_is_told_in_words(tab: Tab) -> None:
    with pytest.raises(PlaywrightError, match="The server refused the call"):
        tab.dial(url="/nowhere")
    with pytest.raises(PlaywrightError, match="The server does not answer"):
        tab.dial(url="http://127.0.0.1:9/webrtc/offer")


def test_stereo_goes_out_and_comes_back(
    chromium: Chromium, serve: Serve, open_tab: OpenTab
) -> None:
    at_s = np.arange(2 * sound.RATE_HZ) / sound.RATE_HZ
    tones = [0.3 * np.sin(2 * np.pi * pitch_hz * at_s) for pitch_hz in (400, 1000)]
    chromium.set_microphone(np.stack([sound.to_int16(tone) for tone in tones], axis=1))
    call = open_tab(serve("echo", ECHO_LAYOUT="stereo").url).dial(stereo=True)
    call.record(2)
    heard = call.record_stereo(2)
    assert heard.ndim == 2
    pitches_hz = [np.argmax(np.abs(np.fft.rfft(side))) * 48_000 / len(heard) for side in heard.T]
    assert pitches_hz == pytest.approx([400, 1000], abs=20)
