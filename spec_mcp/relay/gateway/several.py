"""One client and several servers: who was asked what, and what they ask of the client.

A request keeps the client's id, since it goes to one server; only that server's answer to it counts. What goes to
several is answered once. Servers ask under ids and progress tokens of ours, and what the client says to that goes back
under theirs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from msgspec.structs import replace

from spec_mcp.relay import wire
from spec_mcp.relay.gateway.asked import Asked, AskedOf, Prompts
from spec_mcp.relay.gateway.directory import Directory
from spec_mcp.relay.gateway.eras.results import error_code
from spec_mcp.relay.gateway.eras.text import cancellation, error, failure, notification, request
from spec_mcp.relay.gateway.eras.words import (
    ACKNOWLEDGED,
    CANCELLED,
    CONNECTION_CLOSED,
    INVALID_REQUEST,
    LISTEN,
    PROGRESS,
    SET_LEVEL,
)
from spec_mcp.relay.gateway.ports import ClientOut
from spec_mcp.relay.gateway.renaming import TOO_LONG, answer_as, is_too_long
from spec_mcp.relay.gateway.splicing import spliced
from spec_mcp.relay.gateway.streams import CHANGED_FLAGS, updates
from spec_mcp.relay.gateway.waiting import Later

if TYPE_CHECKING:
    from spec_mcp.relay.gateway.leg import Leg

GATHERING_S = 10.0
"""How long the answers of several servers are waited for; then what has come is the answer."""

LEVEL_ID = b'"spec-mcp-level"'
"""Of a request that sets the logging level of a server that was met after the client has asked for it."""

LISTEN_AGAIN_S = 5.0
"""How long a stream is not asked for again that a server has ended."""


class Several:
    """Of one client."""

    def __init__(self, client: ClientOut, directory: Directory, later: Later) -> None:
        self.straight: Leg | None = None
        """The way to the server that was the only one: what goes on there is in the client's own ids, and not noted."""
        self.on_stream_ended: Callable[[object], None] = lambda name: None
        """Told by which id the client has asked for a stream that has ended."""
        self._client = client
        self._directory = directory
        self._later = later
        self._asked = AskedOf()
        self._prompts = Prompts()
        self._level = b""
        """The params with which the client has set the logging level last; empty where it never has."""
        self._leveled: set[Leg] = set()
        """Who has been asked so."""

    @property
    def is_idle(self) -> bool:
        """Is nothing under way that is noted here?"""
        return not self._asked and not self._prompts

    # --- from the client --------------------------------------------------------------------------------------------

    def ask(self, leg: Leg, message: wire.Envelope, params: bytes) -> None:
        """Ask one of them."""
        self._asked.add(Asked(message.id, message.method, {leg: params}))
        leg.from_client(request(message.id, message.method, params))

    def ask_all(self, message: wire.Envelope, parts: dict[Leg, bytes]) -> None:
        """Ask several, each its part, and answer once."""
        asked = Asked(message.id, message.method, parts, is_gathered=True)
        self._asked.add(asked)
        if message.method != LISTEN:  # which has no end
            asked.call_off = self._later(GATHERING_S, lambda: self._end(asked))
        for leg, params in parts.items():
            leg.from_client(request(message.id, message.method, params))

    def levels(self, params: bytes, legs: Iterable[Leg]) -> None:
        """The client sets the logging level, of which these are told."""
        self._level, self._leveled = params, set(legs)

    def cancelled(self, message: wire.Envelope, line: bytes) -> None:
        """The client does not want an answer any more."""
        asked = self._asked.last(wire.id_value(wire.members(message.params).get("requestId", wire.NULL)))
        if asked is not None:
            self._asked.forget(asked)  # an answer that has crossed this is nobody's
            for leg in asked.legs:
                leg.from_client(line)
        elif self.straight is not None:
            self.straight.from_client(line)

    def reported(self, message: wire.Envelope, line: bytes) -> None:
        """The client tells how far it is with what a server asked."""
        prompt = self._prompts.reported(wire.id_value(wire.members(message.params).get("progressToken", wire.NULL)))
        if prompt is not None and prompt.token:
            params = spliced(message.params, "progressToken", prompt.token)
            prompt.leg.from_client(notification(PROGRESS, params))
        elif prompt is None and self.straight is not None:
            self.straight.from_client(line)

    def answered(self, message: wire.Envelope, line: bytes) -> None:
        """The client answered what a server asked."""
        prompt = self._prompts.answered(wire.id_value(message.id))
        if prompt is not None:
            result = self._directory.tasks.owned_in_meta(prompt.leg.server, message.result)
            prompt.leg.from_client(answer_as(prompt.id_raw, replace(message, result=result)))
        elif self.straight is not None:
            self.straight.from_client(line)

    # --- from the servers -------------------------------------------------------------------------------------------

    def from_leg(self, leg: Leg, line: bytes) -> None:
        """A server says this."""
        message = wire.read(line)
        for text, one in _each(message, line):
            if one.is_request:
                self._prompt(leg, one)
            elif one.method == CANCELLED:
                self._withdraw(leg, one, text)
            elif one.method:
                if one.method not in CHANGED_FLAGS and one.method != ACKNOWLEDGED:  # of these we tell ourselves
                    params = self._with_tasks(leg, one.params)
                    self._client.put(text if params is one.params else notification(one.method, params))
            else:
                self._answered(leg, one, text)

    def _prompt(self, leg: Leg, message: wire.Envelope) -> None:
        if is_too_long(message):
            leg.from_client(failure(message.id, error(INVALID_REQUEST, TOO_LONG)))
            return
        our_id, params = self._prompts.add(leg, message)
        params = self._directory.tasks.shown_in_meta(leg.server, params)
        self._client.send(request(our_id, message.method, params))
        if (old := self._prompts.one_too_many()) is not None:
            self._client.put(cancellation(old.our_id))
            old.leg.from_client(failure(old.id_raw, error(CONNECTION_CLOSED, "the client answers nothing")))

    def _withdraw(self, leg: Leg, message: wire.Envelope, line: bytes) -> None:
        raw_id = wire.members(message.params).get("requestId", wire.NULL)
        prompt, asked = self._prompts.withdrawn(leg, wire.id_value(raw_id)), self._asked.of(leg, raw_id)
        if prompt is not None:
            self._client.put(notification(CANCELLED, spliced(message.params, "requestId", prompt.our_id)))
        elif asked is not None and asked.is_gathered:  # the end of its part of a stream
            self._part_ended(asked, leg)
        elif asked is not None or leg is self.straight:
            self._client.put(line)

    def _answered(self, leg: Leg, message: wire.Envelope, line: bytes) -> None:
        asked = self._asked.of(leg, message.id)
        if asked is None:
            if leg is self.straight:
                self._client.send(line)
        elif asked.is_gathered:
            self._gather(asked, leg, message)
        else:
            self._asked.forget(asked)
            self._note_level(asked, leg, message)
            result = message.result if message.error != wire.ABSENT else self._with_tasks(leg, message.result)
            is_as_it_came = result is message.result and (result != wire.ABSENT or message.error != wire.ABSENT)
            self._client.send(line if is_as_it_came else answer_as(asked.id_raw, replace(message, result=result)))

    def _with_tasks(self, leg: Leg, members: bytes) -> bytes:
        """With the ids of tasks that the client knows."""
        return self._directory.tasks.shown_in(leg.server, members)

    def _gather(self, asked: Asked, leg: Leg, message: wire.Envelope) -> None:
        code = 0 if message.error == wire.ABSENT else error_code(message.error)
        if asked.method == LISTEN and (message.error == wire.ABSENT or code == CONNECTION_CLOSED):
            self._part_ended(asked, leg)
            return
        self._note_level(asked, leg, message)
        asked.legs.remove(leg)
        asked.answers[leg.server] = message
        if not asked.legs and not asked.ended:
            self._end(asked)

    def _note_level(self, asked: Asked, leg: Leg, message: wire.Envelope) -> None:
        is_lost = message.error != wire.ABSENT and error_code(message.error) == CONNECTION_CLOSED
        if asked.method == SET_LEVEL and is_lost:
            self._leveled.discard(leg)  # it is told when it is met

    def _part_ended(self, asked: Asked, leg: Leg) -> None:
        asked.legs.remove(leg)
        asked.ended.append(leg)
        asked.call_off = self._later(LISTEN_AGAIN_S, lambda: self.met(leg))

    def _end(self, asked: Asked) -> None:
        """One answer of several: what any could do has been done."""
        self._asked.forget(asked)
        if asked.method == LISTEN:
            self.on_stream_ended(wire.id_value(asked.id_raw))
        good = {server: found for server, found in asked.answers.items() if found.result != wire.ABSENT}
        first = next(iter((*good.values(), *asked.answers.values())), None)
        if first is None:
            said = failure(asked.id_raw, error(CONNECTION_CLOSED, f"no server answered within {GATHERING_S:.0f} s"))
        elif good and asked.method == "tasks/list":
            merged = self._directory.tasks.merged({server: found.result for server, found in good.items()})
            said = answer_as(asked.id_raw, wire.Envelope(result=merged))
        else:
            said = answer_as(asked.id_raw, first)
        self._client.send(said)

    # --- servers come and go ----------------------------------------------------------------------------------------

    def met(self, leg: Leg) -> None:
        """A server takes requests, perhaps again: what the client listens to there is listened to again, and it logs as
        the client wants it."""
        if leg.why:
            self._leveled.discard(leg)
        elif leg.is_up and self._level and leg not in self._leveled and leg.logs:
            self._leveled.add(leg)
            leg.from_client(request(LEVEL_ID, SET_LEVEL, self._level))  # its answer is nobody's
        for asked in self._asked:
            if leg in asked.ended and leg.is_up:
                asked.ended.remove(leg)
                asked.legs.append(leg)
                leg.from_client(request(asked.id_raw, asked.method, asked.parts[leg]))
                for line in updates(asked.id_raw, asked.parts[leg]):  # it may have changed while nobody listened
                    self._client.put(line)

    def left(self, leg: Leg, why: str) -> None:
        """The way to this server is gone for good."""
        self._leveled.discard(leg)
        if self.straight is leg:
            self.straight = None
        while (prompt := self._prompts.left(leg)) is not None:
            self._client.put(cancellation(prompt.our_id))
        closed = wire.Envelope(error=error(CONNECTION_CLOSED, why))
        for asked in self._asked:
            if leg in asked.ended:
                asked.ended.remove(leg)
            if leg in asked.legs and asked.method != LISTEN:
                self._answered(leg, wire.Envelope(asked.id_raw, error=closed.error), answer_as(asked.id_raw, closed))
            elif leg in asked.legs:
                asked.legs.remove(leg)

    def close(self) -> None:
        """The client has left."""
        for asked in self._asked:
            self._asked.forget(asked)


def _each(message: wire.Envelope | wire.Batch | None, line: bytes) -> list[tuple[bytes, wire.Envelope]]:
    """What a line holds, one by one, each as it came; nothing where it is no message."""
    if message is None:
        return []
    if isinstance(message, wire.Envelope):
        return [(line, message)]
    return [(text + b"\n", one) for text, one in zip(message.texts, message.members, strict=True)]
