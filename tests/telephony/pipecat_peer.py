"""Pipecat's serializers at the other end of a pipe: JSON lines in, JSON lines out.

Run in a process of its own, with ``.tools/pipecat`` on its path, so that nothing of pipecat is
loaded beside what is tested. Each line names a provider and what to do: "audio" (16-bit PCM in
base64) and "clear" are answered with the message that pipecat sends, "read" with what it takes the
provider's message for.
"""

from __future__ import annotations

import asyncio
import base64
import json
import sys
from typing import Any

from loguru import logger
from pipecat.frames.frames import (
    InputAudioRawFrame,
    InputDTMFFrame,
    InterruptionFrame,
    OutputAudioRawFrame,
)
from pipecat.serializers.exotel import ExotelFrameSerializer
from pipecat.serializers.plivo import PlivoFrameSerializer
from pipecat.serializers.telnyx import TelnyxFrameSerializer
from pipecat.serializers.twilio import TwilioFrameSerializer
from pipecat.serializers.vonage import VonageFrameSerializer


def serializer_of(provider: str, stream_id: str, rate_hz: int) -> Any:
    """Set to the line's own rate, so that it does not resample."""
    kept: dict[str, Any] = {"sample_rate": rate_hz}
    silent: dict[str, Any] = {**kept, "auto_hang_up": False}
    if provider == "twilio":
        params = TwilioFrameSerializer.InputParams(**silent)
        return TwilioFrameSerializer(stream_id, params=params)
    if provider == "telnyx":
        telnyx = TelnyxFrameSerializer.InputParams(**silent)
        return TelnyxFrameSerializer(stream_id, "PCMU", "PCMU", params=telnyx)
    if provider == "plivo":
        return PlivoFrameSerializer(stream_id, params=PlivoFrameSerializer.InputParams(**silent))
    if provider == "vonage":
        vonage = VonageFrameSerializer.InputParams(**kept, vonage_sample_rate=rate_hz)
        return VonageFrameSerializer(vonage)
    return ExotelFrameSerializer(stream_id, params=ExotelFrameSerializer.InputParams(**kept))


def to_text(message: str | bytes | None) -> dict[str, Any]:
    """A message as JSON can carry it."""
    if isinstance(message, bytes):
        return {"bytes": base64.b64encode(message).decode()}
    return {"text": message}


async def answer(request: dict[str, Any]) -> dict[str, Any]:
    """What pipecat makes of one line."""
    rate_hz = request["rate_hz"]
    serializer = serializer_of(request["provider"], request["id"], rate_hz)

    class Setup:
        audio_in_sample_rate = rate_hz

    await serializer.setup(Setup())
    if request["do"] == "clear":
        return to_text(await serializer.serialize(InterruptionFrame()))
    if request["do"] == "audio":
        pcm = base64.b64decode(request["pcm"])
        frame = OutputAudioRawFrame(audio=pcm, sample_rate=rate_hz, num_channels=1)
        return to_text(await serializer.serialize(frame))
    message = request.get("text")
    if message is None:
        message = base64.b64decode(request["bytes"])
    read = await serializer.deserialize(message)
    if isinstance(read, InputDTMFFrame):
        return {"digit": read.button.value}
    if isinstance(read, InputAudioRawFrame):
        return {"pcm": base64.b64encode(read.audio).decode(), "rate_hz": read.sample_rate}
    return {"nothing": type(read).__name__}


def main() -> None:
    """Answers until standard input ends."""
    logger.remove()
    with asyncio.Runner() as runner:
        for line in sys.stdin:
            print(json.dumps(runner.run(answer(json.loads(line)))), flush=True)


if __name__ == "__main__":
    main()
