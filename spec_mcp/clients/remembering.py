"""Which stretches of a file were changed, so that each can be put back as it was."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from spec_mcp.clients.ledger import Piece, Record, Stretch
from spec_mcp.clients.tree import Edit, applied


@dataclass(frozen=True, slots=True)
class Change:
    """One entry's edits lie between these places of the text as it was before."""

    piece: Piece
    start: int
    end: int

    @classmethod
    def of(cls, piece: Piece, edits: Sequence[Edit]) -> Change:
        """The change that these edits make."""
        return cls(piece, min(edit.start for edit in edits), max(edit.end for edit in edits))


def remember(record: Record, text: str, edits: Sequence[Edit], changes: Sequence[Change]) -> Record:
    """The record with these changes of a text, in which all that it knew already stands.

    Changes that lie within each other share a stretch. The stretches are kept in the order of the file: where two are
    written alike, that tells them apart.
    """
    groups: list[list[Change]] = []
    for change in sorted(changes, key=lambda change: change.start):
        if groups and change.start <= max(other.end for other in groups[-1]):
            groups[-1].append(change)
        else:
            groups.append([change])
    places = _places(record, text)
    stretches, pieces = dict(record.stretches), list(record.pieces)
    for group in groups:
        start, end = group[0].start, max(change.end for change in group)
        new = applied(text, [edit for edit in edits if start <= edit.start and edit.end <= end], start, end)
        key = str(max(map(int, stretches), default=0) + 1)
        stretches[key], places[key] = Stretch(old=text[start:end], new=new), start
        pieces += [msgspec.structs.replace(change.piece, stretch=key) for change in group]
    ordered = {key: stretches[key] for key in sorted(stretches, key=lambda key: places[key])}
    return msgspec.structs.replace(record, pieces=tuple(pieces), stretches=ordered)


def _places(record: Record, text: str) -> dict[str, int]:
    """Where the known stretches begin; at the end, what is not found."""
    places: dict[str, int] = {}
    behind: dict[str, int] = {}
    for key, stretch in record.stretches.items():
        at = text.find(stretch.new, behind.get(stretch.new, 0))
        places[key] = len(text) if at < 0 else at
        behind[stretch.new] = len(text) if at < 0 else at + len(stretch.new)
    return places
