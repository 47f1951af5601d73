"""While nobody speaks audio may come in larger pieces; not while somebody may interrupt."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from conversation import RATE_HZ, SOUND, Talk, clip, silence, stream
from fastrtc import ReplyOnPause, Stream
from fastrtc.handlers.reply_on_pause import CALM_SPAN_S
from fastrtc.testing import MemoryClient, run
from fastrtc.transports.memory import MemoryTransport

WORDS = clip("go-forward")


@pytest.fixture
def spans_s(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """What the transport was told, in order."""
    told: list[float] = []

    def note(_: MemoryTransport, span_s: float) -> None:
        told.append(span_s)

    monkeypatch.setattr(MemoryTransport, "bundle_audio", note)
    return told


def test_audio_comes_in_larger_pieces_only_while_nobody_speaks(spans_s: list[float]) -> None:
    async def check() -> None:
        async with MemoryClient(stream(Talk(30).sync)) as client:
            await client.send_audio(silence(1))
            assert spans_s == []
            await client.send_audio(silence(2))
            assert spans_s == [CALM_SPAN_S]
            await client.send_audio(WORDS)
            assert spans_s == [CALM_SPAN_S, 0.0]
            await client.send_audio(silence(3))
            assert client.session.queued_s > 0
            assert spans_s == [CALM_SPAN_S, 0.0]
            await client.send_audio(silence(3))
            assert spans_s == [CALM_SPAN_S, 0.0, CALM_SPAN_S]

    run(check())


def test_a_reply_that_begins_by_itself_can_be_interrupted_as_soon_as_ever(
    spans_s: list[float],
) -> None:
    async def check() -> None:
        async with MemoryClient(stream(Talk(30).sync)) as client:
            await client.send_audio(silence(3))
            assert spans_s == [CALM_SPAN_S]
            client.handler.trigger_response()
            assert spans_s == [CALM_SPAN_S, 0.0]

    run(check())


def test_a_subclass_that_sees_the_frames_gets_them_as_they_come(spans_s: list[float]) -> None:
    class Watching(ReplyOnPause):
        def receive(self, frame: Any) -> None:
            super().receive(frame)

    def reply(audio: Any) -> Any:
        yield 24000, SOUND

    async def check() -> None:
        handler = Watching(reply, input_sample_rate=RATE_HZ)
        async with MemoryClient(Stream(handler, modality="audio")) as client:
            await client.send_audio(np.concatenate((silence(3), WORDS, silence(3))))
            assert client.heard().size
        assert spans_s == []

    run(check())
