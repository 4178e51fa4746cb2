"""The chart of a report: the values with their intervals, and where they lie among people of that age."""

from __future__ import annotations

import numpy as np

from ..bmd.result import TOTAL, LevelResult
from .case import ReportCase
from .drawing import Canvas, Colour

HEIGHT, LEVELS_WIDTH, AGES_WIDTH = 520, 380, 500
LEFT, RIGHT, ABOVE, BELOW = 84, 12, 40, 64
"""Pixels around the plot, twice what a page shows."""
TEXT = 21
INK: Colour = (40, 40, 40)
RULE: Colour = (225, 225, 225)
BAND_1: Colour = (205, 205, 205)
BAND_2: Colour = (233, 233, 233)
MEAN: Colour = (110, 110, 110)
LEVEL: Colour = (0, 114, 178)
TOTAL_COLOUR: Colour = (213, 94, 0)
OUT: Colour = (150, 150, 150)
MIN_RANGE = 0.4  # g/cm2, so that small differences are not drawn as large ones


def chart_png(case: ReportCase) -> bytes:
    """The chart as a PNG: by level, and by age where the reference, the sex and the age are known."""
    ages = case.by_age() if case.result.age is not None else []
    rows = case.result.rows
    low = min([row.bmd_low for row in rows] + [mean - 2 * sd for _age, mean, sd in ages])
    high = max([row.bmd_high for row in rows] + [mean + 2 * sd for _age, mean, sd in ages])
    room = max((MIN_RANGE - (high - low)) / 2, 0.03)
    scale = max(low - room, 0.0), high + room
    canvas = Canvas(LEVELS_WIDTH + (AGES_WIDTH if ages else 0), HEIGHT)
    _levels(_Plot(canvas, 0, LEVELS_WIDTH, scale), rows)
    if ages and case.result.age is not None:
        _ages(_Plot(canvas, LEVELS_WIDTH, AGES_WIDTH, scale), rows, ages, case.result.age)
    return canvas.png()


class _Plot:
    """One plot on the canvas, its scale in g/cm2 drawn."""

    def __init__(self, canvas: Canvas, left: int, width: int, scale: tuple[float, float]) -> None:
        self.canvas, self.scale = canvas, scale
        self.left, self.right = left + LEFT, left + width - RIGHT
        self.top, self.bottom = ABOVE, canvas.height - BELOW

    def y(self, bmd: float) -> float:
        """Row of a value in g/cm2."""
        low, high = self.scale
        return self.bottom - (bmd - low) / (high - low) * (self.bottom - self.top)

    def rules(self) -> None:
        """Lines at even values, with the values beside them."""
        low, high = self.scale
        step = 0.1 if high - low < 0.8 else 0.2
        for value in np.arange(np.ceil(low / step), np.floor(high / step) + 1) * step:
            y = self.y(value)
            self.canvas.line([(self.left, y), (self.right, y)], RULE, 1.5)
            self.canvas.text(self.left - 10, y, f"{value:.1f}", TEXT, INK, across=1.0)
        self.canvas.text(self.left - LEFT + 8, ABOVE / 2 - 2, "g/cm²", TEXT, INK)

    def frame(self) -> None:
        """The two axes."""
        corner = (self.left, self.bottom)
        self.canvas.line([(self.left, self.top), corner], INK, 2)
        self.canvas.line([corner, (self.right, self.bottom)], INK, 2)

    def title(self, words: str) -> None:
        """What the plot shows."""
        middle = (self.left + self.right) / 2
        self.canvas.text(middle, ABOVE / 2 - 2, words, TEXT, INK, across=0.5, bold=True)

    def below(self, x: float, words: str) -> None:
        """Words at the foot of a value of x."""
        self.canvas.text(x, self.bottom + 18, words, TEXT, INK, across=0.5)

    def interval(self, x: float, row: LevelResult, colour: Colour, radius: float) -> None:
        """A value with its interval."""
        low, high = self.y(row.bmd_low), self.y(row.bmd_high)
        self.canvas.line([(x, low), (x, high)], colour, 3)
        for y in (low, high):
            self.canvas.line([(x - 8, y), (x + 8, y)], colour, 3)
        self.canvas.disc(x, self.y(row.bmd_g_cm2), radius, colour)


def _colour(row: LevelResult) -> Colour:
    if row.level == TOTAL:
        return TOTAL_COLOUR
    return LEVEL if row.included else OUT


def _levels(plot: _Plot, rows: list[LevelResult]) -> None:
    """Each value with its interval, from head to feet, the mean last."""
    plot.rules()
    plot.title("By level")
    plot.frame()
    width = (plot.right - plot.left) / len(rows)
    for index, row in enumerate(rows):
        x = plot.left + (index + 0.5) * width
        plot.interval(x, row, _colour(row), 9 if row.level == TOTAL else 7)
        plot.below(x, row.level)
        if not row.included:
            plot.canvas.text(x, plot.bottom + 42, "(out)", TEXT - 3, INK, across=0.5)


def _ages(
    plot: _Plot, rows: list[LevelResult], ages: list[tuple[float, float, float]], age: float
) -> None:
    """The values at the person's age over the mean, 1 and 2 SD of the reference."""
    first = min(ages[0][0], age) - 3
    last = max(ages[-1][0], age) + 9

    def x(years: float) -> float:
        return plot.left + (years - first) / (last - first) * (plot.right - plot.left)

    along = [x(years) for years, _mean, _sd in ages]
    for times, colour in ((2, BAND_2), (1, BAND_1)):
        low = [plot.y(mean - times * sd) for _years, mean, sd in ages]
        high = [plot.y(mean + times * sd) for _years, mean, sd in ages]
        plot.canvas.band(along, low, high, colour)
    plot.rules()
    plot.canvas.line(
        [(a, plot.y(mean)) for a, (_y, mean, _sd) in zip(along, ages, strict=True)], MEAN, 3
    )
    plot.title("By age, over the reference")
    plot.frame()
    for years in range(int(np.ceil(first / 10)) * 10, int(last) + 1, 10):
        plot.below(x(years), str(years))
    middle = (plot.left + plot.right) / 2
    plot.canvas.text(middle, plot.bottom + 44, "age (years)", TEXT, INK, across=0.5)
    here = x(age)
    for row in rows:
        if row.level == TOTAL:
            plot.interval(here, row, TOTAL_COLOUR, 9)
        else:
            plot.canvas.disc(here, plot.y(row.bmd_g_cm2), 6, _colour(row))
    _names(plot, rows, here)


def _names(plot: _Plot, rows: list[LevelResult], here: float) -> None:
    """The names beside the points, moved up or down where two would lie over each other."""
    ordered = sorted(rows, key=lambda row: plot.y(row.bmd_g_cm2))
    places: list[float] = []
    for row in ordered:
        place = plot.y(row.bmd_g_cm2)
        places.append(max(place, places[-1] + TEXT + 2) if places else place)
    # As far down as the crowd was pushed, half of it goes back up.
    back = (places[-1] - plot.y(ordered[-1].bmd_g_cm2)) / 2
    for row, place in zip(ordered, places, strict=True):
        bold = row.level == TOTAL
        plot.canvas.line(
            [(here + 12, plot.y(row.bmd_g_cm2)), (here + 26, place - back)], _colour(row), 1.5
        )
        plot.canvas.text(here + 30, place - back, row.level, TEXT, _colour(row), bold=bold)
