"""A stateless client's `subscriptions/listen` streams, as far as we tell it ourselves that lists have changed."""

from __future__ import annotations

from dataclasses import dataclass, field

from spec_mcp.relay import wire
from spec_mcp.relay.gateway.catalogue import Kind
from spec_mcp.relay.gateway.eras.text import notification
from spec_mcp.relay.gateway.eras.words import ACKNOWLEDGED, SUBSCRIPTION_META, UPDATED
from spec_mcp.relay.gateway.splicing import written

CHANGED_FLAGS = {
    Kind.TOOLS.changed: "toolsListChanged",
    Kind.PROMPTS.changed: "promptsListChanged",
    Kind.RESOURCES.changed: "resourcesListChanged",
}
"""By notification, the member by which a client asks for it."""

STREAMS_MAX = 1024
"""As many as a client may have; more are served by their servers alone."""

ANSWER_MAX_BYTES = 4096
"""No longer line ends a stream, or begins one."""


@dataclass(slots=True)
class _Stream:
    id_raw: bytes
    flags: frozenset[str]
    is_open: bool
    changed: set[str] = field(default_factory=set[str])
    """What is to be said as soon as it is open."""


class Streams:
    """Of one client."""

    def __init__(self) -> None:
        self._streams: dict[object, _Stream] = {}

    def __len__(self) -> int:
        return len(self._streams)

    def begin(self, message: wire.Envelope, is_open: bool) -> None:
        """The client wants to listen. Until a stream is open nothing may be said on it."""
        if len(self._streams) < STREAMS_MAX:
            flags = wire.members(wire.members(message.params).get("notifications", wire.ABSENT))
            wanted = frozenset(name for name, raw in flags.items() if raw == b"true")
            self._streams[wire.id_value(message.id)] = _Stream(message.id, wanted, is_open)

    def end(self, name: object) -> None:
        """It listens no longer, or nobody speaks there any more."""
        self._streams.pop(name, None)

    def heard(self, line: bytes) -> list[bytes]:
        """The only server has said this: a stream may have begun with it, or ended. What is to be said after it."""
        if len(line) > ANSWER_MAX_BYTES or not isinstance(message := wire.read(line), wire.Envelope):
            return []
        if message.is_response:
            self.end(wire.id_value(message.id))
        elif message.method == ACKNOWLEDGED:
            meta = wire.members(wire.members(message.params).get("_meta", wire.ABSENT))
            stream = self._streams.get(wire.id_value(meta.get(SUBSCRIPTION_META, wire.NULL)))
            if stream is not None:
                stream.is_open = True
                return [_changed(stream, method) for method in sorted(stream.changed)]
        return []

    def changed(self, method: str) -> list[bytes]:
        """What is to be said on the streams where a list has changed."""
        hearing = [stream for stream in self._streams.values() if CHANGED_FLAGS[method] in stream.flags]
        for stream in hearing:
            if not stream.is_open:
                stream.changed.add(method)
        return [_changed(stream, method) for stream in hearing if stream.is_open]


def _changed(stream: _Stream, method: str) -> bytes:
    return notification(method, b'{"_meta":%s}' % written({SUBSCRIPTION_META: stream.id_raw}))


def acknowledgement(id_raw: bytes, honored: bytes) -> bytes:
    """The first word on a stream: what of it is agreed to."""
    meta = written({SUBSCRIPTION_META: id_raw})
    return notification(ACKNOWLEDGED, b'{"_meta":%s,"notifications":%s}' % (meta, honored or b"{}"))


def updates(id_raw: bytes, params: bytes) -> list[bytes]:
    """That each resource may have changed for which a stream was opened with these params."""
    wanted = wire.members(wire.members(params).get("notifications", wire.ABSENT))
    meta = written({SUBSCRIPTION_META: id_raw})
    uris = wire.elements(wanted.get("resourceSubscriptions", b"[]"))
    return [notification(UPDATED, b'{"_meta":%s,"uri":%s}' % (meta, uri)) for uri in uris]
