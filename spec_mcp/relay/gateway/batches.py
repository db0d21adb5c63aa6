"""A client's batch whose messages went different ways: it is answered with one array, as it would be by one server."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from spec_mcp.relay import wire
from spec_mcp.relay.gateway.ports import ClientOut


@dataclass(slots=True, eq=False)
class _Batch:
    awaited: Counter[object]
    """Answers that have not come, by id; a part that is no message is answered under null."""
    answers: list[bytes] = field(default_factory=list[bytes])


class Batches:
    """What goes to one client: everything as it comes, but for the answers to a batch."""

    def __init__(self, client: ClientOut) -> None:
        self._client = client
        self._open: list[_Batch] = []

    def begin(self, batch: wire.Batch) -> None:
        """Its messages are on their way."""
        ids = [
            wire.NULL if message.id == wire.ABSENT else message.id
            for message in batch.members
            if message.is_request or (not message.method and message.id == wire.ABSENT)
        ]
        if ids:
            self._open.append(_Batch(Counter(map(wire.id_value, ids))))

    def cancelled(self, name: object) -> None:
        """The client does not want this answer any more, so that it may never come."""
        for batch in self._open:
            if batch.awaited[name]:
                self._awaited_no_longer(batch, name)
                return

    def put(self, line: bytes) -> None:
        """Have a line go out, after those before it."""
        if not self._is_gathered(line):
            self._client.put(line)

    def send(self, line: bytes) -> None:
        """The same, where somebody waits for it."""
        if not self._is_gathered(line):
            self._client.send(line)

    def _is_gathered(self, line: bytes) -> bool:
        if not self._open:
            return False
        message = wire.read(line)
        if not isinstance(message, wire.Envelope) or not message.is_response:
            return False
        name = wire.id_value(message.id)
        batch = next((one for one in self._open if one.awaited[name]), None)
        if batch is None:
            return False
        batch.answers.append(line.strip())
        self._awaited_no_longer(batch, name)
        return True

    def _awaited_no_longer(self, batch: _Batch, name: object) -> None:
        batch.awaited[name] -= 1
        if batch.awaited.total():
            return
        self._open.remove(batch)
        if batch.answers:
            self._client.send(b"[%s]\n" % b",".join(batch.answers))
