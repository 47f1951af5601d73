"""The module paths of FastRTC 0.0.34, as one table and the finder that serves it.

The only compatibility layer of the package; no other file knows of it. A module that lives on
under its old name is not in the table.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any, Final

__all__ = ["AUDIO_PTIME", "TABLE", "LegacyFinder", "install", "split_output"]

AUDIO_PTIME: Final = 0.020
"""Seconds of a frame of audio, as the original's ``utils`` has it."""

TABLE: Final[dict[str, dict[str, str]]] = {
    "fastrtc.pause_detection": {
        "ModelOptions": "fastrtc.turns.options",
        "PauseDetectionModel": "fastrtc.turns.protocol",
        "SileroVADModel": "fastrtc.turns.silero",
        "SileroVadOptions": "fastrtc.turns.options",
        "get_silero_model": "fastrtc.turns.silero",
    },
    "fastrtc.pause_detection.protocol": {
        "AudioChunk": "fastrtc.turns.protocol:SpeechChunk",
        "ModelOptions": "fastrtc.turns.options",
        "PauseDetectionModel": "fastrtc.turns.protocol",
    },
    "fastrtc.pause_detection.silero": {
        "AudioChunk": "fastrtc.turns.protocol:SpeechChunk",
        "PauseDetectionModel": "fastrtc.turns.protocol",
        "SileroVADModel": "fastrtc.turns.silero",
        "SileroVadOptions": "fastrtc.turns.options",
        "audio_to_float32": "fastrtc.audio.convert",
        "get_silero_model": "fastrtc.turns.silero",
    },
    "fastrtc.reply_on_pause": {
        "AdditionalOutputs": "fastrtc.handlers.outputs",
        "AlgoOptions": "fastrtc.turns.options",
        "AppState": "fastrtc.handlers.app_state",
        "EmitType": "fastrtc.handlers.outputs:AudioEmitType",
        "ModelOptions": "fastrtc.turns.options",
        "PauseDetectionModel": "fastrtc.turns.protocol",
        "ReplyFnGenerator": "fastrtc.handlers.app_state",
        "ReplyOnPause": "fastrtc.handlers.reply_on_pause",
        "StreamHandler": "fastrtc.handlers.base",
        "WebRTCData": "fastrtc.types",
        "create_message": "fastrtc.wire.messages",
        "get_silero_model": "fastrtc.turns.silero",
        "split_output": "fastrtc.legacy",
    },
    "fastrtc.reply_on_stopwords": {
        "AlgoOptions": "fastrtc.turns.options",
        "AppState": "fastrtc.handlers.app_state",
        "ModelOptions": "fastrtc.turns.options",
        "PauseDetectionModel": "fastrtc.turns.protocol",
        "ReplyFnGenerator": "fastrtc.handlers.app_state",
        "ReplyOnPause": "fastrtc.handlers.reply_on_pause",
        "ReplyOnStopWords": "fastrtc.handlers.reply_on_stopwords",
        "ReplyOnStopWordsState": "fastrtc.handlers.reply_on_stopwords",
        "audio_to_float32": "fastrtc.audio.convert",
        "create_message": "fastrtc.wire.messages",
        "get_silero_model": "fastrtc.turns.silero",
        "get_stt_model": "fastrtc.speech.stt",
        "stt_for_chunks": "fastrtc.speech.stt",
    },
    "fastrtc.utils": {
        "AUDIO_PTIME": "fastrtc.legacy",
        "AdditionalOutputs": "fastrtc.handlers.outputs",
        "AudioChunk": "fastrtc.turns.protocol:SpeechChunk",
        "CloseStream": "fastrtc.handlers.outputs",
        "Context": "fastrtc.session.context",
        "DataChannel": "fastrtc.types",
        "RTCConfigurationCallable": "fastrtc.types:RTCConfiguration",
        "Warning": "fastrtc.session.context",
        "WebRTCData": "fastrtc.types",
        "WebRTCError": "fastrtc.errors",
        "aggregate_bytes_to_16bit": "fastrtc.audio.aggregate",
        "async_aggregate_bytes_to_16bit": "fastrtc.audio.aggregate",
        "audio_to_bytes": "fastrtc.audio.files",
        "audio_to_file": "fastrtc.audio.files",
        "audio_to_float32": "fastrtc.audio.convert",
        "audio_to_int16": "fastrtc.audio.convert",
        "create_message": "fastrtc.wire.messages",
        "current_context": "fastrtc.session.context",
        "get_current_context": "fastrtc.session.context",
        "split_output": "fastrtc.legacy",
        "wait_for_item": "fastrtc.handlers.waiting",
    },
    "fastrtc.speech_to_text": {
        "MoonshineSTT": "fastrtc.speech.moonshine",
        "get_stt_model": "fastrtc.speech.stt",
        "stt_for_chunks": "fastrtc.speech.stt",
    },
    "fastrtc.speech_to_text.stt_": {
        "MoonshineSTT": "fastrtc.speech.moonshine",
        "AudioChunk": "fastrtc.turns.protocol:SpeechChunk",
        "STTModel": "fastrtc.speech.stt",
        "audio_to_float32": "fastrtc.audio.convert",
        "get_stt_model": "fastrtc.speech.stt",
        "stt_for_chunks": "fastrtc.speech.stt",
    },
    "fastrtc.text_to_speech": {
        "CartesiaTTSOptions": "fastrtc.speech.cartesia",
        "KokoroTTSOptions": "fastrtc.speech.kokoro",
        "get_tts_model": "fastrtc.speech.tts",
    },
    "fastrtc.text_to_speech.tts": {
        "CartesiaTTSModel": "fastrtc.speech.cartesia",
        "CartesiaTTSOptions": "fastrtc.speech.cartesia",
        "KokoroTTSModel": "fastrtc.speech.kokoro",
        "KokoroTTSOptions": "fastrtc.speech.kokoro",
        "TTSModel": "fastrtc.speech.tts",
        "TTSOptions": "fastrtc.speech.tts",
        "async_aggregate_bytes_to_16bit": "fastrtc.audio.aggregate",
        "get_tts_model": "fastrtc.speech.tts",
    },
    "fastrtc.tracks": {
        "AdditionalOutputs": "fastrtc.handlers.outputs",
        "AsyncAudioVideoStreamHandler": "fastrtc.handlers.audio_video",
        "AsyncHandler": "fastrtc.handlers.base:AsyncStreamHandler",
        "AsyncStreamHandler": "fastrtc.handlers.base",
        "AudioEmitType": "fastrtc.handlers.outputs",
        "AudioVideoStreamHandler": "fastrtc.handlers.audio_video",
        "CloseStream": "fastrtc.handlers.outputs",
        "Context": "fastrtc.session.context",
        "DataChannel": "fastrtc.types",
        "EmitType": "fastrtc.handlers.outputs:AudioEmitType",
        "HandlerType": "typing:Any",
        "StreamHandler": "fastrtc.handlers.base",
        "StreamHandlerBase": "fastrtc.handlers.base",
        "StreamHandlerImpl": "fastrtc.handlers.base:StreamHandlerBase",
        "VideoEmitType": "fastrtc.handlers.video",
        "VideoEventGenerator": "fastrtc.handlers.video",
        "VideoEventHandler": "fastrtc.handlers.video",
        "VideoStreamHandler": "fastrtc.handlers.video",
        "WebRTCData": "fastrtc.types",
        "WebRTCError": "fastrtc.errors",
        "create_message": "fastrtc.wire.messages",
        "current_context": "fastrtc.session.context",
        "split_output": "fastrtc.legacy",
    },
    "fastrtc.webrtc": {
        "RTCConfigurationCallable": "fastrtc.types:RTCConfiguration",
        "StreamHandler": "fastrtc.handlers.base",
        "StreamHandlerBase": "fastrtc.handlers.base",
        "VideoEventHandler": "fastrtc.handlers.video",
        "VideoStreamHandler": "fastrtc.handlers.video",
        "WebRTC": "fastrtc.ui",
        "WebRTCData": "fastrtc.types",
    },
    "fastrtc.webrtc_connection_mixin": {
        "AdditionalOutputs": "fastrtc.handlers.outputs",
        "Context": "fastrtc.session.context",
        "HandlerType": "typing:Any",
        "RTCConfigurationCallable": "fastrtc.types:RTCConfiguration",
        "StreamHandlerImpl": "fastrtc.handlers.base:StreamHandlerBase",
        "VideoEventHandler": "fastrtc.handlers.video",
        "VideoStreamHandler": "fastrtc.handlers.video",
        "WebRTCConnectionMixin": "fastrtc.stream:Stream",
        "WebRTCData": "fastrtc.types",
        "create_message": "fastrtc.wire.messages",
    },
    "fastrtc.websocket": {
        "AdditionalOutputs": "fastrtc.handlers.outputs",
        "AsyncStreamHandler": "fastrtc.handlers.base",
        "CloseStream": "fastrtc.handlers.outputs",
        "Context": "fastrtc.session.context",
        "DataChannel": "fastrtc.types",
        "StreamHandlerImpl": "fastrtc.handlers.base:StreamHandlerBase",
        "audio_to_float32": "fastrtc.audio.convert",
        "audio_to_int16": "fastrtc.audio.convert",
        "convert_to_mulaw": "fastrtc.audio.codecs",
        "current_context": "fastrtc.session.context",
        "split_output": "fastrtc.legacy",
    },
}
"""Old module -> name -> the module it lives in now, with ``:name`` where it is called otherwise."""


class LegacyFinder(MetaPathFinder, Loader):
    """Serves the modules of the table; their names are looked up when they are used."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """A spec for a module of the table, None for any other."""
        if fullname not in TABLE:
            return None
        has_modules = any(path.startswith(f"{fullname}.") for path in TABLE)
        return ModuleSpec(fullname, self, is_package=has_modules)

    def exec_module(self, module: ModuleType) -> None:
        """Gives the module its names, each loaded with its first use."""
        names = TABLE[module.__name__]

        def load(name: str) -> Any:
            if name not in names:
                raise AttributeError(f"module {module.__name__!r} has no attribute {name!r}")
            home, _, renamed = names[name].partition(":")
            value = getattr(import_module(home), renamed or name)
            setattr(module, name, value)
            return value

        module.__doc__ = "Names of FastRTC 0.0.34, kept for code that imports them from here."
        module.__dict__["__all__"] = sorted(names)
        module.__dict__["__getattr__"] = load
        module.__dict__["__dir__"] = lambda: sorted(names)


def split_output(data: Any) -> tuple[Any, Any]:
    """Media, and the ``AdditionalOutputs`` or ``CloseStream`` beside it, each None if it is not
    there."""
    from fastrtc.handlers.outputs import split_outputs

    outputs = split_outputs(data)
    return outputs.media, outputs.additional or outputs.close


def install() -> None:
    """Makes the old paths importable; idempotent."""
    if not any(isinstance(finder, LegacyFinder) for finder in sys.meta_path):
        sys.meta_path.append(LegacyFinder())
