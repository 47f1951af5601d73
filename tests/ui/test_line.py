"""What browsers ask a component, over Gradio's own HTTP, and what becomes of inputs and outputs."""

from __future__ import annotations

import asyncio
import json
import re
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import gradio as gr
import httpx
import pytest
from fastapi import FastAPI, HTTPException, Request

from fastrtc import AdditionalOutputs, Stream, WebRTC, WebRTCData, WebRTCError
from memory_door import MemoryDoor, offer
from recorders import AsyncEcho

OFFER = {"type": "offer", "sdp": offer(), "webrtc_id": "me"}


@asynccontextmanager
async def visiting(
    stream: Stream, door: MemoryDoor | None = None
) -> AsyncIterator[tuple[httpx.AsyncClient, Any]]:
    """A client of the stream's page, and a function that asks its component."""
    stream._offers._door = door or MemoryDoor()
    app = gr.mount_gradio_app(FastAPI(), stream.ui, path="/page")
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://test/page") as client:

        async def ask(fn_name: str, data: Any) -> Any:
            body = {
                "component_id": stream.webrtc_component._id,
                "fn_name": fn_name,
                "session_hash": "visitor",
                "data": data,
            }
            response = await client.post("/gradio_api/component_server", json=body)
            assert response.status_code == 200, response.text
            return response.json()

        yield client, ask
    await stream.shutdown(drain_s=0)


def audio_stream(**options: Any) -> Stream:
    return Stream(AsyncEcho(), modality="audio", **options)


async def test_offers_and_candidates_come_by_gradios_own_way() -> None:
    stream = audio_stream()
    async with visiting(stream) as (_, ask):
        assert await ask("offer", OFFER) == {"sdp": "answer", "type": "answer"}
        assert list(stream.connections) == ["me"]
        assert list(stream.webrtc_component.handlers) == ["me"]
        candidate = {"type": "ice-candidate", "candidate": {"candidate": ""}, "webrtc_id": "me"}
        assert await ask("offer", candidate) == {"status": "success"}
        assert await ask("statistics", "me") == {"frames_dropped": 0}
        assert await ask("statistics", "other") == await ask("statistics", {}) == {}
        refused = await ask("offer", {**OFFER, "webrtc_id": "other"})
        assert refused["meta"] == {"error": "concurrency_limit_reached", "limit": 1}


BAD_OFFERS: list[tuple[Any, str]] = [
    (None, "valid dictionary"),
    ([], "valid dictionary"),
    ({"type": "offer", "webrtc_id": "a"}, "needs an sdp"),
    ({**OFFER, "webrtc_id": ""}, "at least 1 character"),
    ({**OFFER, "sdp": "rubbish"}, "sdp"),
]


async def test_a_bad_offer_gets_a_reason_and_no_place() -> None:
    stream = audio_stream()
    async with visiting(stream) as (_, ask):
        for body, reason in BAD_OFFERS:
            answer = await ask("offer", body)
            assert answer["status"] == "failed"
            assert reason in json.dumps(answer["meta"])
            assert len(stream.sessions) == 0


async def test_whoever_is_not_authorised_gets_no_place() -> None:
    asked: list[Any] = []

    def authorize(request: Request) -> bool:
        asked.append(request.headers["host"])
        raise HTTPException(401, "who are you?")

    stream = audio_stream(authorize=authorize)
    async with visiting(stream) as (_, ask):
        assert await ask("statistics", "me") == {}
        answer = await ask("offer", OFFER)
    assert asked == ["test"]
    assert answer["meta"] == {"error": "unauthorized", "reason": "who are you?"}


async def test_a_server_that_fails_says_so_and_logs_why(caplog: pytest.LogCaptureFixture) -> None:
    def configuration() -> Any:
        raise OSError("no TURN today")

    class Broken(AsyncEcho):
        def copy(self) -> Any:
            raise RuntimeError("cannot be copied")

    stream = Stream(Broken(), modality="audio", rtc_configuration=configuration)
    async with visiting(stream) as (_, ask):
        assert (await ask("turn", None))["meta"]["error"] == "server_error"
        assert (await ask("offer", OFFER))["meta"]["error"] == "server_error"
    assert "no TURN today" in caplog.text
    assert "cannot be copied" in caplog.text


async def test_browsers_get_their_configuration_anew_for_each_call() -> None:
    calls: list[int] = []

    async def configuration() -> dict[str, Any]:
        calls.append(1)
        return {"iceServers": [{"urls": f"turn:{len(calls)}"}]}

    async with visiting(audio_stream(rtc_configuration=configuration)) as (_, ask):
        assert await ask("turn", None) == {"iceServers": [{"urls": "turn:1"}]}
        assert await ask("turn", None) == {"iceServers": [{"urls": "turn:2"}]}
    async with visiting(audio_stream()) as (_, ask):
        assert await ask("turn", None) == {}


async def test_modules_are_served_by_the_paths_they_have_in_the_source() -> None:
    stream = audio_stream()
    async with visiting(stream) as (client, _):
        root = f"/gradio_api/custom_component/{stream.webrtc_component.component_class_id}/client"
        for file in (
            "component/index.js",
            "component/view.js",
            "component/looks.css",
            "component/svelte_runtime_entry.js",
            "component/style.css",
            "example/index.js",
            "client/fastrtc.js",
            "client/worklet.js",
        ):
            response = await client.get(f"{root}/{file}")
            assert response.status_code == 200, file
            kind = "text/css" if file.endswith("css") else "javascript"
            assert kind in response.headers["content-type"]


async def test_calls_end_at_the_signal_because_their_pages_stay_open_as_long() -> None:
    seen: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _: seen.append(number))
    try:
        stream = audio_stream(concurrency_limit=2)
        async with visiting(stream) as (_, ask):
            await ask("offer", OFFER)
            session = stream.connections["me"]
            signal.raise_signal(signal.SIGTERM)
            async with asyncio.timeout(15):
                while session.state != "closed":  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
            assert "shutting down" in session.close_reason
            refused = await ask("offer", {**OFFER, "webrtc_id": "late"})
            assert refused["meta"]["error"] == "connection_closed"
        assert seen == [signal.SIGTERM]
    finally:
        signal.signal(signal.SIGTERM, before)


async def test_inputs_reach_the_handler_with_what_was_typed() -> None:
    stream = audio_stream(ui_args={"variant": "textbox"})
    async with visiting(stream) as (_, ask):
        await ask("offer", OFFER)
        line = stream.webrtc_component._line
        handler = stream.handlers["me"]
        line.take_inputs(None, 1)
        line.take_inputs(WebRTCData("me", "not sent yet"), 1, 2)
        assert handler.latest_args == [WebRTCData("me"), 1, 2]
        line.submit(WebRTCData("me", "sent"), 3)
        assert handler.latest_args == [WebRTCData("me", "sent"), 3]
        line.take_inputs("me", 4)
        assert handler.latest_args == ["__webrtc_value__", 4]


async def test_outputs_build_on_what_they_gave_last(caplog: pytest.LogCaptureFixture) -> None:
    """Gradio sends the components' values once, when the call begins."""

    def collect(sum_so_far: int, offset: int, new: int) -> int:
        if new == -6:
            raise WebRTCError("Say it again.")
        if new < 0:
            raise ValueError("negative")
        return sum_so_far + offset + new

    with gr.Blocks() as page:
        total, offset = gr.Number(), gr.Number()
        component = WebRTC(modality="audio")
        component.stream(AsyncEcho(), inputs=[component], outputs=[component])
        component.on_additional_outputs(collect, inputs=[total, offset], outputs=[total])
    (follow,) = (fn.fn for fn in page.fns.values() if "state_change" in str(fn.targets))
    outbox = component._line.ready_core.factory.outbox
    for value in (1, -5, -5, -6, 2):
        outbox.put("me", AdditionalOutputs(value))
    outbox.closed("me")
    # Outside of a visitor's event Gradio's toast is a warning.
    with pytest.warns(UserWarning, match="handler of|Say it again") as shown:
        assert [result async for result in follow("me", 100, 10)] == [111, 123]
    failed, asked = [str(warning.message) for warning in shown]
    assert re.fullmatch(r"the handler of additional outputs failed \(error [0-9a-f]{8}\)", failed)
    assert asked == "Say it again."
    assert [result async for result in follow(None, 100, 10)] == []
    assert caplog.text.count("ValueError: negative") == 1
