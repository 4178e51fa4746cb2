"""The charts of a validation as SVG texts: scatter, Bland-Altman, ROC; nothing but numbers goes in."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape

import numpy as np

WIDTH, HEIGHT = 460, 350
LEFT, RIGHT, TOP, BOTTOM = 62, 14, 30, 46

Range = tuple[float, float]


@dataclass(frozen=True)
class Point:
    """A pair in a chart; `mark` is 'F', 'M' or '' for a person of unknown sex."""

    x: float
    y: float
    mark: str = ""
    title: str = ""


@dataclass
class Chart:
    """Axes with what is drawn on them.

    Parameters
    ----------
    title, x_label, y_label : str
    x, y : (float, float)
        Ranges of the axes.
    colour : str
        CSS class of its points.
    """

    title: str
    x_label: str
    y_label: str
    x: Range
    y: Range
    colour: str = "network"
    parts: list[str] = field(default_factory=list)

    def place(self, x: float, y: float) -> tuple[float, float]:
        """Pixels of a value."""
        wide, high = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM
        across = (x - self.x[0]) / (self.x[1] - self.x[0])
        up = (y - self.y[0]) / (self.y[1] - self.y[0])
        return LEFT + wide * across, TOP + high * (1 - up)

    def points(self, points: Sequence[Point]) -> None:
        """Draw persons: women as discs, men as squares, unknown as triangles."""
        for point in points:
            x, y = self.place(point.x, point.y)
            label = f"<title>{escape(point.title)}</title>" if point.title else ""
            shape = {
                "F": f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4"',
                "M": f'<rect x="{x - 3.6:.1f}" y="{y - 3.6:.1f}" width="7.2" height="7.2"',
            }.get(
                point.mark,
                f'<path d="M{x:.1f} {y - 4.6:.1f}l4.6 8h-9.2z"',
            )
            end = shape.split(" ", 1)[0][1:]
            self.parts.append(f'{shape} class="{self.colour} dot">{label}</{end}>')

    def line(self, x: Range, y: Range, style: str) -> None:
        """A straight line between two points, cut at the axes' ends."""
        ends = _clipped(x, y, self.x, self.y)
        if ends:
            (a, b), (c, d) = self.place(*ends[0]), self.place(*ends[1])
            self.parts.append(
                f'<line x1="{a:.1f}" y1="{b:.1f}" x2="{c:.1f}" y2="{d:.1f}" class="{style}"/>'
            )

    def steps(self, x: Sequence[float], y: Sequence[float], style: str) -> None:
        """A curve through points."""
        path = " ".join(
            f"{a:.1f},{b:.1f}" for a, b in (self.place(*p) for p in zip(x, y, strict=True))
        )
        self.parts.append(f'<polyline points="{path}" class="{style}"/>')

    def text(self, x: float, y: float, words: str, anchor: str = "end", up: int = 0) -> None:
        """Words `up` pixels above a value, moved into the chart where they would leave it."""
        a, b = self.place(x, y)
        b = min(max(b - up, TOP + 12), HEIGHT - BOTTOM - 4)
        self.parts.append(
            f'<text x="{a:.1f}" y="{b:.1f}" text-anchor="{anchor}" class="note">{escape(words)}</text>'
        )

    def svg(self) -> str:
        """The whole chart."""
        out = [
            f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(self.title)}">',
            f'<text x="{LEFT}" y="18" class="title">{escape(self.title)}</text>',
            *self._axes(),
            *self.parts,
            "</svg>",
        ]
        return "\n".join(out)

    def _axes(self) -> list[str]:
        left, bottom = self.place(self.x[0], self.y[0])
        right, top = self.place(self.x[1], self.y[1])
        out = []
        for value, words in ticks(self.x):
            x, _ = self.place(value, self.y[0])
            out.append(
                f'<line x1="{x:.1f}" y1="{top:.1f}" x2="{x:.1f}" y2="{bottom:.1f}" class="grid"/>'
            )
            out.append(
                f'<text x="{x:.1f}" y="{bottom + 15:.1f}" text-anchor="middle" class="tick">{words}</text>'
            )
        for value, words in ticks(self.y):
            _, y = self.place(self.x[0], value)
            out.append(
                f'<line x1="{left:.1f}" y1="{y:.1f}" x2="{right:.1f}" y2="{y:.1f}" class="grid"/>'
            )
            out.append(
                f'<text x="{left - 6:.1f}" y="{y + 4:.1f}" text-anchor="end" class="tick">{words}</text>'
            )
        frame = f'width="{right - left:.1f}" height="{bottom - top:.1f}" class="frame"'
        middle = (top + bottom) / 2
        return [
            *out,
            f'<rect x="{left:.1f}" y="{top:.1f}" {frame}/>',
            f'<text x="{(left + right) / 2:.1f}" y="{HEIGHT - 8}" text-anchor="middle" class="label">{escape(self.x_label)}</text>',
            f'<text x="14" y="{middle:.1f}" text-anchor="middle" transform="rotate(-90 14 {middle:.1f})" class="label">{escape(self.y_label)}</text>',
        ]


def scatter(
    title: str,
    labels: tuple[str, str],
    points: Sequence[Point],
    *,
    colour: str,
    identity: bool,
    line: tuple[float, float] | None,
    line_name: str,
) -> str:
    """DXA (y) against a value (x).

    Parameters
    ----------
    title : str
    labels : (str, str)
        Of the value and of the DXA.
    points : sequence of Point
    colour : str
    identity : bool
        Whether both are in one unit: then the axes are alike and the line of identity is drawn.
    line : (slope, intercept) or None
    line_name : str
        What the line is, said in the chart.
    """
    x, y = span([p.x for p in points]), span([p.y for p in points])
    if identity:
        x = y = (min(x[0], y[0]), max(x[1], y[1]))
    else:
        y = (y[0], y[1] + 0.1 * (y[1] - y[0]))  # room for the legend
    chart = Chart(title, *labels, x, y, colour)
    legend = []
    if identity:
        chart.line(x, x, "identity")
        legend.append(("identity", "identity"))
    if line:
        chart.line(x, (line[0] * x[0] + line[1], line[0] * x[1] + line[1]), f"fit {colour}")
        legend.append((f"fit {colour}", line_name))
    chart.points(points)
    for number, (style, words) in enumerate(legend):
        _legend(chart, number, style, words)
    return chart.svg()


def bland_altman(
    title: str,
    labels: tuple[str, str],
    points: Sequence[Point],
    colour: str,
    decimals: int | None,
    others: Sequence[Point] = (),
) -> str:
    """Difference (y) against the mean of both (x), with the mean and the limits of agreement.

    The points are given as value (x) and DXA (y); `decimals` of the lines' figures, None
    where the points are too few for any line. `others` are the points of the chart
    beside it, so that both have one scale of differences.
    """
    moved = [Point((p.x + p.y) / 2, p.x - p.y, p.mark, p.title) for p in points]
    errors = np.array([p.y for p in moved])
    lines: list[tuple[str, float, str]] = []
    if decimals is not None and len(errors) > 1:
        bias, low, high = _limits(errors)
        lines = [
            (f"mean {bias:+.{decimals}f}", bias, "mean"),
            (f"+1.96 SD {high:+.{decimals}f}", high, "limit"),
            (f"-1.96 SD {low:+.{decimals}f}", low, "limit"),
        ]
    beside = np.array([p.x - p.y for p in others])
    shown = [*errors, *beside, 0.0, *(value for _, value, _ in lines)]
    if decimals is not None and len(beside) > 1:
        shown += _limits(beside)
    x = span([p.x for p in moved])
    y = span(shown)
    chart = Chart(title, *labels, x, y, colour)
    chart.line(x, (0.0, 0.0), "identity")
    chart.points(moved)
    for words, value, style in lines:
        chart.line(x, (value, value), f"{style} {colour}")
        chart.text(
            x[1] - 0.01 * (x[1] - x[0]), value, words, up=-13 if words.startswith("-") else 4
        )
    return chart.svg()


def roc(title: str, curves: Sequence[tuple[str, str, np.ndarray, np.ndarray]]) -> str:
    """ROC curves.

    Parameters
    ----------
    title : str
    curves : sequence of (name, CSS class, 1 - specificity, sensitivity)
    """
    chart = Chart(title, "1 - specificity", "sensitivity", (0.0, 1.0), (0.0, 1.0))
    chart.line((0.0, 1.0), (0.0, 1.0), "identity")
    for number, (name, style, x, y) in enumerate(curves):
        chart.steps([float(v) for v in x], [float(v) for v in y], f"curve {style}")
        place = 0.08 + 0.075 * (len(curves) - 1 - number)
        chart.steps([0.36, 0.42], [place, place], f"curve {style}")
        chart.text(0.44, place - 0.012, name, "start")
    return chart.svg()


def ticks(limits: Range, wanted: int = 6) -> list[tuple[float, str]]:
    """Round values within a range, and each as it is written, all with the same decimals."""
    low, high = limits
    raw = (high - low) / wanted
    power = math.floor(math.log10(raw))
    factor = next((x for x in (1.0, 2.0, 2.5, 5.0) if raw <= x * 10.0**power), 10.0)
    step = factor * 10.0**power
    decimals = max(0, -power + (factor == 2.5) - (factor == 10.0))
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    values = [number * step for number in range(first, last + 1)]
    return [(value, f"{value + 0.0:.{decimals}f}") for value in values]


def span(values: Sequence[float], share: float = 0.06) -> Range:
    """The range of values, with a margin."""
    low, high = float(min(values)), float(max(values))
    margin = share * (high - low) or max(0.05 * abs(high), 0.05)
    return low - margin, high + margin


def _limits(errors: np.ndarray) -> tuple[float, float, float]:
    """Mean difference and both limits of agreement."""
    bias, reach = float(errors.mean()), 1.96 * float(errors.std(ddof=1))
    return bias, bias - reach, bias + reach


def _legend(chart: Chart, number: int, style: str, words: str) -> None:
    """A line of the legend, at the upper left."""
    y = TOP + 14 + 15 * number
    chart.parts.append(
        f'<line x1="{LEFT + 8}" y1="{y}" x2="{LEFT + 32}" y2="{y}" class="{style}"/>'
        f'<text x="{LEFT + 37}" y="{y + 4}" class="note">{escape(words)}</text>'
    )


def _clipped(
    x: Range, y: Range, x_limits: Range, y_limits: Range
) -> tuple[tuple[float, float], tuple[float, float]] | None:
    """The part of a line that lies within the axes (Liang and Barsky)."""
    start, end = 0.0, 1.0
    run, rise = x[1] - x[0], y[1] - y[0]
    for delta, low, high in (
        (run, x_limits[0] - x[0], x_limits[1] - x[0]),
        (rise, y_limits[0] - y[0], y_limits[1] - y[0]),
    ):
        if abs(delta) < 1e-12:
            if low > 1e-9 or high < -1e-9:
                return None
            continue
        one, other = sorted((low / delta, high / delta))
        start, end = max(start, one), min(end, other)
    if start > end:
        return None

    def at(share: float) -> tuple[float, float]:
        return x[0] + share * run, y[0] + share * rise

    return at(start), at(end)
