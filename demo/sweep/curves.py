"""Curves over a logarithmic axis in panels side by side, as one PNG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MultipleLocator, NullLocator

Points = Sequence[tuple[float, float]]
"""(x, y), in order of x."""

WIDTH, HEIGHT, LEGEND, DOTS = 4.7, 3.1, 0.6, 200
"""Of a panel and of the legend below all of them, in inches; dots an inch."""
GRID, MARKED = "#e4e4e4", "#8a929b"


@dataclass(frozen=True)
class Panel:
    """Curves by name. A name has the same colour in every panel."""

    title: str
    curves: Mapping[str, Points]


def draw(
    rows: Sequence[Sequence[Panel]], file: Path, across: str, marks: Mapping[str, float]
) -> None:
    """The panels in rows, on the same axes, and a legend below; marks: upright lines, by name."""
    names = dict.fromkeys(name for row in rows for panel in row for name in panel.curves)
    colours = {name: f"C{at}" for at, name in enumerate(names)}
    wide = max(map(len, rows))
    size = WIDTH * wide, HEIGHT * len(rows) + LEGEND
    figure = Figure(size, DOTS, layout="constrained")
    places = figure.subplots(len(rows), wide, sharex=True, sharey=True, squeeze=False)
    for panel, axes in zip((panel for row in rows for panel in row), places.flat, strict=True):
        _panel(axes, panel, colours, marks)
        axes.set_xlabel(across, loc="right")
    handles = {
        name: line for axes in places.flat for line in axes.lines if (name := line.get_label())
    }
    figure.legend(
        [handles[name] for name in names], names, loc="outside lower left", ncols=4, frameon=False
    )
    figure.savefig(file)


def _panel(
    axes: Axes, panel: Panel, colours: Mapping[str, str], marks: Mapping[str, float]
) -> None:
    axes.set_title(panel.title, loc="left")
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_formatter("{x:g}k")
    axes.xaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_locator(MultipleLocator(5))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:+g}" if y else "0"))
    axes.margins(y=0.1)
    axes.grid(axis="y", color=GRID)
    axes.axhline(0, color="black", linewidth=1)
    for name, x in marks.items():
        axes.axvline(x / 1000, color=MARKED, linewidth=1)
        top = axes.get_xaxis_transform()
        axes.text(x / 1000, 0.98, f"{name} ", color=MARKED, transform=top, ha="right", va="top")
    for name, points in panel.curves.items():
        x, y = zip(*points, strict=True)
        axes.plot([each / 1000 for each in x], y, "o-", color=colours[name], label=name)
