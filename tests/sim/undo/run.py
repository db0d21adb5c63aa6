"""One run of a world: clients, the engine with a relay around it, the disk, and deaths of the process between."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from spec_mcp.engine import commands as do
from spec_mcp.engine import events
from spec_mcp.engine.ageing import ends_at, steps_at
from spec_mcp.engine.calls import Arguments, CallKey, Json, canonical
from spec_mcp.engine.engine import Engine
from spec_mcp.engine.events import Answer, Candidate, Event, Mode, Moment, Outcome, UndoOutcome
from spec_mcp.engine.states import State
from tests.sim.server import Clock, Violation
from tests.sim.undo import world
from tests.sim.undo.disk import Disk, Entry
from tests.sim.undo.plan import Plan, Turn, call_for
from tests.sim.undo.server import Request, Server
from tests.sim.undo.world import TOOLS, names

STARTS_AT_S = 1000.0
REST_S = 300.0
"""After the last client has left, for what is still to be taken back."""


class Crash(Exception):  # noqa: N818
    """The process dies here."""


@dataclass(slots=True, eq=False)
class Asked:
    """A client's request, and what came of it."""

    number: int
    client: Client
    method: str
    tool: str
    arguments: Arguments
    arrived_at: float
    sent: bool = False
    over: bool = False
    cancelled: bool = False


@dataclass(slots=True)
class Made:
    """A speculation, as far as its process knows it."""

    key: tuple[int, int]
    tool: str
    arguments: Arguments
    session: str
    before: world.State = ()
    result: Json = None


class Client:
    """One client, through deaths of the process: it goes on with its next turn."""

    def __init__(self, name: str, script: tuple[Turn, ...], run: Run) -> None:
        self.name, self.script, self.run = name, script, run
        self.connection = f"s#{name}" if run.plan.theme == "apart" else "s"
        self.turn = -1
        self.waits_for: set[int] = set()
        self.gone = False

    def next_turn(self) -> None:
        self.turn += 1
        if self.turn >= len(self.script):
            self.leave()
        elif not self.gone:
            turn = self.script[self.turn]
            self.run.clock.after(turn.think_s, lambda number=self.turn: self._take(turn, number))

    def leave(self) -> None:
        if not self.gone:
            self.gone = True
            self.run.client_left(self)

    def done_with(self, asked: Asked) -> None:
        asked.over = True
        self.waits_for.discard(asked.number)
        if not self.waits_for and not self.gone:
            self.run.clock.after(0.0, lambda turn=self.turn: self.next_turn() if turn == self.turn else None)

    def connection_lost(self) -> None:
        """The process is gone, and with it the answers to what was asked, or was just to be asked."""
        if self.waits_for and not self.gone:
            self.waits_for = set()
            self.run.clock.after(0.0, self.next_turn)

    def _take(self, turn: Turn, number: int) -> None:
        if self.gone or number != self.turn:
            return
        if turn.calls:
            made = [self.run.asks(self, "tools/call", call.tool, call.arguments) for call in turn.calls]
        else:
            made = [self.run.asks(self, turn.method, "", {})]
        self.waits_for = {asked.number for asked in made}
        for asked in made:
            self.run.arrives(asked)
        for asked in made:
            if turn.cancel_after_s is not None:
                self.run.clock.after(turn.cancel_after_s, lambda asked=asked: self.run.cancels(asked))


class Run:
    """A run of a plan that dies after the commands with these numbers."""

    def __init__(self, plan: Plan, crash_after: frozenset[int] = frozenset()) -> None:
        self.plan, self.crash_after = plan, crash_after
        self.random = Random(plan.seed * 2 + 1)
        self.clock = Clock()
        self.disk = Disk(self.clock, self.random, plan.disk_refuses)
        self.server = Server(self, plan, self.clock, self.random)
        self.clients = [Client(f"client-{number}", script, self) for number, script in enumerate(plan.scripts)]
        self.stats: Counter[str] = Counter()
        self.asked: dict[int, Asked] = {}
        self.all_asked: list[Asked] = []
        self.left_by: dict[tuple[int, int], world.State] = {}
        self.left_read_at: dict[tuple[int, int], float] = {}
        self.commands = 0
        self.life = 0
        self._made: dict[int, Made] = {}
        self._closed: set[str] = set()
        self._adopted: set[tuple[int, int]] = set()
        self._now_read_at: dict[int, float] = {}
        self._queue: deque[Event] = deque()
        self._feeding = False
        self._epoch = 0
        self._ticks_at = -1.0
        self.engine = self._new_engine()

    # --- the run ----------------------------------------------------------------------------------------------------

    def run(self) -> Counter[str]:
        """Through all scripts and deaths, until all is at rest."""
        self._guarded(self._begin)
        for client in self.clients:
            client.next_turn()
        plan = self.plan
        if plan.leaves_after_s is not None:
            self.clock.after(plan.leaves_after_s, self._guard(self.clients[0].leave))
        if plan.off_at_s is not None:
            self.clock.after(plan.off_at_s, self._guard(lambda: self.feed(events.ModeSet(Mode.OFF))))
        if plan.foreign_every_s:
            self._foreign()
        self._until(lambda: all(client.gone for client in self.clients))
        rest_s = self.clock.now_s + REST_S
        self._until(lambda: self.clock.now_s > rest_s)
        self._check_rest()
        return self.stats

    def _until(self, done: Callable[[], bool]) -> None:
        while True:
            try:
                self.clock.run(done)
            except Crash:
                self._restart()
            else:
                return

    def _guard(self, task: Callable[[], None]) -> Callable[[], None]:
        return lambda: self._guarded(task)

    def _guarded(self, task: Callable[[], None]) -> None:
        try:
            task()
        except Crash:
            self._restart()

    def _foreign(self) -> None:
        self.server.change_by_others()
        if not all(client.gone for client in self.clients):
            self.clock.after(self.random.expovariate(1 / self.plan.foreign_every_s), self._foreign)

    # --- lives of the process -----------------------------------------------------------------------------------------

    def _new_engine(self) -> Engine:
        return Engine(self.plan.settings, {"s": self.plan.policy})

    def _begin(self) -> None:
        """A process starts: first what the last one left, then the connection."""
        self.disk.new_owner()
        self.engine = self._new_engine()
        left_behind = []
        for number, (key, entry) in enumerate(list(self.disk.entries.items()), 1):
            self._made[-number] = Made(key, entry.tool, entry.arguments, entry.session, entry.before, entry.result)
            policy = TOOLS[entry.tool].policy
            claimed = entry.state == "compensating"
            left_behind.append(
                events.Inheritance(
                    -number, entry.session, entry.tool, entry.arguments, policy, str(entry.before), entry.left,
                    claimed, entry.undo_sent, entry.stuck,
                )
            )  # fmt: skip
        self.stats["inherited"] += len(left_behind)
        if left_behind:
            self.feed(events.Inherited("s", tuple(left_behind)))
        for client in self.clients:
            if client.connection != "s" and client.connection not in self._closed:
                self.feed(events.Attached(client.name, "s", client.connection))
        self._connect()

    def _connect(self) -> None:
        self.server.alive = True
        self._epoch += 1
        for connection in self._connections:
            self.feed(events.Connected(connection, self._epoch))
        life, epoch = self.life, self._epoch

        def listed() -> None:
            if (life, epoch) == (self.life, self._epoch) and self.server.alive:
                for connection in self._connections:
                    self.feed(events.ToolsListed(connection, dict.fromkeys(TOOLS, "first")))

        self.clock.after(self.random.choice([0.0, 0.1]), listed)

    @property
    def _connections(self) -> list[str]:
        """Those that are there; the server's own is for what an earlier process left."""
        own = [client.connection for client in self.clients if client.connection not in self._closed]
        return list(dict.fromkeys(["s", *own]))

    def _close_connections(self) -> None:
        """Of those who have left, once nothing is to be taken back there."""
        for client in self.clients:
            connection = client.connection
            if (
                client.gone
                and connection != "s"
                and connection not in self._closed
                and self.engine.is_settled(connection)
            ):
                self._closed.add(connection)
                self.feed(events.ConnectionClosed(connection))
                if connection in self.engine.world.connections:
                    raise Violation(f"{connection} is not forgotten")

    def _restart(self) -> None:
        """The process is killed, with its server; another takes its place."""
        self.stats["crashes"] += 1
        self.life += 1
        self._queue.clear()
        self._feeding = False
        self._ticks_at = -1.0
        self._made = {}
        self.asked = {}
        for client in self.clients:
            client.connection_lost()
        for request in self.server.running:
            if not request.acted and self.random.random() < 0.5:
                self.server.do(request)
        self.server.alive = False
        self.server.lives += 1
        self.server.running.clear()
        self.server.waiting.clear()
        self._guarded(self._begin)

    def server_died(self) -> None:
        for asked in [asked for asked in self.asked.values() if asked.sent]:
            del self.asked[asked.number]
            self.feed(events.CallReturned(asked.number, Outcome(Answer.NONE)))
            asked.client.done_with(asked)
        for connection in self._connections:
            self.feed(events.Disconnected(connection))
        life = self.life
        if self.random.random() < 0.7 or self.asked:
            self.clock.after(0.5, lambda: self._connect() if life == self.life and not self.server.alive else None)

    def feed(self, event: Event) -> None:
        """Tell the engine and carry out what it asks for."""
        self._queue.append(event)
        if self._feeding:
            return
        self._feeding = True
        while self._queue:
            for command in self.engine.handle(self._queue.popleft(), STARTS_AT_S + self.clock.now_s):
                self._carry_out(command)
                self.commands += 1
                if self.commands in self.crash_after:
                    raise Crash
        self._feeding = False
        self._close_connections()
        self._wind_up()

    def _wind_up(self) -> None:
        deadline_s = self.engine.deadline_s
        due = [at_s for held in self.engine.world.ledger.live for at_s in (ends_at(held), held.join_until)]
        due += [steps_at(held) for held in self.engine.world.ledger.unadopted]
        soonest_s = min((at_s for at_s in due if at_s is not None), default=None)
        if soonest_s is not None and (deadline_s is None or deadline_s > soonest_s):
            raise Violation(f"something is due at {soonest_s}, and the engine says {deadline_s}")
        if deadline_s is None or deadline_s == self._ticks_at:
            return
        self._ticks_at = deadline_s
        life = self.life

        def tick() -> None:
            if life == self.life and self._ticks_at == deadline_s:
                self._ticks_at = -1.0
                self.feed(events.Ticked())

        self.clock.after(max(0.0, deadline_s - STARTS_AT_S - self.clock.now_s), tick)

    def _ours(self, task: Callable[..., None]) -> Callable[..., None]:
        """What comes back to a process that is gone is for nobody."""
        life = self.life
        return lambda *given: task(*given) if life == self.life else None

    # --- clients ----------------------------------------------------------------------------------------------------

    def asks(self, client: Client, method: str, tool: str, arguments: Arguments) -> Asked:
        asked = Asked(len(self.all_asked) + 1, client, method, tool, arguments, self.clock.now_s)
        self.all_asked.append(asked)
        return asked

    def arrives(self, asked: Asked) -> None:
        self.stats["calls"] += 1
        self.asked[asked.number] = asked
        if asked.method != "tools/call":
            self.feed(events.RequestArrived(asked.number, asked.client.name, asked.client.connection, asked.method))
            return
        connection = asked.client.connection
        key = CallKey(connection, self._epoch, "p", asked.tool, "me", canonical(asked.arguments), "{}")
        self.feed(events.CallArrived(asked.number, asked.client.name, connection, asked.tool, asked.arguments, key))

    def cancels(self, asked: Asked) -> None:
        if asked.number in self.asked:
            asked.cancelled = True
            self.feed(events.CallCancelled(asked.number))
            if not asked.sent:
                self.asked.pop(asked.number, None)
            asked.client.done_with(asked)

    def client_left(self, client: Client) -> None:
        self.feed(events.SessionClosed(client.name))

    # --- commands for clients -----------------------------------------------------------------------------------------

    def _carry_out(self, command: do.Command) -> None:
        name = "do" + "".join("_" + letter.lower() if letter.isupper() else letter for letter in type(command).__name__)
        if (carry_out := getattr(self, name, None)) is not None:
            carry_out(command)

    def do_invoke(self, command: do.Invoke) -> None:
        asked = self.asked[command.call]
        if asked.sent:
            raise Violation(f"{asked.tool} {asked.arguments} was sent twice")
        if asked.client.connection != command.connection:
            raise Violation(f"{asked.tool} {asked.arguments} goes over {command.connection}")
        asked.sent = True
        self._check_order(asked)
        answered = self._ours(lambda result, is_error: self._answered(asked))
        if asked.method in ("tools/call", "resources/read"):
            whose = Request("call", asked.tool, asked.arguments, answered, method=asked.method)
            self._deliver(whose)
        else:
            self.clock.after(0.01, lambda: answered(None, False))

    def _check_order(self, asked: Asked) -> None:
        for older in self.asked.values():
            if older.number >= asked.number or older.sent or older.cancelled or not older.tool:
                continue
            if older.client is not asked.client or older.client.gone:
                continue
            meets = asked.tool and set(names(older.tool, older.arguments)) & set(names(asked.tool, asked.arguments))
            if meets and (TOOLS[older.tool].writes or TOOLS[asked.tool].writes):
                raise Violation(f"{asked.tool} {asked.arguments} overtakes {older.tool} {older.arguments}")

    def _deliver(self, request: Request) -> None:
        if not self.server.alive:
            self._connect_for(request)
        else:
            self.server.receive(request)

    def _connect_for(self, request: Request) -> None:
        life = self.life

        def again() -> None:
            if life == self.life:
                if not self.server.alive:
                    self._connect()
                self.server.receive(request)

        self.clock.after(0.3, again)

    def _answered(self, asked: Asked) -> None:
        if self.asked.pop(asked.number, None) is not None or asked.cancelled:
            self.feed(events.CallReturned(asked.number, Outcome(Answer.RESULT, 100)))
            if not asked.over:
                asked.client.done_with(asked)

    def do_reply(self, command: do.Reply) -> None:
        asked = self.asked.pop(command.call)
        made = self._made[command.speculation]
        if asked.sent or asked.cancelled:
            raise Violation(f"{asked.tool} {asked.arguments} was sent or cancelled, and adopted")
        self.stats["adopted writes" if TOOLS[asked.tool].writes else "adopted reads"] += 1
        if made.key not in self._adopted:
            self._becomes_true(made)
        asked.client.done_with(asked)

    def _becomes_true(self, made: Made) -> None:
        """A client has done it, and this is what it gave."""
        if TOOLS[made.tool].writes:
            self._adopted.add(made.key)
        expected = self.server.truth.do(made.tool, made.arguments)
        if made.result != expected and not self.is_excused(names(made.tool, made.arguments)):
            raise Violation(f"{made.tool} {made.arguments} is adopted as {made.result}, true is {expected}")

    def do_fail(self, command: do.Fail) -> None:
        asked = self.asked.pop(command.call)
        self.stats["failed"] += 1
        if asked.sent:
            raise Violation("a call fails that its server has seen")
        if self.clock.now_s < asked.arrived_at + 10.0 - 1e-6:
            raise Violation("a call fails before its time")
        asked.client.done_with(asked)

    def do_forward_cancellation(self, command: do.ForwardCancellation) -> None:
        if not self.all_asked[command.call - 1].sent:
            raise Violation("a cancellation names an id that the server has not seen")

    # --- commands for speculations ------------------------------------------------------------------------------------

    def do_predict(self, command: do.Predict) -> None:
        client = next(client for client in self.clients if client.name == command.session)
        ahead = [call for turn in client.script[client.turn + 1 :] for call in turn.calls][: 3 + len(command.lineage)]
        wanted = ahead[len(command.lineage) :]
        lied = range(2 if self.random.random() < self.plan.lies else 0)
        lies = [call_for(self.random, self.plan.theme) for _ in lied]
        guesses = [*wanted, *lies] if self.random.random() < 0.7 else [*lies, *wanted]
        found = tuple(Candidate("s", call.tool, call.arguments, 0.95, "script", True) for call in guesses)
        answer = self._ours(lambda: self.feed(events.Predicted(command.session, command.step, command.lineage, found)))
        self.clock.after(self.random.choice([0.0, 0.1]), answer)

    def do_launch(self, command: do.Launch) -> None:
        self.stats["launched writes" if TOOLS[command.tool].writes else "launched reads"] += 1
        made = self._made.setdefault(command.speculation, self._new(command.speculation))
        if command.connection not in [client.connection for client in self.clients if client.name == made.session]:
            raise Violation(f"{command.tool} was launched over {command.connection}")
        if TOOLS[command.tool].writes and made.key not in self.disk.entries:
            raise Violation(f"{command.tool} was launched, and nothing of it is on disk")

        def returned(result: Json, is_error: bool) -> None:
            made.result = result
            outcome = Outcome(Answer.TOOL_ERROR if is_error else Answer.RESULT, 100)
            self.feed(events.SpeculationReturned(command.speculation, outcome))

        self.server.receive(Request("speculation", command.tool, command.arguments, self._ours(returned), made.key))

    def _new(self, number: int) -> Made:
        held = self.engine.world.ledger.live.get(number)
        assert held is not None
        return Made((self.disk.owner, number), held.tool, held.arguments, held.session)

    def do_read_state(self, command: do.ReadState) -> None:
        made = self._made.setdefault(command.speculation, self._new_or_known(command.speculation))

        def read(result: Json, is_error: bool) -> None:
            seen: world.State = () if result is None else ((world.name_of(made.arguments), int(str(result))),)
            if command.moment is Moment.BEFORE:
                made.before = seen
            if command.moment is Moment.LEFT:
                self.left_read_at[made.key] = self.clock.now_s
            digest = None if is_error else str(seen)
            self.feed(events.StateRead(command.speculation, command.moment, digest, self._unless(made, command.moment)))

        if command.moment is Moment.NOW:
            self._now_read_at[command.speculation] = self.clock.now_s
        if self.server.alive:
            self.server.receive(Request("reading", "get", {"id": made.arguments["id"]}, self._ours(read)))

    def _new_or_known(self, number: int) -> Made:
        return self._made[number] if number in self._made else self._new(number)

    def _unless(self, made: Made, moment: Moment) -> bool:
        if moment is not Moment.BEFORE or self.plan.theme == "broken":
            return False
        if made.tool == "add":  # what was not there would be 0 afterwards
            return not made.before
        return made.tool == "make" and bool(made.before) and self.random.random() < 0.5

    def do_intend(self, command: do.Intend) -> None:
        made = self._made[command.speculation]
        entry = Entry(*made.key, made.session, made.tool, made.arguments, made.before)

        def write() -> bool:
            self.disk.entries[made.key] = entry
            return True

        self.disk.do(write, self._ours(lambda ok: self.feed(events.Recorded(command.speculation, ok))))

    def do_note_outcome(self, command: do.NoteOutcome) -> None:
        made = self._made[command.speculation]

        def write() -> bool:
            if (entry := self.disk.entries.get(made.key)) is not None:
                entry.result, entry.left = made.result, command.left
            return True

        self.disk.do(write, lambda ok: None)

    def do_claim(self, command: do.Claim) -> None:
        made = self._made[command.speculation]

        def write() -> bool:
            ok = self.disk.claim(made.key, command.into)
            if ok and command.into is State.ADOPTED:
                self._becomes_true(made)
            return ok

        done = self._ours(lambda ok: self.feed(events.Claimed(command.speculation, command.into, ok)))
        self.disk.do(write, done)

    def do_probe(self, command: do.Probe) -> None:
        made = self._made[command.speculation]
        self.stats["probes"] += 1

        def read(result: Json, is_error: bool) -> None:
            seen: world.State = () if result is None else ((world.name_of(made.arguments), int(str(result))),)
            self.feed(events.Probed(command.speculation, None if is_error else seen != made.before))

        self.server.receive(Request("reading", "get", {"id": made.arguments["id"]}, self._ours(read)))

    def do_undo(self, command: do.Undo) -> None:
        made = self._made[command.speculation]
        self.stats["undos"] += 1
        undo = TOOLS[made.tool].undo
        bound = undo(made.arguments, made.result, made.before) if undo is not None else None

        def answered(result: Json, is_error: bool) -> None:
            outcome = UndoOutcome.FAILED if is_error else UndoOutcome.DONE
            self.feed(events.Undone(command.speculation, outcome))

        def noted(ok: bool) -> None:
            if not ok or bound is None:
                outcome = UndoOutcome.UNBOUND if bound is None else UndoOutcome.UNRECORDED
                self.feed(events.Undone(command.speculation, outcome))
            elif self.server.alive:
                tool, arguments = bound
                read_at = self._now_read_at.get(command.speculation, 0.0)
                self.server.receive(
                    Request("undo", tool, arguments, self._ours(answered), made.key, now_read_at=read_at)
                )
            else:
                self.feed(events.Undone(command.speculation, UndoOutcome.FAILED))

        def write() -> bool:
            self.disk.entries[made.key].undo_sent = True
            return True

        self.disk.do(write, self._ours(noted))

    def do_settle(self, command: do.Settle) -> None:
        made = self._made[command.speculation]
        self.stats[str(command.state)] += 1
        if command.state is State.STUCK:
            self.stats[f"stuck: {command.reason}"] += 1

        def write() -> bool:
            if command.state is not State.STUCK:
                self.disk.entries.pop(made.key, None)
            elif (entry := self.disk.entries.get(made.key)) is not None:
                entry.stuck = command.reason
            return True

        self.disk.do(write, self._ours(lambda ok: self.feed(events.Settled(command.speculation, ok))))

    def do_wake(self, command: do.Wake) -> None:
        if not self.server.alive:
            wake = self._ours(lambda: None if self.server.alive else self._connect())
            self.clock.after(0.2, wake)

    # --- what must hold -----------------------------------------------------------------------------------------------

    def is_excused(self, touched: list[str]) -> bool:
        """Has somebody else changed it, or does something stand there that nobody could take back?"""
        if self.plan.foreign_every_s:
            return True
        stuck = [entry.arguments for entry in self.disk.entries.values() if entry.stuck]
        stuck += [held.arguments for held in self.engine.world.ledger.unadopted if held.state is State.STUCK]
        return any(world.name_of(arguments) in touched for arguments in stuck)

    def _check_rest(self) -> None:
        ledger = self.engine.world.ledger
        left = [held for held in ledger.unadopted if held.state is not State.STUCK]
        if left or len(self.engine.world.waiting):
            raise Violation(f"left behind: {left} {list(self.engine.world.waiting)}")
        if waiting := [asked for asked in self.asked.values() if not asked.client.gone]:
            raise Violation(f"never answered: {waiting}")
        stuck = {world.name_of(entry.arguments) for entry in self.disk.entries.values() if entry.stuck}
        stuck |= {world.name_of(held.arguments) for held in ledger.unadopted}
        open_ones = [entry for entry in self.disk.entries.values() if not entry.stuck]
        if open_ones and not self.plan.disk_refuses:
            raise Violation(f"left on disk: {open_ones}")
        if self.plan.foreign_every_s:
            return
        values, truth = self.server.values, self.server.truth.values
        for name in (set(values) | set(truth)) - stuck:
            if values.get(name) != truth.get(name):
                raise Violation(f"{name} is {values.get(name)} in the end, and without speculation {truth.get(name)}")
