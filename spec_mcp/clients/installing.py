"""Putting spec-mcp in front of the servers of a client's file."""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec

from spec_mcp.clients import entries
from spec_mcp.clients.editing import Editor
from spec_mcp.clients.entries import Reached, Started, Unfit
from spec_mcp.clients.gateway import NAME, Joining, configuration, joining, replace_all
from spec_mcp.clients.ledger import Piece, Record, Spot, digest_of
from spec_mcp.clients.places import Client, Servers
from spec_mcp.clients.plans import (
    Action,
    Plan,
    Read,
    Step,
    entry_of,
    gateway_of,
    ours_in,
    require_rest,
    spots_of,
    with_pieces,
)
from spec_mcp.clients.remembering import Change, remember
from spec_mcp.clients.tree import Array, Braces, Edit, Lines, Member, applied
from spec_mcp.clients.uninstalling import plan_uninstall
from spec_mcp.clients.unwrapping import found_in
from spec_mcp.clients.wrapping import Wrapped, Wrapping, is_plain, wrap_program, wrap_remote
from spec_mcp.errors import UserError
from spec_mcp.tables import nearest

Said = Started | Reached


@dataclass(frozen=True, slots=True)
class Gateways:
    """How servers are joined behind `spec-mcp run`."""

    path_of: Callable[[tuple[str, ...]], str]
    """The path of a gateway's configuration, by the path of the table that it stands for."""
    settings: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """Sections for that configuration, as the user's own has them."""
    source: str = ""
    """Where they come from."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What the user wants."""

    wrapping: Wrapping
    exists: Callable[[str], bool]
    """Is there a file of that name?"""
    names: tuple[str, ...] = ()
    """The servers; empty: all."""
    gateways: Gateways | None = None
    """None: each server keeps an entry of its own."""


def plan_install(client: Client, file: str, text: str, record: Record, wish: Wish) -> Plan:
    """A client's file with spec-mcp in front of its servers.

    Raises:
        ClientFileError: the file is broken, or cannot be edited without touching more.
        UserError: a server that was named is not there.
    """
    read = Read.of(client, file, text)
    _require_names(read, record, wish.names)
    before, stale = read, _stale(read, record, wish)
    if stale:
        cleared = plan_uninstall(client, file, text, with_pieces(record, stale))
        read = Read.of(client, file, cleared.text)
        if wish.names:  # what was taken out comes in again
            wish = replace(wish, names=(*wish.names, *(name for piece in stale for _, name in spots_of(piece))))
    known = [piece for piece in record.pieces if piece not in stale and found_in(read.tables, piece)]
    modes = _modes(before, stale)
    works = [_Work(read, servers, known, wish, modes) for servers in read.tables]
    for work in works:
        work.do()
    edits = [edit for work in works for edit in work.edits]
    after = Read.of(client, file, applied(read.document.text, edits))
    touched = {spot for work in works for spot in work.touched} | {spot for piece in stale for spot in spots_of(piece)}
    require_rest(before, after, touched)
    gateways = {path: text for work in works for path, text in work.gateways.items()}
    changes = [change for work in works for change in work.changes]
    steps = tuple(step for work in works for step in work.in_order())
    kept = remember(with_pieces(record, known), read.document.text, edits, changes)
    digests = {path: digest_of(text) for path, text in gateways.items()}
    kept = msgspec.structs.replace(kept, gateways={**kept.gateways, **digests})
    return Plan(after.document.text, steps, kept, gateways)


@dataclass(slots=True)
class _Work:
    """One table of servers."""

    read: Read
    servers: Servers
    known: Sequence[Piece]
    wish: Wish
    modes: Mapping[Spot, str]
    """The modes that were written into entries which are written anew."""
    edits: list[Edit] = field(default_factory=list[Edit])
    steps: list[Step] = field(default_factory=list[Step])
    changes: list[Change] = field(default_factory=list[Change])
    touched: set[Spot] = field(default_factory=set[Spot])
    gateways: dict[str, str] = field(default_factory=dict[str, str])

    def do(self) -> None:
        """Decide on each entry."""
        free: dict[str, Said] = {}
        for name, one in self.servers.node.members.items():
            if self.wish.names and name not in self.wish.names:
                continue
            said = self._what_is_there(one)
            if isinstance(said, Unfit):
                self.step(name, Action.LEFT, said.why)
            elif said is not None:
                free[name] = said
        why = {} if self.wish.gateways is None else self._join(free, self.wish.gateways)
        for name, said in free.items():
            self._wrap(name, said, why.get(name, "") or login_hint(said))

    def in_order(self) -> list[Step]:
        """The steps in the order of the file."""
        names = list(self.servers.node.members)
        return sorted(self.steps, key=lambda step: names.index(step.name))

    def step(self, name: str, action: Action, why: str = "") -> None:
        """Note what becomes of an entry."""
        self.steps.append(Step(name, self.servers.project, action, why))

    def _what_is_there(self, one: Member) -> Said | Unfit | None:
        """What an entry says; None where it starts spec-mcp, which is noted."""
        found = ours_in(one)
        if found is None:
            return _said(one, self.read.client)
        piece = next((piece for piece in self.known if piece.spot == (self.servers.path, one.name)), None)
        why = ""
        if piece is None and _is_gone(found.program[0], self.wish.exists):
            why = f"but {found.program[0]} is gone, and it was not made by `install`: write it anew"
        elif self.wish.gateways is not None and not (piece and piece.held):
            why = "on its own: uninstall it first to have it in the gateway"
        self.step(one.name, Action.ALREADY, why)
        return None

    def _wrap(self, name: str, said: Said, why: str) -> None:
        one, editor = self.servers.node.members[name], Editor(self.read.document)
        entry = one.node
        assert isinstance(entry, Braces | Lines), "it was read as a table"
        wrapping = self._wrapping(name)
        if isinstance(said, Started):
            wrapped = wrap_program(editor, entry, name, said, wrapping)
            undo = {"command": editor.raw(entry.members["command"])}
        else:
            wrapped = wrap_remote(editor, entry, name, said, wrapping)
            undo = _of_remote(editor, entry, said, wrapped)
        env = entry.members.get("env")
        self._keep(
            editor,
            name,
            words=wrapped.words,
            env=wrapped.env,
            had_args=entry_of(one).get("args") is not None,
            had_env=env is not None and isinstance(env.node, Braces | Lines),
            **undo,
        )
        self.step(name, Action.WRAPPED, why)

    def _wrapping(self, name: str) -> Wrapping:
        """How an entry starts us; without another wish, in the mode that it had."""
        wrapping = self.wish.wrapping
        return replace(wrapping, mode=wrapping.mode or self.modes.get((self.servers.path, name), ""))

    def _join(self, free: dict[str, Said], gateways: Gateways) -> dict[str, str]:
        """Take out of `free` what goes into a gateway; why others stay on their own."""
        found = {name: self._joining(name, said) for name, said in free.items()}
        joined = {name: one for name, one in found.items() if isinstance(one, Joining)}
        if joined:
            self._put_gateway(joined, gateways)
        for name in joined:
            del free[name]
        return {name: f"on its own: {one.why}" for name, one in found.items() if isinstance(one, Unfit)}

    def _joining(self, name: str, said: Said) -> Joining | Unfit:
        entry = entry_of(self.servers.node.members[name])
        return joining(entry, said, self.read.client.variables, self.wish.wrapping)

    def _put_gateway(self, joined: Mapping[str, Joining], gateways: Gateways) -> None:
        client, members = self.read.client, self.servers.node.members
        wrapping, path = self._wrapping(next(iter(joined))), gateways.path_of(self.servers.path)
        words = wrapping.words("run", config=path)
        entry: dict[str, object] = {"command": words[0], "args": words[1:]}
        if client.name == "vscode" or any("type" in entry_of(members[name]) for name in joined):
            entry = {"type": "stdio", **entry}
        if wrapping.env:
            entry["env"] = dict(wrapping.env)
        if forwarded := list(dict.fromkeys(name for one in joined.values() for name in one.forwarded)):
            entry["env_vars"] = forwarded
        name = next(name for name in _names(NAME) if name not in members or name in joined)
        editor = Editor(self.read.document)
        held = replace_all(editor, self.servers, [members[each] for each in joined], name, entry)
        self._keep(editor, name, words=tuple(words), held=tuple(held))
        self.touched |= {(self.servers.path, each) for each in joined}
        self.gateways[path] = configuration(client.title, joined, gateways.settings, gateways.source)
        for each, one in joined.items():
            lost = f"without its {', '.join(one.dropped)}, which only its client knows" if one.dropped else ""
            self.step(each, Action.JOINED, lost or login_hint(_said(members[each], client)))

    def _keep(self, editor: Editor, name: str, **undo: Any) -> None:
        """Take an editor's changes, and remember how they are undone."""
        piece = Piece(table=self.servers.path, name=name, stretch="", **undo)
        self.changes.append(Change.of(piece, editor.edits))
        self.edits += editor.edits
        self.touched.add((self.servers.path, name))


def login_hint(said: Said | Unfit) -> str:
    """What a person may have to do for a server that shows no credentials of its own."""
    if not isinstance(said, Reached) or said.headers or said.bearer_variable or said.header_variables:
        return ""
    is_here = re.match(r"https?://(localhost|127\.0\.0\.1|\[::1\])[:/]", f"{said.url}/")
    return "" if is_here or not is_plain(said.url) else f"if it wants a login: spec-mcp login {said.url}"


def _of_remote(editor: Editor, entry: Braces | Lines, said: Reached, wrapped: Wrapped) -> dict[str, Any]:
    """How a remote server's entry is made again."""
    keys = (said.url_key, said.headers_key, "bearer_token_env_var", "env_http_headers")
    gone = sorted((entry.members[key] for key in keys if key in entry.members), key=lambda one: one.start)
    fields = [(one.name, editor.raw(one)) for one in gone]
    headers = entry.members.get(said.headers_key)
    values: dict[str, str] = {}
    if headers is not None and isinstance(headers.node, Braces | Lines):
        members = headers.node.members
        values = {name: editor.raw(members[header]) for name, header in wrapped.env.items() if header in members}
    kind = entry.members.get("type")
    return {
        "fields": tuple(fields),
        "behind": _behind(entry, said.url_key, {key for key, _ in fields}),
        "headers_key": said.headers_key,
        "values": values,
        "kind": "" if kind is None else editor.raw(kind),
    }


def _behind(entry: Braces | Lines, url_key: str, gone: Collection[str]) -> dict[str, str]:
    """Of each key that goes the last before it that stays, where it does not follow the address; empty: none."""
    behind: dict[str, str] = {}
    last: str | None = ""
    for one in sorted(entry.members.values(), key=lambda one: one.start):
        if one.name == url_key or isinstance(one.node, Lines):
            last = None
        elif one.name not in gone:
            last = one.name
        elif last is not None:
            behind[one.name] = last
    return behind


def _stale(read: Read, record: Record, wish: Wish) -> list[Piece]:
    """What is to be written anew, with all that shares its stretch of the file."""
    stretches = {piece.stretch for piece in record.pieces if _is_stale(read, piece, wish)}
    return [piece for piece in record.pieces if piece.stretch in stretches and found_in(read.tables, piece)]


def _is_stale(read: Read, piece: Piece, wish: Wish) -> bool:
    """Is it to be written anew: what it starts is gone, another mode is asked for, or its gateway takes more in?"""
    found = found_in(read.tables, piece)
    said = None if found is None else ours_in(found[1])
    if found is None or said is None:
        return False
    takes_more = bool(piece.held) and wish.gateways is not None and _has_more(read, found[0], wish)
    if wish.names and not {piece.name, *(held.name for held in piece.held)} & set(wish.names):
        return takes_more
    if wish.wrapping.mode and said.option("mode") != wish.wrapping.mode:
        return True
    paths = [said.program[0], gateway_of(piece)]
    if said.server and read.client.syntax.value(said.server[0]) != piece.command:  # we have looked it up
        paths.append(said.server[0])
    return takes_more or any(_is_gone(path, wish.exists) for path in paths)


def _modes(read: Read, pieces: Sequence[Piece]) -> dict[Spot, str]:
    """The modes that stand in these pieces now, for all that they stand for."""
    found: dict[Spot, str] = {}
    for piece in pieces:
        there = found_in(read.tables, piece)
        said = None if there is None else ours_in(there[1])
        if said is not None and (mode := said.option("mode")):
            found |= dict.fromkeys(spots_of(piece), mode)
    return found


def _has_more(read: Read, servers: Servers, wish: Wish) -> bool:
    """Is there a server that could go into the gateway, and is not there yet?"""
    for name, one in servers.node.members.items():
        if (not wish.names or name in wish.names) and ours_in(one) is None:
            said = _said(one, read.client)
            if not isinstance(said, Unfit):
                found = joining(entry_of(one), said, read.client.variables, wish.wrapping)
                if isinstance(found, Joining):
                    return True
    return False


def _require_names(read: Read, record: Record, names: Sequence[str]) -> None:
    there = [name for servers in read.tables for name in servers.node.members]
    there += [held.name for piece in record.pieces for held in piece.held]
    for name in names:
        if name not in there:
            near = nearest(name, there)
            mend = f"did you mean {near}?" if near else f"it has {', '.join(there) or 'no servers'}"
            raise UserError(f"--server {name}: there is no such server in {read.file}: {mend}")


def _said(one: Member, client: Client) -> Said | Unfit:
    """What an entry says that is not ours."""
    if not isinstance(one.node, Braces | Lines):
        return Unfit("it is no table")
    if any(_is_list_of_tables(inner) for inner in one.node.members.values()):
        return Unfit("it holds a list of tables, which no client is known to understand")
    return entries.read(entry_of(one), client.name)


def _is_list_of_tables(one: Member) -> bool:
    return isinstance(one.node, Array) and one.node.of_tables


def _is_gone(program: str, exists: Callable[[str], bool]) -> bool:
    return os.path.isabs(program) and not exists(program)


def _names(stem: str) -> Iterator[str]:
    yield stem
    for number in itertools.count(2):
        yield f"{stem}-{number}"
