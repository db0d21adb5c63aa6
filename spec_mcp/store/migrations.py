"""The tables of the SQLite store, one step a version. A step that has been released is never changed, only followed.

sqlite-utils records in the file which steps were applied. A step there that is not known here was made by a newer
version of the program.
"""

from __future__ import annotations

from sqlite_utils import Database, Migrations

STEPS = ("0001-sessions-and-learning", "0002-undos", "0003-comparisons", "0004-attached-and-said", "0005-questions")
"""All steps, in order."""

migrations = Migrations("spec-mcp")


@migrations(name=STEPS[0])
def _sessions_and_learning(db: Database) -> None:
    db.table("sessions").create(
        {
            "session": str,
            "server": str,
            "launch": str,
            "principal": str,
            "started_at": float,
            "pid": int,
            "client_name": str,
            "client_version": str,
            "ended_at": float,
        },
        pk="session",
        not_null={"server", "launch", "principal", "started_at"},
    )
    db.table("sessions").create_index(["started_at"])
    db.table("calls").create(
        {
            "session": str,
            "number": int,
            "server": str,
            "tool": str,
            "arguments": str,
            "result": str,
            "is_error": int,
            "kind": str,
            "batch": int,
            "t_start": float,
            "t_end": float,
            "how": str,
            "wait_s": float,
            "saved_s": float,
            "speculation": int,
            "result_bytes": int,
        },
        pk=("session", "number"),
        not_null={"server", "tool", "t_start", "how"},
    )
    db.table("calls").create_index(["t_start"])
    db.table("speculations").create(
        {
            "session": str,
            "number": int,
            "server": str,
            "tool": str,
            "arguments": str,
            "state": str,
            "reason": str,
            "q": float,
            "source": str,
            "launched_at": float,
            "returned_at": float,
            "ended_at": float,
            "call": int,
        },
        pk=("session", "number"),
        not_null={"server", "tool", "state", "ended_at"},
    )
    db.table("speculations").create_index(["ended_at"])
    db.table("skips").create(
        {"session": str, "server": str, "tool": str, "reason": str, "count": int},
        pk=("session", "server", "tool", "reason"),
        not_null={"count"},
    )
    db.table("pins").create(
        {"server": str, "launch": str, "tool": str, "fingerprint": str, "seen_at": float},
        pk=("server", "launch", "tool"),
        not_null={"fingerprint"},
    )
    db.table("learned").create(
        {
            "id": int,
            "server": str,
            "launch": str,
            "principal": str,
            "kind": str,
            "data": str,
            "added_at": float,
        },
        pk="id",
        not_null={"server", "launch", "principal", "kind", "data", "added_at"},
    )
    db.table("learned").create_index(["server", "launch", "principal", "kind"])
    db.table("notes").create({"key": str, "value": float}, pk="key", not_null={"value"})


@migrations(name=STEPS[1])
def _undos(db: Database) -> None:
    # by hand: the number must never be used again, since it is the order in which entries were intended
    db.conn.execute(
        """
        CREATE TABLE undos (
            number INTEGER PRIMARY KEY AUTOINCREMENT,
            id TEXT NOT NULL UNIQUE,
            owner TEXT NOT NULL,
            instance TEXT NOT NULL,
            server TEXT NOT NULL,
            launch BLOB NOT NULL,
            principal TEXT NOT NULL,
            session TEXT NOT NULL,
            tool TEXT NOT NULL,
            arguments BLOB NOT NULL,
            reversal BLOB NOT NULL,
            before BLOB,
            outcome TEXT NOT NULL,
            result BLOB,
            "left" TEXT NOT NULL,
            state TEXT NOT NULL,
            undo_sent INTEGER NOT NULL,
            reason TEXT NOT NULL,
            made_at REAL NOT NULL,
            changed_at REAL NOT NULL
        )
        """
    )
    db.conn.execute("CREATE INDEX undos_by_instance ON undos (instance)")


@migrations(name=STEPS[2])
def _comparisons(db: Database) -> None:
    db.table("comparisons").create(
        {
            "id": int,
            "session": str,
            "server": str,
            "launch": str,
            "tool": str,
            "entry": str,
            "arguments": str,
            "is_check": int,
            "how": str,
            "verdict": str,
            "differences": str,
            "saved_s": float,
            "early": str,
            "real": str,
            "early_bytes": int,
            "real_bytes": int,
            "at": float,
        },
        pk="id",
        not_null={"session", "server", "launch", "tool", "entry", "is_check", "how", "verdict", "saved_s", "at"},
    )
    db.table("comparisons").create_index(["server", "launch", "tool"])
    db.table("comparisons").create_index(["at"])
    db.table("demotions").create(
        {"server": str, "launch": str, "tool": str, "entry": str, "at": float},
        pk=("server", "launch", "tool"),
        not_null={"entry", "at"},
    )


@migrations(name=STEPS[3])
def _attached_and_said(db: Database) -> None:
    db.table("calls").add_column("was_attached", int)
    db.table("speculations").add_column("attached_to", int)
    db.table("speculations").add_column("attached_bytes", int)
    db.table("texts").create(
        {"session": str, "number": int, "role": str, "text": str, "at": float},
        pk=("session", "number"),
        not_null={"role", "text", "at"},
    )
    db.table("texts").create_index(["at"])


@migrations(name=STEPS[4])
def _questions(db: Database) -> None:
    db.table("questions").create(
        {
            "id": int,
            "session": str,
            "speculator": str,
            "about": str,
            "ending": str,
            "guesses": int,
            "input_tokens": int,
            "cached_tokens": int,
            "output_tokens": int,
            "price": float,
            "took_s": float,
            "at": float,
        },
        pk="id",
        not_null={"session", "speculator", "about", "ending", "price", "at"},
    )
    db.table("questions").create_index(["session"])
    db.table("questions").create_index(["at"])
