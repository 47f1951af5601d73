"""What users give a Stream, as the handler that each session gets a copy of. Calls no user code."""

from __future__ import annotations

from fastrtc.handlers.base import StreamHandlerBase
from fastrtc.handlers.functions import FrameFunction, SourceFunction
from fastrtc.types import Modality, StreamMode

__all__ = ["make_prototype"]


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
    if modality != "audio":
        raise ValueError(
            f"modality {modality!r} is not available in this version of fastrtc; "
            "allowed: modality='audio'"
        )
    if isinstance(handler, type):
        raise ValueError(
            f"handler is the class {handler.__name__}; pass an instance: {handler.__name__}()"
        )
    if isinstance(handler, StreamHandlerBase):
        if not hasattr(handler, "args_set"):
            name = type(handler).__name__
            raise ValueError(f"{name}.__init__() has to call super().__init__()")
        if mode == "receive":
            raise ValueError(
                "in mode 'receive' an audio stream takes a generator function f(*inputs) that "
                f"yields (rate, samples); received a {type(handler).__name__}"
            )
        return handler
    if not callable(handler):
        raise ValueError(
            f"handler is a {type(handler).__name__}; allowed for audio: a StreamHandler, an "
            "AsyncStreamHandler, or a function"
        )
    if mode == "receive":
        return SourceFunction(handler, has_inputs)
    return FrameFunction(handler)
