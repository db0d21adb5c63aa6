"""The speculations that are under way or held: what was asked under ids of ours, and what has come of it.

The bytes of an answer are kept as the server sent them. Put under a call's id they become its answer; that is only
done where our id stands in them once, as the id, and nothing that the call would have got is missing.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field

from spec_mcp.engine.calls import Arguments, CallKey, matched_meta
from spec_mcp.engine.commands import Launch
from spec_mcp.engine.events import SpeculationId
from spec_mcp.relay import wire
from spec_mcp.relay.learning import Held

NOTIFICATIONS_MAX = 256
NOTIFICATIONS_MAX_BYTES = 256 * 1024
"""Notifications held for one speculation; after a flood its result is not used."""


@dataclass(slots=True)
class Speculation:
    """What was asked, and what has come of it."""

    number: SpeculationId
    own_id: bytes
    """As it stands in a line."""
    session: str
    server: str
    tool: str
    arguments: Arguments
    notifications: list[bytes] = field(default_factory=list[bytes])
    """What its call would have been told before its answer, in order: progress, and what it made the server tell."""
    notifications_bytes: int = 0
    tainted: bool = False
    """Something that the call would have got cannot be given to it."""
    line: bytes = b""
    result: bytes = b""
    extra: bytes = b""
    """The result as an extra item of another call's reply; empty where it cannot be one."""

    def answer(self, id_raw: bytes) -> bytes:
        """The server's line, under a call's id."""
        return self.line.replace(self.own_id, id_raw)

    def notifications_under(self, token: bytes) -> list[bytes]:
        """What was held, its progress under a call's token; without one the call asked for no progress."""
        if not token:
            return [line for line in self.notifications if self.own_id not in line]
        return [line.replace(self.own_id, token) for line in self.notifications]


class Speculations:
    """All of one connection's, by the engine's number and by our id. `marker` is what our ids begin with."""

    def __init__(self, marker: bytes) -> None:
        self._marker = marker
        self._mention = re.compile(re.escape(marker) + rb"[0-9]+")
        self._held: dict[SpeculationId, Speculation] = {}
        self._asked: dict[bytes, SpeculationId] = {}
        """Those without an answer by their own id; dropped ones too, whose answers are swallowed."""

    def launch(self, command: Launch, own_id: str) -> bytes:
        """The line that makes the speculation's call."""
        text = b'"%s"' % own_id.encode()
        self._held[command.speculation] = Speculation(
            command.speculation, text, command.session, command.server, command.tool, command.arguments
        )
        self._asked[text] = command.speculation
        # its own token, so that its progress can be held; what the call's key does not name is not told
        meta: dict[str, object] = {**matched_meta_of(command.key), "progressToken": own_id}
        params = {"name": command.tool, "arguments": command.arguments, "_meta": meta}
        return line_of({"jsonrpc": "2.0", "id": own_id, "method": "tools/call", "params": params})

    def take_over(self, held: Speculation) -> None:
        """Hold what was asked elsewhere."""
        self._held[held.number] = held

    def get(self, number: SpeculationId) -> Speculation | None:
        """What is kept of a speculation, until it is dropped."""
        return self._held.get(number)

    def held(self, number: SpeculationId) -> Held | None:
        """A speculation as far as a chain needs it."""
        held = self._held.get(number)
        return None if held is None else Held(held.server, held.tool, held.arguments, held.result, held.extra)

    def answered(self, own_id: bytes, message: wire.Envelope, line: bytes) -> tuple[SpeculationId, bool] | None:
        """An answer came under an id of ours: whose, and must it not be used? None where none was asked for."""
        number = self._asked.pop(own_id, None)
        if number is None:
            return None
        held = self._held.get(number)
        if held is None:
            return number, False
        held.tainted |= message.id != own_id or line.count(self._marker) != 1
        held.line, held.result = line, message.result
        return number, held.tainted

    def lost(self, own_id: bytes) -> tuple[SpeculationId, str] | None:
        """No answer will come under an id of ours: to whom, and to which tool? None where none was asked for."""
        number = self._asked.pop(own_id, None)
        if number is None:
            return None
        held = self._held.get(number)
        return number, "" if held is None else held.tool

    def notified(self, message: wire.Envelope, line: bytes) -> None:
        """A notification that speaks of a speculation: its progress is held, anything else spoils it."""
        if message.method == "notifications/progress" and line.count(self._marker) == 1:
            token = wire.members(message.params).get("progressToken", b"")
            held = self._held.get(self._asked.get(token, 0))
            if held is not None and _is_held(held, line):
                return
        for own_id in self._mention.findall(line):
            held = self._held.get(self._asked.get(b'"%s"' % own_id, 0))
            if held is not None:
                held.tainted = True

    def hold(self, number: SpeculationId, line: bytes) -> None:
        """A notification that names nobody was caused by this speculation, and belongs to the call that adopts it."""
        held = self._held.get(number)
        if held is not None and not _is_held(held, line):
            held.tainted = True

    def drop(self, number: SpeculationId) -> None:
        """Nothing of it is needed any more; its answer, if it comes, is swallowed."""
        self._held.pop(number, None)

    def forget_connection(self) -> None:
        """No answer will come to what was asked; what is held is dropped one by one."""
        self._asked.clear()

    def clear(self) -> None:
        """Hold nothing; answers are still swallowed."""
        self._held.clear()

    def __len__(self) -> int:
        return len(self._held)


def _is_held(held: Speculation, line: bytes) -> bool:
    size_bytes = held.notifications_bytes + len(line)
    if len(held.notifications) >= NOTIFICATIONS_MAX or size_bytes > NOTIFICATIONS_MAX_BYTES:
        return False
    held.notifications.append(line)
    held.notifications_bytes = size_bytes
    return True


def cancellation_of(held: Speculation) -> bytes:
    """The line that tells the server that a speculation is no longer needed."""
    params = b'{"requestId":%s,"reason":"no longer needed"}' % held.own_id
    return b'{"jsonrpc":"2.0","method":"notifications/cancelled","params":%s}\n' % params


def matched_meta_of(key: CallKey) -> dict[str, object]:
    """The `_meta` that a speculation with this key carries."""
    return dict(matched_meta(json.loads(key.meta)))


def line_of(message: dict[str, object]) -> bytes:
    """A line of our own making. The standard codec writes lone surrogates, which arguments may hold."""
    return json.dumps(message, separators=(",", ":")).encode() + b"\n"
