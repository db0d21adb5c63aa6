"""The undo journal in a PostgreSQL database: entries belong to owners on any machine, and owners live by a lease.

An owner's lease runs by the database's clock. It is renewed with everything that its owner does and by `renew`; when it
has run out, `take_over` gives an entry to another owner and raises the entry's fence. Each statement names the owner,
so one who comes back late finds nothing of its own: it can neither adopt nor undo what another has taken over.
"""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Callable, Generator, Sequence

from spec_mcp.store.journal import Claim, Entry, Outcome, bounded
from spec_mcp.store.markers import checked_name
from spec_mcp.store.place import Remote
from spec_mcp.store.postgres.connecting import Database
from spec_mcp.store.postgres.connection import Connection
from spec_mcp.store.store import StoreError

LEASE_S = 15.0
"""How long an owner that says nothing is believed to live: longer than any pause of a process that works."""

NAMES = tuple(field.name for field in dataclasses.fields(Entry))
COLUMNS = ", ".join(f'"{name}"' for name in NAMES)  # `left` is a word of SQL
INTEND = f"INSERT INTO undos ({COLUMNS}) VALUES ({', '.join('?' * len(NAMES))})"
SELECT = f"SELECT {COLUMNS} FROM undos"
OURS = "id = ? AND owner = ?"

HOLD = """
    INSERT INTO owners (owner, expires_at) VALUES (?, clock_timestamp() + make_interval(secs => ?))
    ON CONFLICT (owner) DO UPDATE SET expires_at = excluded.expires_at
"""

LIVES = "EXISTS (SELECT 1 FROM owners WHERE owner = ? AND expires_at > clock_timestamp())"

TAKE_OVER = f"""
    UPDATE undos SET owner = ?, changed_at = ?, fence = fence + 1
    WHERE number = (SELECT number FROM undos WHERE {OURS} AND NOT {LIVES} FOR UPDATE SKIP LOCKED)
    RETURNING {COLUMNS}
"""

FORGOTTEN = """
    DELETE FROM owners WHERE expires_at < clock_timestamp() - interval '1 day'
        AND NOT EXISTS (SELECT 1 FROM undos WHERE undos.owner = owners.owner)
"""


class PostgresJournal:
    """A `Journal` in a database."""

    def __init__(
        self,
        remote: Remote,
        *,
        lease_s: float = LEASE_S,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        """Connect, and bring the database to this version where need be.

        Raises:
            StoreError: it cannot be used.
        """
        self._where = str(remote)
        self._lease_s = lease_s
        self._wall_clock = wall_clock
        self._is_grouped = False
        self._held: set[str] = set()
        self._connection = Connection(Database(remote, most=1, name="spec-mcp journal"))

    def intend(self, entry: Entry) -> None:
        """See `Journal`."""
        bounded(self._where, entry.launch, entry.arguments, entry.reversal, entry.before, entry.result)
        checked_name(entry.instance)
        checked_name(entry.owner)
        with self._step(), self._refused():
            self._hold(entry.owner)
            self._connection.run(INTEND, [getattr(entry, name) for name in NAMES])

    def returned(self, entry_id: str, owner: str, outcome: Outcome, result: bytes | None) -> bool:
        """See `Journal`."""
        bounded(self._where, result)
        return self._change("outcome = ?, result = ?", [outcome, result], entry_id, owner, "outcome = ''")

    def left(self, entry_id: str, owner: str, digest: str) -> bool:
        """See `Journal`."""
        return self._change('"left" = ?', [digest], entry_id, owner)

    def claim(self, entry_id: str, owner: str, into: Claim) -> bool:
        """See `Journal`."""
        if into == "adopted":
            return self._delete(entry_id, owner, "state = 'intended'")
        if into != "compensating":
            raise ValueError(f"nothing becomes {into!r}")
        return self._change("state = 'compensating'", [], entry_id, owner, "state = 'intended'")

    def undo_sent(self, entry_id: str, owner: str) -> bool:
        """See `Journal`."""
        return self._change(
            "undo_sent = undo_sent + 1, state = 'compensating', reason = ''", [], entry_id, owner, "state <> 'intended'"
        )

    def stuck(self, entry_id: str, owner: str, reason: str) -> bool:
        """See `Journal`."""
        return self._change("state = 'stuck', reason = ?", [reason], entry_id, owner)

    def settled(self, entry_id: str, owner: str) -> bool:
        """See `Journal`."""
        return self._delete(entry_id, owner)

    def open_entries(self, instance: str | None = None) -> list[Entry]:
        """See `Journal`."""
        where, values = ("true", []) if instance is None else ("instance = ?", [instance])
        with self._connection.translated():
            return [Entry(**row) for row in self._connection.query(f"{SELECT} WHERE {where} ORDER BY number", values)]

    def take_over(self, entry_id: str, from_owner: str, to_owner: str) -> Entry | None:
        """See `Journal`. None too where the old owner's lease has not run out, or another is taking it over now."""
        checked_name(to_owner)
        with self._step():
            self._hold(to_owner)
            taken = self._connection.query(TAKE_OVER, [to_owner, self._wall_clock(), entry_id, from_owner, from_owner])
        return Entry(**taken[0]) if taken else None

    def renew(self) -> None:
        """Be the owners that we are for another lease.

        Raises:
            StoreError: that is not certain: others may take over what is ours once the lease has run out.
        """
        with self._step():
            for owner in sorted(self._held):
                self._hold(owner)

    def lives(self, owner: str) -> bool:
        """Has its lease not run out?"""
        with self._connection.translated():
            return bool(self._connection.query(f"SELECT {LIVES} AS lives", [owner])[0]["lives"])

    @contextlib.contextmanager
    def together(self) -> Generator[None, None, None]:
        """See `Journal`."""
        with self._connection.translated(), self._durably():
            self._is_grouped = True
            try:
                yield
            finally:
                self._is_grouped = False

    def tidy(self) -> None:
        """Nothing but entries stands for instances here."""

    def close(self) -> None:
        """Let go of the database, and of being an owner."""
        with contextlib.suppress(StoreError), self._step():  # the leases run out by themselves
            for owner in sorted(self._held):
                self._connection.run("UPDATE owners SET expires_at = clock_timestamp() WHERE owner = ?", [owner])
            self._connection.run(FORGOTTEN)
        self._connection.close()

    def _hold(self, owner: str) -> None:
        self._connection.run(HOLD, [owner, self._lease_s])
        self._held.add(owner)

    def _change(self, what: str, values: Sequence[object], entry_id: str, owner: str, where: str = "true") -> bool:
        with self._step(), self._refused():
            sql = f"UPDATE undos SET {what}, changed_at = ? WHERE {OURS} AND {where}"
            return self._connection.run(sql, [*values, self._wall_clock(), entry_id, owner]) == 1

    def _delete(self, entry_id: str, owner: str, where: str = "true") -> bool:
        with self._step():
            return self._connection.run(f"DELETE FROM undos WHERE {OURS} AND {where}", [entry_id, owner]) == 1

    @contextlib.contextmanager
    def _step(self) -> Generator[None, None, None]:
        """One change: durable when it is left, unless it is part of a larger one, which it then leaves whole."""
        if self._is_grouped:
            with self._connection.transaction():
                yield
            return
        with self._connection.translated(), self._durably():
            yield

    @contextlib.contextmanager
    def _durably(self) -> Generator[None, None, None]:
        with self._connection.transaction():
            # whatever the server's own setting is: what we say is done outlives its crash
            self._connection.query("SELECT set_config('synchronous_commit', 'on', true)")
            yield

    @contextlib.contextmanager
    def _refused(self) -> Generator[None, None, None]:
        try:
            yield
        except self._connection.refused as error:
            raise ValueError(str(error)) from error
