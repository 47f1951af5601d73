"""The app of ``chromium.py`` for pipecat: its default local turn taking, and an echo.

SmallWebRTCTransport, Silero and Smart Turn v3 with their default parameters. Nobody transcribes
here, so the end of a turn waits for no transcript, as in its mode for realtime models.
"""

import asyncio
import itertools
import sys
from typing import Any

from fastapi import FastAPI
from loguru import logger
from pipecat.audio.turn.smart_turn.local_smart_turn_v3 import LocalSmartTurnAnalyzerV3
from pipecat.audio.vad.silero import SileroVADAnalyzer
from pipecat.frames.frames import (
    Frame,
    InputAudioRawFrame,
    OutputAudioRawFrame,
    TTSAudioRawFrame,
    UserStoppedSpeakingFrame,
)
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineWorker
from pipecat.processors.audio.vad_processor import VADProcessor
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.transports.base_transport import TransportParams
from pipecat.transports.smallwebrtc.connection import SmallWebRTCConnection
from pipecat.transports.smallwebrtc.transport import SmallWebRTCTransport
from pipecat.turns.user_stop import TurnAnalyzerUserTurnStopStrategy
from pipecat.turns.user_turn_processor import UserTurnProcessor
from pipecat.turns.user_turn_strategies import UserTurnStrategies
from pipecat.workers.runner import WorkerRunner

from turns import tones

logger.remove()
logger.add(sys.stderr, level="WARNING")
numbers = itertools.count()
app = FastAPI()
running: set[asyncio.Task[None]] = set()


class Answer(FrameProcessor):
    """Answers each turn with a tone."""

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        await self.push_frame(frame, direction)
        if isinstance(frame, UserStoppedSpeakingFrame) and direction == FrameDirection.DOWNSTREAM:
            for piece in tones.reply(next(numbers)):
                await self.push_frame(TTSAudioRawFrame(piece.tobytes(), tones.OUT_HZ, 1))


class Echo(FrameProcessor):
    """Says back what it hears."""

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if isinstance(frame, InputAudioRawFrame):
            frame = OutputAudioRawFrame(frame.audio, frame.sample_rate, frame.num_channels)
        await self.push_frame(frame, direction)


def turn_taking() -> list[FrameProcessor]:
    """The defaults, but for the transcript."""
    stop = TurnAnalyzerUserTurnStopStrategy(
        turn_analyzer=LocalSmartTurnAnalyzerV3(), wait_for_transcript=False
    )
    return [
        VADProcessor(vad_analyzer=SileroVADAnalyzer()),
        UserTurnProcessor(user_turn_strategies=UserTurnStrategies(stop=[stop])),
        Answer(),
    ]


async def answer(offer: dict[str, Any], processors: list[FrameProcessor]) -> dict[str, Any]:
    """Runs a bot for this client; returns the answer to its offer."""
    connection = SmallWebRTCConnection()
    await connection.initialize(sdp=offer["sdp"], type=offer["type"])
    params = TransportParams(audio_in_enabled=True, audio_out_enabled=True)
    transport = SmallWebRTCTransport(webrtc_connection=connection, params=params)
    worker = PipelineWorker(Pipeline([transport.input(), *processors, transport.output()]))

    @transport.event_handler("on_client_disconnected")
    async def leave(*_: Any) -> None:
        await worker.cancel()

    runner = WorkerRunner(handle_sigint=False)
    await runner.add_workers(worker)
    task = asyncio.create_task(runner.run())
    running.add(task)
    task.add_done_callback(running.discard)
    await connection.connect()
    described: dict[str, Any] = connection.get_answer()
    return described


@app.post("/webrtc/offer")
async def talk(offer: dict[str, Any]) -> dict[str, Any]:
    """A conversation."""
    return await answer(offer, turn_taking())


@app.post("/echo/webrtc/offer")
async def echo(offer: dict[str, Any]) -> dict[str, Any]:
    """An echo."""
    return await answer(offer, [Echo()])
