"""The engine of a process: it is told what happens, and what it asks for is carried out where it belongs.

A command that concerns a connection goes to the bridge of that connection, one that concerns a client's record to that
client's account. Should the engine fail, all bridges are plain proxies from then on.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Protocol, cast

from spec_mcp.engine import commands as do
from spec_mcp.engine.engine import Engine
from spec_mcp.engine.events import CallId, Compared, Event, Mode, SpeculationId, Ticked
from spec_mcp.engine.policy import Settings
from spec_mcp.engine.results import Verdict
from spec_mcp.engine.states import State
from spec_mcp.engine.timing import Timing
from spec_mcp.relay.saying import LogLevel, say

if TYPE_CHECKING:
    from spec_mcp.relay.account import Account
    from spec_mcp.relay.board.replica import Replica
    from spec_mcp.relay.comparing import Side
    from spec_mcp.relay.learning import Held
    from spec_mcp.relay.speculations import Speculation as Kept
    from spec_mcp.store.rows import Scope


class Carrying(Protocol):
    """Whoever carries out the commands for one connection."""

    @property
    def commands(self) -> Mapping[type, Callable[..., None]]:
        """What carries out each kind of command."""
        ...

    def held(self, number: SpeculationId) -> Held | None:
        """A speculation as far as a chain needs it."""
        ...

    def take_over(self, command: do.Take, result: bytes) -> int | None:
        """Hold the result that another replica gave for a speculation; its size, None where it is of no use."""
        ...

    def go_on_as_plain_proxy(self) -> None:
        """There is no engine any more: what waits for a speculation is made for real."""
        ...


class OfConnection(Protocol):
    """A command that concerns one connection."""

    @property
    def connection(self) -> str:
        """Which."""
        ...


class Deciding:
    """One engine, the bridges of its connections and the accounts of its sessions."""

    def __init__(self, engine: Engine, clock: Callable[[], float]) -> None:
        self.engine: Engine | None = engine
        """None: it has failed (rule 17)."""
        self.bridges: dict[str, Carrying] = {}
        """By connection."""
        self.accounts: dict[str, Account] = {}
        """By session."""
        self.on_pin: Callable[[do.PinFingerprint], None] = lambda command: None
        self.on_demoted: Callable[[do.Demote], None] = lambda command: None
        self.scope_of: Callable[[str], Scope | None] = lambda server: None
        """Whose history a server's is."""
        self._replica: Replica | None = None
        """None: no other process shares our store."""
        self._settings = engine.world.settings
        self._timing = engine.world.timing
        self._clock = clock
        self._events: deque[Event] = deque()
        self._feeding = False
        self._calls_made = 0
        self._of_sessions: dict[type, Callable[..., None]] = {
            do.Predict: self._predict,
            do.BindSurrogate: self._bind_surrogate,
            do.CallSettled: self._call_settled,
            do.SpeculationEnded: self._speculation_ended,
            do.Skipped: self._skipped,
            do.PinFingerprint: self._pin,
            do.Demote: self._demote,
        }

    @property
    def is_off(self) -> bool:
        """Is this a plain proxy now?"""
        return self.engine is None or self.engine.world.mode is Mode.OFF

    @property
    def settings(self) -> Settings:
        """What the engine goes by; what it went by, where it has failed."""
        return self._settings if self.engine is None else self.engine.world.settings

    @property
    def timing(self) -> Timing:
        """What is measured of tools and clients."""
        return self._timing

    @property
    def deadline_s(self) -> float | None:
        """When time alone has something to decide."""
        return None if self.engine is None else self.engine.deadline_s

    def next_call(self) -> CallId:
        """A number for a client's request."""
        self._calls_made += 1
        return self._calls_made

    def feed(self, event: Event) -> None:
        """Tell the engine, and carry out what it asks for; an event that this leads to comes after."""
        self._events.append(event)
        if self._feeding:
            return
        self._feeding = True
        try:
            while self._events and self.engine is not None:
                engine = self.engine
                self._do(engine.decide(self._events.popleft(), self._clock()))
                self._do(engine.settle())
        except Exception as error:  # noqa: BLE001  rule 17: when in doubt, a plain proxy
            self.give_up(error)
        finally:
            self._events.clear()
            self._feeding = False

    def tick(self) -> None:
        """Time has passed."""
        self.feed(Ticked())

    def share(self, replica: Replica) -> None:
        """This process is one of several: what is held is put to their board."""
        self._replica = replica
        self._of_sessions.update(replica.commands)

    def take_over(self, command: do.Take, result: bytes) -> int | None:
        """As `Carrying`."""
        bridge = self.bridges.get(command.connection)
        return None if bridge is None else bridge.take_over(command, result)

    def returned(self, held: Kept) -> None:
        """A speculation was answered: where it is held, others may have it."""
        if self._replica is None or self.engine is None:
            return
        found = self.engine.world.ledger.live.get(held.number)
        if found is not None and found.state is State.READY:
            from spec_mcp.relay.board.results import packed

            self._replica.show(held.number, packed(held))

    def give_up(self, error: Exception) -> None:
        """Rule 17: be a plain proxy from now on."""
        if self.engine is None:
            say(f"a line could not be looked into ({type(error).__name__}: {error})", LogLevel.ERROR)
            return
        say(f"speculation failed ({type(error).__name__}: {error}); going on as a plain proxy", LogLevel.ERROR)
        self.engine = None
        if self._replica is not None:  # nobody posts any more what goes out
            self._replica.give_up()
        for bridge in self.bridges.values():
            bridge.go_on_as_plain_proxy()

    def held(self, number: SpeculationId) -> Held | None:
        """A speculation of any connection as far as a chain needs it."""
        found = None if self.engine is None else self.engine.world.ledger.live.get(number)
        bridge = None if found is None else self.bridges.get(found.connection)
        return None if bridge is None else bridge.held(number)

    def compare(self, session: str, command: do.Compare, early: Side, real: Side) -> None:
        """Have two results held against each other when nobody waits."""

        def told(verdict: Verdict) -> None:
            self.feed(Compared(command.server, command.tool, command.entry, verdict))

        account, scope = self.accounts.get(session), self.scope_of(command.server)
        if account is not None and scope is not None:
            account.compare(command, scope, early, real, told)

    def _do(self, commands: list[do.Command]) -> None:
        for command in commands:
            kind = type(command)
            if (carry_out := self._of_sessions.get(kind)) is not None:
                carry_out(command)
            elif (bridge := self.bridges.get(cast("OfConnection", command).connection)) is not None:
                bridge.commands[kind](command)
            if kind is do.Drop and self._replica is not None:
                self._replica.drop(cast("do.Drop", command))

    def _predict(self, command: do.Predict) -> None:
        if (account := self.accounts.get(command.session)) is not None:
            account.predict(command, self.held)

    def _bind_surrogate(self, command: do.BindSurrogate) -> None:
        if (account := self.accounts.get(command.session)) is not None:
            account.bind_surrogate(command)

    def _call_settled(self, command: do.CallSettled) -> None:
        if (account := self.accounts.get(command.session)) is not None:
            account.settled(command)

    def _speculation_ended(self, command: do.SpeculationEnded) -> None:
        if (account := self.accounts.get(command.session)) is not None:
            account.speculation_ended(command)

    def _skipped(self, command: do.Skipped) -> None:
        if (account := self.accounts.get(command.session)) is not None:
            account.skipped(command)

    def _pin(self, command: do.PinFingerprint) -> None:
        self.on_pin(command)

    def _demote(self, command: do.Demote) -> None:
        if command.entry:
            say(
                f"{command.server}.{command.tool} is not called ahead of time any more: made again, its result was "
                "another (`spec-mcp stats --divergences` shows both)"
            )
        self.on_demoted(command)
