"""How often examples/talk gives the right answer: ``python benchmarks/speech/commands.py``.

eSpeak NG says each command with several voices at several speeds; white noise is added. That is
a machine's voice: it says how the grammar and the noise matter, not how well a person is heard.
"""

import random
import sys
from collections import Counter
from datetime import datetime
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2] / "examples" / "talk"))

from conversation import GRAMMAR, answer
from fastrtc import EspeakTTSOptions, get_stt_model, get_tts_model

COMMANDS = """
    hello / good morning / how are you / what time is it / what time is it now / tell me the time
    what day is it / what day is it today / count to two / count to three / count to five
    count to eight / count to ten / roll a die / throw the dice / please roll two dice
    repeat after me hello world / repeat after me good morning london / repeat after me thank you
    repeat after me purple coffee monday / stop / stop it / be quiet / goodbye
"""
VOICES = ["en-us", "en-us+f2", "en-us+f4", "en-us+m3", "en", "en-gb-scotland"]
RATES_WPM = [130, 160, 190]
SNRS_DB = [None, 20, 10, 5]
RATE_HZ = 22_050
SILENCE = np.zeros(RATE_HZ // 2)


def reaction(heard: str) -> str:
    """What the example says to it, on a fixed day with fixed dice."""
    return answer(heard, datetime(2026, 1, 1), random.Random(1))


def main() -> None:
    """Prints one line for each signal-to-noise ratio."""
    ears = get_stt_model("pocketsphinx", grammar=GRAMMAR)
    voice = get_tts_model("espeak")
    commands = [line.strip() for part in COMMANDS.split("\n") for line in part.split("/")]
    commands = [command for command in commands if command]
    noise = np.random.default_rng(0)
    for snr_db in SNRS_DB:
        right = 0
        wrong: Counter[tuple[str, str]] = Counter()
        for name in VOICES:
            for rate_wpm in RATES_WPM:
                for command in commands:
                    _, spoken = voice.tts(command, EspeakTTSOptions(name, rate_wpm))
                    samples = np.concatenate([SILENCE, spoken * 0.5, SILENCE])
                    if snr_db is not None:
                        level = np.sqrt(np.mean(np.square(spoken * 0.5))) / 10 ** (snr_db / 20)
                        samples = samples + noise.normal(0, level, len(samples))
                    clipped = np.clip(samples, -32768, 32767).astype(np.int16)
                    heard = ears.stt((RATE_HZ, clipped))
                    if reaction(heard) == reaction(command):
                        right += 1
                    else:
                        wrong[command, heard] += 1
        total = len(commands) * len(VOICES) * len(RATES_WPM)
        at = "no noise" if snr_db is None else f"{snr_db} dB SNR"
        print(f"{at}: {right} of {total} ({100 * right / total:.1f} %)", flush=True)
        for (command, heard), times in wrong.most_common(6):
            print(f"    {times} x {command!r} as {heard!r}")


if __name__ == "__main__":
    main()
