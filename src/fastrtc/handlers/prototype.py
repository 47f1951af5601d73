"""What users give a Stream, as the handler that each session gets a copy of. Calls no user code."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, cast

from fastrtc.handlers.audio_video import AsyncAudioVideoStreamHandler, AudioVideoStreamHandler
from fastrtc.handlers.base import StreamHandlerBase
from fastrtc.handlers.functions import FrameFunction, SourceFunction
from fastrtc.handlers.video import VideoSource, VideoStreamHandler, check_picture_options
from fastrtc.types import Modality, StreamMode

__all__ = ["make_prototype"]

AUDIO_VIDEO: Final = (AudioVideoStreamHandler, AsyncAudioVideoStreamHandler)
ALLOWED: Final[dict[Modality, str]] = {
    "audio": "a StreamHandler, an AsyncStreamHandler, or a function",
    "video": "a function of pictures, or a VideoStreamHandler around one",
    "audio-video": "an AudioVideoStreamHandler or an AsyncAudioVideoStreamHandler",
}


class Unwritten(StreamHandlerBase):
    """Stands for the handler of ``Stream(...)``; no client ever gets one."""


def make_prototype(
    handler: object, mode: StreamMode, modality: Modality, has_inputs: bool
) -> StreamHandlerBase:
    """The handler that sessions get copies of, whatever the user gave.

    Args:
        handler: a handler, a function, or ``...`` for one that is still to be written.
        mode: directions, named from the client.
        modality: what the stream carries.
        has_inputs: whether the client has inputs to send.

    Raises:
        ValueError: it does not fit; the message says what is allowed.
    """
    if handler is ...:
        return Unwritten()
    if isinstance(handler, type):
        raise ValueError(
            f"handler is the class {handler.__name__}; pass an instance: {handler.__name__}()"
        )
    if isinstance(handler, StreamHandlerBase):
        if not hasattr(handler, "args_set"):
            name = type(handler).__name__
            raise ValueError(f"{name}.__init__() has to call super().__init__()")
    elif not callable(handler):
        raise ValueError(
            f"handler is a {type(handler).__name__}; allowed for {modality}: {ALLOWED[modality]}"
        )
    if modality == "audio-video":
        return _audio_video(handler)
    if modality == "video":
        return _video(handler, mode, has_inputs)
    return _audio(handler, mode, has_inputs)


def _audio(handler: object, mode: StreamMode, has_inputs: bool) -> StreamHandlerBase:
    _refuse_others(handler, "audio", (VideoStreamHandler, VideoSource, *AUDIO_VIDEO))
    if isinstance(handler, StreamHandlerBase):
        if mode == "receive":
            raise ValueError(
                "in mode 'receive' an audio stream takes a generator function f(*inputs) that "
                f"yields (rate, samples); received a {type(handler).__name__}"
            )
        return handler
    function = cast(Callable[..., Any], handler)
    return SourceFunction(function, has_inputs) if mode == "receive" else FrameFunction(function)


def _video(handler: object, mode: StreamMode, has_inputs: bool) -> StreamHandlerBase:
    if isinstance(handler, VideoStreamHandler):
        if mode != "receive":
            return handler
        return VideoSource(
            handler.callable, has_inputs, fps=handler.fps, pixel_format=handler.pixel_format
        )
    _refuse_others(handler, "video", (StreamHandlerBase,))
    function = cast(Callable[..., Any], handler)
    return VideoSource(function, has_inputs) if mode == "receive" else VideoStreamHandler(function)


def _audio_video(handler: object) -> StreamHandlerBase:
    if not isinstance(handler, AUDIO_VIDEO):
        _refuse_others(handler, "audio-video", (object,))
    both = cast(AudioVideoStreamHandler, handler)
    check_picture_options(both.fps, both.pixel_format)
    return both


def _refuse_others(handler: object, modality: Modality, others: tuple[type, ...]) -> None:
    if isinstance(handler, others):
        raise ValueError(
            f"modality {modality!r} takes {ALLOWED[modality]}; received a "
            f"{type(handler).__name__}{_fitting(handler)}"
        )


def _fitting(handler: object) -> str:
    """What to write instead, where the handler says it."""
    if not isinstance(handler, StreamHandlerBase):
        return ""
    if isinstance(handler, AUDIO_VIDEO):
        return ', which needs modality="audio-video"'
    is_video = isinstance(handler, (VideoStreamHandler, VideoSource))
    return f', which needs modality="{"video" if is_video else "audio"}"'
