"""A user's model is checked and warmed once; one that is a single stream serves every session."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest

from conversation import RATE_HZ, Talk, clip, silence
from fastrtc import ReplyOnPause, Stream
from fastrtc.testing import MemoryClient, run
from fastrtc.turns.protocol import Window
from fastrtc.turns.users_model import prepared

WORDS = clip("go-forward")


class Envelope:
    """The streaming protocol and nothing more: loudness that dies away, which is state."""

    def __init__(self) -> None:
        self.level = 0.0
        self.warmed = 0

    def warmup(self) -> None:
        self.warmed += 1

    def reset(self) -> None:
        self.level = 0.0

    def push(self, samples: Window) -> float:
        assert samples.shape == (512,)
        self.level = max(0.7 * self.level, float(np.abs(samples).max()))
        return min(1.0, 5 * self.level)


def test_sessions_do_not_share_the_state_of_a_model_that_is_one_stream() -> None:
    model = Envelope()
    talks = [Talk(), Talk()]

    async def check() -> None:
        loud = ReplyOnPause(talks[0].sync, model=model, input_sample_rate=RATE_HZ)
        quiet = ReplyOnPause(talks[1].sync, model=model, input_sample_rate=RATE_HZ)
        async with (
            MemoryClient(Stream(loud, modality="audio")) as one,
            MemoryClient(Stream(quiet, modality="audio")) as other,
        ):
            for at in range(0, len(WORDS), RATE_HZ // 10):
                await one.send_audio(WORDS[at : at + RATE_HZ // 10])
                await other.send_audio(silence(0.1))
            await one.send_audio(silence(1.5))
            await other.send_audio(silence(1.5))

    run(check())
    assert [talk.begun for talk in talks] == [1, 0]
    assert model.level == 0.0


def test_a_model_is_warmed_once_before_any_call() -> None:
    model = Envelope()
    handler = ReplyOnPause(Talk().sync, model=model)
    assert model.warmed == 1
    handler.copy()
    ReplyOnPause(Talk().sync, model=model)
    assert model.warmed == 1


def test_what_is_no_model_is_refused_where_it_is_given() -> None:
    class Locked(Envelope):
        def __init__(self) -> None:
            super().__init__()
            self.lock = threading.Lock()

    with pytest.raises(ValueError, match=r"model is a object without vad\(\), stream\(\) or"):
        ReplyOnPause(Talk().sync, model=object())
    with pytest.raises(ValueError, match=r"cannot be copied for others .* give it a stream\(\)"):
        ReplyOnPause(Talk().sync, model=Locked())


def test_a_model_that_fails_to_warm_up_says_so_at_once() -> None:
    class Cold:
        def vad(self, audio: Any, options: Any) -> Any:
            return 0.0, []

        def warmup(self) -> None:
            raise RuntimeError("no weights")

    with pytest.raises(RuntimeError, match="no weights"):
        prepared(Cold())
