"""A handler's echo, through a real Chromium: it sounds the same, and it comes back at once."""

from collections.abc import Callable

import numpy as np
import pytest

from e2e import sound
from e2e.browser import Chromium, Tab
from e2e.server import Server

Serve = Callable[..., Server]
OpenTab = Callable[[str], Tab]


@pytest.mark.parametrize("rate_hz", [8000, 16000, 24000, 48000])
def test_speech_comes_back_whole(
    chromium: Chromium, serve: Serve, open_tab: OpenTab, rate_hz: int
) -> None:
    original = sound.speech("austen-0880.wav")
    chromium.set_microphone(sound.to_int16(original))
    server = serve("echo", ECHO_RATE_HZ=str(rate_hz))
    call = open_tab(server.url).connect()
    call.wait()
    heard = sound.to_sound(call.record(2 * len(original) / sound.RATE_HZ + 1))
    fidelity = sound.compare(original, heard)
    assert fidelity.dropouts == 0, fidelity
    assert fidelity.median > 0.9, fidelity


def test_stereo_keeps_left_and_right_apart(
    chromium: Chromium, serve: Serve, open_tab: OpenTab
) -> None:
    voice = sound.speech("austen-0880.wav")
    time_s = np.arange(len(voice)) / sound.RATE_HZ
    tone = 0.2 * np.sin(2 * np.pi * 1000 * time_s)
    chromium.set_microphone(np.stack([sound.to_int16(voice), sound.to_int16(tone)], axis=1))
    server = serve("echo", ECHO_LAYOUT="stereo")
    call = open_tab(server.url).connect(stereo=True)
    call.wait()
    heard = sound.to_sound(call.record(2 * len(voice) / sound.RATE_HZ + 1))
    assert heard.ndim == 2, "the browser heard mono"
    left = sound.compare(voice, heard[:, 0])
    assert left.dropouts == 0, left
    assert left.median > 0.9, left
    right = sound.compare(tone[: sound.RATE_HZ], heard[sound.RATE_HZ :, 1])
    assert right.median > 0.95, right


def test_the_echo_is_prompt(chromium: Chromium, serve: Serve, open_tab: OpenTab) -> None:
    """What Chromium's own jitter buffer holds is taken off: it grows when this machine stalls.

    The rest was 20 to 42 ms in ten calls beside other work; a frame has 20 of them. A fixed jitter
    buffer at the server would add 80, a burst at the beginning that is never made up for up to 140.
    """
    chromium.set_microphone(sound.to_int16(sound.marks(20)))
    server = serve("echo")
    call = open_tab(server.url).connect()
    call.wait()
    call.record(2)
    before = call.report()["inbound"]
    both = sound.to_sound(call.compare(6))
    after = call.report()["inbound"]
    delays_ms = sound.delays_ms(both[:, 0], both[:, 1])
    assert len(delays_ms) >= 4
    held_s = after["jitterBufferDelay"] - before["jitterBufferDelay"]
    held_samples = after["jitterBufferEmittedCount"] - before["jitterBufferEmittedCount"]
    rest_ms = np.median(delays_ms) - 1000 * held_s / held_samples
    assert rest_ms <= 90, (rest_ms, delays_ms)
