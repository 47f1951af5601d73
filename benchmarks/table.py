"""Figures to text and to a plot. Measures nothing."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

Series = Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Row:
    """One line of the table; a figure is None where it could not be measured."""

    what: str
    unit: str
    original: float | None
    ours: float | None
    note: str = ""
    budget: float | None = None
    """The most that ours may be (the least, where more is better)."""
    more_is_better: bool = False

    @property
    def ratio(self) -> str:
        """How many times better ours is."""
        if not self.original or not self.ours:
            return ""
        better = self.ours / self.original if self.more_is_better else self.original / self.ours
        return f"{better:.1f}x"

    @property
    def verdict(self) -> str:
        """Whether the budget holds."""
        if self.budget is None or self.ours is None:
            return ""
        kept = self.ours >= self.budget if self.more_is_better else self.ours <= self.budget
        return f"{'kept' if kept else 'MISSED'} ({number(self.budget)})"


def render(rows: Sequence[Row]) -> str:
    """A Markdown table."""
    head = ("what", "unit", "FastRTC 0.0.34", "fastrtc", "ratio", "budget", "note")
    body = [
        (r.what, r.unit, number(r.original), number(r.ours), r.ratio, r.verdict, r.note)
        for r in rows
    ]
    widths = [max(len(line[column]) for line in [head, *body]) for column in range(len(head))]

    def line(cells: Sequence[str]) -> str:
        padded = (cell.ljust(width) for cell, width in zip(cells, widths, strict=True))
        return "| " + " | ".join(padded) + " |"

    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    return "\n".join([line(head), rule, *(line(cells) for cells in body)])


def number(value: float | None) -> str:
    """Three digits that matter."""
    if value is None or value != value:
        return "-"
    if abs(value) >= 100:
        return f"{value:.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def bars(title: str, series: dict[str, Series], width: int = 50) -> str:
    """The same as :func:`plot`, for a terminal."""
    largest = max(y for points in series.values() for _, y in points)
    lines = [title]
    for name, points in series.items():
        lines.append(f"  {name}")
        for x, y in points:
            lines.append(f"  {x:6.0f} {'#' * max(1, round(y / largest * width))} {number(y)}")
    return "\n".join(lines)


def plot(path: Path, title: str, x_label: str, y_label: str, series: dict[str, Series]) -> None:
    """Writes an SVG with both axes logarithmic-free and starting at zero."""
    width, height, left, bottom, top = 760, 420, 70, 60, 50
    right_edge, colors = width - 170, ("#c2410c", "#0b7a6b", "#334155")
    x_most = max(x for points in series.values() for x, _ in points)
    y_most = max(y for points in series.values() for _, y in points) * 1.1

    def place(x: float, y: float) -> tuple[float, float]:
        across = left + x / x_most * (right_edge - left)
        return across, height - bottom - y / y_most * (height - bottom - top)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        'font-family="sans-serif" font-size="13">',
        '<rect width="100%" height="100%" fill="#fff"/>',
        f'<text x="{left}" y="26" font-size="16" font-weight="bold">{title}</text>',
        f'<text x="{(left + right_edge) / 2}" y="{height - 16}" text-anchor="middle">{x_label}'
        "</text>",
        f'<text transform="translate(18 {height / 2}) rotate(-90)" text-anchor="middle">{y_label}'
        "</text>",
    ]
    for step in range(6):
        (x_at, base), (_, y_at) = place(x_most * step / 5, 0), place(0, y_most * step / 5)
        parts += [
            f'<path d="M{left} {y_at:.1f}H{right_edge}" stroke="#ddd"/>',
            f'<text x="{left - 8}" y="{y_at + 4:.1f}" text-anchor="end">'
            f"{number(y_most * step / 5)}</text>",
            f'<text x="{x_at:.1f}" y="{base + 20:.1f}" text-anchor="middle">'
            f"{x_most * step / 5:.0f}</text>",
        ]
    for (name, points), color in zip(series.items(), colors, strict=False):
        spots = [place(x, y) for x, y in points]
        trace = " ".join(f"{x:.1f},{y:.1f}" for x, y in spots)
        parts.append(f'<polyline points="{trace}" fill="none" stroke="{color}" stroke-width="2"/>')
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{color}"/>' for x, y in spots]
        parts.append(
            f'<text x="{spots[-1][0] + 10:.1f}" y="{spots[-1][1] + 4:.1f}" fill="{color}">'
            f"{name}</text>"
        )
    path.write_text("\n".join([*parts, "</svg>"]) + "\n")
