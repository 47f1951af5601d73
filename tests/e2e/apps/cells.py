"""A stream for every modality and mode, whose page has a slider and numbers that tell of it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from itertools import cycle
from typing import Any

import gradio as gr
import numpy as np

from fastrtc import (
    AdditionalOutputs,
    AsyncAudioVideoStreamHandler,
    Stream,
    WebRTCError,
)

RATE_HZ = 24000
HEIGHT, WIDTH = 120, 160
CAMERA = {"width": {"ideal": 320}, "height": {"ideal": 240}, "frameRate": {"ideal": 10}}
OF_SOUNDS = cycle([True, *[False] * 8])
OF_PICTURES = cycle([True, False, False])
"""Odd rounds, so that two sessions that take turns both get theirs."""
REFUSED: set[float] = set()


def refuse(share: float) -> float:
    """What all handlers refuse."""
    if share > 0.9:
        raise WebRTCError("That is too much.")
    return share


def check(share: float) -> float:
    """The same for each frame, but once: a hundred refusals in a row would end the call."""
    if share in REFUSED:
        return share
    REFUSED.clear()
    if share > 0.9:
        REFUSED.add(share)
    return refuse(share)


def tone(frequency_hz: float, seconds: float) -> Any:
    """A quiet sine as handlers yield it."""
    angle = 2 * np.pi * frequency_hz * np.arange(int(RATE_HZ * seconds)) / RATE_HZ
    return RATE_HZ, (0.2 * np.sin(angle)).astype(np.float32)


def loudness(frame: tuple[int, Any]) -> int:
    """Tells silence from sound; what speaks is never equally loud for long."""
    return int(np.abs(frame[1]).max())


def look(picture: Any) -> int:
    """A number that changes when anything moves."""
    return int(np.abs(np.diff(picture.astype(np.int64), axis=1)).sum())


def beside(media: Any, turns: Iterator[bool], *told: Any) -> Any:
    """A few outputs a second of what is called for each frame; a page cannot show fifty."""
    return (media, AdditionalOutputs(*told)) if next(turns) else media


def hear(frame: tuple[int, Any], share: float = -1.0) -> Any:
    """Says back what it hears, as loud as it was told to."""
    rate_hz, samples = frame
    louder = (samples * check(share)).astype(np.int16)
    return beside((rate_hz, louder), OF_SOUNDS, share, loudness(frame))


def listen(frame: tuple[int, Any], share: float = -1.0) -> Any:
    """Tells how loud it is."""
    return beside(None, OF_SOUNDS, check(share), loudness(frame))


def play(share: float) -> Iterator[Any]:
    """A tone that is higher for more."""
    yield AdditionalOutputs(refuse(share), 0)
    for _ in range(600):
        yield tone(200 + 400 * share, 0.1)


def darken(picture: Any, share: float = -1.0) -> Any:
    """Less light, and by how much."""
    darker = (picture * (1 - check(share))).astype(np.uint8)
    return beside(darker, OF_PICTURES, share, look(picture))


def paint(share: float) -> Iterator[Any]:
    """Pictures from nowhere: stripes that move."""
    yield AdditionalOutputs(refuse(share), 0)
    yield from stripes()


def stripes() -> Iterator[Any]:
    """Pictures without an end, no two alike for a while."""
    picture = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    picture[:, ::40] = picture[:, 1::40] = 255
    while True:
        picture = np.roll(picture, 3, axis=1)
        yield picture


class Call(AsyncAudioVideoStreamHandler):
    """Sound and pictures come back, as loud and bright as they were."""

    def __init__(self) -> None:
        super().__init__(input_sample_rate=RATE_HZ, output_sample_rate=RATE_HZ, fps=10)
        self.sounds: asyncio.Queue[Any] = asyncio.Queue(5)
        self.pictures: asyncio.Queue[Any] = asyncio.Queue(2)

    async def start_up(self) -> None:
        await self.wait_for_args()

    @property
    def share(self) -> float:
        """What the slider says, refused where all refuse it."""
        return check(float(self.latest_args[1]))

    async def receive(self, frame: Any) -> None:
        await self.args_set.wait()
        both = beside(frame, OF_SOUNDS, self.share, loudness(frame))
        if not self.sounds.full():
            self.sounds.put_nowait(both)

    async def video_receive(self, frame: Any) -> None:
        if not self.pictures.full():
            self.pictures.put_nowait(frame)

    async def emit(self) -> Any:
        return await self.sounds.get()

    async def video_emit(self) -> Any:
        return await self.pictures.get()


class Guest(AsyncAudioVideoStreamHandler):
    """Sound and pictures come, and nothing goes back but what is told of them."""

    def __init__(self) -> None:
        super().__init__(input_sample_rate=RATE_HZ, fps=10)
        self.heard = 0

    async def receive(self, frame: Any) -> None:
        await self.args_set.wait()
        self.heard = loudness(frame)

    async def video_receive(self, frame: Any) -> None:
        await self.args_set.wait()
        share = check(float(self.latest_args[1]))
        if next(OF_PICTURES):
            told = AdditionalOutputs(share, self.heard and look(frame))
            self.session.deliver_outputs(told)

    async def emit(self) -> None:
        """Never asked."""

    async def video_emit(self) -> None:
        """Never asked."""


class Film(Guest):
    """Sound and pictures from nowhere."""

    def __init__(self) -> None:
        super().__init__()
        self.painted = stripes()

    async def emit(self) -> Any:
        await self.args_set.wait()
        share = check(float(self.latest_args[1]))
        return tone(200 + 400 * share, 0.1), AdditionalOutputs(share, 0)

    async def video_emit(self) -> Any:
        return next(self.painted)


def cell(modality: Any, mode: Any, handler: Any, concurrency_limit: int = 1) -> Stream:
    """A stream whose page has a slider, a number for what the handler got of it, and one for what
    the handler notices of the visitor."""
    constraints: dict[str, Any] = {"video": CAMERA, "audio-video": {"audio": {}, "video": CAMERA}}
    return Stream(
        handler,
        modality=modality,
        mode=mode,
        concurrency_limit=concurrency_limit,
        track_constraints=constraints.get(modality),
        additional_inputs=[gr.Slider(0, 1, value=0.5, step=0.05, label="Share")],
        additional_outputs=[gr.Number(label="Used share"), gr.Number(label="Noticed")],
        additional_outputs_handler=lambda _share, _noticed, *new: new,
    )


cells = {
    "audio-send-receive": cell("audio", "send-receive", hear),
    "audio-send": cell("audio", "send", listen),
    "audio-receive": cell("audio", "receive", play),
    "video-send-receive": cell("video", "send-receive", darken),
    "video-send": cell("video", "send", darken),
    "video-receive": cell("video", "receive", paint),
    "audio-video-send-receive": cell("audio-video", "send-receive", Call()),
    "audio-video-send": cell("audio-video", "send", Guest()),
    "audio-video-receive": cell("audio-video", "receive", Film()),
    "together": cell("audio-video", "send-receive", Call(), concurrency_limit=2),
}
