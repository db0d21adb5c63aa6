"""Drawing, where the optional plotting library is installed."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from spec_mcp.errors import UserError


def draw(path: Path, paint: Callable[[Any], None]) -> None:
    """Let `paint` fill the axes of a figure (matplotlib's), and write it to a file: .png, .svg or .pdf.

    Raises:
        UserError: the library is missing, or the file cannot be written.
    """
    try:
        module: Any = import_module("matplotlib.figure")
    except ImportError as error:
        raise UserError(f"{path.name}: drawing needs matplotlib: install spec-mcp[plots]") from error
    figure = module.Figure(figsize=(7, 4.5), layout="constrained")
    paint(figure.subplots())
    try:
        figure.savefig(path, dpi=150)
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: the plot cannot be written: {error}") from error
