"""The store as one SQLite file, shared by all processes of one user."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import sqlite3
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path
from typing import cast

from spec_mcp.engine.calls import Json
from spec_mcp.engine.events import Known
from spec_mcp.store import comparing, consulted, upkeep
from spec_mcp.store.connection import BUSY_TIMEOUT_S, Connection, Record, inode
from spec_mcp.store.rows import (
    CallRow,
    ComparisonRow,
    DemotionRow,
    LearnedRow,
    PinRow,
    QuestionRow,
    Row,
    Scope,
    SessionRow,
    SkipRow,
    SpeculationRow,
    TextRow,
)
from spec_mcp.store.store import Consulted, Merge, SessionSummary, SessionTrace, ToolComparisons, ToolTotals, Totals

WRITE_SESSION = """
    INSERT INTO sessions (session, server, launch, principal, started_at, pid, client_name, client_version, ended_at)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (session) DO UPDATE SET
        client_name = coalesce(nullif(excluded.client_name, ''), client_name),
        client_version = coalesce(nullif(excluded.client_version, ''), client_version),
        ended_at = coalesce(excluded.ended_at, ended_at)
"""

WRITE_SKIP = """
    INSERT INTO skips (session, server, tool, reason, count) VALUES (?, ?, ?, ?, ?)
    ON CONFLICT (session, server, tool, reason) DO UPDATE SET count = count + excluded.count
"""

CALL_SUMS = """
    count(*) AS calls, sum(how = 'hit') AS hits, sum(how = 'join') AS joins, sum(how = 'miss') AS misses,
    sum(how = 'lossy') AS lossy, total(saved_s) AS saved_s, coalesce(sum(was_attached), 0) AS attached_called
"""

SPECULATION_SUMS = """
    count(*) AS speculations,
    sum(state IN ('discarded', 'compensated', 'stuck') AND attached_to IS NULL) AS wasted,
    sum(state = 'compensated') AS compensated, count(attached_to) AS attached,
    coalesce(sum(attached_bytes), 0) AS attached_bytes
"""
"""Over launched ones alone."""


class SqliteStore:
    """A `Store` in one file. Reading waits for nobody; writing waits `BUSY_TIMEOUT_S` for other processes."""

    def __init__(self, path: Path | None, busy_timeout_s: float = BUSY_TIMEOUT_S) -> None:
        """Open the file, made where there is none; None: a store in memory, gone when it is closed.

        Raises:
            StoreError: it cannot be used.
        """
        self._connection = Connection(path, busy_timeout_s)
        self._query = self._connection.query
        self._translated = self._connection.translated
        self._transaction = self._connection.transaction

    def displaced(self) -> bool:
        opened = self._connection.inode
        return opened is not None and inode(self._connection.path) != opened

    def write(self, rows: Sequence[Row]) -> None:
        with self._translated(), self._refused_rows(), self._transaction():
            _write(self._connection, rows)

    def sessions(self, limit: int | None = None) -> list[SessionSummary]:
        with self._translated():
            records = self._query(
                "SELECT * FROM sessions ORDER BY started_at DESC, session LIMIT ?", [-1 if limit is None else limit]
            )
            return [SessionSummary(_session(record), self._session_totals(record["session"])) for record in records]

    def session_ids(self, prefix: str = "") -> list[str]:
        with self._translated():
            # no LIKE or GLOB: an id may hold their wildcards
            records = self._query(
                "SELECT session FROM sessions WHERE substr(session, 1, ?) = ? ORDER BY started_at, session",
                [len(prefix), prefix],
            )
            return [record["session"] for record in records]

    def trace(self, session: str) -> SessionTrace:
        with self._translated():
            records = self._query("SELECT * FROM sessions WHERE session = ?", [session])
            if not records:
                raise KeyError(session)
            calls = self._query("SELECT * FROM calls WHERE session = ? ORDER BY t_start, number", [session])
            speculations = self._query(
                "SELECT * FROM speculations WHERE session = ? ORDER BY coalesce(launched_at, ended_at), number",
                [session],
            )
            texts = self._query("SELECT * FROM texts WHERE session = ? ORDER BY number", [session])
            skips = self._query("SELECT * FROM skips WHERE session = ? ORDER BY count DESC, tool, reason", [session])
        return SessionTrace(
            session=_session(records[0]),
            calls=tuple(_call(record) for record in calls),
            speculations=tuple(_speculation(record) for record in speculations),
            skips=tuple(SkipRow(**record) for record in skips),
            texts=tuple(TextRow(**record) for record in texts),
        )

    def traces(self) -> Iterator[SessionTrace]:
        for session in self.session_ids():
            with contextlib.suppress(KeyError):  # forgotten meanwhile
                yield self.trace(session)

    def totals(self) -> Totals:
        with self._translated():
            calls = self._query(f"SELECT server, tool, {CALL_SUMS} FROM calls GROUP BY server, tool")
            speculations = self._query(
                f"SELECT server, tool, {SPECULATION_SUMS} FROM speculations "
                "WHERE launched_at IS NOT NULL GROUP BY server, tool"
            )
            skips = self._query("SELECT reason, sum(count) AS count FROM skips GROUP BY reason ORDER BY count DESC")
            sessions = self._query("SELECT count(*) AS count FROM sessions")[0]["count"]
        sums: dict[tuple[str, str], Record] = {}
        for record in [*calls, *speculations]:
            sums.setdefault((record.pop("server"), record.pop("tool")), {}).update(record)
        tools = {key: ToolTotals(**record) for key, record in sorted(sums.items())}
        return Totals(
            sessions=sessions,
            all=add_up(list(tools.values())),
            skips={record["reason"]: record["count"] for record in skips},
            tools=tools,
        )

    def servers(self) -> list[str]:
        tables = ("sessions", "calls", "speculations", "pins", "learned")
        union = " UNION ".join(f"SELECT server FROM {table}" for table in tables)
        with self._translated():
            return [record["server"] for record in self._query(f"{union} ORDER BY server")]

    def pins(self, scope: Scope) -> dict[str, str]:
        with self._translated():
            records = self._query(
                "SELECT tool, fingerprint FROM pins WHERE server = ? AND launch = ?", [scope.server, scope.launch]
            )
        return {record["tool"]: record["fingerprint"] for record in records}

    def known(self, scope: Scope) -> Known:
        with self._translated():
            return comparing.known(self._connection, scope)

    def comparisons(self) -> dict[tuple[str, str], ToolComparisons]:
        with self._translated():
            return comparing.totals(self._connection)

    def divergences(self, limit: int) -> list[ComparisonRow]:
        with self._translated():
            return comparing.divergences(self._connection, limit)

    def consulted(self, session: str | None = None) -> dict[str, Consulted]:
        with self._translated():
            return consulted.totals(self._connection, session)

    def prices(self) -> dict[str, float]:
        with self._translated():
            return consulted.prices(self._connection)

    def pardon(self, server: str | None) -> list[tuple[str, str]]:
        with self._translated(), self._transaction():
            return comparing.pardon(self._connection, server)

    def learned(self, scope: Scope, principal: str) -> list[LearnedRow]:
        with self._translated():
            records = self._query(
                "SELECT kind, data, added_at FROM learned "
                "WHERE server = ? AND launch = ? AND principal = ? ORDER BY id",
                [scope.server, scope.launch, principal],
            )
        return [
            LearnedRow(scope, principal, record["kind"], record["data"].encode(), record["added_at"])
            for record in records
        ]

    def compact(self, scope: Scope, principal: str, kind: str, merge: Merge) -> bool:
        # read, merge and replace under the write lock: what others add comes before or after, never between
        with self._translated(), self._transaction():
            owner = [scope.server, scope.launch, principal, kind]
            records = self._query(
                "SELECT id, data, added_at FROM learned "
                "WHERE server = ? AND launch = ? AND principal = ? AND kind = ? ORDER BY id",
                owner,
            )
            if len(records) < 2:
                return False
            try:
                merged = merge([cast("Json", json.loads(record["data"])) for record in records])
            except ValueError:
                return False
            self._connection.run(
                "DELETE FROM learned WHERE server = ? AND launch = ? AND principal = ? AND kind = ? AND id <= ?",
                [*owner, records[-1]["id"]],
            )
            data = json.dumps(merged, separators=(",", ":")).encode()
            newest = max(record["added_at"] for record in records)
            _write(self._connection, [LearnedRow(scope, principal, kind, data, newest)])
        return True

    def upkeep(self, now: float, retention_days: float) -> bool:
        with self._translated():
            return upkeep.tidy(self._connection, now, retention_days)

    def forget(self, server: str | None) -> int:
        with self._translated():
            return upkeep.forget(self._connection, server)

    def close(self) -> None:
        self._connection.close()

    def _session_totals(self, session: str) -> ToolTotals:
        calls = self._query(f"SELECT {CALL_SUMS} FROM calls WHERE session = ?", [session])[0]
        speculations = self._query(
            f"SELECT {SPECULATION_SUMS} FROM speculations WHERE session = ? AND launched_at IS NOT NULL", [session]
        )[0]
        return ToolTotals(**{name: value or 0 for name, value in (calls | speculations).items()})

    @contextlib.contextmanager
    def _refused_rows(self) -> Generator[None, None, None]:
        """What SQLite cannot take at all: a value of another type, a broken text, a number beyond 64 bits."""
        try:
            yield
        except (sqlite3.IntegrityError, sqlite3.InterfaceError, OverflowError, UnicodeError) as error:
            raise ValueError(str(error)) from error


def add_up(parts: Sequence[ToolTotals]) -> ToolTotals:
    """The sum of several totals."""
    return ToolTotals(
        calls=sum(part.calls for part in parts),
        hits=sum(part.hits for part in parts),
        joins=sum(part.joins for part in parts),
        misses=sum(part.misses for part in parts),
        speculations=sum(part.speculations for part in parts),
        wasted=sum(part.wasted for part in parts),
        compensated=sum(part.compensated for part in parts),
        lossy=sum(part.lossy for part in parts),
        saved_s=sum(part.saved_s for part in parts),
        attached=sum(part.attached for part in parts),
        attached_bytes=sum(part.attached_bytes for part in parts),
        attached_called=sum(part.attached_called for part in parts),
    )


def _write(connection: Connection, rows: Sequence[Row]) -> None:
    """Put the rows in, table by table, within the caller's transaction."""
    calls: list[Record] = []
    speculations: list[Record] = []
    texts: list[Record] = []
    pins: list[Record] = []
    learned: list[Record] = []
    compared: list[ComparisonRow] = []
    asked: list[QuestionRow] = []
    for row in rows:
        match row:
            case SessionRow():
                connection.run(WRITE_SESSION, _session_values(row))
            case SkipRow():
                connection.run(WRITE_SKIP, [row.session, row.server, row.tool, row.reason, row.count])
            case CallRow():
                calls.append(_call_record(row))
            case TextRow():
                if row.text:  # else it is not to be kept
                    texts.append(dataclasses.asdict(row))
            case SpeculationRow():
                speculations.append(_speculation_record(row))
            case PinRow():
                pins.append(
                    _owner(row.scope) | {"tool": row.tool, "fingerprint": row.fingerprint, "seen_at": row.seen_at}
                )
            case ComparisonRow():
                compared.append(row)
            case QuestionRow():
                asked.append(row)
            case DemotionRow():
                comparing.demote(connection, row)
            case LearnedRow():
                learned.append(
                    _owner(row.scope)
                    | {
                        "principal": row.principal,
                        "kind": row.kind,
                        "data": row.data.decode(),
                        "added_at": row.added_at,
                    }
                )
    connection.insert("calls", calls, replace=True)
    connection.insert("speculations", speculations, replace=True)
    connection.insert("texts", texts, replace=True)
    connection.insert("pins", pins, ignore=True)
    connection.insert("learned", learned)
    comparing.write(connection, compared)
    consulted.write(connection, asked)


def _owner(scope: Scope) -> Record:
    return {"server": scope.server, "launch": scope.launch}


def _session_values(row: SessionRow) -> list[object]:
    return [
        row.session,
        row.scope.server,
        row.scope.launch,
        row.principal,
        row.started_at,
        row.pid,
        row.client_name,
        row.client_version,
        row.ended_at,
    ]


def _session(record: Record) -> SessionRow:
    rest = {name: value for name, value in record.items() if name not in ("server", "launch")}
    return SessionRow(scope=Scope(record["server"], record["launch"]), **rest)


def _call_record(row: CallRow) -> Record:
    return {
        "session": row.session,
        "number": row.number,
        "server": row.server,
        "tool": row.tool,
        "arguments": None if row.arguments is None else row.arguments.decode(),
        "result": None if row.result is None else row.result.decode(),
        "is_error": int(row.is_error),
        "kind": row.kind,
        "batch": row.batch,
        "t_start": row.t_start,
        "t_end": row.t_end,
        "how": row.how,
        "wait_s": row.wait_s,
        "saved_s": row.saved_s,
        "speculation": row.speculation,
        "result_bytes": row.result_bytes,
        "was_attached": int(row.was_attached),
    }


def _call(record: Record) -> CallRow:
    record["arguments"] = _bytes(record["arguments"])
    record["result"] = _bytes(record["result"])
    record["is_error"] = bool(record["is_error"])
    record["was_attached"] = bool(record["was_attached"])
    return CallRow(**record)


def _speculation_record(row: SpeculationRow) -> Record:
    if not isinstance(row.arguments, bytes):
        raise TypeError("arguments of a speculation are kept as JSON text")
    return {
        "session": row.session,
        "number": row.number,
        "server": row.server,
        "tool": row.tool,
        "arguments": row.arguments.decode(),
        "state": row.state,
        "reason": row.reason,
        "q": row.q,
        "source": row.source,
        "launched_at": row.launched_at,
        "returned_at": row.returned_at,
        "ended_at": row.ended_at,
        "call": row.call,
        "attached_to": row.attached_to,
        "attached_bytes": row.attached_bytes,
    }


def _speculation(record: Record) -> SpeculationRow:
    kept: Record = {"arguments": record["arguments"].encode(), "attached_bytes": record["attached_bytes"] or 0}
    return SpeculationRow(**(record | kept))


def _bytes(text: str | None) -> bytes | None:
    return None if text is None else text.encode()
