"""``WebRTC``: a stream's place on a Gradio page, microphone, camera and all.

A custom component whose browser side is in ``component/`` (hand-written ES modules; nothing is
built) and uses ``client/``. Gradio serves ``TEMPLATE_DIR/{folder}/{file}``, so that both are
reached by the relative paths that they have here. Wiring of events is in ``wiring.py``, answers to
browsers are in ``line.py``.
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, Final, Literal

from gradio import Request
from gradio.components.base import Component, server
from gradio.context import LocalContext

from fastrtc.handlers.base import StreamHandlerBase
from fastrtc.handlers.outputs import AdditionalOutputs
from fastrtc.server.offers import ServerConfiguration
from fastrtc.session.registry import Connections, Handlers
from fastrtc.types import Modality, RTCConfiguration, StreamMode, WebRTCData
from fastrtc.ui import wiring
from fastrtc.ui.closing import leave_at_sigterm
from fastrtc.ui.constraints import default_track_constraints
from fastrtc.ui.line import Line

__all__ = ["WebRTC"]

BUTTON_LABELS: Final = {"start": "", "stop": "", "waiting": ""}
KEPT_FROM_BROWSERS: Final = ("rtc_configuration", "server_rtc_configuration")


class WebRTC(Component):
    """A stream's place on a Gradio page.

    Its value is the ``webrtc_id`` of the visitor's call (None before the first), for functions that
    have it among their inputs; with ``variant="textbox"`` a :class:`WebRTCData`.

    Args:
        value: has no effect; a call gives the component its value.
        height: of the display, in pixels or as CSS.
        width: likewise.
        label: the name above the component, and for screen readers.
        every: see Gradio's components.
        inputs: see Gradio's components.
        show_label: whether the label is shown.
        container: whether there is a box around the component.
        scale: see Gradio's components.
        min_width: in pixels.
        interactive: False takes the buttons away.
        visible: "hidden" keeps a call, False ends it.
        elem_id: for CSS.
        elem_classes: for CSS.
        render: see Gradio's components.
        key: with one, a call survives when ``gr.render`` draws anew.
        mirror_webcam: show visitors their own camera as a mirror does.
        rtc_configuration: the ``RTCConfiguration`` that browsers get; a dict, or a sync or async
            callable that is asked for each call.
        server_rtc_configuration: STUN and TURN servers for our own side, in the same form.
        track_constraints: ``MediaTrackConstraints``; for "audio-video" a dict of them with the
            keys "audio" and "video".
        time_limit: seconds that a call may last.
        allow_extra_tracks: accept offers with media that is not served.
        mode: named from the client: "send" is client to server.
        modality: what is carried.
        rtp_params: for ``RTCRtpSender.setParameters`` in browsers, and our own sending.
        icon: path or URL of an image to show in place of the wave.
        icon_button_color: CSS color behind the icon.
        pulse_color: CSS color of the ring that pulses with the voice, and of the wave.
        icon_radius: corner radius of the icon, in percent of its size.
        button_labels: words on the button: "start", "stop" and "waiting".
        variant: "textbox" lets visitors type as well as talk.
        full_screen: whether video fills the page's width, or a box of 500x500.

    Example::

        webrtc = WebRTC(modality="audio", mode="send-receive")
        webrtc.stream(ReplyOnPause(reply), inputs=[webrtc], outputs=[webrtc])
    """

    EVENTS = ["tick", "state_change", "submit", "start_recording", "stop_recording"]  # noqa: RUF012
    TEMPLATE_DIR = "./"

    def __init__(
        self,
        value: None = None,
        height: int | str | None = None,
        width: int | str | None = None,
        label: str | None = None,
        every: Any = None,
        inputs: Any = None,
        show_label: bool | None = None,
        container: bool = True,
        scale: int | None = None,
        min_width: int = 160,
        interactive: bool | None = None,
        visible: bool | Literal["hidden"] = True,
        elem_id: str | None = None,
        elem_classes: list[str] | str | None = None,
        render: bool = True,
        key: int | str | None = None,
        mirror_webcam: bool = True,
        rtc_configuration: RTCConfiguration | None = None,
        server_rtc_configuration: ServerConfiguration = None,
        track_constraints: dict[str, Any] | None = None,
        time_limit: float | None = None,
        allow_extra_tracks: bool = False,
        mode: StreamMode = "send-receive",
        modality: Modality = "video",
        rtp_params: dict[str, Any] | None = None,
        icon: str | None = None,
        icon_button_color: str | None = None,
        pulse_color: str | None = None,
        icon_radius: int | None = None,
        button_labels: Mapping[str, str] | None = None,
        variant: Literal["textbox", "wave"] = "wave",
        full_screen: bool | None = True,
        line: Line | None = None,
    ) -> None:
        unknown = set(button_labels or ()) - set(BUTTON_LABELS)
        if unknown:
            raise ValueError(
                f"button_labels has {', '.join(sorted(unknown))}; allowed: start, stop, waiting"
            )
        self.height = height
        self.width = width
        self.mirror_webcam = mirror_webcam
        self.rtc_configuration = rtc_configuration
        self.server_rtc_configuration = server_rtc_configuration
        self.time_limit = time_limit
        self.allow_extra_tracks = allow_extra_tracks
        self.mode: StreamMode = mode
        self.modality: Modality = modality
        self.rtp_params = rtp_params or {}
        self.icon_button_color = icon_button_color
        self.pulse_color = pulse_color
        self.icon_radius = icon_radius
        self.button_labels = {**BUTTON_LABELS, **(button_labels or {})}
        self.variant = variant
        self.full_screen = full_screen is not False
        self.track_constraints = (
            default_track_constraints(modality, self.full_screen)
            if track_constraints is None
            else track_constraints
        )
        self.concurrency_limit: int | None = 1
        self.event_handler: Any = None
        leave_at_sigterm()
        self._line = line or self._line_before(key, rtc_configuration)
        # The first of these dicts is what Gradio makes a visitor's copy from.
        if len(self._constructor_args) == 1:
            self._constructor_args[0]["line"] = self._line
        super().__init__(
            value=value,
            label=label,
            every=every,
            inputs=inputs,
            show_label=show_label,
            container=container,
            scale=scale,
            min_width=min_width,
            interactive=interactive,
            visible=visible,
            elem_id=elem_id,
            elem_classes=elem_classes,
            render=render,
            key=key,
        )
        # As a file of Gradio's, so that its address gets the prefix that the page has.
        self.icon: dict[str, Any] | None = self.serve_static_file(icon)

    def _line_before(self, key: Any, rtc_configuration: Any) -> Line:
        """The visitor's own where ``gr.render`` draws a component with a key anew: calls go on."""
        ids = LocalContext.key_to_id_map.get(None)
        page = LocalContext.blocks_config.get(None)
        drawn = page.blocks.get(ids.get(key)) if key is not None and ids and page else None
        if (
            not isinstance(drawn, WebRTC)
            or drawn.mode != self.mode
            or drawn.modality != self.modality
        ):
            return Line(rtc_configuration)
        drawn._line.rtc_configuration = rtc_configuration
        return drawn._line

    @property
    def component_class_id(self) -> str:
        """Subclasses are drawn by the same modules."""
        class_id: str = WebRTC.get_component_class_id()
        return class_id

    def get_config(self, cls: Any = None) -> dict[str, Any]:
        """What the browser's side gets: no credentials of ours, and nothing that is no JSON."""
        config: dict[str, Any] = super().get_config(WebRTC if cls is None else cls)
        for name in KEPT_FROM_BROWSERS:
            config.pop(name, None)
        return config

    def preprocess(self, payload: Any) -> str | WebRTCData | None:
        """The visitor's ``webrtc_id``; with ``variant="textbox"`` a :class:`WebRTCData`."""
        fields = payload if isinstance(payload, dict) else {"webrtc_id": payload}
        webrtc_id = fields.get("webrtc_id")
        if not isinstance(webrtc_id, str):
            return None
        if self.variant == "textbox":
            return WebRTCData(webrtc_id, str(fields.get("textbox") or ""))
        return webrtc_id

    def postprocess(self, value: Any) -> Any:
        """What a trigger returned, for the browser's side, which tells one start from the next."""
        return f"{value}:{secrets.token_hex(4)}" if value == wiring.START else None

    def api_info(self) -> dict[str, Any]:
        """The form of the value."""
        return {"type": "string", "description": "webrtc_id of the visitor's call"}

    def example_payload(self) -> Any:
        """A value as a browser sends it."""
        return "webrtc-id"

    def example_value(self) -> Any:
        """A value as functions return it."""
        return None

    # What pages are wired with.

    def stream(
        self,
        fn: StreamHandlerBase | Callable[..., Any] | None = None,
        inputs: Any = None,
        outputs: Any = None,
        js: str | None = None,
        concurrency_limit: int | Literal["default"] | None = "default",
        concurrency_id: str | None = None,
        time_limit: float | None = None,
        trigger: Callable[..., Any] | None = None,
        send_input_on: Literal["submit", "change"] = "change",
    ) -> Any:
        """Has ``fn`` answer the visitors' calls.

        Args:
            fn: a handler or a function, see :class:`fastrtc.Stream`.
            inputs: this component, then those whose values ``fn`` gets; in mode "receive" only
                the latter.
            outputs: this component.
            js: runs in the browser before inputs are sent.
            concurrency_limit: calls at once; "default" is 1, None is no limit.
            concurrency_id: of Gradio's events.
            time_limit: seconds that a call may last; the component's own if None.
            trigger: in mode "receive" what starts a call, such as ``button.click``.
            send_input_on: the event of the inputs with which their values are sent.

        Raises:
            ValueError: something does not fit; the message says what to write.
        """
        return wiring.wire_stream(
            self,
            self._line,
            fn,
            wiring.as_list(inputs),
            wiring.as_list(outputs),
            js=js,
            concurrency_limit=concurrency_limit,
            concurrency_id=concurrency_id,
            time_limit=time_limit,
            trigger=trigger,
            send_input_on=send_input_on,
        )

    def on_additional_outputs(
        self,
        fn: Callable[..., Any],
        inputs: Any = None,
        outputs: Any = None,
        js: str | None = None,
        concurrency_limit: int | Literal["default"] | None = "default",
        concurrency_id: str | None = None,
        show_progress: Literal["full", "minimal", "hidden"] = "hidden",
        queue: bool = True,
    ) -> Any:
        """Calls ``fn(*values of inputs, *outputs.args)`` for each ``AdditionalOutputs``.

        Args:
            fn: sync or async; returns new values for ``outputs``.
            inputs: components; those that are ``outputs`` too have the value that ``fn`` gave them
                last, the others the value they had when the call began.
            outputs: components that ``fn`` changes.
            js: runs in the browser before.
            concurrency_limit: visitors at once; "default" and None are no limit.
            concurrency_id: of Gradio's event.
            show_progress: of Gradio's event.
            queue: of Gradio's event; without Gradio's queue nothing arrives.
        """
        return wiring.wire_outputs(
            self,
            self._line,
            fn,
            wiring.as_list(inputs),
            wiring.as_list(outputs),
            js=js,
            concurrency_limit=None if concurrency_limit == "default" else concurrency_limit,
            concurrency_id=concurrency_id,
            show_progress=show_progress,
            queue=queue,
        )

    # What applications ask.

    @property
    def connections(self) -> Connections:
        """The live sessions by id."""
        return Connections(self._line.registry)

    @property
    def handlers(self) -> Handlers:
        """The handlers of the live sessions by id."""
        return Handlers(self._line.registry)

    def set_input(self, webrtc_id: str, *args: Any) -> None:
        """Gives a client's handler its inputs; the next call sees them. From any thread."""
        self._line.set_input(webrtc_id, *args)

    def output_stream(self, webrtc_id: str) -> AsyncIterator[AdditionalOutputs]:
        """The ``AdditionalOutputs`` of a client's handler, until its session ends."""
        return self._line.outputs(webrtc_id)

    # What browsers ask.

    @server  # type: ignore[untyped-decorator]
    async def turn(self, _: Any) -> dict[str, Any]:
        """The browser's ``RTCConfiguration``."""
        return await self._line.configuration()

    @server  # type: ignore[untyped-decorator]
    async def offer(self, body: Any, request: Request) -> dict[str, Any]:
        """Answers an offer or takes a candidate."""
        return await self._line.offer(body, getattr(request, "request", request))

    @server  # type: ignore[untyped-decorator]
    def socket(self, _: Any, request: Request) -> str:
        """Where a browser that no WebRTC reaches finds a WebSocket; see :meth:`Line.socket`."""
        return self._line.socket(getattr(request, "request", request))

    @server  # type: ignore[untyped-decorator]
    async def statistics(self, webrtc_id: Any, request: Request) -> dict[str, Any]:
        """The server's share of the details panel."""
        return await self._line.statistics(webrtc_id, getattr(request, "request", request))
