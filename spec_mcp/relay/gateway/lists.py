"""What one client was shown of its servers' lists, and what it must be told when they are others."""

from __future__ import annotations

from collections.abc import Collection

from spec_mcp.relay import wire
from spec_mcp.relay.gateway.catalogue import LIST_METHODS, Kind
from spec_mcp.relay.gateway.directory import Directory, Refusal
from spec_mcp.relay.gateway.eras.text import answer, error, failure, notification
from spec_mcp.relay.gateway.leg import Leg
from spec_mcp.relay.gateway.ports import ClientOut
from spec_mcp.relay.gateway.streams import Streams
from spec_mcp.relay.gateway.waiting import Waiting

LISTING_S = 20.0
"""How long a client's list waits for servers of which nothing is known, once for all lists. One that comes later is
told of by list_changed."""

FRESH_S = 5.0
"""How long it waits for servers whose lists are known but may have changed."""


class Lists:
    """Of one client."""

    def __init__(self, client: ClientOut, directory: Directory, waiting: Waiting) -> None:
        self.streams = Streams()
        self._client = client
        self._directory = directory
        self._waiting = waiting
        self._shown: set[str] = set()
        """The list_changed notifications of lists that the client has from us."""
        self._waited_for: set[Leg] = set()
        """Servers that were waited for as long as they may be, and have said nothing since."""

    def answer(self, message: wire.Envelope, legs: Collection[Leg], is_stateless: bool) -> None:
        """List what is known, as soon as enough is."""
        method, kind = message.method, LIST_METHODS[message.method]
        if "cursor" not in wire.members(message.params):  # else the pages would not be of one list
            for leg in legs:
                leg.refresh(kind)
        # who was told of a change, or made one, must not be shown what was before it
        due = {leg: leg.due(kind) for leg in legs}

        def lacking() -> list[Leg]:
            known = self._directory.view.catalogues
            return [
                leg
                for leg in legs
                if not leg.has_read(kind, due.get(leg, 0))
                or not (leg.why or ((found := known.get(leg.server)) is not None and found.items(kind) is not None))
            ]

        def say() -> None:
            self._waited_for.update(lacking())
            result = self._directory.listing(method, message.params, is_stateless)
            self._shown.add(kind.changed)
            self._client.send(answer_of(message.id, result))

        bound_s = FRESH_S if self._directory.knows(method) else LISTING_S
        self._waiting.answer(message.id, lambda: self._waited_for.issuperset(lacking()), say, bound_s)

    def heard_from(self, leg: Leg) -> None:
        """A server has said what it lists."""
        self._waited_for.discard(leg)

    def left(self, leg: Leg) -> None:
        """The way to a server is gone."""
        self._waited_for.discard(leg)

    def answered_by(self, kind: Kind) -> None:
        """The client asks its only server itself."""
        self._shown.discard(kind.changed)

    def changed(self, changed: frozenset[str], only: Leg | None, is_stateless: bool, is_ready: bool) -> None:
        """These lists are others. Of one server that is up the client hears itself, but for what it had before that."""
        told = changed if is_stateless else changed & self._shown  # who has a stream has asked for it
        if only is not None and only.is_up:
            told = changed & self._shown
            self._shown -= told
        for method in sorted(told):
            if is_stateless:
                for line in self.streams.changed(method):
                    self._client.put(line)
            elif is_ready:
                self._client.put(notification(method))


def answer_of(id_raw: bytes, result: bytes | Refusal) -> bytes:
    """The answer to a request that we know the result of."""
    if isinstance(result, bytes):
        return answer(id_raw, result)
    return failure(id_raw, error(result.code, result.message, result.data))
