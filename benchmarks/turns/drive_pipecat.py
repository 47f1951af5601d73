"""Says scenes to pipecat's default local turn taking in virtual time; see ``run.py``.

Its own Silero analyzer and Smart Turn v3 analyzer with their default parameters, joined as its
``TurnAnalyzerUserTurnStopStrategy`` joins them without a transcript to wait for: a pause that the
VAD finds is put to the model, and three seconds of silence end any turn. Frames are 20 ms at
16 kHz, its default. The strategy's pipeline is left out; so is the time it takes.
"""

import asyncio
import json
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import soxr
from loguru import logger
from pipecat.audio.turn.base_turn_analyzer import EndOfTurnState
from pipecat.audio.turn.smart_turn import base_smart_turn
from pipecat.audio.turn.smart_turn.local_smart_turn_v3 import LocalSmartTurnAnalyzerV3
from pipecat.audio.vad.silero import SileroVADAnalyzer
from pipecat.audio.vad.vad_analyzer import VADState
from scenes import FRAME_S, RATE_HZ

MODEL_HZ = 16_000
FRAME = round(FRAME_S * MODEL_HZ)


class Clock:
    """What the analyzer asks for the time."""

    now_s = 1.0

    def module(self) -> Any:
        """Stands for the module ``time``."""
        return types.SimpleNamespace(monotonic=lambda: self.now_s, perf_counter=lambda: self.now_s)


async def main(names: list[Path]) -> None:
    """Writes for each scene when replies began."""
    logger.remove()
    clock = Clock()
    base_smart_turn.time = clock.module()
    results = {}
    for name in names:
        scene = np.load(name).astype(np.float64)
        heard = soxr.resample(scene, RATE_HZ, MODEL_HZ).clip(-32768, 32767).astype(np.int16)
        results[name.stem] = {"replies_s": await talk(heard, clock), "given": []}
    print(json.dumps(results))


async def talk(heard: Any, clock: Clock) -> list[float]:
    """One scene."""
    vad, turns = SileroVADAnalyzer(), LocalSmartTurnAnalyzerV3()
    vad.set_sample_rate(MODEL_HZ)
    turns.set_sample_rate(MODEL_HZ)
    speaking = in_turn = False
    replies = []
    for number in range(len(heard) // FRAME):
        clock.now_s += FRAME_S
        frame = heard[number * FRAME : (number + 1) * FRAME].tobytes()
        state = await vad.analyze_audio(frame)
        over = False
        if state == VADState.SPEAKING and not speaking:
            speaking = in_turn = True
            turns.update_vad_start_secs(vad.params.start_secs)
        elif state == VADState.QUIET and speaking:
            speaking = False
            verdict, _ = await turns.analyze_end_of_turn()
            over = verdict == EndOfTurnState.COMPLETE
        over = turns.append_audio(frame, speaking) == EndOfTurnState.COMPLETE or over
        if over and in_turn:
            in_turn = False
            turns.clear()
            replies.append((number + 1) * FRAME_S)
    await vad.cleanup()
    await turns.cleanup()
    return replies


if __name__ == "__main__":
    asyncio.run(main(sorted(Path(sys.argv[1]).glob("scene-*.npy"))))
