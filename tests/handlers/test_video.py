"""What handlers of pictures are made of, and what a stream makes of them."""

from __future__ import annotations

from typing import Any

import pytest

from fastrtc import (
    AsyncAudioVideoStreamHandler,
    AudioVideoStreamHandler,
    Stream,
    VideoStreamHandler,
)
from fastrtc.handlers.prototype import make_prototype
from fastrtc.handlers.video import VideoSource


def echo(frame: Any, threshold: float = 0.3) -> Any:
    return frame


class Both(AudioVideoStreamHandler):
    def __init__(self, name: str = "nobody", fps: int = 24) -> None:
        super().__init__(fps=fps)
        self.name = name

    def receive(self, frame: Any) -> None: ...
    def emit(self) -> Any: ...
    def video_receive(self, frame: Any) -> None: ...
    def video_emit(self) -> Any: ...


def test_a_copy_has_the_same_options_and_nothing_is_wrapped_twice() -> None:
    """Pitfall 23: a shared VideoStreamHandler serves any number of clients."""
    handler = VideoStreamHandler(echo, 15, True, pixel_format="gray8")
    for _ in range(3):
        handler = handler.copy()  # type: ignore[assignment]
        assert handler.callable is echo
    assert (handler.fps, handler.skip_frames, handler.pixel_format) == (15, True, "gray8")
    both = Both("me").copy()
    assert isinstance(both, Both)
    assert (both.name, both.fps) == ("me", 24)


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"fps": 0}, "fps is 0"),
        ({"fps": True}, "fps is True"),
        ({"fps": 1000}, "at most 240"),
        ({"pixel_format": "bgra"}, "allowed: 'bgr24', 'rgb24', 'gray8', 'yuv420p'"),
    ],
)
def test_options_that_cannot_be(options: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        VideoStreamHandler(echo, **options)


def test_audio_video_handlers_need_a_rate_too() -> None:
    with pytest.raises(ValueError, match="fps is 0"):
        Stream(Both(fps=0), modality="audio-video")


def test_a_handler_that_cannot_be_called() -> None:
    with pytest.raises(TypeError, match="received a int"):
        VideoStreamHandler(5)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="takes no positional argument"):
        VideoStreamHandler(lambda: None)


def test_in_mode_receive_a_function_is_a_source() -> None:
    wrapped = VideoStreamHandler(echo, fps=12, pixel_format="rgb24")
    source = make_prototype(wrapped, "receive", "video", has_inputs=True)
    assert isinstance(source, VideoSource)
    assert (source.fps, source.pixel_format, source.wants_inputs) == (12, "rgb24", True)
    copied = source.copy()
    assert isinstance(copied, VideoSource)
    assert (copied.fps, copied.fn, copied.wants_inputs) == (12, echo, True)
    assert isinstance(make_prototype(echo, "receive", "video", has_inputs=False), VideoSource)


def test_every_cell_of_the_table_makes_a_stream() -> None:
    for mode in ("send-receive", "send", "receive"):
        for handler in (echo, VideoStreamHandler(echo)):
            assert Stream(handler, modality="video", mode=mode).mode == mode  # type: ignore[arg-type]
        assert Stream(Both(), modality="audio-video", mode=mode).mode == mode  # type: ignore[arg-type]


def test_the_async_class_needs_all_four_methods() -> None:
    class Half(AsyncAudioVideoStreamHandler):
        async def receive(self, frame: Any) -> None: ...
        async def emit(self) -> Any: ...

    with pytest.raises(TypeError, match="video_emit"):
        Half()  # type: ignore[abstract]
