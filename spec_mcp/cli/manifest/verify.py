"""`spec-mcp manifest verify`: try what a manifest says on a server with a state of its own."""

from __future__ import annotations

import json
import os
import tempfile
from collections import defaultdict
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from spec_mcp.cli import completing
from spec_mcp.cli.manifest.asking import CommandArgument
from spec_mcp.cli.opening import JsonOption
from spec_mcp.cli.text import safe
from spec_mcp.errors import Failed, UserError

if TYPE_CHECKING:
    from spec_mcp.cli.manifest.scratch import Launch, ScratchServer, Visited
    from spec_mcp.engine.calls import Arguments
    from spec_mcp.manifest import Manifest
    from spec_mcp.manifest.verifying import Found, Plan
    from spec_mcp.manifest.verifying.verify import Progress

RUNS = 40
"""Tries of each tool: a few seconds for a server of ten tools, and most wrong undos are found within the first ten."""

VOID = "sha256:" + "0" * 64
"""In place of a proof that was there for what has now been disproved."""


def command(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="NAME_OR_FILE",
            help="A manifest's name, as `manifest list` shows it, or a file.",
            autocompletion=completing.manifests,
        ),
    ] = None,
    server: CommandArgument = None,
    configured: Annotated[
        str | None,
        typer.Option(
            "--server",
            metavar="NAME",
            help="A server of your configuration, in place of a command.",
            autocompletion=completing.configured_servers,
        ),
    ] = None,
    runs: Annotated[int, typer.Option("--runs", metavar="N", min=1, help="Tries of each tool.")] = RUNS,
    seed: Annotated[int, typer.Option("--seed", metavar="N", help="Which tries are made.")] = 0,
    trace: Annotated[
        list[Path] | None,
        typer.Option("--trace", metavar="FILE", help="Recorded sessions: their arguments are tried too."),
    ] = None,
    scratch_is_fine: Annotated[
        bool, typer.Option("--scratch-is-fine", help="All that this command line can reach may be changed.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Try what a manifest says, on a server with a state of its own.

    [b]spec-mcp manifest verify memory -- npx -y @modelcontextprotocol/server-memory[/b]

    Tries each read for changes, and each undo for restoring the state, over
    many generated calls. What held is written into the manifest beside the
    fingerprints, and any change voids it; for a shipped manifest into a copy of
    your own. A counter-example is shown, and the exit status is 1.
    """
    from spec_mcp.cli.manifest.scratch import ScratchServer, refuse_real_data
    from spec_mcp.config import home
    from spec_mcp.manifest import find_manifest, load_manifest
    from spec_mcp.manifest.verifying import ServerLost

    launch, name = _launch(server, configured, name)
    path = find_manifest(name, home(os.environ))
    manifest = load_manifest(path)
    refuse_real_data(launch, manifest.form.verify, scratch_is_fine)
    recorded = _recorded(trace or ())
    with tempfile.TemporaryDirectory(prefix="spec-mcp-verify-") as folder:
        scratch = ScratchServer(launch, manifest.form.verify, Path(folder))
        plan = _plan(manifest, scratch, runs, seed, recorded)
        try:
            with scratch.start() as visited:
                _check(manifest, visited)
            with _progress(quiet=as_json) as progress:
                found = _verified(manifest, scratch, plan, progress)
        except ServerLost as error:
            raise Failed(f"the scratch server {error}{scratch.last_words()}") from error
    written = _write(path, manifest, found, by_name=path.stem == name)
    _tell(found, written, as_json=as_json)


def _launch(server: Sequence[str] | None, configured: str | None, name: str | None) -> tuple[Launch, str]:
    """How the server is started, and which manifest is meant."""
    from spec_mcp.cli.manifest.scratch import Launch
    from spec_mcp.config import find_config, load_config

    if configured is None:
        if not server or name is None:
            raise UserError("verify: say which server, after `--`: spec-mcp manifest verify NAME -- COMMAND [ARG]…")
        return Launch(tuple(server), {}), name
    if server:
        raise UserError("verify: --server and a command after `--` both name a server: give one of them")
    entry = load_config(find_config(None, os.environ)).server(configured, os.environ)
    if entry.command is None:
        raise UserError(f"--server {configured}: it is not started by a command, so it has no state of its own here")
    return Launch((entry.command, *entry.args), entry.env), name or entry.manifest or configured


def _recorded(files: Sequence[Path]) -> dict[str, list[Arguments]]:
    """The arguments of recorded calls, by tool."""
    from spec_mcp.records import read_sessions

    found: dict[str, list[Arguments]] = defaultdict(list)
    for file in files:
        for session in read_sessions(file):
            for call in session.calls():
                found[call.tool].append(call.arguments)
    return found


def _plan(
    manifest: Manifest, scratch: ScratchServer, runs: int, seed: int, recorded: Mapping[str, Sequence[Arguments]]
) -> Plan:
    from spec_mcp.manifest.verifying import Plan

    verify = manifest.form.verify
    values = {
        name: [scratch.filled([value])[0] if isinstance(value, str) else value for value in given]
        for name, given in (verify.values if verify else {}).items()
    }
    return Plan(runs, seed, recorded, values, verify.writes if verify else ())


def _check(manifest: Manifest, visited: Visited) -> None:
    """The right server, and no fault that is seen without a try."""
    from spec_mcp.manifest import check_against_tools

    speaks_for = manifest.form.manifest.server
    if visited.name and visited.name != speaks_for:
        raise UserError(
            f"{manifest.file}: [manifest] server: speaks for {speaks_for!r}, but the server calls itself "
            f"{visited.name!r}: name the right server"
        )
    for error in check_against_tools(manifest, visited.tools).errors:
        raise UserError(f"{error} (`spec-mcp manifest check` shows all faults)")


def _verified(manifest: Manifest, scratch: ScratchServer, plan: Plan, progress: Progress) -> Found:
    from spec_mcp.manifest.verifying import verify

    return verify(manifest, scratch.start, plan, progress)


@contextmanager
def _progress(*, quiet: bool) -> Generator[Progress]:
    """A bar on standard error, where somebody sees it."""
    from rich.console import Console
    from rich.progress import Progress as Bar

    console = Console(stderr=True)
    with Bar(console=console, disable=quiet or not console.is_terminal, transient=True) as bar:
        task = bar.add_task("trying", total=None)

        def show(tool: str, done: int, total: int) -> None:
            bar.update(task, description=tool, completed=done, total=total)

        yield show


def _write(path: Path, manifest: Manifest, found: Found, *, by_name: bool) -> Path | None:
    """Put the proofs in, and the fingerprints that they stand on; the file, None where there is nothing to write."""
    from spec_mcp.cli.manifest.files import own_file, write
    from spec_mcp.manifest import shipped_folder
    from spec_mcp.manifest.locking import CannotLock, edited

    keys = _keys(manifest, found)
    if not keys:
        return None
    try:
        text = edited(path.read_bytes().decode("utf-8"), keys)
    except CannotLock as error:
        raise UserError(f"{path}: the proofs cannot be put in: {error}") from error
    copy = by_name and path.parent == shipped_folder()
    target = own_file(path.stem) if copy else path
    if copy or text != path.read_bytes().decode("utf-8"):
        write(target, text, force=not copy)
    return target


def _keys(manifest: Manifest, found: Found) -> dict[str, dict[str, str]]:
    from spec_mcp.engine.effects import Effect
    from spec_mcp.manifest.proof import involved, proof_of

    keys: dict[str, dict[str, str]] = defaultdict(dict)
    for verdict in found.verdicts:
        form = manifest.form.tools[verdict.tool]
        if verdict.effect is not Effect.REVERSIBLE:
            continue
        if verdict.state == "holds" and (proof := proof_of(form, verdict.tool, found.fingerprints)):
            for tool in involved(form, verdict.tool):
                keys[tool]["fingerprint"] = found.fingerprints[tool]
            keys[verdict.tool]["proved"] = proof
        elif verdict.state == "disproved" and form.proved is not None:
            keys[verdict.tool]["proved"] = VOID
    return keys


def _tell(found: Found, written: Path | None, *, as_json: bool) -> None:
    from spec_mcp.cli.manifest.counterexample import lines_of, members_of
    from spec_mcp.manifest.verifying.verify import tried_text

    disproved = [verdict for verdict in found.verdicts if verdict.fault is not None]
    if as_json:
        tools: dict[str, Any] = {
            verdict.tool: {
                "effect": verdict.effect.value,
                "state": verdict.state,
                "tries": verdict.tries,
                "effective": verdict.effective,
                "reason": verdict.reason,
                "counterexample": None if verdict.fault is None else members_of(verdict.fault),
            }
            for verdict in found.verdicts
        }
        members = {"holds": not disproved, "written": None if written is None else str(written), "tools": tools}
        typer.echo(json.dumps(members, indent=2, ensure_ascii=False))
    else:
        for verdict in found.verdicts:
            why = verdict.fault.line if verdict.fault else verdict.reason or tried_text(verdict)
            typer.echo(f"{verdict.state:<10} {verdict.effect.value:<10} {safe(f'{verdict.tool}: {why}')}")
        for verdict in disproved:
            if verdict.fault is not None:
                typer.echo()
                typer.echo("\n".join(safe(line) for line in lines_of(verdict.fault)))
        if written is not None:
            typer.echo(f"\n{written}: the proofs stand there, and any change voids them")
    if disproved:
        tools_said = ", ".join(verdict.tool for verdict in disproved)
        raise Failed(f"the manifest is wrong about {tools_said}: mend it, or say effect = 'unsafe'")
