"""The Gradio component: what it tells browsers, what it refuses, what its copies share.

The tests are coroutines because Gradio makes an event loop, and leaves it open, where none runs.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import gradio as gr
import pytest
from gradio.context import LocalContext

import fastrtc.ui
from fastrtc import Stream, WebRTC, WebRTCData
from fastrtc.errors import MissingExtension

UI = Path(fastrtc.ui.__file__).parent
FILES = ("index.js", "style.css", "svelte_runtime_entry.js")


def echo(frame: tuple[int, Any]) -> tuple[int, Any]:
    return frame


def source(*_: Any) -> Any:
    yield from ()


async def test_browsers_are_told_all_they_need_and_no_secret() -> None:
    with gr.Blocks():
        component = WebRTC(
            modality="audio",
            rtc_configuration=lambda: {"iceServers": []},
            server_rtc_configuration={"iceServers": [{"urls": "turn:a", "credential": "secret"}]},
            button_labels={"start": "Talk"},
        )
    config = component.get_config()
    assert "secret" not in json.dumps(config)
    assert config["button_labels"] == {"start": "Talk", "stop": "", "waiting": ""}
    assert config["track_constraints"]["echoCancellation"] == {"ideal": True}
    assert config["server_fns"] == ["offer", "socket", "statistics", "turn"]


async def test_an_icon_is_a_file_or_an_address(tmp_path: Path) -> None:
    picture = tmp_path / "icon.svg"
    picture.write_text("<svg xmlns='http://www.w3.org/2000/svg'/>")
    with gr.Blocks():
        served = WebRTC(modality="audio", icon=str(picture)).get_config()["icon"]
        assert served["url"].startswith("/gradio_api/file=")
        assert served["url"].endswith("/icon.svg")
        far = WebRTC(modality="audio", icon="https://a.com/b.png").get_config()["icon"]
    assert far["url"] == "https://a.com/b.png"


@pytest.mark.parametrize(("full_screen", "width"), [(True, 1280), (None, 1280), (False, 500)])
async def test_video_fills_the_page_or_a_box(full_screen: bool | None, width: int) -> None:
    constraints = WebRTC(modality="audio-video", full_screen=full_screen).track_constraints
    assert constraints["video"]["width"] == {"ideal": width}
    assert constraints["audio"]["channelCount"] == {"ideal": 1}
    assert WebRTC(modality="video").track_constraints["facingMode"] == "user"


async def test_the_value_is_the_visitors_id_and_what_was_typed() -> None:
    assert WebRTC(modality="audio").preprocess("abc") == "abc"
    assert WebRTC(modality="audio").preprocess(None) is None
    textbox = WebRTC(modality="audio", variant="textbox")
    assert textbox.preprocess({"webrtc_id": "a", "textbox": "hi"}) == WebRTCData("a", "hi")
    assert textbox.preprocess({"webrtc_id": None, "textbox": "hi"}) is None


@pytest.mark.parametrize(
    ("mode", "arguments", "remedy"),
    [
        ("send-receive", {"inputs": [], "outputs": "self"}, r"inputs=\[webrtc, \.\.\.\]"),
        ("send-receive", {"inputs": "other", "outputs": "self"}, r"inputs=\[webrtc, \.\.\.\]"),
        ("send", {"inputs": "self", "outputs": []}, r"outputs=\[webrtc\]"),
        ("send", {"inputs": "self", "outputs": ["other", "self"]}, r"on_additional_outputs"),
        ("receive", {"inputs": "self", "outputs": "self"}, "is no input"),
        ("receive", {"inputs": "other", "outputs": "self"}, r"trigger=button\.click"),
        (
            "send",
            {"inputs": "self", "outputs": "self", "send_input_on": "blur"},
            "'change', 'submit'",
        ),
    ],
)
async def test_what_does_not_fit_is_refused_with_what_to_write(
    mode: Any, arguments: dict[str, Any], remedy: str
) -> None:
    with gr.Blocks():
        component = WebRTC(modality="audio", mode=mode)
        known = {"self": component, "other": gr.Slider()}

        def components(names: Any) -> Any:
            return [known[name] for name in ([names] if isinstance(names, str) else names)]

        arguments = {
            name: components(value) if name in ("inputs", "outputs") else value
            for name, value in arguments.items()
        }
        with pytest.raises(ValueError, match=remedy):
            component.stream(source if mode == "receive" else echo, **arguments)


async def test_unknown_button_labels_and_missing_handlers_are_refused() -> None:
    with pytest.raises(ValueError, match="start, stop, waiting"):
        WebRTC(modality="audio", button_labels={"begin": "Go"})
    with gr.Blocks():
        component = WebRTC(modality="audio")
        with pytest.raises(ValueError, match="fn=handler"):
            component.stream(None, inputs=[component], outputs=[component])
        assert len(component.connections) == 0
        with pytest.raises(ValueError, match=r"call \.stream\(fn"):
            component.set_input("someone", 1)


async def test_a_component_alone_has_sessions_of_its_own() -> None:
    with gr.Blocks():
        component = WebRTC(modality="audio")
        component.stream(
            echo, inputs=[component], outputs=[component], concurrency_limit=3, time_limit=9
        )
    assert (component.concurrency_limit, component.time_limit) == (3, 9)
    assert component.event_handler is echo
    assert len(component.connections) == len(component.handlers) == 0


async def test_a_copy_for_a_visitor_shares_the_sessions() -> None:
    """``gr.update`` and the like: Gradio makes the copy from the constructor's arguments."""
    with gr.Blocks():
        component = WebRTC(label="before", modality="audio")
        component.stream(echo, inputs=[component], outputs=[component])
        copy = type(component)(**{**component.constructor_args, "label": "after", "render": False})
    assert copy.label == "after"
    assert copy._line is component._line


@pytest.mark.parametrize(("key", "shares"), [("kept", True), (None, False)])
async def test_with_a_key_a_redrawn_component_shares_the_sessions(
    key: str | None, shares: bool
) -> None:
    """``gr.render`` makes a new component; new calls get its handler."""
    with gr.Blocks() as page:
        ids: dict[Any, int] = {}
        LocalContext.key_to_id_map.set(ids)
        LocalContext.blocks_config.set(page.default_config)
        before = WebRTC(modality="audio", key=key)
        before.stream(echo, inputs=[before], outputs=[before])
        other = WebRTC(modality="audio", key="other")
        after = WebRTC(modality="audio", key=key)
        prototype = before._line.ready_core.factory.prototype
        after.stream(echo, inputs=[after], outputs=[after], concurrency_limit=7, time_limit=5)
    assert (after._line is before._line) is shares
    assert other._line is not before._line
    factory = after._line.ready_core.factory
    assert factory.prototype is not prototype
    assert (factory.registry.limit, factory.time_limit_s) == (7, 5)


async def test_a_subclass_is_drawn_by_the_same_modules() -> None:
    class Mine(WebRTC):
        EVENTS = WebRTC.EVENTS

    assert Mine(modality="audio").component_class_id == WebRTC.get_component_class_id()
    # Gradio writes a stub beside the module of each class of components.
    Path(__file__).with_suffix(".pyi").unlink(missing_ok=True)


async def test_a_streams_component_shares_its_counter() -> None:
    stream = Stream(echo, modality="audio", concurrency_limit=None)
    component = stream.webrtc_component
    assert component.mode == "send-receive"
    assert isinstance(stream.ui, gr.Blocks)
    assert stream.ui is stream.ui
    assert stream.webrtc_component is component
    assert component in stream.ui.blocks.values()
    assert stream.webrtc_component._line.core.factory is stream.factory
    assert stream.webrtc_component.concurrency_limit is None


async def test_a_streams_component_is_there_beside_a_page_of_ones_own() -> None:
    stream = Stream(echo, modality="audio")
    with gr.Blocks() as blocks:
        stream.webrtc_component.render()
    stream.ui = blocks
    assert stream.ui is blocks
    assert stream.webrtc_component in blocks.blocks.values()
    stream.webrtc_component = mine = WebRTC(modality="audio")
    assert stream.webrtc_component is mine


async def test_without_gradio_a_stream_has_no_component(monkeypatch: Any) -> None:
    def missing() -> None:
        raise MissingExtension("no Gradio")

    monkeypatch.setattr("fastrtc.stream.require_gradio", missing)
    assert Stream(echo, modality="audio").webrtc_component is None


@pytest.mark.parametrize("folder", ["component", "example"])
async def test_gradio_finds_the_files_it_asks_for(folder: str) -> None:
    for name in FILES:
        assert (UI / folder / name).is_file()


async def test_what_is_missing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fastrtc.ui, "version", lambda _: "5.49.1")
    with pytest.raises(MissingExtension, match=r"5\.49\.1.*pip install 'fastrtc\[ui\]'"):
        _ = Stream(echo, modality="audio").ui

    def missing(name: str) -> str:
        raise fastrtc.ui.PackageNotFoundError(name)

    monkeypatch.setattr(fastrtc.ui, "version", missing)
    with pytest.raises(MissingExtension, match=r"pip install 'fastrtc\[ui\]'"):
        _ = Stream(echo, modality="audio").ui
