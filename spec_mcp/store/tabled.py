"""The store as tables in a database: all that is the same in each kind of database."""

from __future__ import annotations

import contextlib
import dataclasses
import json
from collections.abc import Generator, Iterator, Sequence
from typing import cast

from spec_mcp.engine.calls import Json
from spec_mcp.engine.events import Known, Mode
from spec_mcp.store import comparing, consulted, upkeep
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
from spec_mcp.store.sql import NO_LIMIT, Record, Sql
from spec_mcp.store.store import Consulted, Merge, SessionSummary, SessionTrace, ToolComparisons, ToolTotals, Totals

WRITE_SESSION = """
    INSERT INTO sessions (session, server, launch, principal, started_at, pid, client_name, client_version, ended_at)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (session) DO UPDATE SET
        client_name = coalesce(nullif(excluded.client_name, ''), sessions.client_name),
        client_version = coalesce(nullif(excluded.client_version, ''), sessions.client_version),
        ended_at = coalesce(excluded.ended_at, sessions.ended_at)
"""

WRITE_SKIP = """
    INSERT INTO skips (session, server, tool, reason, count) VALUES (?, ?, ?, ?, ?)
    ON CONFLICT (session, server, tool, reason) DO UPDATE SET count = skips.count + excluded.count
"""

CALL_SUMS = """
    count(*) AS calls, count(*) FILTER (WHERE how = 'hit') AS hits, count(*) FILTER (WHERE how = 'join') AS joins,
    count(*) FILTER (WHERE how = 'miss') AS misses, count(*) FILTER (WHERE how = 'lossy') AS lossy,
    coalesce(sum(saved_s), 0.0) AS saved_s, count(*) FILTER (WHERE was_attached) AS attached_called
"""

SPECULATION_SUMS = """
    count(*) AS speculations,
    count(*) FILTER (WHERE state IN ('discarded', 'compensated', 'stuck') AND attached_to IS NULL) AS wasted,
    count(*) FILTER (WHERE state = 'compensated') AS compensated, count(attached_to) AS attached,
    coalesce(sum(attached_bytes), 0) AS attached_bytes
"""
"""Over launched ones alone."""

CALL = ", ".join(field.name for field in dataclasses.fields(CallRow))
SPECULATION = ", ".join(field.name for field in dataclasses.fields(SpeculationRow))
SESSION = "session, server, launch, principal, started_at, pid, client_name, client_version, ended_at"
"""Columns by name, since a newer version may have added others."""

STATEMENT_VALUES = 500
"""In one statement: any database takes so many."""

NUMBERED = ("session", "number")
"""What tells calls, speculations and texts apart."""


class TabledStore:
    """A `Store` but for `displaced`."""

    def __init__(self, connection: Sql) -> None:
        self._connection = connection
        self._query = connection.query
        self._translated = connection.translated
        self._transaction = connection.transaction

    def write(self, rows: Sequence[Row]) -> None:
        with self._translated(), self._refused_rows(), self._transaction():
            _write(self._connection, rows)

    def sessions(self, limit: int | None = None) -> list[SessionSummary]:
        newest = "FROM sessions ORDER BY started_at DESC, session LIMIT ?"
        bound = [NO_LIMIT if limit is None else limit]
        of_these = f"session IN (SELECT session {newest})"
        with self._translated():
            records = self._query(f"SELECT {SESSION} {newest}", bound)
            sums: dict[str, Record] = {}
            for found in (
                self._query(f"SELECT session, {CALL_SUMS} FROM calls WHERE {of_these} GROUP BY session", bound),
                self._query(
                    f"SELECT session, {SPECULATION_SUMS} FROM speculations "
                    f"WHERE launched_at IS NOT NULL AND {of_these} GROUP BY session",
                    bound,
                ),
            ):
                for record in found:
                    sums.setdefault(record.pop("session"), {}).update(record)
        return [SessionSummary(_session(one), ToolTotals(**sums.get(one["session"], {}))) for one in records]

    def session_ids(self, prefix: str = "") -> list[str]:
        with self._translated():
            # no LIKE or GLOB: an id may hold their wildcards
            records = self._query(
                "SELECT session FROM sessions WHERE substr(session, 1, length(?)) = ? ORDER BY started_at, session",
                [prefix, prefix],
            )
            return [record["session"] for record in records]

    def trace(self, session: str) -> SessionTrace:
        with self._translated():
            records = self._query(f"SELECT {SESSION} FROM sessions WHERE session = ?", [session])
            if not records:
                raise KeyError(session)
            calls = self._query(f"SELECT {CALL} FROM calls WHERE session = ? ORDER BY t_start, number", [session])
            speculations = self._query(
                f"SELECT {SPECULATION} FROM speculations "
                "WHERE session = ? ORDER BY coalesce(launched_at, ended_at), number",
                [session],
            )
            texts = self._query(
                "SELECT session, number, role, text, at FROM texts WHERE session = ? ORDER BY number", [session]
            )
            skips = self._query(
                "SELECT session, server, tool, reason, count FROM skips "
                "WHERE session = ? ORDER BY count DESC, tool, reason",
                [session],
            )
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
        # what is put in the place of rows counts only if it was we who took each of them away: another process may be
        # at the same, and what a third one adds meanwhile is left alone
        with self._translated(), contextlib.suppress(_Overtaken), self._transaction():
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
            ids = [record["id"] for record in records]
            for some in _parts(ids):
                if self._connection.run(f"DELETE FROM learned WHERE id IN ({marks(some)})", some) != len(some):
                    raise _Overtaken
            data = json.dumps(merged, separators=(",", ":")).encode()
            newest = max(record["added_at"] for record in records)
            _write(self._connection, [LearnedRow(scope, principal, kind, data, newest)])
            return True
        return False

    def upkeep(self, now: float, retention_days: float) -> bool:
        with self._translated():
            return upkeep.tidy(self._connection, now, retention_days)

    def forget(self, server: str | None) -> int:
        with self._translated():
            return upkeep.forget(self._connection, server)

    def switched(self) -> Mode | None:
        return None

    def close(self) -> None:
        self._connection.close()

    @contextlib.contextmanager
    def _refused_rows(self) -> Generator[None, None, None]:
        """What the database cannot take at all: a value of another type, a broken text, a number beyond 64 bits."""
        try:
            yield
        except self._connection.refused as error:
            raise ValueError(str(error)) from error


class _Overtaken(Exception):  # noqa: N818  named for what happened
    """Another process did the same first."""


def switched(connection: Sql) -> Mode | None:
    """What the switch says that lies in a database; a word that we do not know says off."""
    found = connection.query("SELECT mode FROM switch")
    if not found:
        return None
    try:
        return Mode(found[0]["mode"])
    except ValueError:
        return Mode.OFF


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


def _write(connection: Sql, rows: Sequence[Row]) -> None:
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
    connection.insert("calls", calls, key=NUMBERED, replace=True)
    connection.insert("speculations", speculations, key=NUMBERED, replace=True)
    connection.insert("texts", texts, key=NUMBERED, replace=True)
    connection.insert("pins", pins, key=("server", "launch", "tool"))
    connection.insert("learned", learned)
    comparing.write(connection, compared)
    consulted.write(connection, asked)


def marks(values: Sequence[object]) -> str:
    """A `?` for each of the values."""
    return ", ".join("?" * len(values))


def _parts(ids: Sequence[int]) -> Iterator[Sequence[int]]:
    for start in range(0, len(ids), STATEMENT_VALUES):
        yield ids[start : start + STATEMENT_VALUES]


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
        "is_error": row.is_error,
        "kind": row.kind,
        "batch": row.batch,
        "t_start": row.t_start,
        "t_end": row.t_end,
        "how": row.how,
        "wait_s": row.wait_s,
        "saved_s": row.saved_s,
        "speculation": row.speculation,
        "result_bytes": row.result_bytes,
        "was_attached": row.was_attached,
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
