"""Entries of the undo journal in short form."""

from __future__ import annotations

from typing import Any

from spec_mcp.store.instance import Launch
from spec_mcp.store.journal import Entry, id_of
from tests.store.rows import NOW

GRAPH = "graph-instance"
FILES = "files-instance"


def entry(number: int = 1, owner: str = "me", instance: str = GRAPH, **more: Any) -> Entry:
    values: dict[str, Any] = {
        "id": id_of(owner, number),
        "owner": owner,
        "instance": instance,
        "server": "memory",
        "launch": Launch("memory-server", ("--x",), env_names=("MEMORY_FILE_PATH",)).to_json(),
        "principal": "local",
        "session": "s1",
        "tool": "create_entities",
        "arguments": b'{"entities":[{"name":"a","password":"kept"}]}',
        "reversal": b'{"undo":{"tool":"delete_entities"}}',
        "made_at": NOW + number,
        "changed_at": NOW + number,
        "before": b'{"entities":[]}',
    }
    return Entry(**(values | more))
