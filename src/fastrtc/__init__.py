"""fastrtc: a Python function as a live audio and video stream.

Public names are loaded when they are first used, so that importing the package costs little and
loads neither a web framework nor a model. ``__init__`` only says where each name lives.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fastrtc.audio.aggregate import aggregate_bytes_to_16bit, async_aggregate_bytes_to_16bit
    from fastrtc.audio.convert import audio_to_float32, audio_to_int16
    from fastrtc.audio.files import audio_to_bytes, audio_to_file
    from fastrtc.credentials import (
        get_cloudflare_turn_credentials,
        get_cloudflare_turn_credentials_async,
        get_hf_turn_credentials,
        get_hf_turn_credentials_async,
        get_turn_credentials,
        get_turn_credentials_async,
        get_twilio_turn_credentials,
    )
    from fastrtc.errors import WebRTCError
    from fastrtc.handlers.audio_video import (
        AsyncAudioVideoStreamHandler,
        AudioVideoStreamHandler,
    )
    from fastrtc.handlers.base import AsyncStreamHandler, StreamHandler
    from fastrtc.handlers.outputs import AdditionalOutputs, AudioEmitType, CloseStream
    from fastrtc.handlers.reply_on_pause import ReplyOnPause
    from fastrtc.handlers.reply_on_stopwords import ReplyOnStopWords
    from fastrtc.handlers.video import VideoEmitType, VideoStreamHandler
    from fastrtc.handlers.waiting import wait_for_item
    from fastrtc.session.context import Context, Warning, get_current_context
    from fastrtc.settings import configure
    from fastrtc.speech.cartesia import CartesiaTTSOptions
    from fastrtc.speech.espeak import EspeakTTSOptions
    from fastrtc.speech.kokoro import KokoroTTSOptions
    from fastrtc.speech.moonshine import MoonshineSTT
    from fastrtc.speech.stt import get_stt_model, stt_for_chunks
    from fastrtc.speech.tts import get_tts_model
    from fastrtc.stream import Stream
    from fastrtc.turns.options import AlgoOptions, ModelOptions, SileroVadOptions
    from fastrtc.turns.protocol import PauseDetectionModel
    from fastrtc.turns.silero import get_silero_model
    from fastrtc.turns.smart_turn import get_smart_turn_model
    from fastrtc.types import UIArgs, WebRTCData
    from fastrtc.ui import WebRTC
    from fastrtc.wire.messages import create_message

_HOMES = {
    "AdditionalOutputs": "handlers.outputs",
    "AlgoOptions": "turns.options",
    "AsyncAudioVideoStreamHandler": "handlers.audio_video",
    "AsyncStreamHandler": "handlers.base",
    "AudioEmitType": "handlers.outputs",
    "AudioVideoStreamHandler": "handlers.audio_video",
    "CartesiaTTSOptions": "speech.cartesia",
    "CloseStream": "handlers.outputs",
    "Context": "session.context",
    "EspeakTTSOptions": "speech.espeak",
    "KokoroTTSOptions": "speech.kokoro",
    "ModelOptions": "turns.options",
    "MoonshineSTT": "speech.moonshine",
    "PauseDetectionModel": "turns.protocol",
    "ReplyOnPause": "handlers.reply_on_pause",
    "ReplyOnStopWords": "handlers.reply_on_stopwords",
    "SileroVadOptions": "turns.options",
    "Stream": "stream",
    "StreamHandler": "handlers.base",
    "UIArgs": "types",
    "VideoEmitType": "handlers.video",
    "VideoStreamHandler": "handlers.video",
    "Warning": "session.context",
    "WebRTC": "ui",
    "WebRTCData": "types",
    "WebRTCError": "errors",
    "aggregate_bytes_to_16bit": "audio.aggregate",
    "async_aggregate_bytes_to_16bit": "audio.aggregate",
    "audio_to_bytes": "audio.files",
    "audio_to_file": "audio.files",
    "audio_to_float32": "audio.convert",
    "audio_to_int16": "audio.convert",
    "configure": "settings",
    "create_message": "wire.messages",
    "get_cloudflare_turn_credentials": "credentials",
    "get_cloudflare_turn_credentials_async": "credentials",
    "get_current_context": "session.context",
    "get_hf_turn_credentials": "credentials",
    "get_hf_turn_credentials_async": "credentials",
    "get_silero_model": "turns.silero",
    "get_smart_turn_model": "turns.smart_turn",
    "get_stt_model": "speech.stt",
    "get_tts_model": "speech.tts",
    "get_turn_credentials": "credentials",
    "get_turn_credentials_async": "credentials",
    "get_twilio_turn_credentials": "credentials",
    "stt_for_chunks": "speech.stt",
    "wait_for_item": "handlers.waiting",
}

__all__ = [
    "AdditionalOutputs",
    "AlgoOptions",
    "AsyncAudioVideoStreamHandler",
    "AsyncStreamHandler",
    "AudioEmitType",
    "AudioVideoStreamHandler",
    "CartesiaTTSOptions",
    "CloseStream",
    "Context",
    "EspeakTTSOptions",
    "KokoroTTSOptions",
    "ModelOptions",
    "MoonshineSTT",
    "PauseDetectionModel",
    "ReplyOnPause",
    "ReplyOnStopWords",
    "SileroVadOptions",
    "Stream",
    "StreamHandler",
    "UIArgs",
    "VideoEmitType",
    "VideoStreamHandler",
    "Warning",
    "WebRTC",
    "WebRTCData",
    "WebRTCError",
    "aggregate_bytes_to_16bit",
    "async_aggregate_bytes_to_16bit",
    "audio_to_bytes",
    "audio_to_file",
    "audio_to_float32",
    "audio_to_int16",
    "configure",
    "create_message",
    "get_cloudflare_turn_credentials",
    "get_cloudflare_turn_credentials_async",
    "get_current_context",
    "get_hf_turn_credentials",
    "get_hf_turn_credentials_async",
    "get_silero_model",
    "get_smart_turn_model",
    "get_stt_model",
    "get_tts_model",
    "get_turn_credentials",
    "get_turn_credentials_async",
    "get_twilio_turn_credentials",
    "stt_for_chunks",
    "wait_for_item",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


import_module("fastrtc.legacy").install()
