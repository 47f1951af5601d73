"""Functions of pictures as handlers: called with each picture that comes in, or a source of them.

Says what to call with what; the session decodes before it, and encodes what comes out.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any, Final, TypeAlias, get_args

import numpy as np
import numpy.typing as npt

from fastrtc.handlers.functions import FrameFunction, SourceFunction
from fastrtc.handlers.outputs import AdditionalOutputs, CloseStream
from fastrtc.types import PixelFormat

__all__ = [
    "VideoEmitType",
    "VideoEventGenerator",
    "VideoEventHandler",
    "VideoSource",
    "VideoStreamHandler",
    "check_picture_options",
]

MAX_FPS: Final = 240

VideoEmitType: TypeAlias = (
    npt.NDArray[np.uint8]
    | AdditionalOutputs
    | CloseStream
    | tuple[npt.NDArray[np.uint8] | None, AdditionalOutputs | CloseStream]
    | None
)
"""What a video handler may return or yield."""
VideoEventGenerator: TypeAlias = Generator[VideoEmitType, None, None]
VideoEventHandler: TypeAlias = Callable[..., VideoEmitType | VideoEventGenerator]
"""A video handler: a function of a picture and the inputs."""


def check_picture_options(fps: float, pixel_format: str) -> None:
    """Checks what handlers of pictures are made with.

    Raises:
        ValueError: no rate of pictures, or no format that there is.
    """
    if isinstance(fps, bool) or not isinstance(fps, (int, float)) or not 0 < fps <= MAX_FPS:
        raise ValueError(f"fps is {fps!r}; it has to be a number above 0 and at most {MAX_FPS}")
    allowed = get_args(PixelFormat)
    if pixel_format not in allowed:
        raise ValueError(
            f"pixel_format is {pixel_format!r}; allowed: {', '.join(map(repr, allowed))}"
        )


class VideoStreamHandler(FrameFunction):
    """A function of pictures with its options; a plain function means the defaults.

    ``callable(frame, *inputs)`` gets ``frame`` as uint8: ``(height, width, 3)`` in BGR order
    unless ``pixel_format`` says otherwise. It returns a picture of the same form and any size,
    or is a generator function that yields any number of them; sync or async. In mode "receive" it
    is a generator function of the inputs alone.

    Args:
        callable: the function.
        fps: pictures per second of what is generated rather than returned.
        skip_frames: process the newest picture only, whatever has come before it. Else up to
            three wait for a function that is busy; then the oldest is dropped.
        pixel_format: of the pictures in and out: "bgr24"; "rgb24"; "gray8", of shape
            ``(height, width)``; "yuv420p", of shape ``(height * 3 // 2, width)``, which costs no
            conversion.

    Raises:
        ValueError: an option has a value that cannot be used.
        TypeError: ``callable`` cannot be called.

    Example::

        stream = Stream(VideoStreamHandler(detect, skip_frames=True), modality="video")
    """

    def __init__(
        self,
        callable: Callable[..., Any],  # noqa: A002
        fps: int = 30,
        skip_frames: bool = False,
        *,
        pixel_format: PixelFormat = "bgr24",
    ) -> None:
        super().__init__(_function(callable))
        check_picture_options(fps, pixel_format)
        self.callable = callable
        self.fps = fps
        self.skip_frames = skip_frames
        self.pixel_format: PixelFormat = pixel_format


class VideoSource(SourceFunction):
    """``fn(*inputs)``, a generator function whose pictures the client sees at ``fps``.

    Args:
        fn: sync or async generator function.
        inputs_declared: whether the stream has inputs that it shall wait for.
        fps: pictures per second.
        pixel_format: as for :class:`VideoStreamHandler`.
    """

    def __init__(
        self,
        fn: Callable[..., Any],
        inputs_declared: bool = False,
        *,
        fps: int = 30,
        pixel_format: PixelFormat = "bgr24",
    ) -> None:
        super().__init__(_function(fn), inputs_declared)
        check_picture_options(fps, pixel_format)
        self.fps = fps
        self.pixel_format: PixelFormat = pixel_format


def _function(value: object) -> Callable[..., Any]:
    if not callable(value):
        raise TypeError(
            f"a video handler is a function; received a {type(value).__name__}, which cannot be "
            "called"
        )
    return value
