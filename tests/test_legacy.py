"""The original's module paths serve the names that exist, and say so of those that do not."""

from __future__ import annotations

from importlib import import_module

import numpy as np
import pytest

from fastrtc.legacy import TABLE


@pytest.mark.parametrize("path", sorted(TABLE))
def test_every_name_of_the_table_is_the_one_it_stands_for(path: str) -> None:
    module = import_module(path)
    for name, home in TABLE[path].items():
        where, _, renamed = home.partition(":")
        assert getattr(module, name) is getattr(import_module(where), renamed or name)
    assert dir(module) == sorted(TABLE[path])


def test_old_imports_work() -> None:
    from fastrtc.pause_detection import silero
    from fastrtc.pause_detection.silero import SileroVADModel
    from fastrtc.reply_on_pause import ReplyOnPause
    from fastrtc.reply_on_pause import StreamHandler as StreamHandlerOfReplies
    from fastrtc.reply_on_stopwords import AlgoOptions
    from fastrtc.tracks import AsyncStreamHandler, StreamHandler
    from fastrtc.utils import AdditionalOutputs, create_message, wait_for_item

    import fastrtc
    from fastrtc.stream import Body, Stream, UIArgs

    assert AsyncStreamHandler is fastrtc.AsyncStreamHandler
    assert StreamHandler is fastrtc.StreamHandler
    assert StreamHandlerOfReplies is fastrtc.StreamHandler
    assert ReplyOnPause is fastrtc.ReplyOnPause
    assert AlgoOptions is fastrtc.AlgoOptions
    assert AdditionalOutputs is fastrtc.AdditionalOutputs
    assert create_message is fastrtc.create_message
    assert wait_for_item is fastrtc.wait_for_item
    assert Stream is fastrtc.Stream
    assert Body.__name__ == "Body"
    assert UIArgs is fastrtc.UIArgs
    assert isinstance(silero.get_silero_model(), SileroVADModel)


def test_names_that_a_module_only_passed_on_are_there_too() -> None:
    from fastrtc.reply_on_pause import split_output
    from fastrtc.tracks import AdditionalOutputs, CloseStream, Context, WebRTCData, WebRTCError
    from fastrtc.webrtc import VideoStreamHandler
    from fastrtc.webrtc_connection_mixin import RTCConfigurationCallable
    from fastrtc.websocket import current_context

    import fastrtc

    for kind in (AdditionalOutputs, CloseStream, Context, VideoStreamHandler, WebRTCData):
        assert kind is getattr(fastrtc, kind.__name__)
    assert WebRTCError is fastrtc.WebRTCError
    assert split_output(None) == (None, None)
    assert current_context.get() is None
    assert RTCConfigurationCallable is fastrtc.types.RTCConfiguration


def test_outputs_are_split_as_of_old() -> None:
    from fastrtc.utils import AUDIO_PTIME, AdditionalOutputs, CloseStream, split_output

    audio = (24000, np.zeros(480, np.int16))
    more, close = AdditionalOutputs(1), CloseStream("bye")
    assert AUDIO_PTIME == 0.02
    assert split_output(audio) == (audio, None)
    assert split_output(more) == (None, more)
    assert split_output((audio, more)) == (audio, more)
    assert split_output((audio, close)) == (audio, close)
    assert split_output(None) == (None, None)


def test_old_types_are_what_users_test_for() -> None:
    from fastrtc.tracks import HandlerType, StreamHandlerImpl
    from fastrtc.webrtc_connection_mixin import WebRTCConnectionMixin

    import fastrtc

    stream = fastrtc.Stream(fastrtc.ReplyOnPause(lambda audio: iter(())), modality="audio")
    handler: HandlerType = stream.event_handler
    assert isinstance(stream, WebRTCConnectionMixin)
    assert isinstance(handler, StreamHandlerImpl)


def test_other_names_and_paths_are_missing_as_usual() -> None:
    utils = import_module("fastrtc.utils")
    with pytest.raises(AttributeError, match=r"fastrtc\.utils.*nonsense"):
        _ = utils.nonsense
    with pytest.raises(ModuleNotFoundError):
        import_module("fastrtc.nonsense")
