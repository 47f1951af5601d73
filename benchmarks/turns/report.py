"""The table of ``chromium.py``: figures to text, beside DESIGN's budgets. Measures nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from turns.chromium import Figures

PLAIN, SMART, PIPECAT = "fastrtc", "fastrtc, Smart Turn", "pipecat 1.14"
SERVER_SILENT_MS = 250.0
"""Barge-in at the server."""
Budget = Callable[[str, float], float | None]
"""The most that a library's figure may be, by its name and its echo round trip in ms."""


def reply_budget_ms(name: str, echo_ms: float) -> float | None:
    """From the end of speech to the first sound of the reply."""
    window_ms = {PLAIN: 500.0, SMART: 200.0}.get(name)
    return None if window_ms is None else window_ms + echo_ms + 100.0


def silent_budget_ms(name: str, echo_ms: float) -> float | None:
    """From the beginning of speech to silence at the client."""
    return 200.0 + echo_ms + 60.0 if name in (PLAIN, SMART) else None


def render(told: dict[str, Figures]) -> str:
    """A Markdown table, a column for each library."""
    echo_ms = {name: _percentile(figures.echo_ms, 50) for name, figures in told.items()}
    rows: list[list[str]] = []

    def row(what: str, unit: str, figure: Callable[[Figures], float], budget: Budget) -> None:
        cells = [what, unit]
        for name, figures in told.items():
            value = figure(figures)
            cells.append(_cell(value, budget(name, echo_ms[name])))
        rows.append(cells)

    def spread(what: str, key: str, budget: Budget, condition: str = "") -> None:
        row(f"{what}, median", "ms", lambda f: _percentile(f.of(key, condition), 50), budget)
        row(f"{what}, p95", "ms", lambda f: _percentile(f.of(key, condition), 95), _none)

    def count(what: str, figure: Callable[[Figures], float], budget: Budget) -> None:
        row(what, "", figure, budget)

    def early_budget(name: str, _: float) -> float | None:
        return early(told[PIPECAT]) / 2 if name == SMART and PIPECAT in told else None

    def smart_only(name: str, echo_ms: float) -> float | None:
        return reply_budget_ms(name, echo_ms) if name == SMART else None

    def silent_limit(name: str, _: float) -> float | None:
        return SERVER_SILENT_MS if name in (PLAIN, SMART) else None

    row("echo round trip, median", "ms", lambda f: _percentile(f.echo_ms, 50), _none)
    spread("end of speech to first reply sound", "reply_ms", reply_budget_ms)
    spread("the same, turns found complete", "complete_reply_ms", smart_only)
    spread("the same, clips alone", "reply_ms", _none, "alone")
    spread("the same, in noise", "reply_ms", _none, "noise")
    spread("the same, with pauses", "reply_ms", _none, "pause")
    count("turns", lambda f: sum(f.of("recorded")), _none)
    count("turns lost in the recording", lambda f: len(f.turns) - sum(f.of("recorded")), _none)
    count("replies early", early, early_budget)
    count("turns missed", lambda f: sum(f.of("recorded")) - len(f.of("reply_ms")), _none)
    count("further replies to a turn", lambda f: sum(f.of("more")), _none)
    spread("onset of speech to silence of the reply", "silent_ms", silent_budget_ms)
    count("replies spoken into", lambda f: len(f.of("silent_ms")), _none)
    spread("the same at the server", "server_silent_ms", silent_limit)
    spread("at the server: end of speech to end of turn", "server_over_ms", _none)
    spread("at the server: end of speech to first sound", "server_sound_ms", _none)
    spread("at the server: end of speech to the model's answer", "server_judged_ms", _none)
    return _table(["what", "unit", *told], [row for row in rows if set(row[2:]) != {"-"}])


def early(figures: Figures) -> float:
    """Replies that came before their turn was over."""
    return sum(figures.of("early"))


def _none(name: str, echo_ms: float) -> None:
    """No budget."""


def _percentile(values: Sequence[float], percent: float) -> float:
    return float(np.percentile(values, percent)) if values else float("nan")


def _cell(value: float, budget: float | None) -> str:
    if value != value:
        return "-"
    text = f"{value:.0f}"
    if budget is None:
        return text
    return f"{text} {'kept' if value <= budget else 'MISSED'} ({budget:.0f})"


def _table(head: list[str], body: list[list[str]]) -> str:
    widths = [max(len(line[column]) for line in [head, *body]) for column in range(len(head))]

    def line(cells: list[str]) -> str:
        padded = (cell.ljust(width) for cell, width in zip(cells, widths, strict=True))
        return "| " + " | ".join(padded) + " |"

    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    return "\n".join([line(head), rule, *map(line, body)])
