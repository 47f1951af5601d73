"""Gradio pages of several streams in one FastAPI application, and a route that tells what runs."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
from fastapi import FastAPI

from fastrtc import (
    AdditionalOutputs,
    AsyncAudioVideoStreamHandler,
    ReplyOnPause,
    Stream,
    WebRTC,
    WebRTCError,
)

RATE_HZ = 24000


def tone(frequency_hz: float, seconds: float) -> Any:
    """A quiet sine as handlers yield it."""
    angle = 2 * np.pi * frequency_hz * np.arange(int(RATE_HZ * seconds)) / RATE_HZ
    return RATE_HZ, (0.2 * np.sin(angle)).astype(np.float32)


def talk(frame: tuple[int, Any], gain: float = -1.0) -> Any:
    """Says back what it hears, and which gain it was given."""
    if gain > 1.5:
        raise WebRTCError("That is too loud.")
    rate_hz, samples = frame
    return (rate_hz, (samples * gain).astype(np.int16)), AdditionalOutputs(gain)


def listen(frequency_hz: float) -> Iterator[Any]:
    """Plays a tone for a long time."""
    yield AdditionalOutputs(frequency_hz)
    for _ in range(600):
        yield tone(frequency_hz, 0.1)


def tell(frame: tuple[int, Any]) -> Any:
    """Says how loud the client is."""
    return None, AdditionalOutputs(int(np.abs(frame[1]).max()))


def answer(message: Any) -> Iterator[Any]:
    """Answers what was typed."""
    yield AdditionalOutputs(message.textbox)
    yield tone(440, 0.3)


def count_letters(history: list[Any], typed: str) -> list[Any]:
    """A chat that grows."""
    return [
        *history,
        {"role": "user", "content": typed},
        {"role": "assistant", "content": f"{len(typed)} letters"},
    ]


def darken(image: Any, share: float = -1.0) -> Any:
    """Less light, and by how much."""
    return (image * (1 - share)).astype(np.uint8), AdditionalOutputs(share)


def paint(brightness: float) -> Iterator[Any]:
    """Pictures from nowhere."""
    yield AdditionalOutputs(brightness)
    while True:
        yield np.full((120, 160, 3), int(brightness * 255), np.uint8)


class Call(AsyncAudioVideoStreamHandler):
    """Sound and pictures come back; without any, there are some all the same."""

    def __init__(self) -> None:
        super().__init__(input_sample_rate=RATE_HZ, output_sample_rate=RATE_HZ, fps=10)
        self.share = -1.0
        self.picture = np.full((120, 160, 3), 90, np.uint8)
        self.sound: Any = None

    async def start_up(self) -> None:
        await self.wait_for_args()
        self.share = self.latest_args[1]

    async def receive(self, frame: Any) -> None:
        self.sound = frame

    async def video_receive(self, frame: Any) -> None:
        self.picture = frame

    async def emit(self) -> Any:
        await asyncio.sleep(0.02)
        sound = tone(440, 0.02) if self.sound is None else self.sound
        return sound, AdditionalOutputs(self.share)

    async def video_emit(self) -> Any:
        await asyncio.sleep(0.1)
        return self.picture


def pictures(handler: Any, modality: Any, mode: Any) -> Stream:
    """A stream whose page has a slider, and a number that shows what the handler got of it."""
    video = {"width": {"ideal": 320}, "height": {"ideal": 240}, "frameRate": {"ideal": 10}}
    return Stream(
        handler,
        modality=modality,
        mode=mode,
        track_constraints=video if modality == "video" else {"video": video, "audio": True},
        additional_inputs=[gr.Slider(0, 1, value=0.5, step=0.05, label="Share")],
        additional_outputs=[gr.Number(label="Used share")],
        additional_outputs_handler=lambda old, new: new,
    )


streams = {
    "talk": Stream(
        talk,
        modality="audio",
        additional_inputs=[gr.Slider(0, 2, value=0.5, label="Gain")],
        additional_outputs=[gr.Number(label="Used gain")],
        additional_outputs_handler=lambda old, new: new,
    ),
    "listen": Stream(
        listen,
        modality="audio",
        mode="receive",
        concurrency_limit=2,
        additional_inputs=[gr.Number(440, label="Frequency")],
        additional_outputs=[gr.Number(label="Played")],
        additional_outputs_handler=lambda old, new: new,
    ),
    "tell": Stream(
        tell,
        modality="audio",
        mode="send",
        additional_outputs=[gr.Number(label="Level")],
        additional_outputs_handler=lambda old, new: new,
        ui_args={
            "title": "How loud am I?",
            "subtitle": "Say *something*.",
            "icon": str(Path(__file__).with_name("icon.svg")),
        },
    ),
    "mirror": pictures(darken, "video", "send-receive"),
    "watch": pictures(darken, "video", "send"),
    "paint": pictures(paint, "video", "receive"),
    "call": pictures(Call(), "audio-video", "send-receive"),
}

with gr.Blocks() as chat, gr.Tabs():
    with gr.Tab("Chat"):
        history = gr.Chatbot(label="Chat")
        typing = WebRTC(label="Typing", modality="audio", variant="textbox", elem_id="typing")
        typing.stream(ReplyOnPause(answer), inputs=[typing], outputs=[typing], concurrency_limit=2)
        typing.on_additional_outputs(count_letters, inputs=[history], outputs=[history])
    with gr.Tab("Echo"), gr.Row():
        echo = WebRTC(
            label="Echo",
            modality="audio",
            elem_id="echo",
            button_labels={"start": "Talk", "stop": "Be quiet"},
        )
        echo.stream(lambda frame: frame, inputs=[echo], outputs=[echo])
        rename = gr.Button("Rename")
        rename.click(lambda: gr.update(label="Another name"), outputs=[echo])
    with gr.Tab("Drawn"):
        redraw = gr.Button("Redraw")
        times = gr.State(0)
        redraw.click(lambda drawn: drawn + 1, inputs=[times], outputs=[times])

        @gr.render(inputs=[times])
        def draw(drawn: int) -> None:
            """Made anew with every click; the key says that it is the same one."""
            kept = WebRTC(label=f"Drawn {drawn}", modality="audio", key="kept", elem_id="kept")
            kept.stream(lambda frame: frame, inputs=[kept], outputs=[kept])


app = FastAPI()


@app.get("/sessions")
def sessions() -> dict[str, int]:
    """How many live sessions each stream has."""
    counts = {name: len(stream.sessions) for name, stream in streams.items()}
    return {**counts, "typing": len(typing.connections), "echo": len(echo.connections)}


for name, stream in streams.items():
    gr.mount_gradio_app(app, stream.ui, path=f"/{name}")
gr.mount_gradio_app(app, chat, path="/chat")
