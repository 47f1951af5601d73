"""From the first sound of an interrupting caller to silence at his ear, by telephone.

``python benchmarks/doors/barge_in.py`` takes about a minute and a half. Simulated phones call a
``ReplyOnPause`` on loopback; each has a buffer that it plays at 8 kHz in real time, and obeys
``clear``. Recorded sentences are spoken into its replies. The ear is sampled every 20 ms.
"""

import argparse
import asyncio
import sys
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE.parents[1] / "tests")]

from contenders import ours  # noqa: E402
from e2e.server import Server  # noqa: E402
from fastrtc.audio.rates import Resampler  # noqa: E402
from phones import TICK_S, Exotel, Phone, Plivo, Telnyx, Twilio, Vonage  # noqa: E402
from wavs import read_wav  # noqa: E402

SPEECH = HERE.parents[1] / "tests" / "data" / "austen-0880.wav"
ONSET = 1500
"""The amplitude with which the recorded sentence begins."""
LOUD = 1000
BUDGET_S = 0.3
REPLY_S = 15.0
AT_ONCE = 2
PHONES: dict[str, type[Phone]] = {
    phone.__name__.lower(): phone for phone in (Twilio, Telnyx, Plivo, Vonage, Exotel)
}


async def interrupt(make: type[Phone], url: str, times: int, number: int) -> list[float]:
    """Seconds until silence, of each of a caller's interruptions."""
    samples, wav_hz = read_wav(SPEECH)
    said = Resampler(wav_hz, make.rate_hz).push(samples)
    onset_s = int(np.argmax(np.abs(said) > ONSET)) / make.rate_hz
    phone = make(url)
    phone.id = f"barge-in-{number}"
    silent_s = []
    async with phone:
        phone.say(said)
        for turn in range(times):
            await until(phone, len(phone.heard) + len(phone._saying), loud=True)
            # At another phase of the reply's pieces each time.
            await asyncio.sleep(0.4 + 0.037 * (turn % 7))
            first = len(phone.heard) + round(onset_s / TICK_S)
            phone.say(said)
            silent = await until(phone, first, loud=False)
            silent_s.append((silent - first) * TICK_S)
    return silent_s


async def until(phone: Phone, first: int, *, loud: bool) -> int:
    """The number of the first frame at the ear, from ``first`` on, that is loud or silent."""
    number = first
    async with asyncio.timeout(REPLY_S):
        while True:
            while number < len(phone.heard):
                if bool(np.abs(phone.heard[number].astype(int)).max() > LOUD) == loud:
                    return number
                number += 1
            await asyncio.sleep(TICK_S)


async def call(make: type[Phone], url: str, times: int) -> list[float]:
    """All interruptions, by a few callers at once."""
    each = -(-times // AT_ONCE)
    calls: list[Any] = [interrupt(make, url, each, number) for number in range(AT_ONCE)]
    return [silent_s for found in await asyncio.gather(*calls) for silent_s in found]


def main() -> None:
    """Calls and prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--provider", choices=PHONES, default="twilio")
    parser.add_argument("--times", type=int, default=24, help="interruptions")
    options = parser.parse_args()
    with Server("apps.monologue:app", ours().environment()) as server:
        url = f"ws://127.0.0.1:{server.port}/telephone/handler"
        silent_ms = 1000 * np.array(asyncio.run(call(PHONES[options.provider], url, options.times)))
    median, late = np.percentile(silent_ms, [50, 95])
    verdict = "kept" if late <= 1000 * BUDGET_S else "MISSED"
    print(
        f"{options.provider}: {len(silent_ms)} interruptions, onset to silence at the ear: median "
        f"{median:.0f} ms, p95 {late:.0f} ms, longest {silent_ms.max():.0f} ms "
        f"(budget {1000 * BUDGET_S:.0f} ms for the p95: {verdict})"
    )


if __name__ == "__main__":
    main()
