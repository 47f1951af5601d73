"""``Stream.ui`` for every modality and mode: what stands on the page, and what is wired."""

from __future__ import annotations

import logging
from typing import Any, get_args

import gradio as gr
import pytest

from fastrtc import Stream
from fastrtc.types import Modality, StreamMode
from fastrtc.ui.layouts import LAYOUTS

CELLS = [(modality, mode) for modality in get_args(Modality) for mode in get_args(StreamMode)]


def made(modality: Any = "audio", mode: Any = "send-receive", **options: Any) -> Stream:
    return Stream(..., modality=modality, mode=mode, **options)


def blocks_of(stream: Stream, kind: type) -> list[Any]:
    return [block for block in stream.ui.blocks.values() if isinstance(block, kind)]


def events_of(stream: Stream) -> list[tuple[str, str]]:
    """(component, event) for each function that the page calls."""
    page = stream.ui
    return [
        (page.blocks[block].get_block_name(), event)
        for fn in page.fns.values()
        for block, event in fn.targets
    ]


def test_the_table_has_every_cell() -> None:
    assert set(LAYOUTS) == set(CELLS)


@pytest.mark.parametrize(("modality", "mode"), CELLS)
async def test_every_cell_has_a_page(modality: Modality, mode: StreamMode) -> None:
    slider, number = gr.Slider(0, 1, label="In"), gr.Number(label="Out")
    stream = made(
        modality,
        mode,
        additional_inputs=[slider],
        additional_outputs=[number],
        additional_outputs_handler=lambda old, new: new,
    )
    config = stream.ui.get_config_file()
    drawn = [component["type"] for component in config["components"]]
    assert drawn.count("webrtc") == drawn.count("slider") == drawn.count("number") == 1
    assert (stream.webrtc_component.modality, stream.webrtc_component.mode) == (modality, mode)
    events = events_of(stream)
    assert {("slider", "change"), ("webrtc", "tick"), ("webrtc", "state_change")} <= set(events)
    assert (("button", "click") in events) == (mode == "receive")
    streaming = [fn for fn in stream.ui.fns.values() if ("state_change" in str(fn.targets))]
    assert [fn.concurrency_limit for fn in streaming] == [None]


async def test_what_is_input_and_output_is_drawn_once() -> None:
    chat = gr.Chatbot()
    stream = made(
        additional_inputs=[chat],
        additional_outputs=[chat],
        additional_outputs_handler=lambda old, new: new,
    )
    assert len(blocks_of(stream, gr.Chatbot)) == 1


async def test_the_page_looks_as_asked_for() -> None:
    stream = made(
        ui_args={
            "title": "Ask <me>",
            "subtitle": "*anything*",
            "pulse_color": "teal",
            "icon_radius": 20,
            "variant": "textbox",
            "full_screen": False,
            "send_input_on": "submit",
        },
        additional_inputs=[gr.Textbox()],
    )
    assert stream.ui.title == "Ask <me>"
    assert "Ask &lt;me&gt;" in blocks_of(stream, gr.HTML)[0].value
    assert "\n\n*anything*\n\n" in blocks_of(stream, gr.Markdown)[0].value
    component = stream.webrtc_component
    assert (component.pulse_color, component.icon_radius) == ("teal", 20)
    assert (component.variant, component.full_screen) == ("textbox", False)
    events = events_of(stream)
    assert ("textbox", "submit") in events
    assert ("textbox", "change") not in events


async def test_a_title_can_be_left_out() -> None:
    assert not blocks_of(made(ui_args={"hide_title": True}), gr.HTML)


async def test_unknown_ui_args_are_told(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "fastrtc"):
        _ = made(ui_args={"titel": "?"}).ui  # type: ignore[typeddict-unknown-key]
    assert "ui_args has titel, which has no effect" in caplog.text


async def test_inputs_that_nobody_can_enter_are_told(caplog: pytest.LogCaptureFixture) -> None:
    submit = {"ui_args": {"send_input_on": "submit"}}
    with caplog.at_level(logging.WARNING, "fastrtc"):
        _ = made(additional_inputs=[gr.Slider(), gr.Textbox()], **submit).ui
        assert caplog.text == ""
        _ = made(additional_inputs=[gr.Slider()], **submit).ui
    assert "none of them has that event: Slider; write send_input_on='change'" in caplog.text


async def test_a_page_first_asked_for_inside_another_stays_whole() -> None:
    stream = made(additional_inputs=[gr.Slider(render=False)])
    with gr.Blocks() as outer:
        stream.ui.render()
        stream.ui.unrender()
    assert len(blocks_of(stream, gr.Slider)) == 1
    assert outer is not stream.ui
