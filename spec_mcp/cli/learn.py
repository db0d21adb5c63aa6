"""`spec-mcp learn`: start warm, from recorded sessions or from a client's own transcripts."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer
from typer.core import TyperCommand

from spec_mcp.cli import completing
from spec_mcp.cli.opening import ConfigOption
from spec_mcp.cli.progress import progress
from spec_mcp.cli.text import count, safe
from spec_mcp.errors import Failed, UserError

if TYPE_CHECKING:
    from spec_mcp.engine.calls import Json
    from spec_mcp.engine.effects import ServerPolicy
    from spec_mcp.records import Session
    from spec_mcp.replay.transcripts import Transcripts
    from spec_mcp.store.rows import Scope

CLIENTS = ("claude-code",)

WHOSE = "say whose calls these are: end with `-- COMMAND`, the server's command line as your client starts it"

SHOWN_FILES = 3
"""Files that could not be read are named up to so many."""

BEHIND = "behind"


class Command(TyperCommand):
    """Keeps what stands behind `--` apart: it is a server's command line, and no file."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        at = args.index("--") if "--" in args else len(args)
        ctx.meta[BEHIND] = args[at + 1 :]
        return super().parse_args(ctx, args[:at])


@dataclass(frozen=True, slots=True)
class Target:
    """What is learned goes to this server's history, as `spec-mcp wrap -- COMMAND` reads it."""

    name: str
    command: tuple[str, ...]
    manifest: str
    """Given by the user; empty: the one of the server's name, if there is one."""
    config: Path | None
    dry_run: bool
    words: bool
    """Are the words of user and assistant learned from too?"""

    @property
    def scope(self) -> Scope:
        """Whose history it is."""
        from spec_mcp.store.rows import Scope

        return Scope.of(self.name, self.command)


def command(
    context: typer.Context,
    files: Annotated[
        list[Path] | None, typer.Argument(metavar="FILE… [-- COMMAND…]", help="Recorded sessions, and whose they are.")
    ] = None,
    client: Annotated[
        str,
        typer.Option(
            "--from",
            metavar="CLIENT",
            help="Read a client's own transcripts: claude-code.",
            autocompletion=completing.transcripts,
        ),
    ] = "",
    server: Annotated[
        str,
        typer.Option(
            "--server",
            metavar="NAME",
            help="The server's name; with --from: only this one.",
            autocompletion=completing.client_servers,
        ),
    ] = "",
    manifest: Annotated[
        str,
        typer.Option(
            "--manifest",
            metavar="NAME_OR_FILE",
            help="Says which tools read where no record does.",
            autocompletion=completing.manifests,
        ),
    ] = "",
    folder: Annotated[
        Path | None,
        typer.Option("--folder", metavar="FOLDER", help="Where the client keeps its files. Default: ~/.claude."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be learned.")] = False,
    words: Annotated[
        bool, typer.Option("--context", help="Learn from what was said too: for a client that sends hints of it.")
    ] = False,
    config: ConfigOption = None,
) -> None:
    """Learn from calls that were made before spec-mcp was there.

    From recorded sessions: [b]spec-mcp learn FILE… -- COMMAND[/b], the server's own command line as it stands in your
    client's configuration. From Claude Code: [b]spec-mcp learn --from claude-code[/b] reads the calls of MCP tools in
    your transcripts, nothing else, and says how many; each server's command line is taken from its configuration.

    What was learned once is not learned again: of a session that has grown since, the new calls alone.
    """
    behind = tuple(cast("list[str]", context.meta.get(BEHIND, [])))
    if client and client not in CLIENTS:
        raise UserError(f"--from {client}: only {', '.join(CLIENTS)} is known")
    if client and files:
        raise UserError("learn: give files or --from, not both")
    if client:
        if behind and not server:
            raise UserError("learn: say with --server whose command line this is")
        _from_claude_code(folder, server, behind, manifest, config, dry_run)
    elif not files:
        raise UserError("learn: name files of recorded sessions, or --from claude-code")
    elif not behind:
        raise UserError(f"learn: {WHOSE}")
    else:
        from spec_mcp.relay.naming import name_of

        _from_files(files, Target(server or name_of(behind), behind, manifest, config, dry_run, words))


def _from_files(files: Sequence[Path], target: Target) -> None:
    """All files are read before anything is learned: a fault in the last one must not leave half of it."""
    from spec_mcp.records import read_sessions

    found: list[Session] = []
    for path in files:
        sessions = list(read_sessions(path))
        of_others = [session for session in sessions if not _may_be_of(session.source, target.name)]
        found += [session for session in sessions if _may_be_of(session.source, target.name)]
        calls = sum(1 for session in sessions for _ in session.calls())
        said = f"{path}: {count(len(sessions), 'session')}, {count(calls, 'call')}"
        if of_others:
            names = sorted({session.source.removeprefix(OWN_SOURCE) for session in of_others})
            said += f"; {len(of_others)} left out, of other servers: {', '.join(names)} (--server NAME takes one)"
        typer.echo(safe(said))
    _learn(found, target)


OWN_SOURCE = "spec-mcp/"
"""How sessions are marked that `spec-mcp trace --json` exports; the server's name follows."""


def _may_be_of(source: str, name: str) -> bool:
    return not source.startswith(OWN_SOURCE) or source == OWN_SOURCE + name


def _from_claude_code(
    folder: Path | None, only: str, behind: tuple[str, ...], manifest: str, config: Path | None, dry_run: bool
) -> None:
    from spec_mcp.cli.launches import Launch, launches, unlisted
    from spec_mcp.replay.transcripts import carried_name, claude_code

    folder = folder or Path(os.environ.get("CLAUDE_CONFIG_DIR") or Path.home() / ".claude")
    if not (folder / "projects").is_dir():
        raise Failed(f"learn: {folder / 'projects'}: Claude Code keeps no transcripts there: say where with --folder")
    known = launches(folder, os.environ)
    if behind:
        known[carried_name(only)] = Launch(only, behind)
    found = claude_code(folder, (*known, carried_name(only)))
    _tell(found, folder / "projects")
    if only and carried_name(only) not in found.by_server:
        names = ", ".join(sorted(found.by_server)) or "none"
        raise Failed(f"learn: there is no call of a server {only}; those that were called: {names}")
    learned = False
    for name, sessions in sorted(found.by_server.items()):
        if only and name != carried_name(only):
            continue
        launch = known.get(name) or unlisted(name)
        if launch.command:
            _learn(sessions, Target(launch.name, launch.command, manifest, config, dry_run, words=False))
            learned = True
        else:
            calls = count(sum(len(session.events) for session in sessions), "call")
            typer.echo(safe(f"{name}: {calls} left out: {launch.unknown}"))
    if not learned and found.calls:
        raise Failed(
            "learn: nothing was learned: no server's command line is known; name one: "
            "`spec-mcp learn --from claude-code --server NAME -- COMMAND`"
        )
    if not found.calls:
        raise Failed("learn: nothing was learned: there is no call of an MCP tool in these transcripts")


def _tell(found: Transcripts, folder: Path) -> None:
    """What was read, and what of it was skipped."""
    skipped = found.skipped
    typer.echo(
        safe(f"{folder}: {count(found.files, 'transcript')}, ")
        + f"{count(found.calls, 'answered call')} of MCP tools in {count(found.conversations, 'conversation')}"
    )
    for number, what in (
        (skipped.repeated, "repeated by a resumed, forked or compacted session: counted once"),
        (skipped.unanswered, "without an answer: left out"),
        (skipped.refused, "denied, or answered by Claude Code itself: left out"),
        (skipped.cut, "with a result that Claude Code cut or cleared: learned as calls, not what they answered"),
    ):
        if number:
            typer.echo(f"  {count(number, 'call')} {what}")
    if skipped.broken_lines:
        typer.echo(f"  {count(skipped.broken_lines, 'line')} of no JSON: left out")
    for line in skipped.files[:SHOWN_FILES]:
        typer.echo(safe(f"  cannot be read: {line}"))
    if len(skipped.files) > SHOWN_FILES:
        typer.echo(f"  and {count(len(skipped.files) - SHOWN_FILES, 'other transcript')} that cannot be read")


def _policy(target: Target) -> ServerPolicy | None:
    from spec_mcp.config import home
    from spec_mcp.manifest.load import load_manifest
    from spec_mcp.manifest.match import find_manifest
    from spec_mcp.relay.naming import name_of

    names = [target.manifest] if target.manifest else [target.name, name_of(target.command)]
    for name in names:
        # packages are called server-NAME or mcp-server-NAME, manifests NAME
        for shorter in dict.fromkeys((name, name.removeprefix("mcp-").removeprefix("server-"))):
            try:
                return load_manifest(find_manifest(shorter, home(os.environ))).policy
            except UserError:
                if target.manifest:
                    raise
    return None


def _learn(sessions: Sequence[Session], target: Target) -> None:
    """Teach what is new, and say how much that is."""
    from spec_mcp.replay.warm import new_lessons, teach

    calls = sum(1 for session in sessions for _ in session.calls())
    lessons = new_lessons(sessions, _learned_before(target))
    said = f"{target.name}: {count(len(sessions), 'session')}, {count(calls, 'call')}"
    if not lessons.calls:
        typer.echo(safe(f"{said}: nothing new" if calls else f"{said}: nothing to learn"))
        return
    if lessons.calls < calls:
        said += f", of which {count(lessons.calls, 'call')} in {count(len(lessons.sessions), 'session')} "
        said += "is new" if lessons.calls == 1 else "are new"
    policy = _policy(target)
    if policy is None and not any(call.kind == "read" for session in lessons.sessions for call in session.calls()):
        said += ", no tool known to read (no manifest: see `spec-mcp manifest draft`)"
    if target.dry_run:
        typer.echo(safe(f"{said}: would be learned"))
        return
    with progress(target.name, len(lessons.sessions)) as advance:
        learned = teach(target.name, lessons.sessions, policy, advance, target.words)
    _write(target, learned, lessons.learned)
    typer.echo(safe(f"{said}: learned"))


def _learned_before(target: Target) -> dict[str, int]:
    from spec_mcp.cli.opening import open_store, store_place
    from spec_mcp.replay.warm import LESSONS, join_lessons
    from spec_mcp.store.rows import LOCAL_USER

    store = open_store(store_place(target.config))
    if store is None:
        return {}
    try:
        rows = store.learned(target.scope, LOCAL_USER)
    finally:
        store.close()
    try:
        return join_lessons([cast("Json", json.loads(row.data)) for row in rows if row.kind == LESSONS])
    except ValueError:  # not ours: learning twice is the lesser harm
        return {}


def _write(target: Target, learned: Json, lessons: Mapping[str, int]) -> None:
    """What was learned, and from what, as one step."""
    from spec_mcp.cli.opening import store_place
    from spec_mcp.predict.merging import KIND
    from spec_mcp.replay.warm import LESSONS, join_lessons
    from spec_mcp.store.opening import open_patiently
    from spec_mcp.store.rows import LOCAL_USER, LearnedRow

    store = open_patiently(store_place(target.config))
    now = time.time()
    try:
        rows = ((KIND, learned), (LESSONS, dict(lessons)))
        store.write(
            [
                LearnedRow(target.scope, LOCAL_USER, kind, json.dumps(value, separators=(",", ":")).encode(), now)
                for kind, value in rows
            ]
        )
        store.compact(target.scope, LOCAL_USER, LESSONS, lambda told: cast("Json", join_lessons(told)))
    finally:
        store.close()
