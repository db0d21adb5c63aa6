"""A bar on standard error, where somebody looks at it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from time import monotonic

SHOWN_EVERY_S = 0.1
"""No thread of its own draws the bar: a process with threads cannot be copied."""


@contextmanager
def progress(title: str, total: int) -> Generator[Callable[[], None]]:
    """Shows how far something is that takes so many steps; what it gives is called after each."""
    done = 0

    def advance() -> None:
        nonlocal done
        done += 1
        show(done, total)

    with meter(title) as show:
        show(0, total)
        yield advance


@contextmanager
def meter(title: str) -> Generator[Callable[[int, int], None]]:
    """Shows how far something is; what it gives is told how many steps are done of how many that are known of."""
    if not sys.stderr.isatty():
        yield lambda done, total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True, auto_refresh=False) as bar:
        task = bar.add_task(title, total=None)
        shown_s = 0.0

        def show(done: int, total: int) -> None:
            nonlocal shown_s
            bar.update(task, completed=done, total=total)
            if (now_s := monotonic()) - shown_s >= SHOWN_EVERY_S:
                shown_s = now_s
                bar.refresh()

        yield show
