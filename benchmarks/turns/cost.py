"""What the models of turn taking cost: CPU per window, per listening stream, per question.

``python benchmarks/turns/cost.py [--seconds 5]``; prints JSON. Streams are fed in real time, frames
of 20 ms at 48 kHz, without a network: resampling, hand-over to the model's thread, model, and the
way back are in the figure.
"""

import argparse
import asyncio
import json
import time
import wave
from pathlib import Path
from typing import Any

import numpy as np

from fastrtc.audio.resample import resample
from fastrtc.turns.silero import get_silero_model
from fastrtc.turns.smart_turn import get_smart_turn_model
from fastrtc.turns.vad_engine import open_vad

SPEECH = Path(__file__).resolve().parents[2] / "tests" / "data" / "austen-0870.wav"
RATE_HZ = 48_000
FRAME = RATE_HZ // 50
WINDOW = 512


def speech() -> Any:
    """The clip at 16 kHz, float32."""
    with wave.open(str(SPEECH)) as file:
        samples = np.frombuffer(file.readframes(-1), np.int16)
    return samples.astype(np.float32) / 32768


def us_per_window(streams: int, rounds: int) -> float:
    """CPU of the model alone, so many streams answered at once."""
    model = get_silero_model()
    windows = list(speech()[: 40 * WINDOW].reshape(-1, WINDOW))
    listening = [model.stream() for _ in range(streams)]
    model.push_many(listening, [windows[0]] * streams)
    spent_s = time.thread_time()
    for turn in range(rounds):
        model.push_many(listening, [windows[(turn + i) % 40] for i in range(streams)])
    return (time.thread_time() - spent_s) / rounds / streams * 1e6


def room(seconds: float) -> Any:
    """A microphone's noise when nobody speaks, -50 dBFS."""
    return np.random.default_rng(1).normal(0, 100, int(seconds * RATE_HZ)).astype(np.int16)


async def listening(streams: int, seconds: float, sound: Any) -> dict[str, float]:
    """Share of a core, and how late answers are, for streams fed in real time."""
    frames = [sound[at : at + FRAME] for at in range(0, len(sound) - FRAME, FRAME)]
    loop = asyncio.get_running_loop()
    pushed_s = [0.0] * streams
    late_ms: list[float] = []
    errors: list[BaseException] = []

    def deliver(stream: int) -> Any:
        return lambda _: late_ms.append((loop.time() - pushed_s[stream]) * 1e3)

    feeds = [
        open_vad(get_silero_model(), RATE_HZ, deliver=deliver(i), on_error=errors.append)
        for i in range(streams)
    ]

    async def talk(stream: int, start_s: float) -> None:
        for number in range(int(seconds * 50)):
            await asyncio.sleep(start_s + number * 0.02 - loop.time())
            pushed_s[stream] = loop.time()
            feeds[stream].push(frames[(number + 7 * stream) % len(frames)])

    async def wait(stream: int, start_s: float) -> None:
        for number in range(int(seconds * 50)):
            await asyncio.sleep(start_s + number * 0.02 - loop.time())
            pushed_s[stream] = loop.time()

    async def everyone(act: Any) -> float:
        start_s = loop.time() + 0.1
        spent_s = time.process_time()
        await asyncio.gather(*(act(i, start_s + i * 0.02 / streams) for i in range(streams)))
        return time.process_time() - spent_s

    spent_s = await everyone(talk) - await everyone(wait)
    for feed in feeds:
        feed.close()
    if errors:
        raise errors[0]
    return {
        "core_share_per_stream": spent_s / seconds / streams,
        "answer_ms_p50": float(np.percentile(late_ms, 50)),
        "answer_ms_p99": float(np.percentile(late_ms, 99)),
    }


def smart_turn_ms(times: int) -> float:
    """CPU of one question about the whole clip."""
    model = get_smart_turn_model()
    audio = (16_000, (speech() * 32767).astype(np.int16)[None])
    spent_s = time.thread_time()
    for _ in range(times):
        model.complete(audio)
    return (time.thread_time() - spent_s) / times * 1e3


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.0)
    seconds = parser.parse_args().seconds
    spoken = (resample(speech(), 16_000, RATE_HZ) * 32767).astype(np.int16)
    counts = (1, 10, 50, 200)
    figures: dict[str, Any] = {
        "silero_us_per_window": {n: us_per_window(n, max(10, 2000 // n)) for n in counts},
        "nobody_speaks": {n: asyncio.run(listening(n, seconds, room(2))) for n in counts},
        "everybody_speaks": {n: asyncio.run(listening(n, seconds, spoken)) for n in counts},
        "smart_turn_ms": smart_turn_ms(20),
    }
    print(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
