"""Joins a component's events to its line: checks what was asked for, then wires it.

Makes no component and answers no browser. Every event that we wire may run for all visitors at
once: Gradio's default of one at a time would leave the second one waiting.
"""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any, Final

import gradio as gr
from gradio.blocks import Block

from fastrtc.handlers.signature import is_async_callable
from fastrtc.server.core import Core
from fastrtc.session.failures import Failures
from fastrtc.session.workers import call_sync
from fastrtc.ui.line import Line, id_of

__all__ = ["START", "as_list", "wire_outputs", "wire_stream"]

logger = logging.getLogger("fastrtc")

START: Final = "start_webrtc_stream"
"""The value with which a trigger has the browser's side start a call."""
OUTPUTS_HANDLER: Final = "the handler of additional outputs"
QUIET: Final = {"show_progress": "hidden", "api_visibility": "private"}


def as_list(components: Any) -> list[Any]:
    """Components as Gradio takes them: None, one, or a collection."""
    if components is None:
        return []
    return [components] if isinstance(components, Block) else list(components)


def wire_stream(
    component: Any,
    line: Line,
    fn: Any,
    inputs: list[Any],
    outputs: list[Any],
    *,
    js: str | None,
    concurrency_limit: Any,
    concurrency_id: str | None,
    time_limit: float | None,
    trigger: Callable[..., Any] | None,
    send_input_on: str,
) -> Any:
    """``WebRTC.stream``; returns the event with which inputs are asked for.

    Raises:
        ValueError: something does not fit; the message says what to write.
    """
    _check(component, inputs, outputs, trigger, send_input_on)
    values = [item for item in inputs if item is not component]
    _give_core(component, line, fn, bool(values), concurrency_limit, time_limit)
    sent = [component, *values]
    common = {"outputs": None, "concurrency_id": concurrency_id, "js": js, **QUIET}
    if trigger is not None:
        trigger(lambda: START, inputs=None, outputs=component, **QUIET)
    events = [getattr(item, send_input_on) for item in values if hasattr(item, send_input_on)]
    if values and not events:
        logger.warning(
            "send_input_on=%r sends the inputs at the beginning of a call alone, for none of them "
            "has that event: %s; write send_input_on='change', or add a gr.Textbox or a gr.Number",
            send_input_on,
            ", ".join(type(item).__name__ for item in values),
        )
    for event in events:
        event(line.take_inputs, inputs=sent, concurrency_limit=None, **common)
    component.submit(line.submit, inputs=sent, concurrency_limit=None, **common)
    return component.tick(
        line.take_inputs, inputs=sent, concurrency_limit=None, trigger_mode="multiple", **common
    )


def wire_outputs(
    component: Any,
    line: Line,
    fn: Callable[..., Any],
    inputs: list[Any],
    outputs: list[Any],
    **options: Any,
) -> Any:
    """``WebRTC.on_additional_outputs``: one event that lasts as long as the visitor's call."""

    async def follow(value: Any, *values: Any) -> AsyncIterator[Any]:
        webrtc_id = id_of(value)
        if webrtc_id is None:
            return
        current = list(values)
        fatal = partial(line.fail, webrtc_id)
        failures = Failures(webrtc_id, gr.Warning, fatal, time.monotonic)
        async for produced in line.outputs(webrtc_id):
            try:
                result = await _call(fn, *current, *produced.args)
            except Exception as error:  # noqa: BLE001
                failures.failed(OUTPUTS_HANDLER, error)
                continue
            failures.succeeded(OUTPUTS_HANDLER)
            _carry_on(current, inputs, outputs, result)
            yield result

    return component.state_change(
        follow,
        inputs=[component, *inputs],
        outputs=outputs,
        trigger_mode="multiple",
        api_visibility="private",
        **options,
    )


def _check(
    component: Any,
    inputs: list[Any],
    outputs: list[Any],
    trigger: Callable[..., Any] | None,
    send_input_on: str,
) -> None:
    if send_input_on not in ("change", "submit"):
        raise ValueError(f"send_input_on is {send_input_on!r}; allowed: 'change', 'submit'")
    if component.mode == "receive":
        if component in inputs:
            raise ValueError(
                "in mode 'receive' the WebRTC component is no input; write "
                "webrtc.stream(fn, inputs=[slider], outputs=[webrtc], trigger=button.click)"
            )
        if trigger is None:
            raise ValueError(
                "in mode 'receive' something has to start the stream; write trigger=button.click"
            )
    elif not inputs or inputs[0] is not component:
        raise ValueError(
            "the first input has to be the WebRTC component; write inputs=[webrtc, ...]"
        )
    if len(outputs) != 1 and (not outputs or outputs[0] is not component):
        raise ValueError(
            "the only output has to be the WebRTC component; write outputs=[webrtc], and "
            "webrtc.on_additional_outputs(...) for other components"
        )


def _give_core(
    component: Any,
    line: Line,
    fn: Any,
    has_inputs: bool,
    concurrency_limit: Any,
    time_limit: float | None,
) -> None:
    """A component that no stream made gets sessions of its own."""
    if time_limit is not None:
        component.time_limit = time_limit
    component.event_handler = fn
    component.concurrency_limit = 1 if concurrency_limit == "default" else concurrency_limit
    if line.is_streams:
        return
    if fn is None:
        raise ValueError("there is no handler; write webrtc.stream(fn=handler, ...)")
    if line.core is not None:
        line.core.renew(fn, has_inputs, component.concurrency_limit, component.time_limit)
        return
    line.core = Core(
        fn,
        mode=component.mode,
        modality=component.modality,
        has_inputs=has_inputs,
        limit=component.concurrency_limit,
        time_limit_s=component.time_limit,
        allow_extra_tracks=component.allow_extra_tracks,
        rtp_params=component.rtp_params,
        server_rtc_configuration=component.server_rtc_configuration,
    )


async def _call(fn: Callable[..., Any], *args: Any) -> Any:
    return await (fn(*args) if is_async_callable(fn) else call_sync(fn, *args))


def _carry_on(current: list[Any], inputs: list[Any], outputs: list[Any], result: Any) -> None:
    """What the function returned for a component that it is also given is its value next time."""
    results = [result] if len(outputs) == 1 else result
    if not isinstance(results, list | tuple):
        return
    for output, new in zip(outputs, results, strict=False):
        is_update = isinstance(new, Block) or (isinstance(new, dict) and "__type__" in new)
        if output in inputs and not is_update:
            current[inputs.index(output)] = new
