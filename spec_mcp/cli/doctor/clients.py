"""The configurations of clients that start spec-mcp: is what they name still there?"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from spec_mcp.cli.findings import Finding, Level, of_error
from spec_mcp.clients.entries import Ours
from spec_mcp.clients.ledger import Ledger
from spec_mcp.clients.places import CLIENTS, Client, user_file
from spec_mcp.clients.plans import Read, entry_of, ours_in, spots_of
from spec_mcp.config import home, load_config
from spec_mcp.errors import UserError

CLIENTS_AREA = "Clients"


@dataclass(frozen=True, slots=True)
class _Entry:
    """One server of a client that is behind spec-mcp."""

    name: str
    project: str
    ours: Ours

    @property
    def label(self) -> str:
        return f"{self.name} ({self.project})" if self.project else self.name


def clients() -> Iterator[Finding]:
    """Each client whose configuration is here, and one line where none starts spec-mcp."""
    is_used = False
    for client, path in _files():
        try:
            findings = list(_client(client, path))
        except UserError as error:
            findings = [of_error(CLIENTS_AREA, error, f"until then {client.title} may start no server at all")]
        is_used |= any(finding.facts.get("behind") for finding in findings)
        yield from findings
    if not is_used:
        text = "no client's own configuration starts spec-mcp, nor one of the project in this folder"
        yield Finding(CLIENTS_AREA, Level.NOTE, text, "spec-mcp install CLIENT, or write `spec-mcp wrap --` into it")


def _files() -> Iterator[tuple[Client, Path]]:
    """The user's own file of each client, and its file for the project in this folder, where there are any."""
    for client in CLIENTS.values():
        paths = [user_file(client, os.environ, sys.platform, Path.home())]
        if client.project_file:
            paths.append(Path.cwd() / client.project_file)
        yield from ((client, path) for path in dict.fromkeys(paths) if path.is_file())


def _client(client: Client, path: Path) -> Iterator[Finding]:
    try:
        text = path.read_bytes().decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        mend = "put it right: nobody but its client can do without it"
        yield Finding(CLIENTS_AREA, Level.WRONG, f"{path} cannot be read: {error}", mend)
        return
    read = Read.of(client, str(path), text)
    entries: list[_Entry] = []
    others = 0
    for servers in read.tables:
        for name, one in servers.node.members.items():
            found = ours_in(one)
            if found is not None:
                entries.append(_Entry(name, servers.project, found))
            elif entry_of(one):
                others += 1
    behind = [entry.label for entry in entries]
    facts = {"client": client.name, "file": str(path), "behind": behind, "others": others}
    if entries:
        rest = f"; {others} {'goes' if others == 1 else 'go'} past it" if others else ""
        yield Finding(CLIENTS_AREA, Level.OK, f"{client.title}: behind spec-mcp: {', '.join(behind)}{rest}", "", facts)
    elif others:
        mend = f"spec-mcp install {client.name}"
        yield Finding(CLIENTS_AREA, Level.NOTE, f"{client.title}: none of its servers is behind spec-mcp", mend, facts)
    for entry in entries:
        yield from _faults(client, entry)
    yield from _lost(client, path, read)


def _faults(client: Client, entry: _Entry) -> Iterator[Finding]:
    """What an entry names and what is not there."""
    again = f"spec-mcp install {client.name}, or mend the entry by hand"
    where = f"{client.title}: {entry.label}"
    program = entry.ours.program[0]
    if not _is_there(program):
        text = f"{where}: {program} is not there, so the client cannot start the server"
        yield Finding(CLIENTS_AREA, Level.WRONG, text, again)
    if entry.ours.server and not _is_there(entry.ours.server[0]):
        text = f"{where}: its server's own command {entry.ours.server[0]} is not found from here"
        yield Finding(CLIENTS_AREA, Level.NOTE, text, "install it, or write its whole path into the entry")
    for check in (_configuration, _manifest):
        try:
            check(entry.ours)
        except UserError as error:
            found = of_error(where, error, "until then the client cannot start the server")
            yield Finding(CLIENTS_AREA, Level.WRONG, f"{where}: {found.text}", found.mend)


def _configuration(entry: Ours) -> None:
    """Raise where the configuration that the entry names cannot be read."""
    named = entry.option("config")
    if named and not _has_variable(named):
        load_config(Path(named).expanduser())


def _manifest(entry: Ours) -> None:
    """Raise where the manifest that the entry names cannot be used."""
    from spec_mcp.manifest import find_manifest, load_manifest

    named = entry.option("manifest")
    if named and not _has_variable(named):
        load_manifest(find_manifest(named, home(os.environ)))


def _lost(client: Client, path: Path, read: Read) -> Iterator[Finding]:
    """What `install` put there and what somebody has taken out since."""
    record = Ledger(home(os.environ) / "installed").of(client.name, path)
    there: Mapping[tuple[tuple[str, ...], str], Ours] = {
        (servers.path, name): found
        for servers in read.tables
        for name, one in servers.node.members.items()
        if (found := ours_in(one)) is not None
    }
    gone = [piece.name for piece in record.pieces if not any(spot in there for spot in spots_of(piece))]
    if gone:
        text = f"{client.title}: spec-mcp was put in front of {', '.join(gone)}, and is not there any more"
        mend = f"spec-mcp install {client.name} puts it there again, spec-mcp uninstall {client.name} forgets it"
        yield Finding(CLIENTS_AREA, Level.NOTE, text, mend)


def _is_there(program: str) -> bool:
    """Can it be started from here? A client may have another path, but a whole one holds everywhere."""
    return _has_variable(program) or shutil.which(os.path.expanduser(program)) is not None


def _has_variable(text: str) -> bool:
    """Does the client put something in first?"""
    return "$" in text
