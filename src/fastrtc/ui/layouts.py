"""``Stream.ui``: the page of a stream, one builder for all modalities and modes.

Where things stand is a table (:data:`LAYOUTS`); what they do is the component's. Serves nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from html import escape
from inspect import cleandoc
from typing import Any, Final, Literal

import gradio as gr
from gradio.context import Context

from fastrtc.server.core import Core
from fastrtc.types import Modality, RTCConfiguration, StreamMode, UIArgs
from fastrtc.ui.line import Line
from fastrtc.ui.webrtc import WebRTC

__all__ = ["LAYOUTS", "Layout", "Page", "build_page"]

logger = logging.getLogger("fastrtc")

UI_ARGS: Final = UIArgs.__annotations__.keys()
CENTRED: Final = "<div style='text-align: center'>\n\n{}\n\n</div>"
"""Around Markdown, which the empty lines keep it."""
ICON_ARGS: Final = ("icon", "icon_button_color", "pulse_color", "icon_radius")


@dataclass(frozen=True)
class Layout:
    """Where a page's parts stand; on a phone the columns stand below each other.

    Attributes:
        title: of the page, where ``ui_args`` names none.
        label: of the component.
        side: of the inputs: "left" of the component, so first on a phone, or "right" of it.
        outputs: "below" the component, or in the column of the inputs.
        has_button: whether a button starts the stream, below the inputs that it sends.
    """

    title: str
    label: str
    side: Literal["left", "right"] = "right"
    outputs: Literal["below", "beside"] = "below"
    has_button: bool = False


LAYOUTS: Final[dict[tuple[Modality, StreamMode], Layout]] = {
    ("audio", "send-receive"): Layout("Audio stream", "Conversation"),
    ("audio", "send"): Layout("Audio stream", "Microphone"),
    ("audio", "receive"): Layout("Audio stream", "Sound", side="left", has_button=True),
    ("video", "send-receive"): Layout("Video stream", "Video", outputs="beside"),
    ("video", "send"): Layout("Video stream", "Camera", outputs="beside"),
    ("video", "receive"): Layout("Video stream", "Video", side="left", has_button=True),
    ("audio-video", "send-receive"): Layout("Video call", "Call", outputs="beside"),
    ("audio-video", "send"): Layout("Video call", "Camera and microphone", outputs="beside"),
    ("audio-video", "receive"): Layout("Video call", "Video", side="left", has_button=True),
}
"""Chats stand above the component, whatever else is where."""


@dataclass(frozen=True)
class Page:
    """What a page is made of; see :class:`fastrtc.Stream` for each."""

    core: Core
    handler: Any
    mode: StreamMode
    modality: Modality
    concurrency_limit: int | None
    time_limit: float | None = None
    rtc_configuration: RTCConfiguration | None = None
    track_constraints: dict[str, Any] | None = None
    rtp_params: dict[str, Any] | None = None
    inputs: list[Any] = field(default_factory=list)
    outputs: list[Any] = field(default_factory=list)
    outputs_handler: Callable[..., Any] | None = None
    ui_args: UIArgs = field(default_factory=UIArgs)


def build_page(page: Page) -> tuple[Any, WebRTC]:
    """The page as ``gradio.Blocks``, and the component in it."""
    options = page.ui_args
    unknown = set(options) - set(UI_ARGS)
    if unknown:
        logger.warning(
            "ui_args has %s, which has no effect; known: %s",
            ", ".join(sorted(unknown)),
            ", ".join(sorted(UI_ARGS)),
        )
    layout = LAYOUTS[page.modality, page.mode]
    title = options.get("title", layout.title)
    # A component that is both is drawn once, among the outputs.
    inputs = [item for item in page.inputs if item not in page.outputs]
    chats = [item for item in page.outputs if item.get_block_name() == "chatbot"]
    others = [item for item in page.outputs if item not in chats]
    beside = [*inputs, *(others if layout.outputs == "beside" else [])]
    below = [] if layout.outputs == "beside" else others
    button = None

    def draw_side() -> None:
        nonlocal button
        if not beside and not layout.has_button:
            return
        with gr.Column(scale=1, min_width=280):
            _render(beside)
            if layout.has_button:
                button = gr.Button("Start stream", size="lg")

    with _outside_of_others(), gr.Blocks(title=title) as blocks:
        if not options.get("hide_title"):
            gr.HTML(f"<h1 style='text-align: center'>{escape(title)}</h1>")
            if "subtitle" in options:
                gr.Markdown(CENTRED.format(cleandoc(options["subtitle"])))
        with gr.Row():
            if layout.side == "left":
                draw_side()
            with gr.Column(scale=3, min_width=280):
                _render(chats)
                component = _component(page, layout)
                _render(below)
            if layout.side == "right":
                draw_side()
        _wire(page, component, button)
    return blocks, component


def _component(page: Page, layout: Layout) -> WebRTC:
    options = page.ui_args
    looks: dict[str, Any] = {name: options.get(name) for name in ICON_ARGS}
    return WebRTC(
        label=layout.label,
        mode=page.mode,
        modality=page.modality,
        rtc_configuration=page.rtc_configuration,
        track_constraints=page.track_constraints,
        rtp_params=page.rtp_params,
        time_limit=page.time_limit,
        variant=options.get("variant", "wave"),
        full_screen=options.get("full_screen", True),
        line=Line(page.rtc_configuration, page.core),
        **looks,
    )


def _wire(page: Page, component: WebRTC, button: Any) -> None:
    is_first = [] if page.mode == "receive" else [component]
    component.stream(
        fn=page.handler,
        inputs=[*is_first, *page.inputs],
        outputs=[component],
        concurrency_limit=page.concurrency_limit,
        time_limit=page.time_limit,
        trigger=None if button is None else button.click,
        send_input_on=page.ui_args.get("send_input_on", "change"),
    )
    if page.outputs and page.outputs_handler is not None:
        component.on_additional_outputs(
            page.outputs_handler, inputs=page.outputs, outputs=page.outputs
        )


def _render(components: list[Any]) -> None:
    for component in components:
        component.render()


@contextmanager
def _outside_of_others() -> Iterator[None]:
    """The page is a whole one, even if it is first asked for inside another page."""
    block, root = Context.block, Context.root_block
    Context.block = Context.root_block = None
    try:
        yield
    finally:
        Context.block, Context.root_block = block, root
