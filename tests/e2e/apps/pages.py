"""Gradio pages of several streams in one FastAPI application, and a route that tells what runs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
from fastapi import FastAPI

from e2e.apps.cells import cells, hear, tone
from fastrtc import (
    AdditionalOutputs,
    ReplyOnPause,
    Stream,
    WebRTC,
)


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


streams = {
    **cells,
    "entered": Stream(
        hear,
        modality="audio",
        additional_inputs=[
            gr.Number(0.5, label="Share"),
            gr.Textbox(label="Note"),
        ],
        additional_outputs=[gr.Number(label="Used share"), gr.Number(label="Noticed")],
        additional_outputs_handler=lambda _share, _noticed, *new: new,
        ui_args={"send_input_on": "submit"},
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
}

CHANGES: dict[str, dict[str, Any]] = {
    "Rename": {"label": "Another name"},
    "Hide": {"visible": "hidden"},
    "Show": {"visible": True},
    "Remove": {"visible": False},
}
drawn: list[WebRTC] = []

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
        for name, update in CHANGES.items():
            gr.Button(name).click(lambda update=update: gr.update(**update), outputs=[echo])
    with gr.Tab("Drawn"):
        redraw = gr.Button("Redraw")
        times = gr.State(0)
        redraw.click(lambda times: times + 1, inputs=[times], outputs=[times])

        @gr.render(inputs=[times])
        def draw(times: int) -> None:
            """Made anew with every click; the key says that it is the same one."""
            kept = WebRTC(label=f"Drawn {times}", modality="audio", key="kept", elem_id="kept")
            slider = gr.Slider(0, 1, value=0.5, label="Share", key="share", interactive=True)
            told = gr.Number(label="Used share", key="told")
            kept.stream(hear, inputs=[kept, slider], outputs=[kept])
            kept.on_additional_outputs(lambda share, _: share, outputs=[told])
            drawn.append(kept)


# Ours lasts as long as a call: a queue that takes one event at a time has to let others pass.
chat.queue(default_concurrency_limit=1, max_size=20)
app = FastAPI()


@app.get("/sessions")
def sessions() -> dict[str, int]:
    """How many live sessions each stream has."""
    counts = {name: len(stream.sessions) for name, stream in streams.items()}
    each_once = {id(kept._line): len(kept.connections) for kept in drawn}
    return {
        **counts,
        "typing": len(typing.connections),
        "echo": len(echo.connections),
        "kept": sum(each_once.values()),
    }


for name, stream in streams.items():
    gr.mount_gradio_app(app, stream.ui, path=f"/{name}")
gr.mount_gradio_app(app, chat, path="/chat")
