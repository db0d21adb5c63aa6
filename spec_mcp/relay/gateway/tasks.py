"""Whose each task is, where several servers make some: two may give theirs the same id.

The client knows a task by the id that its server gave it, unless another server's task has that id already: then by
one of ours. What the client and the server say of it is put into the other's words; nothing else is changed.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from spec_mcp.relay import wire
from spec_mcp.relay.gateway.names import SEPARATOR
from spec_mcp.relay.gateway.splicing import spliced, written

TASKS_MAX = 4096
"""Tasks remembered; of a client that makes more, the oldest are looked for at the only server that makes any."""

RELATED_META = "io.modelcontextprotocol/related-task"
"""The member of `_meta` that names the task to which a message belongs."""


@dataclass(frozen=True, slots=True)
class Owned:
    """A task as its server knows it."""

    server: str
    task: str


class Tasks:
    """Of one client."""

    def __init__(self) -> None:
        self._owned: OrderedDict[str, Owned] = OrderedDict()
        """By the id that the client knows."""
        self._shown: dict[Owned, str] = {}

    def remember(self, server: str, task: str) -> str:
        """A server speaks of a task; the id by which the client knows it."""
        if len(task) > wire.ID_MAX_BYTES:
            return task
        owned = Owned(server, task)
        shown = self._shown.get(owned)
        if shown is None:
            shown = task
            while shown in self._owned:
                shown = f"{server}{SEPARATOR}{shown}"
            self._owned[shown], self._shown[owned] = owned, shown
        self._owned.move_to_end(shown)
        while len(self._owned) > TASKS_MAX:
            del self._shown[self._owned.popitem(last=False)[1]]
        return shown

    def find(self, shown: str) -> Owned | None:
        """The task that the client means."""
        return self._owned.get(shown)

    # --- in what servers and the client say -------------------------------------------------------------------------

    def shown_in(self, server: str, members: bytes) -> bytes:
        """A result, or a notification's params, with the ids that the client knows."""
        if b'"task' in members:
            found = wire.members(members)
            if "taskId" in found:
                members = self._shown_here(server, members)
            if "task" in found and (task := self._shown_here(server, found["task"])) is not found["task"]:
                members = spliced(members, "task", task)
            before = wire.elements(found.get("tasks", b"[]"))
            if (tasks := [self._shown_here(server, task) for task in before]) != before:
                members = spliced(members, "tasks", b"[%s]" % b",".join(tasks))
        return self.shown_in_meta(server, members)

    def shown_in_meta(self, server: str, members: bytes) -> bytes:
        """Any message's members, where only the task to which it belongs is the server's."""
        return _related(members, lambda task: self.remember(server, task))

    def owned_in_meta(self, server: str, members: bytes) -> bytes:
        """What the client says to a server, with the server's own id of the task to which it belongs."""

        def own(shown: str) -> str:
            owned = self.find(shown)
            return shown if owned is None or owned.server != server else owned.task

        return _related(members, own)

    def _shown_here(self, server: str, members: bytes) -> bytes:
        task = wire.lenient(wire.members(members).get("taskId", wire.NULL))
        if not isinstance(task, str) or (shown := self.remember(server, task)) == task:
            return members
        return spliced(members, "taskId", json.dumps(shown).encode())

    # --- lists ------------------------------------------------------------------------------------------------------

    def merged(self, results: Mapping[str, bytes]) -> bytes:
        """The result of a `tasks/list` by the results of each server that has answered it."""
        tasks: list[bytes] = []
        cursors: dict[str, bytes] = {}
        for server, result in results.items():
            found = wire.members(self.shown_in(server, result))
            tasks += wire.elements(found.get("tasks", b"[]"))
            if (cursor := found.get("nextCursor", wire.NULL)) != wire.NULL:
                cursors[server] = cursor
        members = {"tasks": b"[%s]" % b",".join(tasks)}
        if cursors:  # a string that holds an object of all cursors
            members["nextCursor"] = json.dumps(written(cursors).decode("utf-8", "surrogateescape")).encode()
        return written(members)


def read_cursors(cursor: bytes) -> dict[str, bytes]:
    """The servers' own cursors in one of `Tasks.merged`; empty where it is none."""
    text = wire.lenient(cursor)
    if not isinstance(text, str):
        return {}
    found = wire.members(text.encode("utf-8", "surrogateescape"))
    return found if all(isinstance(wire.lenient(raw), str) for raw in found.values()) else {}


def _related(members: bytes, renamed: Callable[[str], str]) -> bytes:
    """The members, with another name of the task to which they belong."""
    if b"related-task" not in members:
        return members
    meta = wire.members(members).get("_meta", wire.ABSENT)
    related = wire.members(meta).get(RELATED_META, wire.ABSENT)
    task = wire.lenient(wire.members(related).get("taskId", wire.NULL))
    if not isinstance(task, str) or (name := renamed(task)) == task:
        return members
    related = spliced(related, "taskId", json.dumps(name).encode())
    return spliced(members, "_meta", spliced(meta, RELATED_META, related))
