"""How often examples/talk gives the right answer: ``python benchmarks/speech/commands.py``.

eSpeak NG says each command with several voices at several speeds; white noise is added. That is
a machine's voice: it says how the grammar and the noise matter, not how well a person is heard.
"""

import argparse
import random
import sys
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2] / "examples" / "talk"))

from phrases import GRAMMAR, answer

from fastrtc import EspeakTTSOptions, get_stt_model, get_tts_model
from fastrtc.speech.sphinx import DEFAULT_FIT
from fastrtc.speech.stt import STTAudio

COMMANDS = """
    hello / good morning / how are you / what time is it / what time is it now / tell me the time
    what day is it / what day is it today / count to two / count to three / count to five
    count to eight / count to ten / roll a die / throw the dice / please roll two dice
    repeat after me hello world / repeat after me good morning london / repeat after me thank you
    repeat after me purple coffee monday / stop / stop it / be quiet / goodbye
"""
OTHERS = """
    my name is peter / i would like a cup of coffee / tomorrow will be sunny / open the door
    what is the capital of france / tell me a joke / the weather is nice / who won the game
    can you help me with this / i have no idea what to say
"""
VOICES = ["en-us", "en-us+f2", "en-us+f4", "en-us+m3", "en", "en-gb-scotland"]
RATES_WPM = [130, 160, 190]
SNRS_DB = [None, 20, 10, 5]
RATE_HZ = 22_050
SILENCE = np.zeros(RATE_HZ // 2)


def reaction(heard: str) -> str:
    """What the example says to it, on a fixed day with fixed dice."""
    return answer(heard, datetime(2026, 1, 1), random.Random(1))


def sentences(text: str) -> list[str]:
    """Those of a text, which are set apart by slashes and lines."""
    return [part.strip() for line in text.split("\n") for part in line.split("/") if part.strip()]


def spoken(noise: np.random.Generator, text: str, snr_db: int | None) -> Iterator[STTAudio]:
    """A sentence in all voices at all speeds, with noise."""
    voice = get_tts_model("espeak")
    for name in VOICES:
        for rate_wpm in RATES_WPM:
            _, samples = voice.tts(text, EspeakTTSOptions(name, rate_wpm))
            padded = np.concatenate([SILENCE, samples * 0.5, SILENCE])
            if snr_db is not None:
                level = np.sqrt(np.mean(np.square(samples * 0.5))) / 10 ** (snr_db / 20)
                padded = padded + noise.normal(0, level, len(padded))
            yield RATE_HZ, np.clip(padded, -32768, 32767).astype(np.int16)


def main() -> None:
    """Prints, for each signal-to-noise ratio, what was understood and what was refused."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--min-fit", type=float, default=DEFAULT_FIT)
    ears = get_stt_model("pocketsphinx", grammar=GRAMMAR, min_fit=parser.parse_args().min_fit)
    noise = np.random.default_rng(0)
    for snr_db in SNRS_DB:
        heard = Counter(
            (said, ears.stt(audio))
            for said in sentences(COMMANDS)
            for audio in spoken(noise, said, snr_db)
        )
        right = sum(
            times for (said, got), times in heard.items() if reaction(said) == reaction(got)
        )
        refused = sum(times for (_, got), times in heard.items() if not got)
        others = [
            ears.stt(audio) for said in sentences(OTHERS) for audio in spoken(noise, said, snr_db)
        ]
        total = heard.total()
        print(
            f"{'no noise' if snr_db is None else f'{snr_db} dB SNR'}: commands answered right "
            f"{100 * right / total:.1f} %, refused {100 * refused / total:.1f} %, taken for others "
            f"{100 * (total - right - refused) / total:.1f} %; other sentences refused "
            f"{100 * others.count('') / len(others):.1f} % (of {total} and {len(others)})",
            flush=True,
        )


if __name__ == "__main__":
    main()
