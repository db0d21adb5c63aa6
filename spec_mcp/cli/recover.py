"""`spec-mcp recover`: settle what a crash left in the undo journal."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from spec_mcp.cli import completing
from spec_mcp.cli.opening import ConfigOption, JsonOption, store_place
from spec_mcp.errors import Failed

if TYPE_CHECKING:
    from collections.abc import Callable

    from spec_mcp.engine.states import State
    from spec_mcp.store.leftovers import Left

    Ended = Callable[[str, State, str], None]

ARGUMENTS_CHARS = 74
INDENT = (0, 0, 0, 4)
"""What is said of an entry, under its id."""


@dataclass(frozen=True, slots=True)
class End:
    """What came of an entry; `word` is `settled`, `stuck`, `open` or `running`."""

    word: str
    why: str = ""


def command(
    config: ConfigOption = None,
    server: Annotated[
        str | None,
        typer.Option(
            "--server",
            metavar="NAME",
            help="Only what is open at this server.",
            show_default=False,
            autocompletion=completing.recorded_servers,
        ),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only list what is open, and start no server.")] = False,
    forget: Annotated[
        str | None,
        typer.Option(
            "--forget",
            metavar="ID",
            help="Close this entry: you have settled it by hand, or it does not matter.",
            autocompletion=completing.open_entries,
            show_default=False,
        ),
    ] = None,
    bury: Annotated[
        str | None,
        typer.Option(
            "--bury",
            metavar="REPLICA",
            help="With PostgreSQL: strike out a silent replica whose process is certainly gone.",
            show_default=False,
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Take back early writes that nobody used and that a crash left behind.

    Each server is started as it was then, and what is there is undone if it is exactly what was left; anything else is
    reported and kept until you close it with `--forget`. What a running spec-mcp has under way is left alone. With
    PostgreSQL it also says which replica is silent and keeps the others from using anything early.
    """
    from spec_mcp.cli import replicas
    from spec_mcp.store.leftovers import left_behind

    place = store_place(config)
    if bury is not None:
        replicas.bury(place.remote, bury)
        return
    store = place.path
    found = [left for left in left_behind(store) if server is None or left.entry.server == server]
    if forget is not None:
        _forget(store, found, forget)
        return
    ends = {} if dry_run else _settle(store, found, config)
    if as_json:
        typer.echo(json.dumps([_as_object(left, ends) for left in found], indent=2))
    else:
        _show(found, ends, dry_run)
        for line in () if place.remote is None else replicas.silent(place.remote):
            typer.echo(line)
    still = sum(end.word in ("stuck", "open") for end in ends.values())
    if still:
        noun = "entry is" if still == 1 else "entries are"
        raise Failed(f"{still} {noun} still open: mend what is said above, or close one with `recover --forget ID`")


def _forget(store: Path, found: Sequence[Left], wanted: str) -> None:
    from spec_mcp.cli.text import safe
    from spec_mcp.store.leftovers import forget

    entry = next((left.entry for left in found if left.entry.id == wanted), None)
    if entry is None:
        known = ", ".join(left.entry.id for left in found)
        raise Failed(f"--forget: no open entry is called {wanted}: {f'open are {known}' if known else 'none is open'}")
    if not forget(store, entry):
        raise Failed(f"--forget: a running spec-mcp has {wanted}: end the client that uses {entry.server} first")
    typer.echo(f"Closed {wanted}: {safe(entry.server)} {safe(entry.tool)}. Nothing was changed at the server.")


# --- settling ---------------------------------------------------------------------------------------------------------


def _settle(store: Path, found: Sequence[Left], config: Path | None) -> dict[str, End]:
    """What came of each, by its id."""
    from spec_mcp.cli.progress import progress
    from spec_mcp.relay.recovery import CannotRecover
    from spec_mcp.store.leftovers import REASONS, by_instance

    ends: dict[str, End] = {}
    with progress("taking back", len(found)) as step:

        def ended(entry: str, state: State, reason: str) -> None:
            is_stuck = state.value == "stuck"
            ends[entry] = End("stuck", REASONS.get(reason, reason)) if is_stuck else End("settled")
            step()

        for group in by_instance(found):
            if any(left.is_alive for left in group):
                ends.update({left.entry.id: End("running") for left in group})
                continue
            try:
                _settle_group(store, group, config, ended)
                why = "the server did not answer in time, or another spec-mcp is at it"
            except CannotRecover as error:
                why = f"{group[0].entry.server} {error}"
            for left in group:
                ends.setdefault(left.entry.id, End("open", why))
    return ends


def _settle_group(store: Path, group: Sequence[Left], config: Path | None, ended: Ended) -> None:
    from spec_mcp.config import find_config, load_config
    from spec_mcp.relay.recovery import Recovery, environment

    loaded = load_config(find_config(config, os.environ))
    name = group[0].entry.server
    configured = loaded.server(name, os.environ).env if name in loaded.servers else {}
    environ = environment(store, group[0].entry, os.environ, configured)
    Recovery(store, [left.entry for left in group], environ, ended).run()


# --- showing ----------------------------------------------------------------------------------------------------------


def _as_object(left: Left, ends: Mapping[str, End]) -> dict[str, object]:
    entry, end = left.entry, ends.get(left.entry.id)
    return {
        "id": entry.id,
        "server": entry.server,
        "tool": entry.tool,
        "arguments": left.arguments,
        "made_at": entry.made_at,
        "state": entry.state,
        "reason": entry.reason,
        "running": left.is_alive,
        "end": None if end is None else end.word,
        "why": "" if end is None else end.why,
    }


def _show(found: Sequence[Left], ends: Mapping[str, End], dry_run: bool) -> None:
    """A paragraph each: what happens with it is a sentence, for which a table has no room."""
    from rich.console import Console
    from rich.padding import Padding
    from rich.text import Text

    from spec_mcp.cli.text import arguments_text, moment, safe

    console = Console(highlight=False)
    if not found:
        console.print("Nothing is open: no early write is left behind.")
        return
    for left in found:
        entry = left.entry
        console.print(Text(f"{safe(entry.id)}  {safe(entry.server)} {safe(entry.tool)}", style="bold"))
        what = (
            f"at {moment(entry.made_at)}, {_state(left)}",
            arguments_text(entry.arguments, ARGUMENTS_CHARS),
            f"will be {_plan(left)}" if dry_run else _end(ends[entry.id]),
        )
        console.print(*(Padding(Text(safe(line)), INDENT) for line in what if line), sep="")


def _state(left: Left) -> str:
    entry = left.entry
    if entry.state == "intended":
        return "made, not used" if entry.outcome or entry.left else "perhaps made"
    return "stuck" if entry.state == "stuck" else "half undone"


def _plan(left: Left) -> str:
    from spec_mcp.store.leftovers import REASONS

    if left.is_alive:
        return "left alone: in use by a running spec-mcp"
    if left.entry.state == "stuck":
        return f"tried again (stuck: {REASONS.get(left.entry.reason, left.entry.reason)})"
    return "taken back, if it is there and nothing else has changed"


def _end(end: End) -> str:
    words = {"settled": "settled: nothing of it is left", "running": "left alone: in use by a running spec-mcp"}
    return words.get(end.word) or f"{'STUCK' if end.word == 'stuck' else 'still open'}: {end.why}"
