"""Taking spec-mcp out of a client's file."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from spec_mcp.clients.editing import Editor
from spec_mcp.clients.ledger import Piece, Record, Spot
from spec_mcp.clients.places import Client, Servers
from spec_mcp.clients.plans import (
    Action,
    Plan,
    Read,
    Step,
    ours_in,
    project_of,
    require_rest,
    spots_of,
    with_pieces,
)
from spec_mcp.clients.tree import Braces, Lines, Member, applied
from spec_mcp.clients.unwrapping import bring_back, found_in, put_back, spots_like, take_apart
from spec_mcp.errors import UserError


def plan_uninstall(client: Client, file: str, text: str, record: Record, names: Collection[str] = ()) -> Plan:
    """A client's file without what was put into it: everything, or what belongs to these servers.

    Raises:
        ClientFileError: the file is broken, or cannot be edited without touching more.
        UserError: a server that was named was not put behind spec-mcp here.
    """
    chosen = _chosen(record, names, file)
    before = Read.of(client, file, text)
    restored, left = put_back(text, record, chosen)
    read = Read.of(client, file, restored)
    editor = Editor(read.document)
    touched = {spot for piece in chosen for spot in (*spots_of(piece), *spots_like(before.tables, piece))}
    steps = [step for piece in chosen if piece not in left for step in _restored(piece)]
    done: set[Spot] = set()
    for piece in left:
        found = found_in(read.tables, piece)
        if found is None or (found[0].path, found[1].name) in done:
            steps.append(Step(piece.name, project_of(piece.table), Action.GONE, "it is not there any more"))
            continue
        done.add((found[0].path, found[1].name))
        steps += _take_out(editor, *found, piece)
    after = Read.of(client, file, applied(restored, editor.edits))
    require_rest(before, after, touched | done | {(path, name) for path, _ in done for name in _held(left)})
    kept = [piece for piece in record.pieces if piece not in chosen]
    steps += _others(after, {spot for piece in kept for spot in spots_of(piece)})
    return Plan(after.document.text, tuple(steps), with_pieces(record, kept))


def _chosen(record: Record, names: Collection[str], file: str) -> list[Piece]:
    for name in names:
        if not any(name == piece.name or name in _held([piece]) for piece in record.pieces):
            there = ", ".join(dict.fromkeys(piece.name for piece in record.pieces)) or "nothing"
            raise UserError(f"--server {name}: it was not put behind spec-mcp in {file}: {there} was")
        if joined := next((piece for piece in record.pieces if name in _held([piece])), None):
            raise UserError(f"--server {name}: it is in the gateway {joined.name}: take that out as a whole")
    return [piece for piece in record.pieces if not names or piece.name in names]


def _held(pieces: Sequence[Piece]) -> set[str]:
    return {held.name for piece in pieces for held in piece.held}


def _restored(piece: Piece) -> Iterator[Step]:
    for name in [held.name for held in piece.held] or [piece.name]:
        yield Step(name, project_of(piece.table), Action.RESTORED)


def _take_out(editor: Editor, servers: Servers, one: Member, piece: Piece) -> Iterator[Step]:
    """Take one entry apart that was edited since."""
    project = servers.project
    if piece.held:
        taken = bring_back(editor, servers.node, one, piece, servers.node.members.keys() - {one.name})
        for held in piece.held:
            if held.name in taken:
                yield Step(held.name, project, Action.LEFT, "there is one of that name by now")
            else:
                yield Step(held.name, project, Action.RESTORED)
        return
    assert isinstance(one.node, Braces | Lines), "it starts a program"
    take_apart(editor, one.node, piece)
    yield Step(one.name, project, Action.RESTORED)


def _others(read: Read, known: Collection[Spot]) -> Iterator[Step]:
    for servers in read.tables:
        for one in servers.node.members.values():
            if (servers.path, one.name) not in known and ours_in(one) is not None:
                yield Step(one.name, servers.project, Action.LEFT, "it starts spec-mcp, but was not made by `install`")
