"""The types that users write in their annotations.

Names only: nothing here runs, converts or checks.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeAlias, TypedDict

import numpy as np
import numpy.typing as npt

__all__ = [
    "AudioInput",
    "AudioOutput",
    "DataChannel",
    "Layout",
    "Modality",
    "PictureFormat",
    "PixelFormat",
    "RTCConfiguration",
    "StreamMode",
    "UIArgs",
    "VideoCodec",
    "WebRTCData",
]

StreamMode: TypeAlias = Literal["send-receive", "receive", "send"]
"""Named from the client: "send" is client to server."""
Modality: TypeAlias = Literal["video", "audio", "audio-video"]
Layout: TypeAlias = Literal["mono", "stereo"]
PixelFormat: TypeAlias = Literal["bgr24", "rgb24", "gray8", "yuv420p"]
"""How a picture lies in an array: bytes of blue, green, red; the reverse; brightness alone; or
planes of brightness and colour (I420)."""
VideoCodec: TypeAlias = Literal["vp8", "vp9", "h264", "av1"]
PictureFormat: TypeAlias = Literal["jpeg", "webp"]
"""A picture as a file of its own."""

AudioInput: TypeAlias = tuple[int, npt.NDArray[np.int16]]
"""``(rate_hz, samples)``: int16 of shape ``(1, n)``; stereo is interleaved in the same row."""
AudioOutput: TypeAlias = tuple[int, npt.NDArray[Any]] | tuple[int, npt.NDArray[Any], Layout]
"""``(rate_hz, samples)`` with int16 or float32 samples of shape ``(n,)``, ``(1, n)`` or
``(2, n)``, and optionally the layout."""

RTCConfiguration: TypeAlias = (
    dict[str, Any]
    | Callable[[], dict[str, Any] | None]
    | Callable[[], Coroutine[Any, Any, dict[str, Any] | None]]
)
"""An ``RTCConfiguration`` as browsers take it, or a sync or async callable that returns one."""


class DataChannel(Protocol):
    """What ``handler.channel`` offers: text to the client."""

    def send(self, message: str) -> None: ...


@dataclass
class WebRTCData:
    """What a page with a textbox sends: the first argument of its reply function.

    Attributes:
        webrtc_id: the client's name.
        textbox: what was typed; "" for a spoken turn.
        audio: ``(rate_hz, int16 of shape (1, n))`` of what was said.

    Example::

        def reply(data, chatbot):
            text = data.textbox or stt_model.stt(data.audio)
    """

    webrtc_id: str
    textbox: str = ""
    audio: Any | None = None


class UIArgs(TypedDict, total=False):
    """How the generated page looks.

    Attributes:
        title: above the page, and in the browser's tab.
        subtitle: below the title, in Markdown.
        icon: path or URL of an image to show in place of the wave.
        icon_button_color: CSS color behind the icon.
        pulse_color: CSS color of the ring that pulses with the voice, and of the wave.
        icon_radius: corner radius of the icon, in percent of its size.
        send_input_on: the event of the inputs with which their values are sent.
        hide_title: no title and no subtitle.
        full_screen: whether video fills the page's width, or a box of 500x500 pixels.
        variant: "textbox" lets visitors type as well as talk.

    Example::

        Stream(handler, modality="audio", ui_args={"title": "Ask me", "pulse_color": "#3584e4"})
    """

    title: str
    subtitle: str
    icon: str
    icon_button_color: str
    pulse_color: str
    icon_radius: int
    send_input_on: Literal["submit", "change"]
    hide_title: bool
    full_screen: bool
    variant: Literal["textbox", "wave"]
