"""`spec-mcp learn`: start warm, from recorded sessions or from a client's own transcripts."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from spec_mcp.cli.opening import ConfigOption
from spec_mcp.errors import Failed, UserError

if TYPE_CHECKING:
    from spec_mcp.engine.effects import ServerPolicy
    from spec_mcp.records import Session
    from spec_mcp.store.rows import Scope

CONTEXT = {"allow_extra_args": True, "ignore_unknown_options": False}

CLIENTS = ("claude-code",)

WHOSE = "say whose calls these are: end with `-- COMMAND`, the server's command line as your client starts it"


def command(
    files: Annotated[
        list[str] | None, typer.Argument(metavar="FILE… [-- COMMAND…]", help="Recorded sessions, and whose they are.")
    ] = None,
    client: Annotated[
        str, typer.Option("--from", metavar="CLIENT", help="Read a client's own transcripts: claude-code.")
    ] = "",
    server: Annotated[
        str, typer.Option("--server", metavar="NAME", help="The server's name; with --from: only this one.")
    ] = "",
    manifest: Annotated[
        str,
        typer.Option("--manifest", metavar="NAME_OR_FILE", help="Says which tools read where no record does."),
    ] = "",
    folder: Annotated[
        Path | None, typer.Option("--folder", metavar="FOLDER", help="Where the client keeps its transcripts.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be read.")] = False,
    config: ConfigOption = None,
) -> None:
    """Learn from calls that were made before spec-mcp was there.

    From recorded sessions: [b]spec-mcp learn FILE… -- COMMAND[/b], the server's own command line as it stands in your
    client's configuration. From Claude Code: [b]spec-mcp learn --from claude-code[/b] reads the calls of MCP tools in
    your transcripts, nothing else, and says how many; each server's command line is taken from its configuration.
    """
    paths, launched_by = _split(files or [])
    if client:
        if client not in CLIENTS:
            raise UserError(f"--from {client}: only {', '.join(CLIENTS)} is known")
        if paths:
            raise UserError("learn: give files or --from, not both")
        _from_claude_code(folder or Path.home() / ".claude", server, manifest, dry_run, config)
        return
    if not paths:
        raise UserError("learn: name files of recorded sessions, or --from claude-code")
    if not launched_by:
        raise UserError(f"learn: {WHOSE}")
    from spec_mcp.records import read_sessions
    from spec_mcp.relay.naming import name_of

    name = server or name_of(launched_by)
    for path in paths:
        sessions = list(read_sessions(Path(path)))
        _learn(name, launched_by, sessions, _policy(manifest or name, bool(manifest)), dry_run, config, str(path))


def _split(given: Sequence[str]) -> tuple[list[str], list[str]]:
    """The files, and the command line after `--`."""
    import sys

    if "--" not in sys.argv:
        return list(given), []
    behind = sys.argv[len(sys.argv) - sys.argv[::-1].index("--") :]
    return list(given)[: len(given) - len(behind)], behind


def _from_claude_code(folder: Path, only: str, manifest: str, dry_run: bool, config: Path | None) -> None:
    from spec_mcp.replay.transcripts import claude_code

    found = claude_code(folder)
    typer.echo(f"{found.files} transcripts in {folder / 'projects'}: {found.calls} calls of MCP tools")
    if found.skipped_files:
        typer.echo(f"{found.skipped_files} transcripts could not be read")
    launches = _launches(folder)
    learned = 0
    for server, sessions in sorted(found.by_server.items()):
        if only and server != only:
            continue
        launched_by = launches.get(server)
        if launched_by is None:
            typer.echo(f"{server}: left out, its command line stands in none of Claude Code's configurations")
            continue
        _learn(server, launched_by, sessions, _policy(manifest or server, bool(manifest)), dry_run, config, server)
        learned += 1
    if not learned:
        raise Failed("learn: nothing was learned: there is no call of a server whose command line is known")


def _launches(folder: Path) -> dict[str, list[str]]:
    """By server, the command line in Claude Code's configuration; without spec-mcp's own, where it stands in front."""
    try:
        whole = _table(json.loads(folder.with_name(folder.name + ".json").read_text("utf-8")))
    except (OSError, ValueError):
        return {}
    found: dict[str, list[str]] = {}
    for holder in (whole, *map(_table, _table(whole.get("projects")).values())):
        for name, entry in _table(holder.get("mcpServers")).items():
            launched, arguments = _table(entry).get("command"), _table(entry).get("args")
            if isinstance(launched, str):
                words = [launched, *map(str, cast("list[Any]", arguments) if isinstance(arguments, list) else [])]
                wrapped = "wrap" in words and "--" in words
                found.setdefault(name, words[words.index("--") + 1 :] if wrapped else words)
    return found


def _table(value: object) -> dict[str, Any]:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def _policy(name: str, wanted: bool) -> ServerPolicy | None:
    from spec_mcp.config import home
    from spec_mcp.manifest.load import load_manifest
    from spec_mcp.manifest.match import find_manifest

    try:
        return load_manifest(find_manifest(name, home(os.environ))).policy
    except UserError:
        if wanted:
            raise
        return None


def _learn(
    name: str,
    launched_by: list[str],
    sessions: list[Session],
    policy: ServerPolicy | None,
    dry_run: bool,
    config: Path | None,
    title: str,
) -> None:
    from spec_mcp.replay.warm import teach
    from spec_mcp.store.rows import Scope

    calls = sum(1 for session in sessions for _ in session.calls())
    said = f"{title}: {len(sessions)} sessions, {calls} calls of {name}"
    if policy is None:
        said += ", without a manifest: only calls recorded as reads count as such"
    if dry_run:
        typer.echo(f"{said}: would be learned")
        return
    _write(Scope.of(name, launched_by), teach(name, sessions, policy), config)
    typer.echo(f"{said}: learned")


def _write(scope: Scope, learned: object, config: Path | None) -> None:
    from spec_mcp.cli.opening import store_path
    from spec_mcp.predict.merging import KIND
    from spec_mcp.store.rows import LOCAL_USER, LearnedRow
    from spec_mcp.store.sqlite import SqliteStore

    store = SqliteStore(store_path(config))
    try:
        data = json.dumps(learned, separators=(",", ":")).encode()
        store.write([LearnedRow(scope, LOCAL_USER, KIND, data, time.time())])
    finally:
        store.close()
