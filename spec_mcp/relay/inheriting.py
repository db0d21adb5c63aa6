"""What others left, or are doing, at a server: it is known before a client's request goes out there.

A process that is gone may have left effects that nobody asked for; they are ours to take back from then on. One that
lives may have the server for itself just now. Until both are known, requests wait at the gate.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from spec_mcp.engine.events import ClientNotified, Inheritance, Inherited, Mode, ModeSet
from spec_mcp.relay import wire
from spec_mcp.relay.disk import Disk
from spec_mcp.relay.entries import BadEntry, Reversible, inheritance_of, reversible_of
from spec_mcp.relay.gate import Gate, ids_of
from spec_mcp.relay.saying import say
from spec_mcp.store.journal import Entry
from spec_mcp.store.owners import Seized
from spec_mcp.store.store import StoreError

if TYPE_CHECKING:
    from spec_mcp.relay.bridge import Bridge
    from spec_mcp.relay.seat import Seat

AGAIN_S = 0.1
"""How often to look whether a living process has done."""

TROUBLED_S = 1.0
"""How often to try a journal that cannot be read."""

WANTED_S = 0.25
"""How often to look whether another process waits, while an early write stands: its start waits as long."""

LINGERS_S = 5.0
"""How long the server of an owner that is gone is waited for. Its guard ends it after a second: a number that is still
taken then is another's, or that of a dead process whom nobody buries."""

WAIT_S = 10.0
"""How long a request waits, as for an undo where no manifest says otherwise."""


class Inheriting:
    """Guards one bridge."""

    def __init__(self, bridge: Bridge, disk: Disk, clock: Callable[[], float]) -> None:
        self.retry_stuck = False
        """Try those again that were given up: somebody asked for it."""
        self.on_known: Callable[[], None] = lambda: None
        """Told when requests may go out."""
        self.gate: Gate | None = None
        """Where requests wait, while there is something to wait for."""
        self._bridge = bridge
        self._disk = disk
        self._clock = clock
        self._inherited = 0
        self._told: set[str] = set()
        """Ids of entries that the engine knows of."""
        self._gone_at_s: dict[str, float] = {}
        """When an owner was first seen to be gone."""
        self._is_looking = False
        self._is_waiting = False
        """For the right to serve."""
        self._again_at_s: float | None = None
        self._wanted_at_s: float | None = None
        """When to look whether another process waits for the right that we have."""

    def look_at_start(self) -> None:
        """Nothing may go out before it is known what is there; cheap where nothing is."""
        if self._disk.has_open():
            self._close_gate()
            self._look()

    def serve(self) -> None:
        """The manifest has reversible tools: somebody may be using them early."""
        if self._is_waiting:
            return
        if not self._disk.serve_now():
            self._close_gate()
            self._is_waiting = True
            self._disk.serve_later(self._served)
        elif not self._is_looking and self._again_at_s is None and self._disk.has_open():  # begun since our start
            self._close_gate()
            self._look()

    @property
    def deadline_s(self) -> float | None:
        """When `tick` is due."""
        if not self._disk.has_right:
            self._wanted_at_s = None
        elif self._wanted_at_s is None:
            self._wanted_at_s = self._clock() + WANTED_S
        gate_s = None if self.gate is None else self.gate.deadline_s
        times = [time for time in (self._again_at_s, self._wanted_at_s, gate_s) if time is not None]
        return min(times, default=None)

    def tick(self) -> None:
        """Time has passed."""
        if self._again_at_s is not None and self._clock() >= self._again_at_s:
            self._again_at_s = None
            self._look()
        if self._wanted_at_s is not None and self._clock() >= self._wanted_at_s:
            self._wanted_at_s = None
            if self._disk.is_wanted():
                self._give_way()
        for waiting in self.gate.expired() if self.gate is not None else ():
            why = "another process of spec-mcp has not done with this server in time"
            self._bridge.answering.refuse_ids(waiting.ids, why)

    def _give_way(self) -> None:
        """Another process waits for the server: take back what is not used yet."""
        engine = self._bridge.engine
        if engine is not None and engine.world.mode is Mode.ON:
            self._bridge.feed(ModeSet(Mode.SHADOW))
            self._bridge.feed(ModeSet(Mode.ON))

    # --- the gate ---------------------------------------------------------------------------------------------------

    @property
    def waiting(self) -> int:
        """How many requests wait."""
        return 0 if self.gate is None else len(self.gate)

    def stops(self, message: wire.Envelope | wire.Batch, line: bytes, seat: Seat) -> bool:
        """Does this wait at the gate now, or is it refused there?"""
        if self.gate is None or not self.gate.stops(message):
            return False
        if not self.gate.keep(message, line, seat):
            why = "too many requests wait for another process of spec-mcp"
            self._bridge.answering.refuse_ids(ids_of(message), why)
        return True

    def _close_gate(self) -> None:
        if self.gate is None:
            self.gate = Gate(WAIT_S, self._clock)

    def _open_gate(self) -> None:
        """Let in what waits, in its order."""
        if self._is_waiting:
            return
        gate, self.gate = self.gate, None
        if gate is not None:  # what was read early meanwhile may show what another has taken back since
            self._bridge.feed(ClientNotified(self._bridge.seat.session, self._bridge.connection, "?"))
            for waiting in gate.open():
                self._bridge.let_in(waiting.message, waiting.line, waiting.seat)
        self.on_known()

    # --- what was left ----------------------------------------------------------------------------------------------

    def _served(self, is_serving: bool) -> None:
        if not is_serving:
            self._disk.serve_later(self._served)
            return
        self._is_waiting = False
        self._look()  # whoever had it alone may have died of it

    def _look(self) -> None:
        self._is_looking = True
        self._disk.open_entries(self._found)

    def _found(self, entries: list[Entry] | StoreError) -> None:
        if isinstance(entries, StoreError):
            say(f"the undo journal: {entries}; calls wait, since it may name something to be taken back")
            self._look_again(TROUBLED_S)
            return
        others = [entry for entry in entries if not self._disk.has_made(entry) and entry.id not in self._told]
        ours = self._disk.owner  # where the disk took over what it said it had not
        seized = {owner: self._seize(owner) for owner in {entry.owner for entry in others} - {ours}}
        dead = [entry for entry in others if entry.owner == ours or seized[entry.owner] is not None]
        living_stuck = [entry for entry in others if entry not in dead and entry.state == "stuck"]

        def taken(mine: list[Entry] | StoreError) -> None:
            for lock in seized.values():
                if lock is not None:
                    lock.release()
            if isinstance(mine, StoreError):
                self._found(mine)
                return
            known = {entry.id: entry for entry in (*mine, *living_stuck)}
            self._tell([known[entry.id] for entry in others if entry.id in known])
            if len(known) < len(others):
                self._look_again(AGAIN_S)
            else:
                self._is_looking = False
                self._open_gate()

        if dead:
            self._disk.take_over(dead, taken)
        else:
            taken([])

    def _seize(self, owner: str) -> Seized | None:
        """Act for an owner that is gone, and whose server is; else what it still does would come after us."""
        seized = self._disk.seize(owner)
        if seized is None:
            return None
        gone_at_s = self._gone_at_s.setdefault(owner, self._clock())
        if self._disk.lingers(owner) and self._clock() - gone_at_s < LINGERS_S:
            seized.release()
            return None
        return seized

    def _look_again(self, after_s: float) -> None:
        self._again_at_s = self._clock() + after_s

    def _tell(self, entries: list[Entry]) -> None:
        """Older ones first, as the engine expects them."""
        inheritances: list[Inheritance] = []
        for entry in entries:
            self._told.add(entry.id)
            if (held := self._read(entry)) is None:
                continue
            stuck = entry.reason if entry.state == "stuck" and not self.retry_stuck else ""
            if not stuck:
                self._bridge.reversing.inherit(held)
            inheritances.append(inheritance_of(entry, held, stuck))
        if inheritances:
            if self._bridge.engine is None:
                self._bridge.answering.blocked = "what an earlier process speculated could not be taken back"
            self._bridge.feed(Inherited(self._bridge.connection, tuple(inheritances)))
            self._bridge.list_if_needed()

    def _read(self, entry: Entry) -> Reversible | None:
        self._inherited += 1
        try:
            return reversible_of(entry, -self._inherited)
        except BadEntry as error:
            say(f"{error}; calls get an error until a person has settled it: spec-mcp recover --forget {entry.id}")
            why = f"what was speculated with {entry.tool} cannot be taken back by this version"
            self._bridge.answering.blocked = why
            return None
