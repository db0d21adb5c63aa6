"""Taking out of a client's file what was put into it, and nothing else.

Where a stretch that was changed stands there unchanged, the text that stood there before takes its place: byte for
byte. Where the user has edited in it, moved it or renamed it, the entry is taken apart by what it says now.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, cast

from spec_mcp.clients.editing import Editor
from spec_mcp.clients.entries import Ours, ours, words_of
from spec_mcp.clients.ledger import Piece, Record, Spot
from spec_mcp.clients.places import Servers
from spec_mcp.clients.tree import Array, Braces, Lines, Member, Table, data, span_of


def put_back(text: str, record: Record, chosen: Sequence[Piece]) -> tuple[str, list[Piece]]:
    """The text with all stretches put back that stand there unchanged, and the pieces for which that was not so.

    A stretch that stands there more or less often than it was put there is in doubt, and left; so is one that holds
    more than what was chosen.
    """
    keys = {piece.stretch for piece in chosen} - {piece.stretch for piece in record.pieces if piece not in chosen}
    olds: dict[str, list[str]] = {}
    for key, stretch in record.stretches.items():  # in the order of the file
        olds.setdefault(stretch.new, []).append(stretch.old if key in keys else stretch.new)
    done: set[str] = set()
    for new, each in olds.items():
        parts = text.split(new)
        if len(parts) == len(each) + 1:
            text = parts[0] + "".join(old + part for old, part in zip(each, parts[1:], strict=True))
            done.add(new)
    put = {key for key in keys if record.stretches[key].new in done}
    return text, [piece for piece in chosen if piece.stretch not in put]


def found_in(tables: Sequence[Servers], piece: Piece) -> tuple[Servers, Member] | None:
    """Where a piece stands now: in its own place, or wherever its command line has gone."""
    for table in tables:
        one = table.node.members.get(piece.name)
        if table.path == piece.table and one is not None and _is_ours(one):
            return table, one
    for table in tables:
        for one in table.node.members.values():
            if _words(one)[: len(piece.words)] == piece.words:
                return table, one
    return None


def spots_like(tables: Sequence[Servers], piece: Piece) -> Iterator[Spot]:
    """All entries that start what a piece starts, under whatever name."""
    for table in tables:
        for one in table.node.members.values():
            if _words(one)[: len(piece.words)] == piece.words:
                yield table.path, one.name


def take_apart(editor: Editor, entry: Table, piece: Piece) -> None:
    """Make an entry what it was, with what the user has changed in it since."""
    found = ours(words_of(cast("Mapping[str, Any]", data(entry))))
    assert found is not None, "it was found as one of ours"
    if piece.command and found.server:
        _program(editor, entry, piece, found)
    elif piece.fields:
        _remote(editor, entry, piece)


def bring_back(editor: Editor, table: Table, one: Member, piece: Piece, names: Collection[str]) -> list[str]:
    """Put the entries that a gateway holds into its place; yields those whose names are taken by now."""
    held = [each for each in piece.held if each.name not in names]
    text, document = editor.document.text, editor.document
    if isinstance(table, Braces):
        pairs = [(each.name, each.text) for each in held]
        if pairs:
            editor.replace(table, one, pairs)
        else:
            editor.remove(table, {one.name})
    else:
        editor.remove(table, {one.name})
        lines = [each.text for each in held if not each.is_block]
        blocks = [each.text for each in held if each.is_block]
        editor.before_lines(one, lines)
        if blocks:
            gap = "" if text.endswith("\n") or not text else document.line_end
            editor.put_at_end(gap + "".join(document.line_end + block + document.line_end for block in blocks))
    return [each.name for each in piece.held if each.name in names]


def _program(editor: Editor, entry: Table, piece: Piece, found: Ours) -> None:
    value = editor.document.syntax.value
    command, args = entry.members["command"], entry.members.get("args")
    is_same = found.server[0] == piece.words[-1]
    editor.put(span_of(command.node), piece.command if is_same else value(found.server[0]))
    gone = _without_added_env(editor, entry, piece)
    if args is not None and isinstance(args.node, Array):
        own = len(found.server) - 1
        if own == 0 and not piece.had_args:
            gone.add("args")
        else:
            editor.leave_out(args.node, len(args.node.items) - own)
    editor.remove(entry, gone)


def _remote(editor: Editor, entry: Table, piece: Piece) -> None:
    pairs = [(key, _headers(editor, entry, piece) if key == piece.headers_key else text) for key, text in piece.fields]
    gone = {"args", "env_vars"} | _without_added_env(editor, entry, piece)
    if (kind := entry.members.get("type")) is not None:
        if piece.kind:
            editor.put(span_of(kind.node), piece.kind)
        else:
            gone.add("type")
    pairs = [pair for pair in pairs if pair[1]]
    stays = {name for name, one in entry.members.items() if not isinstance(one.node, Lines)} - gone - {"command"}
    stays |= {""} if isinstance(entry, Lines) and entry.header is not None else set()
    apart = [pair for pair in pairs if piece.behind.get(pair[0]) in stays]
    editor.replace(entry, entry.members["command"], [pair for pair in pairs if pair not in apart])
    for name in dict.fromkeys(piece.behind[key] for key, _ in apart):
        there = [pair for pair in apart if piece.behind[pair[0]] == name]
        if name:
            editor.after(entry, entry.members[name], there)
        else:
            editor.lead(entry, there)
    editor.remove(entry, gone)


def _headers(editor: Editor, entry: Table, piece: Piece) -> str:
    """The headers with the values that their variables have now; empty: there are none left."""
    before = dict(piece.fields)[piece.headers_key]
    env = entry.members.get("env")
    members = env.node.members if env is not None and isinstance(env.node, Braces | Lines) else {}
    now: dict[str, str] = {}
    for variable in piece.values:
        if variable in members and not isinstance(members[variable].node, Lines):
            span = span_of(members[variable].node)
            now[variable] = editor.document.text[span.start : span.end]
    if now == piece.values:
        return before
    return editor.table([(piece.env[variable], text) for variable, text in now.items()]) if now else ""


def _without_added_env(editor: Editor, entry: Table, piece: Piece) -> set[str]:
    """Remove the variables that were added; the key of the table that is left without any."""
    env = entry.members.get("env")
    if env is None or not isinstance(env.node, Braces | Lines):
        return set()
    names = {name for name in env.node.members if name in piece.env}
    if names == set(env.node.members) and not piece.had_env:
        return {"env"}
    editor.remove(env.node, names)
    return set()


def _is_ours(one: Member) -> bool:
    return ours(_words(one)) is not None


def _words(one: Member) -> tuple[str, ...]:
    value = data(one.node)
    return words_of(cast("Mapping[str, Any]", value)) if isinstance(value, dict) else ()
