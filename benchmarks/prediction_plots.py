"""The two plots of `bench prediction`: what is answered at what waste, and what probabilities mean."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from spec_mcp.replay.plots import BLUE, GREEN, GREY, ORANGE, draw, titled

Published = tuple[str, float | None, tuple[float, float]]
"""Whose, the share of speculations that were used (None: not published), and the range of calls answered."""

RETAIL = "retail"

SURE = 1.96
"""Standard deviations on either side of 95 %."""


def plots(figures: Mapping[str, Any], published: Sequence[Published], folder: Path) -> None:
    """Draw both of them into a folder, for the retail sessions together.

    Raises:
        UserError: the plotting library is missing.
    """
    points = [(float(asked), of[RETAIL]) for asked, of in figures.items()]
    draw(folder / "prediction.png", lambda axes: _answered(axes, points, published))
    draw(folder / "reliability.png", lambda axes: _reliability(axes, points[0][1]), size=(6.2, 6.2))


def _answered(axes: Any, points: Sequence[tuple[float, Any]], published: Sequence[Published]) -> None:
    across = [100 * of["used_share"] for _, of in points]
    up = [100 * of["answered_share"] for _, of in points]
    axes.plot(across, up, "o-", color=BLUE, label="spec-mcp, by the share of used ones asked for")
    for (asked, _), x, y in zip(points, across, up, strict=True):
        axes.annotate(f"{asked:.0%}", (x, y), xytext=(0, 8), textcoords="offset points", fontsize=9, ha="center")
    for (name, used, (low, high)), colour in zip(
        [entry for entry in published if "retail" in entry[0]], (ORANGE, GREEN), strict=False
    ):
        middle, half = 50 * (low + high), 50 * (high - low)
        if used is None:
            axes.axhspan(100 * low, 100 * high, color=colour, alpha=0.15, linewidth=0)
            axes.annotate(
                f"{name}: {low:.1%} to {high:.1%}, share used not published", (0.02, middle), fontsize=9, color=colour,
                xycoords=("axes fraction", "data"), va="center",
            )  # fmt: skip
        else:
            axes.errorbar(
                [100 * used], [middle], [half], fmt="none", ecolor=colour, elinewidth=3, capsize=6, capthick=2,
                label=f"{name}: {low:.0%} to {high:.0%}",
            )  # fmt: skip
    axes.set_xlim(0, 100)
    axes.set_ylim(0, 100)
    axes.set_xlabel("speculations that a call used, %")
    axes.set_ylabel("calls answered ahead of time, %")
    of = points[0][1]
    titled(
        axes, "How much is answered, at what waste",
        f"Retail agents, {of['calls']:,} calls in {of['sessions']:,} sessions of tasks that were not learned from.",
        "Others: as published, on sessions of their own.",
    )  # fmt: skip
    axes.legend(loc="upper left", fontsize=9, framealpha=1.0)


def _reliability(axes: Any, of: Any) -> None:
    groups: list[tuple[float, float, int]] = of["reliability"]
    said = [100 * q for q, _, _ in groups]
    used = [100 * share for _, share, _ in groups]
    axes.plot([0, 100], [0, 100], "--", color=GREY, label="said what came")
    axes.errorbar(
        said, used, [_margins(groups, below=True), _margins(groups, below=False)], fmt="o", color=BLUE,
        markersize=5, capsize=3, label="groups of candidates, with 95% margins",
    )  # fmt: skip
    axes.set_xlim(0, 100)
    axes.set_ylim(0, 100)
    axes.set_aspect("equal")
    axes.set_xlabel("probability that was said, %")
    axes.set_ylabel("candidates used before the next write, %")
    sizes = [count for _, _, count in groups]
    titled(
        axes, "Do probabilities mean what they say?",
        f"Retail agents, {len(groups)} groups of about {round(sum(sizes) / max(1, len(sizes))):,} candidates each.",
        f"Calibration error {100 * of['calibration_error']:.1f} points, over candidates that were given 10% or more.",
    )  # fmt: skip
    axes.legend(loc="upper left", fontsize=9, framealpha=1.0)


def _margins(groups: Sequence[tuple[float, float, int]], *, below: bool) -> list[float]:
    """How far the share used may be from what was counted (Wilson's interval), in points."""
    margins: list[float] = []
    for _, share, count in groups:
        denominator = 1 + SURE**2 / count
        middle = (share + SURE**2 / (2 * count)) / denominator
        half = SURE * math.sqrt(share * (1 - share) / count + SURE**2 / (4 * count**2)) / denominator
        margins.append(100 * max(0.0, share - middle + half if below else middle + half - share))
    return margins
