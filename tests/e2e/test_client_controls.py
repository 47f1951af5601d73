"""What a page can do with the shipped client during a call, in Chromium."""

import json
from collections.abc import Callable
from urllib.request import urlopen

import numpy as np
import pytest
from playwright.async_api import Error as PlaywrightError

from e2e import sound
from e2e.browser import Chromium, Dialled, Tab
from e2e.server import Server

Serve = Callable[..., Server]
OpenTab = Callable[[str], Tab]


@pytest.fixture
def tab(chromium: Chromium, serve: Serve, open_tab: OpenTab) -> Tab:
    """A page of an echo whose microphone hums."""
    hum = 0.3 * np.sin(2 * np.pi * 440 * np.arange(sound.RATE_HZ) / sound.RATE_HZ)
    chromium.set_microphone(sound.to_int16(hum))
    return open_tab(serve("echo").url)


LEVELS = "(client) => client.levels()"
STATE = """async (client) => ({
  levels: client.levels(),
  context: client.analyser("heard")?.context.state,
  stats: await client.stats(),
})"""


def wait_for_levels(tab: Tab, call: Dialled, wanted: Callable[[dict[str, float]], bool]) -> None:
    """Waits until "sent" and "heard" are as wanted.

    Raises:
        TimeoutError: with what the page knows of its call.
    """
    try:
        tab.wait_for(lambda: wanted(call.run(LEVELS)), 15)
    except TimeoutError as error:
        raise TimeoutError(f"{error}: {call.run(STATE)}, {call.report()}") from error


def test_silence_and_sound_at_will(tab: Tab) -> None:
    call = tab.dial()
    wait_for_levels(tab, call, lambda levels: min(levels.values()) > 0.5)
    call.run("(client) => client.mute()")
    wait_for_levels(tab, call, lambda levels: max(levels.values()) < 0.2)
    call.run("(client) => client.mute(false)")
    wait_for_levels(tab, call, lambda levels: levels["heard"] > 0.5)
    assert max(call.run("(client) => Array.from(client.local.getTracks(), t => t.kind)")) == "audio"
    spectrum = """(client) => {
      const analyser = client.analyser("heard");
      const bins = new Uint8Array(analyser.frequencyBinCount);
      analyser.getByteFrequencyData(bins);
      const loudest = bins.indexOf(Math.max(...bins));
      return loudest * analyser.context.sampleRate / analyser.fftSize;
    }"""
    tab.wait_for(lambda: abs(call.run(spectrum) - 440) < 60)
    call.hang_up()

    held = tab.dial(pushToTalk=True)
    held.record(0.5)
    assert held.run(LEVELS)["sent"] < 0.2
    held.run("(client) => client.talk(true)")
    wait_for_levels(tab, held, lambda levels: levels["heard"] > 0.5)
    held.run("(client) => client.talk(false)")
    wait_for_levels(tab, held, lambda levels: max(levels.values()) < 0.2)


def test_another_microphone_takes_over_in_the_same_call(tab: Tab) -> None:
    call = tab.dial()
    devices = call.run("async () => (await import('/client/fastrtc.js')).listDevices()")[
        "microphones"
    ]
    assert all(device["label"] for device in devices)
    used = "(client) => client.local.getAudioTracks()[0].getSettings().deviceId"
    other = next(d["id"] for d in devices if d["id"] not in (call.run(used), "default"))
    offer = call.run("(client) => client.pc.localDescription.sdp")
    call.run("(client, id) => client.setMicrophone(id)", other)
    assert call.run(used) == other
    wait_for_levels(tab, call, lambda levels: min(levels.values()) > 0.5)
    assert call.run("(client) => client.pc.localDescription.sdp") == offer
    with pytest.raises(PlaywrightError, match="No microphone was found"):
        call.run("(client) => client.setMicrophone('nonsense')")
    wait_for_levels(tab, call, lambda levels: min(levels.values()) > 0.5)
    assert call.report()["state"] == "live"


def test_statistics_are_those_of_the_call(tab: Tab) -> None:
    call = tab.dial()
    look = "(client) => client.stats()"
    assert call.run(look)["transport"] == "webrtc"
    call.record(1)
    tab.wait_for(lambda: call.run(look)["roundTripMs"] is not None, 15)
    call.record(1)
    seen = call.run(look)
    assert 10 < seen["receivedKbps"] < 300, seen
    assert 10 < seen["sentKbps"] < 300, seen
    assert 0 <= seen["loss"] < 0.5, seen
    assert 0 < seen["jitterBufferMs"] < 1000, seen
    assert seen["videoFps"] is None


@pytest.mark.together
def test_inputs_are_answered_and_outputs_come(serve: Serve, open_tab: OpenTab) -> None:
    tab = open_tab(serve("conversant", CONVERSANT_STUN="stun:127.0.0.1:9").url)
    call = tab.dial()
    used = call.run("(client) => client.pc.getConfiguration().iceServers.map(({ urls }) => urls)")
    assert used == [["stun:127.0.0.1:9"]]  # the stream's rtc_configuration
    call.run("""(client) => {
      client.options.inputs = async () => ({ word: "héllo" });
      client.got = [];
      (async () => {
        for await (const output of client.outputs()) client.got.push(output);
        client.got.push("end");
      })();
    }""")
    tab.wait_for(lambda: call.send("ask"))
    tab.wait_for(lambda: call.run("(client) => client.got") == [["héllo"]])
    call.hang_up()
    tab.wait_for(lambda: call.run("(client) => client.got") == [["héllo"], "end"])


@pytest.mark.together
def test_who_leaves_the_page_leaves_the_call(serve: Serve, open_tab: OpenTab) -> None:
    server = serve("conversant")

    def sessions() -> list[dict[str, str]]:
        with urlopen(f"{server.url}/sessions") as answer:
            found: list[dict[str, str]] = json.load(answer)
            return found

    for transport in ("webrtc", "websocket"):
        tab = open_tab(server.url)
        call = tab.dial(transport=transport)
        assert sessions() == [{"id": call.id, "transport": transport}]
        tab.chromium.run(tab.page.goto(server.url))
        tab.wait_for(lambda: sessions() == [])


@pytest.mark.together
def test_why_there_is_no_microphone_is_told(tab: Tab) -> None:
    script = """async (name) => {
      const refuse = async () => { throw new DOMException("no", name); };
      if (name) navigator.mediaDevices.getUserMedia = refuse;
      else Object.defineProperty(navigator, "mediaDevices", { value: undefined });
      const { Client } = await import("/client/fastrtc.js");
      const client = new Client();
      const told = [];
      client.addEventListener("error", ({ detail }) => told.push([detail.message, detail.code]));
      await client.connect().catch((error) => told.push([error.message, error.code]));
      return [client.state, client.reason, told];
    }"""
    for name, words, code in (
        ("NotAllowedError", "The microphone is blocked", "blocked"),
        ("NotFoundError", "No microphone was found", "no-device"),
        ("NotReadableError", "in use by another program", "device-busy"),
        ("", "open it over https, or on localhost", "not-secure"),
    ):
        state, reason, told = tab.chromium.run(tab.page.evaluate(script, name))
        assert state == "closed"
        assert words in reason
        assert told == [[reason, code], [reason, code]]
