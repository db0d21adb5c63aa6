"""The replicas that share a PostgreSQL store: which of them are silent, and striking out one that is gone."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer

from spec_mcp.errors import Failed

if TYPE_CHECKING:
    from spec_mcp.store.board import Board
    from spec_mcp.store.place import Remote


def silent(remote: Remote) -> list[str]:
    """Of each replica that keeps the others from using results, a line for a person."""
    from spec_mcp.cli.text import safe

    with _board(remote) as board:
        return [
            f"Replica {safe(member.process.replica)} (process {member.process.pid}) has been silent for "
            f"{member.silent_s:.0f} s. Until it is back the others use nothing ahead of time. Where its process is "
            f"certainly gone: spec-mcp recover --bury {safe(member.process.replica)}"
            for member in board.members()
            if not member.is_current
        ]


def bury(remote: Remote | None, replica: str) -> None:
    """Strike it out.

    Raises:
        Failed: there is none of this name, or it lives.
    """
    if remote is None:
        raise Failed("--bury: the store is a file of this machine, which has no replicas")
    with _board(remote) as board:
        members = {member.process.replica: member for member in board.members()}
        found = members.get(replica)
        if found is None:
            raise Failed(f"--bury: no replica is called {replica}: {', '.join(members) or 'there is none'}")
        if found.is_current:
            raise Failed(f"--bury: {replica} was heard of {found.silent_s:.1f} s ago: end its process first")
        board.bury(found.fence)
    typer.echo(f"Struck out {replica}. What it may have been writing counts as under way for a minute.")


@contextmanager
def _board(remote: Remote) -> Generator[Board]:
    from spec_mcp.store.postgres.board import PostgresBoard
    from spec_mcp.store.postgres.connecting import Database

    database = Database(remote)
    board = PostgresBoard(database)
    try:
        yield board
    finally:
        board.close()
        database.close()
