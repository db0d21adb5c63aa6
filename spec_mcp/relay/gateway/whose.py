"""Whose is what travels over a connection: of one session alone, or of several that share it.

On a shared connection two clients may use the same id or progress token, so both get others there. What the server
says without naming either goes to the only session that waits for it, or, where several do, to nobody whom it might
not concern (rule 15): a question is refused then, a log message is dropped.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from spec_mcp.relay import wire
from spec_mcp.relay.answering import CONNECTION_CLOSED, REFUSED, error_line
from spec_mcp.relay.gateway.eras.text import answer, cancellation, notification, quoted, request
from spec_mcp.relay.gateway.eras.words import (
    CANCELLED,
    INITIALIZED,
    LISTEN,
    MESSAGE,
    PROGRESS,
    SET_LEVEL,
    SUBSCRIBE,
    SUBSCRIPTION_META,
    UNSUBSCRIBE,
    UPDATED,
)
from spec_mcp.relay.gateway.renaming import TOO_LONG, answer_as, is_too_long, token_of, with_token
from spec_mcp.relay.gateway.splicing import spliced, written
from spec_mcp.relay.gateway.subscribed import Levels, Subscribed, uri_of

if TYPE_CHECKING:
    from spec_mcp.relay.gateway.leg import Leg

OPEN_MAX = 65_536
"""Requests of all sessions on one connection without an answer; of a server that never answers, the oldest go."""

PROMPTS_MAX = 1024
"""Questions of the server that clients leave unanswered."""

LISTS = "/list_changed"

UNATTRIBUTED = frozenset({SET_LEVEL, SUBSCRIBE, UNSUBSCRIBE, LISTEN})
"""Requests for which no server asks or logs anything."""


class OneLeg:
    """A connection of one session's own: everything is its."""

    is_shared = False

    def __init__(self) -> None:
        self._leg: Leg | None = None

    def attach(self, leg: Leg) -> None:
        """The session whose it is."""
        self._leg = leg

    def detach(self, leg: Leg) -> list[bytes]:
        """It has left, and the connection with it."""
        self._leg = None
        return []

    def to_server(self, leg: Leg, line: bytes) -> bytes | None:
        """As it is."""
        return line

    def to_legs(self, line: bytes) -> list[tuple[Leg, bytes]]:
        """As it is, but for what is plainly no message."""
        return [] if self._leg is None or line.lstrip()[:1] not in (b"{", b"[") else [(self._leg, line)]

    def lost(self) -> None:
        """There is nothing to forget."""


@dataclass(slots=True, eq=False)
class _Asked:
    leg: Leg
    id_raw: bytes
    """The client's own."""
    token: bytes
    """The client's own progress token; empty where it has none."""
    method: str
    uri: str | None
    """What it subscribes to."""
    is_waited_for: bool
    """May what the server asks or logs be for its sake?"""


@dataclass(frozen=True, slots=True)
class _Prompt:
    leg: Leg
    id_raw: bytes


class Switchboard:
    """A connection that several sessions share."""

    is_shared = True

    def __init__(self) -> None:
        self.say: Callable[[bytes], None] = lambda line: None
        """Says something to the server in nobody's name."""
        self._legs: list[Leg] = []
        self._made = 0
        self._asked: dict[int, _Asked] = {}
        """By our id, which is the progress token too."""
        self._ours: dict[tuple[Leg, object], int] = {}
        """Our ids by the clients'."""
        self._askers: Counter[Leg] = Counter()
        """Sessions by the requests for whose sake the server may ask or log."""
        self._prompted: dict[object, _Prompt] = {}
        """Whom the server asked, by its id."""
        self._subscribed = Subscribed()
        self._levels = Levels()

    def attach(self, leg: Leg) -> None:
        """One more session."""
        self._legs.append(leg)

    def detach(self, leg: Leg) -> list[bytes]:
        """It has left: what it asked is cancelled, what it was asked refused, what it alone subscribed to given up."""
        self._legs.remove(leg)
        left = [number for number, asked in self._asked.items() if asked.leg is leg]
        lines = [cancellation(b"%d" % number) for number in left]
        for number in left:
            self._forget(number)
        for name, prompt in [(name, prompt) for name, prompt in self._prompted.items() if prompt.leg is leg]:
            del self._prompted[name]
            lines.append(error_line(prompt.id_raw, CONNECTION_CLOSED, "the client has left"))
        for uri in self._subscribed.left(leg):
            self._made += 1
            lines.append(request(b"%d" % self._made, UNSUBSCRIBE, written({"uri": quoted(uri)})))
        self._levels.left(leg)
        return lines

    def lost(self) -> None:
        """What has no answer now gets none: it was cancelled."""
        for number in list(self._asked):
            self._forget(number)
        self._prompted.clear()

    # --- to the server ----------------------------------------------------------------------------------------------

    def to_server(self, leg: Leg, line: bytes) -> bytes | None:
        """Under other ids and tokens; None where it is nothing to the server, or has been answered."""
        message = wire.read(line)
        if not isinstance(message, wire.Envelope):
            return None
        if message.is_request:
            return self._request(leg, message)
        if message.method == CANCELLED:
            return self._cancellation(leg, message)
        if message.method:
            return None if message.method == INITIALIZED else line
        name = wire.id_value(message.id)
        if (prompt := self._prompted.get(name)) is None or prompt.leg is not leg:
            return None
        del self._prompted[name]
        return line

    def _request(self, leg: Leg, message: wire.Envelope) -> bytes | None:
        params, uri = message.params, None
        if message.method in (SUBSCRIBE, UNSUBSCRIBE):
            uri = uri_of(params)
            if uri is not None and not self._subscribes(leg, message, uri):
                return None
        elif message.method == SET_LEVEL and not (params := self._levels.wanted(leg, params)):
            leg.from_server(answer(message.id))
            return None
        self._made += 1
        number = self._made
        if token := token_of(params):
            params = with_token(params, b"%d" % number)
        is_waited_for = message.method not in UNATTRIBUTED
        self._asked[number] = _Asked(leg, message.id, token, message.method, uri, is_waited_for)
        if is_waited_for:
            self._askers[leg] += 1
        self._ours[leg, wire.id_value(message.id)] = number
        if len(self._asked) > OPEN_MAX:
            self._forget(next(iter(self._asked)))
        return request(b"%d" % number, message.method, params)

    def _subscribes(self, leg: Leg, message: wire.Envelope, uri: str) -> bool:
        """Note who is subscribed to what; must the server be asked?"""
        if message.method == SUBSCRIBE and not self._subscribed.has_room(uri):
            why = "too many resources are subscribed to, or this one has too long a name"
            leg.from_server(error_line(message.id, REFUSED, why))
            return False
        is_needless = self._subscribed.is_needless(leg, message.method, uri)
        if message.method == SUBSCRIBE:
            self._subscribed.wants(leg, uri, is_agreed=is_needless)
        else:
            self._subscribed.gives_up(leg, uri)
        if is_needless:
            leg.from_server(answer(message.id))
        return not is_needless

    def _cancellation(self, leg: Leg, message: wire.Envelope) -> bytes | None:
        raw_id = wire.members(message.params).get("requestId", wire.NULL)
        number = self._ours.get((leg, wire.id_value(raw_id)))
        if number is None:
            return None
        self._wait_no_longer(self._asked[number])  # most servers never answer it
        return notification(CANCELLED, spliced(message.params, "requestId", b"%d" % number))

    def _wait_no_longer(self, asked: _Asked) -> None:
        if asked.is_waited_for:
            asked.is_waited_for = False
            self._askers[asked.leg] -= 1
            if not self._askers[asked.leg]:
                del self._askers[asked.leg]

    def _forget(self, number: int) -> None:
        asked = self._asked.pop(number)
        self._wait_no_longer(asked)
        name = (asked.leg, wire.id_value(asked.id_raw))
        if self._ours.get(name) == number:
            del self._ours[name]

    # --- to the sessions --------------------------------------------------------------------------------------------

    def to_legs(self, line: bytes) -> list[tuple[Leg, bytes]]:
        """Who gets it, under the ids and tokens that they know."""
        message = wire.read(line)
        if isinstance(message, wire.Batch):
            return [pair for text in message.texts for pair in self._one_to_legs(wire.read(text), text + b"\n")]
        return self._one_to_legs(message, line)

    def _one_to_legs(self, message: wire.Envelope | wire.Batch | None, line: bytes) -> list[tuple[Leg, bytes]]:
        if not isinstance(message, wire.Envelope):
            return []
        if message.is_request:
            return self._prompt(message, line)
        if message.is_response:
            return self._answer(message)
        if message.method == PROGRESS:
            return self._progress(message)
        if message.method == CANCELLED:
            return self._withdrawn(message, line)
        if b"subscriptionId" in line and (name := _stream_of(message.params)) is not None:
            asked = self._asked.get(name) if isinstance(name, int) else None
            return [] if asked is None else [(asked.leg, _on_stream(asked, message))]
        return [(leg, line) for leg in self._listeners(message)]

    def _answer(self, message: wire.Envelope) -> list[tuple[Leg, bytes]]:
        number = wire.id_value(message.id)
        asked = self._asked.get(number) if isinstance(number, int) else None
        if asked is None or not isinstance(number, int):
            return []
        self._forget(number)
        if asked.uri is not None and asked.method == SUBSCRIBE:
            if message.error == wire.ABSENT:
                self._subscribed.agreed(asked.leg, asked.uri)
            else:
                self._subscribed.gives_up(asked.leg, asked.uri)
        line = answer_as(asked.id_raw, message)
        if asked.method == LISTEN and message.result:
            line = answer(asked.id_raw, _renamed(asked, message.result))
        return [(asked.leg, line)]

    def _prompt(self, message: wire.Envelope, line: bytes) -> list[tuple[Leg, bytes]]:
        if message.method == "ping":
            self.say(answer(message.id))
            return []
        if is_too_long(message):
            self.say(error_line(message.id, REFUSED, TOO_LONG))
            return []
        if (leg := self._only_asker()) is None:
            self.say(error_line(message.id, REFUSED, "nobody can tell for which client of several this is"))
            return []
        self._prompted[wire.id_value(message.id)] = _Prompt(leg, message.id)
        if len(self._prompted) > PROMPTS_MAX:
            oldest = self._prompted.pop(next(iter(self._prompted)))
            self.say(error_line(oldest.id_raw, CONNECTION_CLOSED, "the client answers nothing"))
        return [(leg, line)]

    def _progress(self, message: wire.Envelope) -> list[tuple[Leg, bytes]]:
        number = wire.id_value(wire.members(message.params).get("progressToken", wire.NULL))
        asked = self._asked.get(number) if isinstance(number, int) else None
        if asked is None or not asked.token:
            return []
        return [(asked.leg, notification(PROGRESS, spliced(message.params, "progressToken", asked.token)))]

    def _withdrawn(self, message: wire.Envelope, line: bytes) -> list[tuple[Leg, bytes]]:
        """The server takes back what it asked, or ends a stream."""
        name = wire.id_value(wire.members(message.params).get("requestId", wire.NULL))
        if (asked := self._asked.get(name) if isinstance(name, int) else None) is not None:
            return [(asked.leg, notification(CANCELLED, spliced(message.params, "requestId", asked.id_raw)))]
        prompt = self._prompted.pop(name, None)
        return [] if prompt is None else [(prompt.leg, line)]

    def _listeners(self, message: wire.Envelope) -> list[Leg]:
        if message.method == UPDATED:
            return self._subscribed.hearing(uri_of(message.params), self._legs)
        if message.method.endswith(LISTS):
            return list(self._legs)
        asker = self._only_asker()
        if asker is None or (message.method == MESSAGE and not self._levels.hears(asker, message.params)):
            return []
        return [asker]

    def _only_asker(self) -> Leg | None:
        """The only session that waits for this server, or that is there at all."""
        if len(self._legs) == 1:
            return self._legs[0]
        return next(iter(self._askers)) if len(self._askers) == 1 else None


def _stream_of(params: bytes) -> object:
    """The stream of the stateless era that params or a result name: it goes by the id of its request."""
    meta = wire.members(params).get("_meta", wire.ABSENT)
    raw = wire.members(meta).get(SUBSCRIPTION_META)
    return None if raw is None else wire.id_value(raw)


def _on_stream(asked: _Asked, message: wire.Envelope) -> bytes:
    return notification(message.method, _renamed(asked, message.params))


def _renamed(asked: _Asked, params: bytes) -> bytes:
    """Params or a result with the name by which the client knows its stream."""
    if _stream_of(params) is None:
        return params
    meta = wire.members(params).get("_meta", wire.ABSENT)
    return spliced(params, "_meta", spliced(meta, SUBSCRIPTION_META, asked.id_raw))
