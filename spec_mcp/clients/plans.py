"""What is to become of a client's file, and what must stay true of it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, cast

import msgspec

from spec_mcp.clients.entries import Ours, ours, words_of
from spec_mcp.clients.faults import ClientFileError
from spec_mcp.clients.ledger import Piece, Record, Spot
from spec_mcp.clients.places import Client, Servers, servers_in
from spec_mcp.clients.tree import Document, Member, data


class Action(StrEnum):
    """What becomes of an entry."""

    WRAPPED = "wrapped"
    JOINED = "joined"
    """It goes into a gateway."""
    ALREADY = "already"
    """It starts spec-mcp, and stays."""
    LEFT = "left"
    """It stays as it is."""
    RESTORED = "restored"
    GONE = "gone"
    """What was put there is not there any more."""


@dataclass(frozen=True, slots=True)
class Step:
    """One entry, and what becomes of it."""

    name: str
    project: str
    """Empty: it is for all projects."""
    action: Action
    why: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """A client's file as it is to be."""

    text: str
    steps: tuple[Step, ...]
    record: Record
    """What is to be remembered of it."""
    gateways: Mapping[str, str] = field(default_factory=dict[str, str])
    """Configurations to be written, by path."""

    def count(self, *actions: Action) -> int:
        """Of how many entries this becomes."""
        return sum(step.action in actions for step in self.steps)


@dataclass(frozen=True, slots=True)
class Read:
    """A client's file, read."""

    client: Client
    file: str
    document: Document
    tables: tuple[Servers, ...]

    @classmethod
    def of(cls, client: Client, file: str, text: str) -> Read:
        """Read it.

        Raises:
            ClientFileError: it is broken.
        """
        document = client.syntax.scan(text, file)
        return cls(client, file, document, tuple(servers_in(document, client, file)))


def entry_of(one: Member) -> Mapping[str, Any]:
    """What an entry says; empty where it is no table."""
    value = data(one.node)
    return cast("Mapping[str, Any]", value) if isinstance(value, dict) else {}


def ours_in(one: Member) -> Ours | None:
    """What an entry says that starts spec-mcp."""
    return ours(words_of(entry_of(one)))


def spots_of(piece: Piece) -> set[Spot]:
    """Where a piece stands, and what it stands for."""
    return {(piece.table, name) for name in (piece.name, *(held.name for held in piece.held))}


def project_of(table: Sequence[str]) -> str:
    """The project that a table of servers is for; empty: all."""
    return table[1] if len(table) > 2 else ""


def with_pieces(record: Record, pieces: Sequence[Piece]) -> Record:
    """The record with these of its pieces, and what belongs to them."""
    stretches = {piece.stretch for piece in pieces}
    gateways = {gateway_of(piece) for piece in pieces}
    return msgspec.structs.replace(
        record,
        pieces=tuple(pieces),
        stretches={key: stretch for key, stretch in record.stretches.items() if key in stretches},
        gateways={path: digest for path, digest in record.gateways.items() if path in gateways},
    )


def gateway_of(piece: Piece) -> str:
    """The configuration that a gateway reads; empty: it is none."""
    found = ours(piece.words)
    return (found.option("config") or "") if found is not None and piece.held else ""


def require_rest(before: Read, after: Read, touched: Collection[Spot]) -> None:
    """Check that everything else says what it said.

    Raises:
        ClientFileError: it does not; nothing has been written yet.
    """
    if _rest(before, touched) != _rest(after, touched):
        fault = "it cannot be edited without touching more than the servers"
        raise ClientFileError(before.file, "", fault, "it was left as it is; edit it by hand")


def _rest(read: Read, touched: Collection[Spot]) -> object:
    root = data(read.document.root)
    strays = [data(stray) for stray in read.document.strays]
    for path, name in touched:
        table: Any = root
        for key in path:
            table = table.get(key) if isinstance(table, dict) else None  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
        if isinstance(table, dict):
            cast("dict[str, Any]", table).pop(name, None)
    return root, strays
