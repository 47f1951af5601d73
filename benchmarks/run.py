"""``make bench``: this library beside FastRTC 0.0.34, in one run on one machine.

``--quick`` measures less of everything; ``--only cpu,chromium`` some rows. The table is printed;
figures and the plot go to ``benchmarks/results/``, which stays out of git.
"""

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "tests")]

import measures  # noqa: E402
from capacity import TRIES, Capacity, Try, find_capacity  # noqa: E402
from contenders import Contender, original, ours  # noqa: E402
from table import Row, bars, plot, render  # noqa: E402

RESULTS = HERE / "results"
DESIGN_FLOOR_US = 40.0
"""The floor that the budgets for audio were set beside, on a machine of its time."""
FRAMES_PER_S = 50
USUAL_IMPORTS = "from fastrtc import AsyncStreamHandler, Stream"


class Bench:
    """One run: what is measured how long, and the rows so far."""

    def __init__(self, quick: bool) -> None:
        self.quick = quick
        self.seconds = 5.0 if quick else 15.0
        self.theirs: Contender = original()
        self.ours: Contender = ours()
        self.rows: list[Row] = []
        self.raw: dict[str, Any] = {}

    def floor_us(self) -> float:
        """What a frame costs whoever echoes it on this machine now."""
        if "floor" not in self.raw:
            self.raw["floor"] = measures.floor()
            self.rows.append(
                Row(
                    "floor: the same packets received, decoded, encoded, sent",
                    "us",
                    None,
                    self.raw["floor"]["floor_us_per_frame"],
                    "libopus and kernel only, in the load client",
                )
            )
        floor_us: float = self.raw["floor"]["floor_us_per_frame"]
        return floor_us

    def cpu(self) -> None:
        """Server CPU per echoed frame, memory, connect time."""
        floor_us = self.floor_us()
        for sessions in (1, 10, 100):
            theirs, mine = (self.echo(who, sessions) for who in (self.theirs, self.ours))
            self.rows.append(
                Row(
                    f"server CPU per echoed 20 ms frame, {sessions} sessions",
                    "us",
                    theirs["server"]["cpu_us_per_frame"],
                    mine["server"]["cpu_us_per_frame"],
                    lateness(theirs, mine),
                    100.0 if sessions == 100 else None,
                )
            )
            if sessions == 10:
                self.rows += [
                    Row(
                        "from POST to first sound, median of 10",
                        "ms",
                        theirs["sum"]["first_sound_ms"]["p50"],
                        mine["sum"]["first_sound_ms"]["p50"],
                    ),
                    Row(
                        "memory per session, 10 sessions",
                        "MB",
                        theirs["server"]["mb_per_session"],
                        mine["server"]["mb_per_session"],
                    ),
                    Row(
                        "round trip of a mark, load client, median",
                        "ms",
                        theirs["sum"]["round_trip_ms"]["p50"],
                        mine["sum"]["round_trip_ms"]["p50"],
                        "without a browser's own buffers",
                    ),
                ]
            if sessions == 100:
                self.rows += [
                    Row(
                        "the same, as a multiple of the floor",
                        "",
                        theirs["server"]["cpu_us_per_frame"] / floor_us,
                        mine["server"]["cpu_us_per_frame"] / floor_us,
                        f"the budget of 100 us was set beside a floor of {DESIGN_FLOOR_US:.0f}",
                        100.0 / DESIGN_FLOOR_US,
                    ),
                    Row(
                        "memory per session, 100 sessions",
                        "MB",
                        theirs["server"]["mb_per_session"],
                        mine["server"]["mb_per_session"],
                    ),
                ]

    def sync(self) -> None:
        """The same for a sync handler."""
        theirs, mine = (self.echo(who, 10, sync=True) for who in (self.theirs, self.ours))
        self.rows.append(
            Row(
                "server CPU per frame, sync handler, 10 sessions",
                "us",
                theirs["server"]["cpu_us_per_frame"],
                mine["server"]["cpu_us_per_frame"],
                lateness(theirs, mine),
            )
        )

    def capacity(self) -> None:
        """How many sessions are held, and what one costs."""
        whole = (10, 50, 100, 150, 200, 250, 300, 400)
        steps = {
            self.theirs.name: (1, 10, 20, 30) if self.quick else (1, 5, 10, 15, 20, 25, 30),
            self.ours.name: (10, 100, 300) if self.quick else whole,
        }
        found: dict[str, Capacity] = {}
        costs: dict[str, list[tuple[float, float]]] = {}
        for who in (self.theirs, self.ours):
            found[who.name] = find_capacity(
                steps[who.name], lambda sessions, before, who=who: self.tried(who, sessions, before)
            )
            print(f"  {who.name}: {found[who.name].ended}", flush=True)
            for sessions in found[who.name].tries:
                share = self.echo(who, sessions)["server"]["core_share"]
                costs.setdefault(who.name, []).append((sessions, share * 1000 / sessions))
        held = {name: capacity_of.held for name, capacity_of in found.items()}
        self.rows.append(
            Row(
                "sessions held, each with 99.5 % of frames within 30 ms",
                "",
                held[self.theirs.name],
                held[self.ours.name],
                f"typical of {TRIES} tries; {found[self.ours.name].ended}",
                300,
                more_is_better=True,
            )
        )
        limit = 1e6 / FRAMES_PER_S / self.floor_us() * (os.cpu_count() or 1)
        self.rows.append(
            Row(
                "the same, as a share of what the floor allows these cores",
                "%",
                100 * held[self.theirs.name] / limit,
                100 * held[self.ours.name] / limit,
                f"{limit:.0f} sessions; the budget of 300 was set beside 1000",
                30.0,
                more_is_better=True,
            )
        )
        title = "Server cost of one session (thousandths of a core)"
        print(bars(title, dict(costs)), flush=True)
        RESULTS.mkdir(exist_ok=True)
        plot(RESULTS / "cost.svg", title, "sessions", "cost of one", dict(costs))

    def listening(self) -> None:
        """What a ReplyOnPause costs while nobody speaks."""
        for sessions in (1, 50, 200):
            theirs = measures.listening_share(self.theirs, 1) if sessions == 1 else None
            mine = measures.listening_share(self.ours, sessions)
            self.raw[f"listening, {sessions} sessions"] = {"theirs": theirs, "ours": mine}
            self.rows.append(
                Row(
                    f"ReplyOnPause while nobody speaks, {sessions} sessions",
                    "% of a core",
                    None if theirs is None else 100 * theirs,
                    100 * mine,
                    "per session; a microphone's noise at -50 dBFS",
                    1.5,
                )
            )

    def chromium(self) -> None:
        """The round trip through a browser."""
        browser = measures.browser_with_marks()
        try:
            alone = measures.chromium_alone_ms(browser, self.seconds)
            theirs, mine = (
                measures.chromium_delays_ms(browser, who, self.seconds)
                for who in (self.theirs, self.ours)
            )
        finally:
            browser.close()
        self.raw["chromium_ms"] = {"alone": alone, "theirs": theirs, "ours": mine}
        self.rows.append(
            Row(
                "echo through Chromium, median round trip",
                "ms",
                measures.median(theirs),
                measures.median(mine),
                f"Chromium to Chromium alone: {measures.median(alone):.0f} ms",
                110.0,
            )
        )

    def gil(self) -> None:
        """Outgoing packets while somebody holds the GIL."""
        times = 2 if self.quick else 4
        theirs, mine = (measures.gaps_while_held(who, times) for who in (self.theirs, self.ours))
        self.raw["held_ms"] = {"theirs": theirs, "ours": mine}
        self.rows.append(
            Row(
                "gap between packets, GIL held for 2 s, p99",
                "ms",
                theirs["p99"],
                mine["p99"],
                budget=25.0,
            )
        )
        self.rows.append(
            Row("longest gap between packets, GIL held for 2 s", "ms", theirs["max"], mine["max"])
        )

    def imports(self) -> None:
        """Import time."""
        for what, budget in (("import fastrtc", 0.3), (USUAL_IMPORTS, None)):
            theirs, mine = (measures.run_s(who, what) for who in (self.theirs, self.ours))
            self.rows.append(Row(what, "s", theirs, mine, budget=budget))

    def size(self) -> None:
        """Installed size."""
        theirs = measures.installed_mb("fastrtc", self.theirs)
        mine = measures.installed_mb("ours", self.ours)
        self.rows.append(Row("site-packages with fastrtc[vad]", "MB", theirs, mine, budget=300.0))

    def tried(self, who: Contender, sessions: int, before: int) -> Try:
        """One try of so many sessions."""
        report = self.echo(who, sessions, again=before)["sum"]
        return Try(sessions, report["held"], report["on_time"])

    def echo(self, who: Contender, sessions: int, sync: bool = False, again: int = 0) -> Any:
        """An echo run, kept among the raw figures."""
        key = f"{who.name}, {sessions} sessions{', sync' if sync else ''}"
        if again:
            key += f", try {again + 1}"
        if key not in self.raw:
            print(f"  {key}", flush=True)
            self.raw[key] = measures.echo_load(who, sessions, self.seconds, sync=sync)
        return self.raw[key]


def lateness(theirs: Any, mine: Any) -> str:
    """Says so when a server could not keep up, for its CPU per frame then means little."""
    shares = [report["sum"]["on_time"] for report in (theirs, mine)]
    if min(shares) >= 0.995:
        return ""
    return f"frames on time: {shares[0]:.0%} and {shares[1]:.0%}"


def main() -> None:
    """Runs, prints, writes."""
    names = ["cpu", "sync", "capacity", "listening", "chromium", "gil", "imports", "size"]
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="measure less of everything")
    parser.add_argument("--only", default=",".join(names), help=f"some of {','.join(names)}")
    options = parser.parse_args()
    wanted = options.only.split(",")
    if unknown := set(wanted) - set(names):
        parser.error(f"--only knows {', '.join(names)}, not {', '.join(sorted(unknown))}")
    # Other work on this machine would be measured too; only the superuser may go before it.
    if os.geteuid() == 0:
        os.setpriority(os.PRIO_PROCESS, 0, -10)
    bench = Bench(options.quick)
    for name in wanted:
        measure: Callable[[], None] = getattr(bench, name)
        print(f"{name}: {measure.__doc__}", flush=True)
        measure()
    print(f"\n{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}\n")
    print(render(bench.rows))
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / time.strftime("%Y-%m-%dT%H-%M-%S.json")
    path.write_text(json.dumps({"rows": [vars(row) for row in bench.rows], "raw": bench.raw}))
    print(f"\nall figures: {path}")


if __name__ == "__main__":
    main()
