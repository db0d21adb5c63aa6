"""Drawing, where the optional plotting library is installed: what all plots have in common, and tuning's curve."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from spec_mcp.errors import UserError
from spec_mcp.replay.tuning import Curve, Point

SUFFIXES = (".png", ".svg", ".pdf")

BLUE, ORANGE, GREEN, GREY = "#0072b2", "#d55e00", "#009e73", "#666666"
"""Colours that people who confuse red and green tell apart, and that stay apart when printed in grey."""

SAME = (0.07, 0.045)
"""Points nearer than these shares of the plot's width and height carry one label: about a label's own size."""

CHARACTER = 0.012
"""A label's character, as a share of the plot's width."""

LOW = 0.06
"""A label stands below its point, but for a point in this lowest share of the plot's height."""

LINE_POINTS = 13
"""The height of a line of a caption."""


def check(path: Path) -> None:
    """See that a plot can be drawn to this file, before the work for it is done.

    Raises:
        UserError: the library is missing, or the file's name or folder is wrong.
    """
    if path.suffix not in SUFFIXES:
        raise UserError(f"{path}: a plot is drawn to a file that ends in {', '.join(SUFFIXES)}")
    if not path.absolute().parent.is_dir():
        raise UserError(f"{path}: there is no folder {path.absolute().parent}: make it first")
    try:
        import_module("matplotlib.figure")
    except ImportError as error:
        raise UserError(f"{path.name}: drawing needs matplotlib: pip install 'spec-mcp[plots]'") from error


def draw(path: Path, paint: Callable[[Any], None], size: tuple[float, float] = (7.0, 4.5)) -> None:
    """Let `paint` fill the axes of a figure (matplotlib's), `size` inches wide and high, and write it to a file.

    Raises:
        UserError: the library is missing, or the file cannot be written.
    """
    check(path)
    module: Any = import_module("matplotlib.figure")
    figure = module.Figure(figsize=size, layout="constrained")
    axes = figure.subplots()
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25)
    axes.set_axisbelow(True)
    paint(axes)
    try:
        figure.savefig(path, dpi=150)
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: the plot cannot be written: {error}") from error


def titled(axes: Any, title: str, *caption: str) -> None:
    """A title, and below it what was measured, in lines that fit the figure's width."""
    axes.set_title(title, loc="left", fontsize=12, fontweight="bold", pad=LINE_POINTS * len(caption) + 8)
    for number, line in enumerate(reversed(caption)):
        axes.annotate(
            line, (0.0, 1.0), xycoords="axes fraction", xytext=(0, LINE_POINTS * number + 5),
            textcoords="offset points", fontsize=9, color=GREY,
        )  # fmt: skip


def cost_and_latency(curve: Curve, chosen: Point | None, now: Point) -> Callable[[Any], None]:
    """How much of the wait each setting hides, against what it wastes."""

    def paint(axes: Any) -> None:
        across = [point.waste_per_ten for point in curve.points]
        up = [100 * point.hidden_share for point in curve.points]
        axes.plot(across, up, "-", color=BLUE, alpha=0.5, linewidth=1.5)
        axes.plot(across, up, "o", color=BLUE, clip_on=False, label="settings of wasted_call_s, in s")
        if chosen is not None:
            axes.plot(
                [chosen.waste_per_ten], [100 * chosen.hidden_share], "o", color=ORANGE, markersize=15, fillstyle="none",
                markeredgewidth=2, clip_on=False, label=f"choose {chosen.wasted_call_s:g}",
            )  # fmt: skip
        axes.plot(
            [now.waste_per_ten], [100 * now.hidden_share], "s", color=GREEN, markersize=11, fillstyle="none",
            markeredgewidth=2, clip_on=False, label=f"now {now.wasted_call_s:g}",
        )  # fmt: skip
        axes.set_xlim(0, max(1.0, *across) * 1.12)
        axes.set_ylim(0, min(100.0, max(10.0, *up) * 1.25))
        _name(axes, curve.points)
        axes.set_xlabel("wasted speculations per ten calls")
        axes.set_ylabel("wait hidden, % of all waiting")
        titled(
            axes, "What a setting hides, and what it wastes", f"{curve.calls:,} calls in {curve.sessions:,} sessions"
        )
        axes.legend(loc="lower right", fontsize=9, framealpha=1.0)

    return paint


def _name(axes: Any, points: Sequence[Point]) -> None:
    """Write the settings beside their points: below them, or above where there is no room."""
    wide, high = axes.get_xlim()[1], axes.get_ylim()[1]
    to_the_right = (2 * wide, 0.0)
    for label, x, y in _labels(points, wide, high):
        low = y < LOW * high
        meets = x + len(label) * CHARACTER * wide > to_the_right[0] and abs(y - to_the_right[1]) < SAME[1] * high
        aside = LINE_POINTS if meets else 0
        axes.annotate(
            label, (x, y), xytext=(9, aside if low else -4 - aside), textcoords="offset points", fontsize=9,
            va="bottom" if low else "top",
        )  # fmt: skip
        to_the_right = (x, y)


def _labels(points: Sequence[Point], wide: float, high: float) -> list[tuple[str, float, float]]:
    """What is written at the points, and where; points that coincide share one label."""
    together: list[list[Point]] = []
    for point in points:
        if together and _is_near(together[-1][0], point, wide, high):
            together[-1].append(point)
        else:
            together.append([point])
    labels: list[tuple[str, float, float]] = []
    for group in together:
        first, last = group[0], group[-1]
        text = f"{first.wasted_call_s:g}" + (f" to {last.wasted_call_s:g}" if last is not first else "")
        labels.append((text, first.waste_per_ten, 100 * first.hidden_share))
    return labels


def _is_near(one: Point, other: Point, wide: float, high: float) -> bool:
    across, up = abs(one.waste_per_ten - other.waste_per_ten), 100 * abs(one.hidden_share - other.hidden_share)
    return across < SAME[0] * wide and up < SAME[1] * high
