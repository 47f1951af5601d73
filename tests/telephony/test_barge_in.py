"""A conversation by telephone: an utterance, the answer at the ear, silence when one cuts in."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from fastrtc import ReplyOnPause, Stream
from fastrtc.audio.rates import Resampler
from phones import TICK_S, Twilio
from sockets import served
from wavs import read_wav

SPEECH = Path(__file__).parent.parent / "data" / "austen-0880.wav"
ONSET = 1500
"""The amplitude with which the recorded sentence begins."""


def test_an_utterance_is_answered_and_cuts_the_answer_short() -> None:
    """Pitfall 9, at the ear. The bound is generous; 200 ms is usual on a quiet machine."""
    turns: list[Any] = []

    def reply(audio: tuple[int, Any]) -> Iterator[Any]:
        turns.append(audio)
        for _ in range(50):
            yield 24_000, np.full(4800, 8000, np.int16)

    async def call(host: str) -> None:
        samples, wav_hz = read_wav(SPEECH)
        said = Resampler(wav_hz, 8000).push(samples)
        onset_s = int(np.argmax(np.abs(said) > ONSET)) / 8000
        async with Twilio(f"ws://{host}/telephone/handler") as caller:

            async def until(sounds: bool) -> None:
                async with asyncio.timeout(15):
                    while bool(caller.ear()[-480:].max(initial=0) > 1000) != sounds:  # noqa: ASYNC110
                        await asyncio.sleep(0.01)

            caller.say(said)
            await until(sounds=True)
            assert len(turns) == 1
            assert turns[0][1].shape[1] / turns[0][0] > 0.8 * len(said) / 8000
            await asyncio.sleep(0.5)
            caller.say(said)
            began = len(caller.heard)
            await until(sounds=False)
            silent_s = (len(caller.heard) - 3 - began) * TICK_S - onset_s
            assert caller.clears == 1
            assert silent_s < 0.5, f"the answer went on for {silent_s:.2f} s"

    with served(Stream(ReplyOnPause(reply), modality="audio")) as host:
        asyncio.run(call(host))
