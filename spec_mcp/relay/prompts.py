"""What the server asks of the client: requests that wait for the engine's word, and those that wait for an answer."""

from __future__ import annotations

from collections import OrderedDict

from spec_mcp.relay import wire

PASSED_ON_MAX = 256
"""Requests that a client may leave unanswered before the oldest is forgotten."""


class Prompts:
    """The requests of one server, through its restarts."""

    def __init__(self) -> None:
        self._made = 0
        self._passed_on: OrderedDict[object, str] = OrderedDict()
        """Ids that the client has seen, with their methods."""
        self._orphaned: OrderedDict[object, None] = OrderedDict()
        """The same, of a process that is gone."""

    def next_number(self) -> int:
        """A number for the engine."""
        self._made += 1
        return self._made

    def passed_on(self, message: wire.Envelope) -> None:
        """The client has been asked."""
        if len(message.id) > wire.ID_MAX_BYTES:
            return
        self._passed_on[wire.id_value(message.id)] = message.method
        if len(self._passed_on) > PASSED_ON_MAX:
            self._passed_on.popitem(last=False)

    def answered(self, id_raw: bytes) -> str | None:
        """The client answered: the method of what it was asked, `?` where nobody knows of it, and None where the
        process that asked is gone, so that another must not get the answer."""
        name = wire.id_value(id_raw)
        if name in self._orphaned:  # should the new process have used the same id: what was asked first comes first
            del self._orphaned[name]
            return None
        return self._passed_on.pop(name, "?")

    def server_lost(self) -> None:
        """Nobody waits for the client's answers any more."""
        for name in self._passed_on:
            self._orphaned[name] = None
        self._passed_on.clear()
        while len(self._orphaned) > PASSED_ON_MAX:
            self._orphaned.popitem(last=False)
