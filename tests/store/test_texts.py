"""What clients tell of the conversation, in the store: redacted, optional, and gone when it is to be forgotten."""

from __future__ import annotations

from spec_mcp.cli.export import as_record
from spec_mcp.records import TextEvent
from spec_mcp.store.cleaning import Cleaner
from spec_mcp.store.redaction import Redactor
from spec_mcp.store.rows import Scope, SessionRow, TextRow
from spec_mcp.store.sqlite import SqliteStore


def a_store() -> SqliteStore:
    store = SqliteStore(None)
    store.write([SessionRow("a", Scope("shop", "x"), "local", 100.0, 1), TextRow("a", 1, "user", "W7, please", 101.5)])
    return store


def test_words_are_kept_with_their_session_and_exported_with_it() -> None:
    store = a_store()
    assert as_record(store.trace("a")).events == (TextEvent("user", "W7, please", 1.5),)
    store.close()


def test_words_go_with_their_server() -> None:
    store = a_store()
    store.forget("shop")
    store.write([SessionRow("a", Scope("shop", "x"), "local", 100.0, 1)])
    assert store.trace("a").texts == ()
    store.close()


def test_words_follow_the_rules_of_redaction() -> None:
    row = TextRow("a", 1, "user", '{"password": "hunter2", "id": "W7"}', 0.0)
    assert "hunter2" not in str(Cleaner(Redactor(["*password*"]), True).clean(row))
    assert Cleaner(Redactor(["*password*"]), False).clean(TextRow("a", 1, "user", "W7", 0.0)).text == ""  # pyright: ignore[reportAttributeAccessIssue]
