"""Subscriptions of a handshake client, held open by us at a stateless server as `subscriptions/listen` streams.

A stream's filter is fixed when it is opened, and what a server has not written of a stream when it is cancelled is
lost. So new resources get a stream of their own beside the others. When there are too many, one stream is opened in
their place; when it is acknowledged, the others are cancelled, and since a change may have fallen into the gap, the
client is told of one for each of their resources: it reads once too often, and never misses one. The same is done
after a stream has ended by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from spec_mcp.relay import wire
from spec_mcp.relay.gateway.eras import words
from spec_mcp.relay.gateway.eras.about import ServerAbout
from spec_mcp.relay.gateway.eras.outgoing import Ids, Out
from spec_mcp.relay.gateway.eras.text import (
    answer,
    cancellation,
    changed,
    error,
    failure,
    notification,
    quoted,
    request,
    text_of,
)
from spec_mcp.relay.gateway.splicing import written


@dataclass(slots=True)
class _Stream:
    lists: frozenset[str]
    uris: set[str]
    """That it was opened for and that are still wanted."""
    dropped: set[str] = field(default_factory=set[str])
    """That it was opened for and that are not wanted any more."""
    waiting: list[tuple[bytes, str]] = field(default_factory=list[tuple[bytes, str]])
    """The client's requests that are answered when it is acknowledged: ids and resources."""
    replaced: dict[str, _Stream] = field(default_factory=dict[str, "_Stream"])
    """The streams in whose place it is opened, by our id."""
    missed: bool = False
    """Has something perhaps changed while nobody listened?"""
    is_open: bool = False


class Subscribing:
    """Of one client at one server."""

    def __init__(
        self, about: ServerAbout, ids: Ids, out: Out, now_s: Callable[[], float], meta: Callable[[], bytes]
    ) -> None:
        self._lists = about.changing
        self._subscribes = about.says("resources", "subscribe")
        self._ids = ids
        self._out = out
        self._now_s = now_s
        self._meta = meta
        self._streams: dict[str, _Stream] = {}
        self._pending: list[tuple[bytes, str]] = []
        """Requests that wait for the next stream."""
        self._closed: list[_Stream] = []
        """Streams that have ended and are opened again."""
        self._reopens_at_s: float | None = None
        self._pause_s = words.REOPEN_S
        self._is_begun = False

    # --- the client -------------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Listen to what changes in the lists, and again to what was listened to before the connection was lost."""
        if not self._is_begun:
            self._is_begun = True
            if self._lists:
                self._open(_Stream(self._lists, set()))
        elif self._closed and self._reopens_at_s is None:
            self._reopen()

    def subscribe(self, id_raw: bytes, uri: str) -> None:
        """The client wants to be told when this resource changes."""
        if not self._subscribes:
            self._out.to_client(failure(id_raw, error(words.METHOD_NOT_FOUND, "the server has no subscriptions")))
        elif uri in self._open_uris:
            self._out.to_client(answer(id_raw))
        elif (again := self._covering(uri)) is not None:
            again.dropped.discard(uri)
            again.uris.add(uri)
            self._out.to_client(answer(id_raw))
        elif len(self._uris) + len(self._pending) >= words.URIS_MAX or len(uri) > wire.URI_MAX_CHARS:
            why = f"a client can subscribe to {words.URIS_MAX} resources, with names of {wire.URI_MAX_CHARS} characters"
            self._out.to_client(failure(id_raw, error(words.INVALID_REQUEST, why)))
        else:
            self._pending.append((id_raw, uri))
            self._open_pending()

    def unsubscribe(self, id_raw: bytes, uri: str) -> None:
        """The client does not want to be told any more."""
        for waiting in (self._pending, *(stream.waiting for stream in self._streams.values())):
            for pair in [pair for pair in waiting if pair[1] == uri]:
                waiting.remove(pair)
                self._out.to_client(answer(pair[0]))
        for stream in (*self._streams.values(), *self._closed):
            if uri in stream.uris:
                stream.uris.discard(uri)
                stream.dropped.add(uri)
        self._out.to_client(answer(id_raw))
        self._cancel_idle()

    @property
    def _uris(self) -> set[str]:
        return {uri for stream in (*self._streams.values(), *self._closed) for uri in stream.uris}

    @property
    def _open_uris(self) -> set[str]:
        return {uri for stream in self._streams.values() if stream.is_open for uri in stream.uris}

    def _covering(self, uri: str) -> _Stream | None:
        """A stream that was opened for this resource."""
        return next((one for one in self._streams.values() if one.is_open and uri in one.dropped), None)

    # --- streams ----------------------------------------------------------------------------------------------------

    def _open_pending(self) -> None:
        """One stream for all that waits, one after another."""
        if any(stream.waiting for stream in self._streams.values()):
            return
        pending, self._pending, open_uris = self._pending, [], self._open_uris
        waiting = [pair for pair in pending if pair[1] not in open_uris]
        for id_raw, uri in pending:
            if uri in open_uris:
                self._out.to_client(answer(id_raw))
        if not waiting:
            return
        stream = _Stream(frozenset(), {uri for _, uri in waiting}, waiting=waiting)
        others = {name: one for name, one in self._streams.items() if one.is_open and one.uris}
        if len(others) >= words.HELD_STREAMS_MAX:
            stream.replaced = others
            stream.lists = frozenset[str]().union(*(one.lists for one in others.values()))
            stream.uris.update(*(one.uris for one in others.values()))
        self._open(stream)

    def _open(self, stream: _Stream) -> None:
        ours = self._ids.next()
        self._streams[ours] = stream
        wanted = {words.CHANGED_FILTERS[one]: b"true" for one in sorted(stream.lists)}
        if stream.uris:
            wanted[words.URIS_FILTER] = quoted(sorted(stream.uris))
        params = written({"notifications": written(wanted), "_meta": self._meta()})
        self._out.to_server(request(quoted(ours), words.LISTEN, params))

    def _cancel_idle(self) -> None:
        for name, stream in list(self._streams.items()):
            if stream.is_open and not stream.lists and not stream.uris:
                self._cancel(name)
        self._closed = [stream for stream in self._closed if stream.lists or stream.uris]

    def _cancel(self, name: str) -> None:
        if self._streams.pop(name, None) is not None:
            self._out.to_server(cancellation(quoted(name)))

    # --- the server -------------------------------------------------------------------------------------------------

    def notified(self, method: str, params: bytes) -> bool:
        """The server told something on a stream; was it one of ours?"""
        found = wire.members(params)
        meta = found.get("_meta", b"")
        name = wire.id_value(wire.members(meta).get(words.SUBSCRIPTION_META, b""))
        if words.SUBSCRIPTION_META not in wire.members(meta):
            return False
        stream = self._streams.get(name) if isinstance(name, str) else None
        if stream is None:
            return True  # of a stream that is over, or of nobody's
        if method == words.ACKNOWLEDGED:
            self._acknowledged(stream, wire.members(found.get("notifications", b"")))
        elif text_of(found.get("uri", b"")) not in stream.dropped:
            rest = changed(meta, {words.SUBSCRIPTION_META: b""})
            self._out.to_client(notification(method, changed(params, {"_meta": b"" if rest == b"{}" else rest})))
        return True

    def _acknowledged(self, stream: _Stream, honored: dict[str, bytes]) -> None:
        if stream.is_open:
            return
        stream.is_open = True
        self._pause_s = words.REOPEN_S
        uris = {text_of(raw) for raw in wire.elements(honored.get(words.URIS_FILTER, b"[]"))}
        waiting, stream.waiting = stream.waiting, []
        for id_raw, uri in waiting:
            if uri in uris:
                self._out.to_client(answer(id_raw))
            else:
                refusal = error(words.INVALID_PARAMS, "the server does not tell when this resource changes")
                self._out.to_client(failure(id_raw, refusal))
        stream.uris &= uris
        replaced, stream.replaced = stream.replaced, {}
        missed = [*replaced.values(), *([stream] if stream.missed else [])]
        stream.missed = False
        for name in replaced:
            self._cancel(name)
        self._tell_changed(missed)
        self._cancel_idle()
        self._open_pending()

    def _tell_changed(self, streams: Sequence[_Stream]) -> None:
        """Something may have changed while nobody listened to these."""
        for one in sorted(frozenset[str]().union(*(stream.lists for stream in streams))):
            self._out.to_client(notification(words.CHANGED[one]))
        for uri in sorted(set[str]().union(*(stream.uris for stream in streams))):
            self._out.to_client(notification(words.UPDATED, written({"uri": quoted(uri)})))

    def ended(self, name: object, raw: bytes = b"") -> bool:
        """The server ended a stream, or did not open it because of this error; was it one of ours?"""
        stream = self._streams.pop(name, None) if isinstance(name, str) else None
        if stream is None:
            return False
        refusal = raw or error(words.INTERNAL_ERROR, "the server ended the subscription")
        for id_raw, uri in stream.waiting:
            stream.uris.discard(uri)
            self._out.to_client(failure(id_raw, refusal))
        stream.waiting = []
        if stream.replaced:  # those in whose place it was to be are still there
            stream.uris, stream.lists = set(), frozenset()
        if not stream.is_open and raw and not stream.missed:
            stream.lists = frozenset()  # a server that says no says it again
        self._reopen_later(stream)
        self._open_pending()
        return True

    def _reopen_later(self, stream: _Stream) -> None:
        if stream.lists or stream.uris:
            self._closed.append(stream)
            if self._reopens_at_s is None:
                self._reopens_at_s = self._now_s() + self._pause_s
                self._pause_s = min(self._pause_s * 2, words.REOPEN_MAX_S)

    # --- connections ------------------------------------------------------------------------------------------------

    def lost(self, why: str) -> None:
        """All streams have ended with the connection."""
        for stream in self._streams.values():
            self._pending += stream.waiting
            stream.uris.difference_update(uri for _, uri in stream.waiting)
            stream.waiting = []
            if stream.replaced:  # those in whose place it was to be are still there
                stream.uris.clear()
        for id_raw, _ in self._pending:
            self._out.to_client(failure(id_raw, error(words.CONNECTION_CLOSED, why)))
        self._pending = []
        self._closed += self._streams.values()
        self._streams = {}
        self._reopens_at_s = None

    def _reopen(self) -> None:
        """Listen again to all that was listened to."""
        closed, self._closed, self._reopens_at_s = self._closed, [], None
        lists = frozenset[str]().union(*(stream.lists for stream in closed))
        uris = set[str]().union(*(stream.uris for stream in closed))
        self._tell_changed([_Stream(frozenset(), uris & self._uris)])  # the client has subscribed to these once more
        uris -= self._uris
        if lists or uris:
            self._open(_Stream(lists, uris, missed=True))

    @property
    def wakes_at_s(self) -> float | None:
        """When a stream is opened again."""
        return self._reopens_at_s

    def woken(self) -> None:
        """Some time has passed."""
        if self._reopens_at_s is not None and self._reopens_at_s <= self._now_s():
            self._reopen()
