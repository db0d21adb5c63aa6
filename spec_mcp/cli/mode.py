"""`spec-mcp off`, `shadow` and `on`: the mode of everything that runs on this store, without touching a client."""

from __future__ import annotations

from pathlib import Path

import typer

from spec_mcp.cli.opening import ConfigOption, store_place
from spec_mcp.engine.events import Mode

MEANING = {
    Mode.OFF: "nothing is speculated, every call goes straight through",
    Mode.SHADOW: "calls are predicted and compared, but always answered by the real call",
    Mode.ON: "calls are answered ahead of time where that changes nothing but the time",
}


def off(config: ConfigOption = None) -> None:
    """Stop speculating, at once and in everything that runs: spec-mcp becomes a plain proxy."""
    _turn(Mode.OFF, config)


def shadow(config: ConfigOption = None) -> None:
    """Speculate and compare, but answer every call with the real one: see what would be saved before it is."""
    _turn(Mode.SHADOW, config)


def on(config: ConfigOption = None) -> None:
    """Answer calls ahead of time."""
    _turn(Mode.ON, config)


def _turn(mode: Mode, config: Path | None) -> None:
    from spec_mcp.store.mode import turn

    place = store_place(config)
    turn(place, mode)
    typer.echo(f"{mode}: {MEANING[mode]}. This holds for everything that runs on {place}, from about now on.")
