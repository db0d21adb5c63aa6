"""A process that writes to a store until it is told to stop: `python -m tests.store.writer PATH NAME ROWS`."""

from __future__ import annotations

import sys
from pathlib import Path

from spec_mcp.engine.calls import Json
from spec_mcp.store.sqlite import SqliteStore
from tests.store.rows import FILES, call, learned, session, skip

COMPACT_EVERY = 7


def add(rows: list[Json]) -> Json:
    """Counts add up."""
    return {"n": sum(row["n"] for row in rows)}  # pyright: ignore[reportCallIssue,reportArgumentType,reportIndexIssue,reportOptionalSubscript]


def main() -> None:
    """Write a call, a skip and a learned row in each transaction; say how far it is after each."""
    path, name, rows = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    store = SqliteStore(path, busy_timeout_s=30)
    store.write([session(name)])
    for number in range(rows):
        store.write([call(number, session=name), skip(session="both"), learned(b'{"n":1}')])
        sys.stdout.write(f"{number}\n")
        sys.stdout.flush()
        if number % COMPACT_EVERY == 0:
            store.compact(FILES, "local", "history/1", add)
    store.close()


if __name__ == "__main__":
    main()
