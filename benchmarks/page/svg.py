"""Plots as plain SVG: bars side by side, and lines over logarithmic axes. Legible on light and on dark pages."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape

WIDTH = 720
_COLOURS = ("#2f81f7", "#8b949e", "#d29922", "#a371f7", "#3fb950")
_STYLE = (
    "text{font:13px system-ui,sans-serif;fill:#57606a}.value{font-weight:600}.title{font-size:14px;font-weight:600}"
    "@media(prefers-color-scheme:dark){text{fill:#c9d1d9}}"
)


def bars(title: str, values: Mapping[str, float], unit: str, digits: int, highlight: str) -> str:
    """One horizontal bar for each value; `highlight` names the one that is ours."""
    left, right, row, top = 190, 110, 30, 34
    most = max(values.values(), default=1) or 1
    parts = [_text(0, 16, title, "title")]
    for index, (name, value) in enumerate(values.items()):
        y = top + index * row
        length = max(1.0, (WIDTH - left - right) * value / most)
        colour = _COLOURS[0] if name == highlight else _COLOURS[1]
        parts.append(_text(left - 10, y + 16, name, anchor="end"))
        parts.append(f'<rect x="{left}" y="{y}" width="{length:.1f}" height="22" rx="3" fill="{colour}"/>')
        parts.append(_text(left + length + 8, y + 16, f"{value:,.{digits}f} {unit}".strip(), "value"))
    return _document(top + len(values) * row, parts)


def lines(title: str, series: Mapping[str, Sequence[tuple[float, float]]], x_title: str, y_title: str) -> str:
    """Lines over two logarithmic axes."""
    left, right, top, bottom, height = 70, 190, 40, 50, 340
    points = [point for line in series.values() for point in line]
    x_low, x_high = _decades([x for x, _ in points])
    y_low, y_high = _decades([y for _, y in points])
    plot_width, plot_height = WIDTH - left - right, height - top - bottom

    def place(x: float, y: float) -> tuple[float, float]:
        across = (math.log10(x) - x_low) / max(1, x_high - x_low)
        up = (math.log10(y) - y_low) / max(1, y_high - y_low)
        return left + across * plot_width, top + (1 - up) * plot_height

    parts = [_text(0, 16, title, "title"), _text(left + plot_width / 2, height - 8, x_title, anchor="middle")]
    parts.append(_text(0, top - 8, y_title))
    for decade in range(y_low, y_high + 1):
        _, y = place(10**x_low, 10**decade)
        parts.append(_line(left, y, left + plot_width, y))
        parts.append(_text(left - 8, y + 4, f"{10.0**decade:,.10g}", anchor="end"))
    for decade in range(x_low, x_high + 1):
        x, _ = place(10**decade, 10**y_low)
        parts.append(_line(x, top, x, top + plot_height))
        parts.append(_text(x, top + plot_height + 18, f"{10**decade:,}", anchor="middle"))
    for index, (name, line) in enumerate(series.items()):
        colour = _COLOURS[index % len(_COLOURS)]
        placed = [place(x, y) for x, y in line]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in placed)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in placed]
        parts.append(_text(placed[-1][0] + 8, placed[-1][1] + 4, name))
    return _document(height, parts)


def _decades(values: Sequence[float]) -> tuple[int, int]:
    return math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))


def _line(x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<path d="M{x1:.1f} {y1:.1f}L{x2:.1f} {y2:.1f}" stroke="#8b949e" stroke-opacity=".35"/>'


def _text(x: float, y: float, text: str, kind: str = "", anchor: str = "start") -> str:
    which = f' class="{kind}"' if kind else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{which}>{escape(text)}</text>'


def _document(height: float, parts: Sequence[str]) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0f}" width="{WIDTH}">'
        f"<style>{_STYLE}</style>\n" + "\n".join(parts) + "\n</svg>\n"
    )
