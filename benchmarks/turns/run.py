"""Turn taking beside FastRTC 0.0.34 and pipecat: ``python benchmarks/turns/run.py [--quick]``.

Every contender hears the same scenes (``scenes.py``) in virtual time, each in a process of its own
with the same Silero weights, and says when its replies began and what audio they were given. The
table and ``benchmarks/results/turns-*.json`` say what that comes to. Time that a machine takes to
compute is left out, for all of them alike; ``cost.py`` measures ours.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

from scenes import RATE_HZ, Scene, scenes  # noqa: E402

from contenders import FASTRTC, PIPECAT, REPOSITORY, installed  # noqa: E402

WEIGHTS = REPOSITORY / "src" / "fastrtc" / "turns" / "models" / "silero_vad.onnx"
RESULTS = HERE.parent / "results"
FIRST_S = 0.1
"""The beginning of an utterance, which a function has to receive."""
SLACK_S = 0.1
"""What may be missing at the end of an utterance, where its sound decays."""


def contenders() -> dict[str, list[str]]:
    """Name and command of each; the first call installs the others."""
    theirs = str(installed("fastrtc", FASTRTC))
    pipecat = str(installed("pipecat", PIPECAT))
    return {
        "fastrtc": [sys.executable, "drive_ours.py"],
        "FastRTC 0.0.34": [theirs, "drive_fastrtc.py"],
        "fastrtc, Smart Turn": [sys.executable, "drive_ours.py", "smart-turn"],
        "pipecat 1.14": [pipecat, "drive_pipecat.py"],
    }


def judge(told: Sequence[tuple[Scene, Any]]) -> dict[str, float]:
    """One contender's figures over some scenes."""
    latencies: list[float] = []
    turns = missed = early = begun = whole = 0
    for scene, result in told:
        replies = result["replies_s"]
        given = [(first / RATE_HZ, last / RATE_HZ) for first, last in result["given"]]
        ends = [start_s for start_s, _ in scene.turns[1:]] + [scene.length_s]
        for (start_s, end_s), until_s in zip(scene.turns, ends, strict=True):
            turns += 1
            early += any(start_s < reply < end_s for reply in replies)
            after = [reply for reply in replies if end_s <= reply < until_s]
            missed += not after
            latencies += [reply - end_s for reply in after[:1]]
            begun += covers(given, start_s, start_s + FIRST_S)
            whole += covers(given, start_s, end_s - SLACK_S)
    figures = {
        "turns": turns,
        "median_ms": 1e3 * float(np.median(latencies)) if latencies else float("nan"),
        "p95_ms": 1e3 * float(np.percentile(latencies, 95)) if latencies else float("nan"),
        "missed": missed,
        "early": early,
    }
    heard = any(result["given"] for _, result in told)
    return figures | ({"first_100_ms": begun, "all_words": whole} if heard else {})


def covers(pieces: list[tuple[float, float]], start_s: float, end_s: float) -> bool:
    """Whether the pieces together hold all of a stretch."""
    for first_s, last_s in sorted(pieces):
        if first_s <= start_s + 1 / RATE_HZ:
            start_s = max(start_s, last_s)
    return start_s >= end_s


def table(figures: dict[str, dict[str, dict[str, float]]]) -> str:
    """Markdown: a block for each condition."""
    lines = [
        "| condition | library | turns | median ms | p95 ms | missed | early | first 100 ms "
        "| all words |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for condition in next(iter(figures.values())):
        for name, of_name in figures.items():
            row = of_name[condition]
            cells = [
                f"{row[key]:.0f}" if key in row else "-"
                for key in ("turns", "median_ms", "p95_ms", "missed", "early")
            ]
            cells += [
                f"{row[key] / row['turns']:.0%}" if key in row else "-"
                for key in ("first_100_ms", "all_words")
            ]
            lines.append(f"| {condition} | {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    """Makes the scenes, lets everyone hear them, prints and writes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--offsets", type=int, default=25, help="phase offsets of each scene")
    parser.add_argument("--quick", action="store_true", help="five offsets, without the long clip")
    parser.add_argument("--only", help="names of contenders, separated by semicolons")
    options = parser.parse_args()
    offsets = 5 if options.quick else options.offsets
    wanted = options.only.split(";") if options.only else None
    told: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        all_scenes = {}
        for number, scene in enumerate(scenes(offsets, options.quick)):
            np.save(Path(folder) / f"scene-{number:04}.npy", scene.samples)
            all_scenes[f"scene-{number:04}"] = replace(scene, samples=None)
        for name, (python, script, *flags) in contenders().items():
            if wanted is None or name in wanted:
                print(f"{name}: {len(all_scenes)} scenes", flush=True)
                command = [python, str(HERE / script), folder, str(WEIGHTS), *flags]
                ran = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
                told[name] = json.loads(ran.stdout.splitlines()[-1])
    conditions = list(dict.fromkeys(scene.condition for scene in all_scenes.values()))
    figures = {
        name: {
            condition: judge(
                [(s, of_name[key]) for key, s in all_scenes.items() if s.condition == condition]
            )
            for condition in conditions
        }
        | {"all": judge([(s, of_name[key]) for key, s in all_scenes.items()])}
        for name, of_name in told.items()
    }
    print(f"\n{offsets} phase offsets, {os.cpu_count()} cores\n\n{table(figures)}")
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / time.strftime("turns-%Y-%m-%dT%H-%M-%S.json")
    path.write_text(json.dumps(figures, indent=1))
    print(f"\nall figures: {path}")


if __name__ == "__main__":
    main()
