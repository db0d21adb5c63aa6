"""What `spec-mcp install` and `uninstall` do: files are read, planned for, and written."""

from __future__ import annotations

import json
import os
import shutil
import sys
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import Any

from spec_mcp.cli.installed import Done, show_install, show_uninstall
from spec_mcp.cli.opening import open_store, store_place
from spec_mcp.clients import files
from spec_mcp.clients.installing import Gateways, Wish, plan_install
from spec_mcp.clients.ledger import Ledger, Record, digest_of
from spec_mcp.clients.places import CLIENTS, Client, user_file
from spec_mcp.clients.plans import Action, Plan
from spec_mcp.clients.program import Running, program
from spec_mcp.clients.uninstalling import plan_uninstall
from spec_mcp.clients.wrapping import Wrapping
from spec_mcp.config import ConfigError, find_config, home, load_config
from spec_mcp.engine.events import Mode
from spec_mcp.errors import Failed, UserError
from spec_mcp.relay.making import holding
from spec_mcp.store.mode import switched, turn
from spec_mcp.store.place import Place
from spec_mcp.store.store import StoreError
from spec_mcp.tables import nearest, read_toml

ATTEMPTS = 5
"""A client that is running may write its file at any time, but not five times in a few milliseconds."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What both commands are told."""

    client: str
    servers: tuple[str, ...]
    """Empty: all."""
    project: Path | None
    file: Path | None
    dry_run: bool
    as_json: bool


def run_install(asked: Asked, *, gateway: bool, mode: Mode | None, config: Path | None) -> None:
    """Put spec-mcp into a client's file.

    Raises:
        UserError: the file, or what was asked for, is wrong.
        Failed: there is no such file, it cannot be written, or none of its servers could be put behind spec-mcp.
    """
    client = _client(asked.client)
    target = _target(client, asked.project, asked.file)
    if not target.exists():
        raise Failed(f"{client.title}: there is no {target}: it is not installed here, or has no servers yet")
    wish = Wish(_wrapping(mode, config), os.path.exists, asked.servers)
    if gateway:
        wish = replace(wish, gateways=_gateways(client, target, wish.wrapping.config))
    done = _put(client, target, wish, dry_run=asked.dry_run)
    show_install(done, None if asked.dry_run else _mode(config, done.plan, mode), as_json=asked.as_json)
    if not done.plan.count(Action.WRAPPED, Action.JOINED, Action.ALREADY):
        raise Failed(f"{target}: spec-mcp could be put in front of none of its servers")


def run_uninstall(asked: Asked) -> None:
    """Take spec-mcp out of one file of a client, or out of all.

    Raises:
        UserError: a file, or what was asked for, is wrong.
        Failed: a file cannot be written.
    """
    client, ledger = _client(asked.client), _ledger()
    if asked.project is None and asked.file is None:
        records = list(ledger.all_of(client.name)) or [ledger.of(client.name, _target(client, None, None))]
    else:
        records = [ledger.of(client.name, _target(client, asked.project, asked.file))]
    done = [_take(client, record, asked.servers, dry_run=asked.dry_run) for record in records]
    show_uninstall(done, as_json=asked.as_json)


def _put(client: Client, file: Path, wish: Wish, *, dry_run: bool) -> Done:
    """Plan and write; again where somebody else has written meanwhile."""
    for _ in range(ATTEMPTS):
        record = _ledger().of(client.name, file)
        before = files.read_bytes(file)
        text = files.text_of(before, file)
        plan = plan_install(client, str(file), text, record, wish)
        if not plan.steps:
            raise Failed(f"{file} names no servers: add one in {client.title} first")
        done = Done(client, str(file), text, plan, dry_run)
        if dry_run or plan.text == text:
            return done
        try:
            return replace(done, backup=str(_write(client, file, before, plan, record)))
        except files.Changed:
            continue
    raise _restless(client, file)


def _take(client: Client, record: Record, names: tuple[str, ...], *, dry_run: bool) -> Done:
    file = Path(record.file)
    for _ in range(ATTEMPTS):
        if not file.exists():
            plan = Plan("", (), Record(client=client.name, file=record.file, pieces=()))
            if not dry_run:
                _ledger().keep(plan.record)
            return Done(client, record.file, "", plan, dry_run)
        before = files.read_bytes(file)
        text = files.text_of(before, file)
        plan = plan_uninstall(client, record.file, text, record, names)
        done = Done(client, record.file, text, plan, dry_run)
        if dry_run:
            return done
        try:
            if plan.text != text:
                done = replace(done, backup=str(_write(client, file, before, plan, record)))
        except files.Changed:
            continue
        _ledger().keep(plan.record)
        return replace(done, kept=_forget_gateways(record, plan.record))
    raise _restless(client, file)


def _write(client: Client, file: Path, before: bytes, plan: Plan, record: Record) -> Path:
    """Write what is planned, what is remembered of it first; returns the copy of the file as it was.

    Raises:
        Changed: the file is not what the plan was made for.
        Failed: something cannot be written; the client's file is as it was.
    """
    folder, ledger = home(os.environ), _ledger()
    try:
        stem = f"{client.name}-{digest_of(str(file))}"
        backup = files.back_up(folder / "backups", stem, file.suffix, before)
        for path, text in plan.gateways.items():
            files.write_private(Path(path), text.encode())
        ledger.keep(plan.record if plan.record.pieces else record)  # what goes is forgotten when it is gone
    except OSError as error:
        raise Failed(f"{folder}: cannot be written: {error.strerror or error}: {file} is as it was") from error
    try:
        files.replace_file(file, before, plan.text.encode())
    except BaseException:
        ledger.keep(record)
        raise
    return backup


def _restless(client: Client, file: Path) -> Failed:
    return Failed(f"{file}: somebody else keeps writing it: close {client.title}, then try again")


def _client(name: str) -> Client:
    if name not in CLIENTS:
        near = nearest(name, CLIENTS)
        raise UserError(f"{name}: no client that is known: " + (f"{near}?" if near else f"one of {', '.join(CLIENTS)}"))
    return CLIENTS[name]


def _target(client: Client, project: Path | None, file: Path | None) -> Path:
    """The file to be edited, absolute, but with its links."""
    if project is not None and file is not None:
        raise UserError("--project and --file: name one of the two")
    if file is not None:
        return Path(os.path.abspath(file.expanduser()))
    if project is None:
        return user_file(client, os.environ, sys.platform, Path.home())
    if not client.project_file:
        raise UserError(f"--project: {client.title} has no configuration for projects")
    if not project.is_dir():
        raise UserError(f"--project {project}: there is no such folder")
    return Path(os.path.abspath(project.expanduser())) / client.project_file


def _ledger() -> Ledger:
    return Ledger(home(os.environ) / "installed")


def _wrapping(mode: Mode | None, config: Path | None) -> Wrapping:
    """How entries are to start us. What this process was told by its environment, a client's will not know."""
    origin = metadata.distribution("spec-mcp").read_text("direct_url.json") or ""
    running = Running(os.path.abspath(sys.argv[0]), sys.executable, sys.prefix, origin, os.environ, shutil.which)
    named = find_config(config, os.environ) if config is not None or os.environ.get("SPEC_MCP_CONFIG") else None
    env = {"SPEC_MCP_HOME": str(home(os.environ))} if os.environ.get("SPEC_MCP_HOME") else {}
    return Wrapping(
        program(running),
        shutil.which,
        "" if mode is None else mode.value,
        "" if named is None else os.path.abspath(named),
        env,
    )


def _gateways(client: Client, file: Path, config: str) -> Gateways:
    folder = home(os.environ) / "gateways"
    is_own = file == user_file(client, os.environ, sys.platform, Path.home())

    def path_of(table: tuple[str, ...]) -> str:
        if is_own and len(table) == 1:
            return str(folder / f"{client.name}.toml")
        return str(folder / f"{client.name}-{digest_of('|'.join((str(file), *table)))}.toml")

    source = find_config(config or None, os.environ)
    return Gateways(path_of, {} if source is None else _settings(source), str(source))


def _settings(source: Path) -> dict[str, Any]:
    """What a configuration says besides its servers."""
    load_config(source)  # which tells its faults
    table = json.loads(source.read_text("utf-8")) if source.suffix == ".json" else read_toml(source, ConfigError)
    return {name: table[name] for name in ("speculation", "predictors", "store") if name in table}


def _mode(config: Path | None, plan: Plan, asked: Mode | None) -> Mode:
    """The mode that holds for what was installed. The switch of a store that was never used goes to shadow first."""
    place = store_place(config)
    said = switched(place)
    if asked is None and said is None and plan.count(Action.WRAPPED, Action.JOINED) and _is_unused(place):
        try:
            turn(place, Mode.SHADOW)
        except StoreError as error:
            raise Failed(f"{error}; then say `spec-mcp shadow`") from error
        said = Mode.SHADOW
    own = load_config(find_config(config, os.environ)).speculation.mode if asked is None else asked
    return holding(own, asked is not None, said)


def _is_unused(place: Place) -> bool:
    """Has nothing been recorded yet?"""
    try:
        store = open_store(place)
    except StoreError:  # somebody has used it
        return False
    if store is None:
        return True
    try:
        return not store.session_ids()
    finally:
        store.close()


def _forget_gateways(before: Record, after: Record) -> tuple[str, ...]:
    """Delete the configurations of gateways that are gone; those that the user has edited stay, and are named."""
    kept: list[str] = []
    for path, digest in before.gateways.items():
        file = Path(path)
        if path in after.gateways or not file.exists():
            continue
        if digest_of(file.read_text("utf-8", "replace")) == digest:
            file.unlink()
        else:
            kept.append(path)
    return tuple(kept)
