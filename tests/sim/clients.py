"""Clients: each goes through its script, turn by turn, and waits for all answers of a turn before the next."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.sim.plan import Call, Script, Turn
from tests.sim.server import Result, Violation

if TYPE_CHECKING:
    from tests.sim.relay import Relay

PATIENCE_S = 40.0
"""A client gives a request up after this long."""


@dataclass(slots=True, eq=False)
class Asked:
    """A request of a client, and what came of it."""

    number: int
    client: Client
    place: tuple[int, int]
    """Turn and place in it: the same in every run of the plan."""
    server: str
    connection: str
    calls: tuple[Call, ...]
    method: str
    arrived_at: float
    known: dict[str, int]
    """What the client had seen of each thing when it asked."""
    result: Result | None = None
    cancelled: bool = False
    lost: bool = False
    known_read: bool = False
    """It writes nothing, and the manifest's word on it was known to hold when it arrived."""


class Client:
    """One session."""

    def __init__(self, script: Script, relay: Relay) -> None:
        self.script, self.relay = script, relay
        self.turn = -1
        self.waits_for: set[int] = set()
        self.known: dict[str, int] = {}
        self.asked: list[Asked] = []
        self.prompts_seen = 0
        self.rounds = 0
        """How often it has had all the answers to calls that it waited for."""
        self.gone = False

    @property
    def name(self) -> str:
        return self.script.session

    def begin(self) -> None:
        """Start, and perhaps leave in the middle."""
        self._next_turn()
        if self.script.leaves_after_s is not None:
            self.relay.clock.after(self.script.leaves_after_s, self.leave)

    def leave(self) -> None:
        """The end, whatever is still on its way."""
        if not self.gone:
            self.gone = True
            self.relay.client_left(self)

    def ahead(self, calls: int) -> list[Call]:
        """The next calls of the script."""
        return [call for turn in self.script.turns[self.turn + 1 :] for call in turn.calls][:calls]

    def _next_turn(self) -> None:
        self.turn += 1
        if self.gone:
            return
        if self.turn >= len(self.script.turns):
            self.leave()
            return
        turn = self.script.turns[self.turn]
        self.relay.clock.after(turn.think_s, lambda: self._take(turn))

    def _take(self, turn: Turn) -> None:
        if self.gone:
            return
        if turn.kind.startswith("notifications/"):
            self.relay.client_notifies(self, "s", turn.kind)
            self._next_turn()
            return
        if turn.kind == "calls":
            made = [self._ask(place, call.server, (call,), "tools/call") for place, call in enumerate(turn.calls)]
        elif turn.kind == "batch":
            made = [self._ask(0, turn.calls[0].server, turn.calls, "batch")]
        else:
            made = [self._ask(0, "s", (), turn.kind)]
        self.waits_for = {asked.number for asked in made}
        for asked in made:
            self.relay.client_asks(asked)
        if self.script.hasty and any(call.tool == "put_slow" for call in turn.calls):
            self.relay.clock.after(0.05, self.leave)
        delay_s = turn.cancel_after_s if turn.cancel_after_s is not None else PATIENCE_S
        for asked in made:
            self.relay.clock.after(delay_s, lambda asked=asked: self._cancel(asked))

    def _ask(self, place: int, server: str, calls: tuple[Call, ...], method: str) -> Asked:
        number = self.relay.next_call()
        now_s = self.relay.clock.now_s
        connection = self.relay.plan.way(self.name, server)
        asked = Asked(number, self, (self.turn, place), server, connection, calls, method, now_s, dict(self.known))
        self.asked.append(asked)
        return asked

    def _cancel(self, asked: Asked) -> None:
        if asked.result is None and not asked.lost and not asked.cancelled and not self.gone:
            asked.cancelled = True
            self.relay.client_cancels(asked)
            self._done_with(asked)

    def answered(self, asked: Asked, result: Result) -> None:
        """An answer arrives."""
        if asked.result is not None or asked.lost:
            raise Violation(f"{asked.place} was answered twice")
        asked.result = result
        if asked.cancelled:  # it looks at no answer that it gave up
            return
        self.learns(result)
        self._done_with(asked)

    def learns(self, result: Result | None) -> None:
        """It sees what this shows."""
        for name, version in () if result is None else result.seen:
            self.known[name] = max(version, self.known.get(name, 0))

    def lost(self, asked: Asked) -> None:
        """The server died: an error in place of an answer."""
        asked.lost = True
        self._done_with(asked)

    def _done_with(self, asked: Asked) -> None:
        if asked.number in self.waits_for:
            self.waits_for.discard(asked.number)
            if not self.waits_for:
                self.rounds += any(one.method == "tools/call" for one in self.asked if one.place[0] == self.turn)
                self._next_turn()
