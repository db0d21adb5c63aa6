"""What commands have in common: options, and how they reach the store without making one where there is none."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from spec_mcp.engine.events import Mode

if TYPE_CHECKING:
    from spec_mcp.store.place import Place
    from spec_mcp.store.store import Store

ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config",
        metavar="FILE",
        help="The configuration that names the store. Default: SPEC_MCP_CONFIG, else config.toml in SPEC_MCP_HOME.",
        show_default=False,
    ),
]

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for a program instead of a table.")]

ModeOption = Annotated[
    Mode | None, typer.Option("--mode", help="Speculate (on), only compare (shadow), or be a plain proxy (off).")
]

RecordOption = Annotated[
    str | None,
    typer.Option("--record", metavar="FILE", help="Write all exchanges with model speculators there."),
]

ReplayOption = Annotated[
    str | None,
    typer.Option("--replay", metavar="FILE", help="Answer for model speculators from what --record wrote; no network."),
]

HOW_TO_BEGIN = "put spec-mcp in front of a server with `spec-mcp wrap -- COMMAND`, and use it"


def store_place(config: Path | None) -> Place:
    """Where the store lies, or would lie.

    Raises:
        UserError: the configuration is at fault.
    """
    from spec_mcp.config import find_config, load_config
    from spec_mcp.store.settings import StoreSettings

    return StoreSettings.of(load_config(find_config(config, os.environ)), os.environ).place


def mode_of(config: Path | None, place: Place) -> Mode:
    """The mode of what runs on the store, where its own command line or environment says no other.

    Raises:
        UserError: the configuration is at fault, or a database cannot be asked.
    """
    from spec_mcp.config import find_config, load_config
    from spec_mcp.store.mode import switched

    return switched(place) or load_config(find_config(config, os.environ)).speculation.mode


def records_results(config: Path | None) -> bool:
    """Does the configuration let results be kept?

    Raises:
        UserError: the configuration is at fault.
    """
    from spec_mcp.config import find_config, load_config

    return load_config(find_config(config, os.environ)).store.record_results


def open_store(place: Place) -> Store | None:
    """The store, None where nothing was ever recorded.

    Raises:
        StoreError: it is there and cannot be used.
    """
    from spec_mcp.store.opening import is_begun, open_patiently

    return open_patiently(place) if is_begun(place) else None
