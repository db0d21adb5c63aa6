"""`subscriptions/listen` of a stateless client: the server knows `resources/subscribe`, and tells the rest unasked.

A stream is acknowledged when the server has answered for all its resources, so that the client misses nothing from
then on. What the server tells before that waits, once for each resource and list.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from spec_mcp.relay import wire
from spec_mcp.relay.gateway.eras import words
from spec_mcp.relay.gateway.eras.about import ServerAbout
from spec_mcp.relay.gateway.eras.outgoing import Out
from spec_mcp.relay.gateway.eras.text import changed, error, failure, is_object, notification, quoted, text_of
from spec_mcp.relay.gateway.splicing import written

Answered = Callable[[wire.Envelope], None]
Ask = Callable[[str, bytes, Answered], None]
"""Ask the server: method, params, and who is told the answer."""


@dataclass(slots=True)
class _Stream:
    id_raw: bytes
    lists: frozenset[str]
    uris: set[str]
    awaited: set[str]
    """Resources for which the server has not answered yet."""
    waiting: dict[tuple[str, str], bytes] = field(default_factory=dict[tuple[str, str], bytes])
    """What it is told once it is acknowledged: params, by method and resource."""
    is_open: bool = False


@dataclass(slots=True)
class _Subscription:
    """To one resource, at the server."""

    is_held: bool = False
    is_asked: bool = False
    """A request is on its way; the next waits for its answer."""


class Listening:
    """Of one client at one server."""

    def __init__(self, about: ServerAbout, out: Out, ask: Ask) -> None:
        self._lists = about.changing
        self._subscribes = about.says("resources", "subscribe")
        self._out = out
        self._ask = ask
        self._streams: dict[object, _Stream] = {}
        self._subscriptions: dict[str, _Subscription] = {}

    # --- the client -------------------------------------------------------------------------------------------------

    def open(self, id_raw: bytes, params: dict[str, bytes]) -> None:
        """The client wants to listen."""
        name = wire.id_value(id_raw)
        wanted = wire.members(params.get("notifications", b""))
        lists = frozenset(one for one, key in words.CHANGED_FILTERS.items() if wanted.get(key) == b"true")
        uris = {text_of(raw) for raw in wire.elements(wanted.get(words.URIS_FILTER, b"[]"))} - {""}
        if why := self._why_not(name, uris):
            self._out.to_client(failure(id_raw, error(words.INVALID_REQUEST, why)))
            return
        if not self._subscribes:
            uris.clear()
        stream = _Stream(id_raw, lists & self._lists, uris, set(uris))
        self._streams[name] = stream
        for uri in sorted(uris):
            subscription = self._subscriptions.setdefault(uri, _Subscription())
            if subscription.is_held and not subscription.is_asked:
                stream.awaited.discard(uri)
            self._settle(uri)
        self._acknowledge(stream)

    def _why_not(self, name: object, uris: set[str]) -> str:
        if name in self._streams:
            return "a subscription of this id is open"
        if len(self._streams) >= words.STREAMS_MAX:
            return f"there are {words.STREAMS_MAX} subscriptions already"
        if len(uris | self._subscriptions.keys()) > words.URIS_MAX:
            return f"a client can subscribe to {words.URIS_MAX} resources"
        return ""

    def close(self, name: object) -> bool:
        """The client listens no longer; was that a stream of its?"""
        stream = self._streams.pop(name, None)
        if stream is None:
            return False
        for uri in stream.uris:
            self._settle(uri)
        return True

    # --- the server -------------------------------------------------------------------------------------------------

    def notify(self, method: str, params: bytes) -> None:
        """The server told that a list or a resource has changed."""
        uri = text_of(wire.members(params).get("uri", b"")) if method == words.UPDATED else ""
        for stream in self._hearing(method, uri):
            if stream.is_open:
                self._tell(stream, method, params)
            elif len(stream.waiting) < words.URIS_MAX:
                stream.waiting[method, uri] = params

    def _hearing(self, method: str, uri: str) -> list[_Stream]:
        streams = list(self._streams.values())
        if method != words.UPDATED:
            return [stream for stream in streams if any(words.CHANGED[one] == method for one in stream.lists)]
        # what nobody named may be a part of what somebody named
        exactly = [stream for stream in streams if uri in stream.uris]
        return exactly or [stream for stream in streams if stream.uris]

    def lost(self, why: str) -> None:
        """Nothing more will be heard."""
        streams, self._streams, self._subscriptions = list(self._streams.values()), {}, {}
        for stream in streams:
            self._out.to_client(failure(stream.id_raw, error(words.CONNECTION_CLOSED, why)))

    # --- subscriptions ----------------------------------------------------------------------------------------------

    def _settle(self, uri: str) -> None:
        """Have the server's subscription follow what the streams want: one request at a time, since a server may
        work on two in any order."""
        subscription = self._subscriptions.get(uri)
        if subscription is None or subscription.is_asked:
            return
        is_wanted = any(uri in stream.uris for stream in self._streams.values())
        if is_wanted == subscription.is_held:
            if not is_wanted:
                del self._subscriptions[uri]
            return
        subscription.is_asked = True
        method = words.SUBSCRIBE if is_wanted else words.UNSUBSCRIBE
        self._ask(method, written({"uri": quoted(uri)}), lambda message: self._answered(uri, subscription, message))

    def _answered(self, uri: str, subscription: _Subscription, message: wire.Envelope) -> None:
        if self._subscriptions.get(uri) is not subscription:  # of a connection that was lost
            return
        subscription.is_asked = False
        if subscription.is_held:
            subscription.is_held = False  # an error here means that there was nothing to give up
            self._settle(uri)
            return
        subscription.is_held = message.error == wire.ABSENT
        for stream in list(self._streams.values()):
            if uri in stream.awaited:
                stream.awaited.discard(uri)
                if not subscription.is_held:
                    stream.uris.discard(uri)
                self._acknowledge(stream)
        self._settle(uri)

    def _acknowledge(self, stream: _Stream) -> None:
        if stream.is_open or stream.awaited:
            return
        stream.is_open = True
        honored = {words.CHANGED_FILTERS[one]: b"true" for one in sorted(stream.lists)}
        if stream.uris:
            honored[words.URIS_FILTER] = quoted(sorted(stream.uris))
        self._tell(stream, words.ACKNOWLEDGED, written({"notifications": written(honored)}))
        waiting, stream.waiting = stream.waiting, {}
        for (method, _), params in waiting.items():
            self._tell(stream, method, params)

    def _tell(self, stream: _Stream, method: str, params: bytes) -> None:
        meta = wire.members(params).get("_meta", b"")
        meta = changed(meta if is_object(meta) else b"{}", {words.SUBSCRIPTION_META: stream.id_raw})
        line = notification(method, changed(params if is_object(params) else b"{}", {"_meta": meta}))
        self._out.to_client(line, stream.id_raw)
