"""Turn taking through a real Chromium: ``python benchmarks/turns/chromium.py [--quick]``.

Each library runs in a server process of its own. The browser's microphone plays recorded speech
(``tape.py``), the bot answers with tones (``tones.py``) into which the next turn speaks, and the
page records microphone and returned sound on one clock. The echo round trip that the budgets name
is measured on the same server just before. The table is printed; all figures go to
``benchmarks/results/``.
"""

import argparse
import io
import json
import os
import sys
import time
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE.parents[1] / "tests")]

from contenders import PIPECAT, Contender, installed, original, ours  # noqa: E402
from e2e import sound  # noqa: E402
from e2e.browser import Chromium  # noqa: E402
from e2e.server import Server  # noqa: E402
from measures import WEIGHTS, median  # noqa: E402
from turns.report import render  # noqa: E402
from turns.tape import Tape, places, tapes  # noqa: E402
from turns.tones import tones  # noqa: E402

RESULTS = HERE.parent / "results"
SETTLE_S = 5.0
"""A browser's jitter buffer needs so long to find its size."""
INCOMPLETE_MS = 2000.0
"""Pipecat answers what Smart Turn finds incomplete after 3 s of silence, and all else sooner."""
EARLIEST_S = 0.15
"""So long before the end of speech, as the tape has it, the model may find a turn complete."""
SPARE_S = 2.0
"""A tape takes a busy browser longer than it is."""


@dataclass
class Figures:
    """What one library did with the turns of all tapes; times in milliseconds."""

    echo_ms: list[float] = field(default_factory=list)
    turns: list[dict[str, Any]] = field(default_factory=list)
    """For each turn its ``condition``, whether it was ``recorded`` and, where there are any, the
    first reply's ``reply_ms`` after its end, ``early`` replies within it, ``more`` replies after
    the first one, ``silent_ms`` after its beginning, what our server noted, and whether Smart Turn
    found it ``complete``."""

    def of(self, key: str, condition: str = "") -> list[float]:
        """One figure of each turn that has it."""
        return [
            turn[key]
            for turn in self.turns
            if turn.get(key) is not None and turn["condition"].startswith(condition)
        ]


def contenders() -> dict[str, tuple[Contender, str, dict[str, str]]]:
    """Name, library, app and its environment; the first call installs the others."""
    pipecat = Contender("pipecat", str(installed("pipecat", PIPECAT)), PIPECAT)
    # As a user runs it: a browser that has a microphone does not use the loopback address.
    mine = {"FASTRTC_INTERFACES": ""}
    return {
        "FastRTC 0.0.34": (original(), "serve_reply", {"TURNS_WEIGHTS": str(WEIGHTS)}),
        "pipecat 1.14": (pipecat, "serve_pipecat", {}),
        "fastrtc": (ours(), "serve_reply", mine),
        "fastrtc, Smart Turn": (ours(), "serve_reply", {**mine, "TURNS_SMART": "1"}),
    }


def measure(chromium: Chromium, who: tuple[Contender, str, dict[str, str]], quick: bool) -> Figures:
    """All tapes, and an echo."""
    contender, app, env = who
    figures = Figures()
    with Server(f"turns.{app}:app", contender.environment(**env), contender.python) as server:
        figures.echo_ms = echo_ms(chromium, server, 5.0 if quick else 10.0)
        for tape in tapes(quick):
            recording = converse(chromium, server, tape)
            heard = judge(tape, places(tape, recording[:, 0]), recording[:, 1])
            if contender.name == ours().name:
                for turn, more in zip(heard, at_server(server, tape), strict=True):
                    turn.update(more)
            for turn in heard:
                if app == "serve_pipecat":
                    turn["complete"] = (turn.get("reply_ms") or INCOMPLETE_MS) < INCOMPLETE_MS
                if turn.get("complete"):
                    turn["complete_reply_ms"] = turn.get("reply_ms")
            figures.turns += heard
        if "Traceback" in server.log:
            print(server.log, flush=True)
    return figures


def echo_ms(chromium: Chromium, server: Server, seconds: float) -> list[float]:
    """How late marks come back."""
    chromium.set_microphone(sound.to_int16(sound.marks(60)))
    with chromium.open(server.url) as tab:
        call = tab.connect(path="/echo", trickle=False)
        call.wait()
        time.sleep(SETTLE_S)
        both = sound.to_sound(call.compare(seconds))
        call.close()
    return sound.delays_ms(both[:, 0], both[:, 1])


def converse(chromium: Chromium, server: Server, tape: Tape) -> sound.Sound:
    """Plays a tape to the server: microphone and returned sound, shape ``(n, 2)``."""
    chromium.set_microphone(tape.samples)
    with chromium.open(server.url) as tab:
        call = tab.connect(trickle=False)
        call.wait()
        both = sound.to_sound(call.compare(tape.length_s + SPARE_S))
        call.close()
    return both


def judge(
    tape: Tape, said: list[tuple[float, float] | None], returned: sound.Sound
) -> list[dict[str, Any]]:
    """What a client heard of each turn's replies; of a turn that was not recorded only its
    condition."""
    replies = tones(returned, sound.RATE_HZ)
    heard: list[dict[str, Any]] = []
    for number, (turn, edges_s) in enumerate(zip(tape.turns, said, strict=True)):
        heard.append({"condition": turn.condition, "recorded": edges_s is not None})
        if edges_s is None:
            continue
        begin_s, end_s = edges_s
        until_s = end_s + tape.until_s(number) - turn.end_s
        after_s = [tone.start_s for tone in replies if end_s <= tone.start_s < until_s]
        spoken_into = [tone for tone in replies if tone.start_s < begin_s - 0.05 <= tone.end_s]
        ends_s = [tone.end_s for tone in spoken_into if tone.end_s > begin_s]
        heard[-1] |= {
            "reply_ms": 1e3 * (after_s[0] - end_s) if after_s else None,
            "early": sum(begin_s < tone.start_s < end_s for tone in replies),
            "more": max(0, len(after_s) - 1),
            "silent_ms": 1e3 * (ends_s[0] - begin_s) if ends_s else None,
        }
    return heard


def at_server(server: Server, tape: Tape) -> list[dict[str, Any]]:
    """The same by our server's own clock: from the arrival of the frame in which a turn's speech
    begins or ends, to what was done about it."""
    with urllib.request.urlopen(f"{server.url}/notes", timeout=30) as response:
        notes = np.load(io.BytesIO(response.read()))
    events = list(zip(notes["events"].tolist(), notes["event_s"].tolist(), strict=True))

    def arrival_s(place_s: float) -> float:
        frame = np.searchsorted(notes["frame_ends"], place_s * sound.RATE_HZ)
        return float(notes["frame_s"][min(frame, len(notes["frame_s"]) - 1)])

    def after_ms(wanted: tuple[str, ...], from_s: float, until_s: float) -> float | None:
        times = [at_s for event, at_s in events if event in wanted and from_s <= at_s < until_s]
        return 1e3 * (times[0] - from_s) if times else None

    found: list[dict[str, Any]] = []
    said = places(tape, notes["samples"])
    for number, (turn, edges_s) in enumerate(zip(tape.turns, said, strict=True)):
        found.append({})
        if edges_s is None:
            continue
        arrived_s, over_s = (arrival_s(edge_s) for edge_s in edges_s)
        gone_s = over_s + tape.until_s(number) - turn.end_s
        found[-1] |= {
            "server_silent_ms": after_ms(("silent",), arrived_s, over_s),
            "server_asked_ms": after_ms(("asked",), over_s, gone_s),
            "server_judged_ms": after_ms(("complete", "incomplete"), over_s, gone_s),
            # The model may be asked before the last of a sound has decayed.
            "complete": after_ms(("complete",), over_s - EARLIEST_S, gone_s) is not None,
            "server_over_ms": after_ms(("turn over",), over_s, gone_s),
            "server_sound_ms": after_ms(("first sound",), over_s, gone_s),
        }
    return found


def main() -> None:
    """Measures, prints, writes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="four turns instead of 18")
    parser.add_argument("--only", help="names of libraries, separated by semicolons")
    options = parser.parse_args()
    everyone = contenders()
    wanted = options.only.split(";") if options.only else list(everyone)
    if unknown := set(wanted) - set(everyone):
        parser.error(f"--only knows {'; '.join(everyone)}, not {'; '.join(sorted(unknown))}")
    # Other work on this machine would be measured too; only the superuser may go before it.
    if os.geteuid() == 0:
        os.setpriority(os.PRIO_PROCESS, 0, -10)
    told: dict[str, Figures] = {}
    chromium = Chromium()
    try:
        for name in wanted:
            began_s = time.monotonic()
            told[name] = measure(chromium, everyone[name], options.quick)
            print(
                f"{name}: {len(told[name].turns)} turns, echo {median(told[name].echo_ms):.0f} ms, "
                f"measured in {time.monotonic() - began_s:.0f} s",
                flush=True,
            )
    finally:
        chromium.close()
    print(f"\n{os.cpu_count()} cores\n\n{render(told)}")
    print("\nCPU of idle listening sessions, 1, 50 and 200: benchmarks/run.py --only listening")
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / time.strftime("turns-chromium-%Y-%m-%dT%H-%M-%S.json")
    path.write_text(json.dumps({name: vars(of_name) for name, of_name in told.items()}, indent=1))
    print(f"\nall figures: {path}")


if __name__ == "__main__":
    main()
