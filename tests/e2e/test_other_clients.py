"""Clients that are no browser: aiortc, and libwebrtc by way of PyPI's ``wrtc``."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import pytest

from e2e import sound
from e2e.browser import Chromium, Tab
from e2e.server import TESTS, Server
from e2e.talker import AIORTC, LIBWEBRTC, SPEECH, Talker
from e2e.testimony import account, wait_for_life

Serve = Callable[..., Server]
ORIGINAL = sound.speech(SPEECH)
LONG_ENOUGH_S = 2 * len(ORIGINAL) / sound.RATE_HZ + 1


@pytest.fixture(params=[AIORTC, LIBWEBRTC], ids=["aiortc", "libwebrtc"])
def library(request: pytest.FixtureRequest) -> str:
    """The client's library."""
    if request.param == LIBWEBRTC:
        pytest.importorskip("wrtc", reason="PyPI's wrtc is not installed")
    name: str = request.param
    return name


async def test_speech_and_messages_come_back_and_a_goodbye_ends_it(
    serve: Serve, library: str
) -> None:
    server = serve("witness")
    talker = Talker(server.url, library)
    await talker.connect()
    fidelity = sound.compare(ORIGINAL, await talker.hear(LONG_ENOUGH_S))
    assert fidelity.dropouts == 0, fidelity
    assert fidelity.median > 0.9, fidelity

    talker.channel.send("good day")
    await talker.until(lambda: "heard: good day" in talker.texts)
    talker.channel.send("grüß Gott 🎙")
    await talker.until(lambda: "heard: grüß Gott 🎙" in talker.texts)

    await talker.hang_up()
    life = wait_for_life(server.url, talker.id, lambda life: life["state"] == "closed", 3)
    assert life["close_reason"] == "the client closed the connection"
    wait_for_life(server.url, talker.id, lambda life: life["shutdowns"] == 1)
    assert account(server.url, talker.id)["sessions"] == 0


async def test_audio_that_comes_by_renegotiation(serve: Serve, library: str) -> None:
    server = serve("witness")
    talker = Talker(server.url, library, talks=False)
    await talker.connect()
    talker.channel.send("no sound yet")
    await talker.until(lambda: "heard: no sound yet" in talker.texts)
    assert wait_for_life(server.url, talker.id, lambda life: True)["samples"] == 0

    talker.add_speech()
    assert "m=audio" in await talker.negotiate()
    fidelity = sound.compare(ORIGINAL, await talker.hear(LONG_ENOUGH_S))
    assert fidelity.dropouts == 0, fidelity
    assert fidelity.median > 0.9, fidelity
    talker.channel.send("now with sound")
    await talker.until(lambda: "heard: now with sound" in talker.texts)
    life = wait_for_life(server.url, talker.id, lambda life: life["samples"] > 0)
    assert (life["starts"], life["texts"]) == (1, ["no sound yet", "now with sound"])
    await talker.hang_up()


def test_chromium_adds_its_microphone_to_a_data_channel(
    chromium: Chromium, serve: Serve, open_tab: Callable[[str], Tab]
) -> None:
    chromium.set_microphone(sound.to_int16(ORIGINAL))
    server = serve("witness")
    tab = open_tab(server.url)
    call = tab.connect(audio=False)
    call.wait_until(lambda report: report["channel"] == "open")
    wait_for_life(server.url, call.id, lambda life: life["state"] == "live")
    add_microphone = """async (id) => {
        const made = calls.get(id);
        made.mic = await microphone(1);
        made.pc.addTransceiver(made.mic.getAudioTracks()[0], { streams: [made.mic] });
        return made.negotiate({});
    }"""
    answer: Any = chromium.run(tab.page.evaluate(add_microphone, call.id))
    assert "m=audio" in answer["sdp"], answer
    wait_for_life(server.url, call.id, lambda life: life["samples"] > 0)
    fidelity = sound.compare(ORIGINAL, sound.to_sound(call.record(LONG_ENOUGH_S)))
    assert fidelity.dropouts == 0, fidelity
    assert fidelity.median > 0.9, fidelity


@pytest.mark.patient
def test_a_client_that_vanishes_is_noticed_after_6_s_and_let_go_after_30_more(
    serve: Serve, library: str
) -> None:
    server = serve("witness")
    client = subprocess.Popen(
        [sys.executable, "-m", "e2e.talker", server.url, library],
        env={**os.environ, "PYTHONPATH": str(TESTS)},
        stdout=subprocess.PIPE,
    )
    assert client.stdout is not None
    with client:
        try:
            webrtc_id = json.loads(client.stdout.readline())["id"]
        finally:
            client.kill()
    began_s = time.monotonic()
    wait_for_life(server.url, webrtc_id, lambda life: life["state"] == "disconnected", 10)
    assert time.monotonic() - began_s == pytest.approx(6, abs=1.5)
    held = account(server.url, webrtc_id)
    assert (held["sessions"], held["handlers"][0]["shutdowns"]) == (1, 0)
    wait_for_life(server.url, webrtc_id, lambda life: life["state"] == "closed", 40)
    assert time.monotonic() - began_s == pytest.approx(36, abs=3)
    wait_for_life(server.url, webrtc_id, lambda life: life["shutdowns"] == 1)
    assert account(server.url, webrtc_id)["sessions"] == 0
