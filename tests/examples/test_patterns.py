"""``examples/patterns``: each does what its head says. Calls are in memory and in virtual time."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient

from fastrtc import EspeakTTSOptions, Stream, audio_to_float32, audio_to_int16, get_tts_model
from fastrtc.audio.resample import resample
from fastrtc.testing import MemoryClient, run

PATTERNS = Path(__file__).resolve().parents[2] / "examples" / "patterns"


def pattern(name: str) -> Any:
    spec = importlib.util.spec_from_file_location(f"pattern_{name}", PATTERNS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def spoken(text: str) -> Any:
    """A machine's voice, int16 at 48 kHz, and a second of silence before it."""
    rate_hz, samples = get_tts_model("espeak").tts(text, EspeakTTSOptions("en-us+m3", 150))
    said = audio_to_int16(resample(audio_to_float32(samples), rate_hz, 48000)).ravel()
    return np.concatenate([np.zeros(48000, np.int16), said])


def pitch_hz(samples: Any, rate_hz: int = 24000) -> float:
    return float(np.argmax(np.abs(np.fft.rfft(samples)))) * rate_hz / len(samples)


def picture(value: int) -> Any:
    return np.full((48, 64, 3), value, np.uint8)


def test_all_are_listed_in_the_readme() -> None:
    readme = (PATTERNS.parent / "README.md").read_text()
    missing = [
        path.name for path in PATTERNS.glob("*.py") if f"`patterns/{path.name}`" not in readme
    ]
    assert missing == []


def test_flip() -> None:
    async def check() -> None:
        sent = picture(0)
        sent[:24] = 200
        async with MemoryClient(pattern("flip").stream) as client:
            await client.send_video([sent] * 3, fps=30)
            await client.listen(0.3)
            shown = client.seen()[-1]
            assert shown[:20].max() < 60
            assert shown[28:].min() > 140

    run(check())


def test_watch() -> None:
    async def check() -> None:
        async with MemoryClient(pattern("watch").stream) as client:
            await client.listen(1)
            pictures = client.seen()
            assert len(pictures) >= 10
            assert pictures[0].shape == (240, 320, 3)

    run(check())


def test_listen() -> None:
    listen = pattern("listen")
    wish = {"webrtc_id": "me", "pitch_hz": 600}
    assert TestClient(listen.app).post("/input_hook", json=wish).status_code == 200

    async def check() -> None:
        async with MemoryClient(listen.stream, "me") as client:
            await client.listen(2)
            assert pitch_hz(client.heard()[-24000:]) == pytest.approx(600, abs=3)

    run(check())


def test_measure() -> None:
    measure = pattern("measure")

    async def check() -> None:
        async with MemoryClient(measure.stream, "me") as client:
            await client.send_audio(np.full(960, 1234, np.int16))
            await client.listen(0.1)
            assert (await measure.stream.fetch_latest_output("me")).args == (1234,)

    run(check())


def test_call() -> None:
    async def check() -> None:
        sent = picture(0)
        sent[:, :32] = 200
        async with MemoryClient(pattern("call").stream) as client:
            await client.send_audio(np.full(4800, 1000, np.int16))
            await client.send_video([sent] * 6, fps=30)
            await client.listen(0.5)
            assert client.heard().max() > 900
            shown = client.seen()[-1]
            assert shown[:, :28].max() < 60
            assert shown[:, 36:].min() > 140

    run(check())


def test_messages() -> None:
    async def check() -> None:
        async with MemoryClient(pattern("messages").stream) as client:
            await client.send_message({"play": 440})
            await client.listen(1)
            assert pitch_hz(client.heard()[-12000:]) == pytest.approx(440, abs=5)
            await client.send_message('"bye"')
            ended = await client.wait_for_message("end_stream")
            assert ended["data"] == "It was a pleasure."

    run(check())


@pytest.mark.parametrize(
    ("name", "text", "answers"),
    [
        ("telephone", "hello", True),
        ("stopwords", "computer, what time is it", True),
        ("stopwords", "what time is it", False),
    ],
)
def test_conversations(name: str, text: str, answers: bool) -> None:
    async def check() -> None:
        async with MemoryClient(pattern(name).stream) as client:
            await client.send_audio(spoken(text))
            await client.send_silence(2)
            await client.listen(1)
            heard = client.heard()
            assert (bool(len(heard)) and int(np.abs(heard).max()) > 1000) is answers

    run(check())


def test_limits() -> None:
    limits = pattern("limits")
    offer = {"sdp": "v=0", "type": "offer", "webrtc_id": "me"}
    client = TestClient(limits.app)
    assert client.post("/webrtc/offer", json=offer).status_code == 403
    let_in = client.post("/webrtc/offer", json=offer, headers={"X-Token": "let-me-in"})
    assert let_in.json()["meta"]["error"] == "invalid_sdp"
    stream: Stream = limits.stream
    assert (stream.concurrency_limit, stream.time_limit) == (10, 3600)

    async def check() -> None:
        async with MemoryClient(stream) as stranger:
            await stranger.send_audio(np.full(960, 1000, np.int16))
            error = await stranger.wait_for_message("error")
            assert "You are not on the list." in error["message"]

    run(check())
