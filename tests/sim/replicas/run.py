"""One world: clients that send each request to the next replica, and all that goes wrong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from random import Random

from spec_mcp.engine import commands as do
from spec_mcp.engine import events
from spec_mcp.engine.calls import CallKey, canonical_arguments
from spec_mcp.engine.effects import ServerPolicy
from spec_mcp.engine.engine import Engine
from spec_mcp.engine.events import Answer, CallId, Candidate, Event, Outcome, SpeculationId
from spec_mcp.engine.policy import Settings
from spec_mcp.engine.states import State
from spec_mcp.engine.timing import SAMPLES_KEPT
from spec_mcp.store.board import Process
from tests.sim.replicas.plan import TOOLS, WRITES, Plan, Planned, Script
from tests.sim.replicas.shell import Shell
from tests.sim.replicas.world import Seen, Server, check
from tests.sim.server import Clock, Violation
from tests.store.board_model import BoardModel

SERVER = "s"
AHEAD = 8
"""How far predictions look; sometimes they are wrong."""
REST_S = 12.0
"""When the last client has its last answer, so much time passes."""
ANSWER_S = 30.0
"""A call that is not answered after this long is lost."""


@dataclass(slots=True)
class Asked:
    """A call of a client."""

    number: CallId
    client: Client
    planned: Planned
    place: str
    replica: Replica
    arrived_s: float
    known: Seen
    sent: bool = False
    answered: bool = False


@dataclass(slots=True)
class Client:
    """One client: it makes the calls of a turn together, waits for all answers, and thinks."""

    script: Script
    turn: int = -1
    open: int = 0
    known: Seen = field(default_factory=dict[str, int])
    asked: list[Asked] = field(default_factory=list["Asked"])

    def ahead(self) -> list[Planned]:
        """What it will do."""
        return [planned for turn in self.script.turns[self.turn + 1 :] for planned in turn]


class Replica:
    """A process: an engine, the way to the board, and the way to the server."""

    def __init__(self, run: Run, process: Process) -> None:
        self.run, self.process = run, process
        settings = Settings(wasted_call_s=0.01, breadth=8, in_flight=8, board=True)
        self.engine = Engine(settings, {SERVER: ServerPolicy(SERVER, TOOLS, concurrent=True)})
        for tool in TOOLS:
            for _ in range(SAMPLES_KEPT):
                self.engine.world.timing.took(SERVER, tool, 0.5)
        for _ in range(SAMPLES_KEPT):
            self.engine.world.timing.thought(2.0)
        self.shell = Shell(run.plan, process, run.model, run.clock, run.random)
        self.shell.feed, self.shell.result_of = self.feed, self.results.get
        self.shell.is_wanted = self._is_wanted
        self.asked: dict[CallId, Asked] = {}
        self._queue: list[Event] = []
        self._feeding = False
        self._ticks_at: float | None = None
        self._carry_out: dict[type, Callable[..., None]] = {
            do.Invoke: self._invoke,
            do.Reply: self._reply,
            do.Launch: self._launch,
            do.Drop: self._drop,
            do.Post: self.shell.post,
            do.Unpost: self.shell.unpost,
            do.Offer: self.shell.offer,
            do.Take: self.shell.take,
            do.Predict: self._predict,
        }
        self.feed(events.WorldKnown(SERVER, "world"))
        self.feed(events.Connected(SERVER, 1))
        self.feed(events.ToolsListed(SERVER, dict.fromkeys(TOOLS, "f")))
        self.shell.begin()

    @property
    def results(self) -> dict[SpeculationId, bytes]:
        """What speculations of ours came back with, and what was fetched."""
        return self.shell.fetched

    def feed(self, event: Event) -> None:
        """Tell the engine, and do what it asks for."""
        self._queue.append(event)
        if self._feeding or self.shell.dead:
            return
        self._feeding = True
        while self._queue:
            for command in self.engine.handle(self._queue.pop(0), self.run.clock.now_s):
                if (carry_out := self._carry_out.get(type(command))) is not None:
                    carry_out(command)
        self._feeding = False
        self._wind_up()

    def _wind_up(self) -> None:
        due_s = self.engine.deadline_s
        if due_s is None or due_s == self._ticks_at:
            return
        self._ticks_at = due_s

        def tick() -> None:
            if self._ticks_at == due_s:
                self._ticks_at = None
                self.feed(events.Ticked())

        self.run.clock.after(max(0.0, due_s - self.run.clock.now_s), tick)

    def key(self, tool: str, planned: Planned, principal: str) -> CallKey:
        """What such a call is to the engine."""
        return CallKey(SERVER, 1, "p", tool, principal, canonical_arguments(planned.arguments, {}), "{}")

    def arrives(self, asked: Asked) -> None:
        """A client's call."""
        self.asked[asked.number] = asked
        planned, script = asked.planned, asked.client.script
        key = self.key(planned.tool, planned, script.principal)
        self.feed(events.CallArrived(asked.number, script.session, SERVER, planned.tool, planned.arguments, key))

    def dies(self) -> list[Asked]:
        """Nothing more is heard of it; the calls that it leaves."""
        self.shell.dead = True
        return [asked for asked in self.asked.values() if not asked.answered]

    # --- commands ---------------------------------------------------------------------------------------------------

    def _invoke(self, command: do.Invoke) -> None:
        asked = self.asked[command.call]
        if asked.sent:
            raise Violation(f"{asked.place} was sent twice")
        asked.sent = True

        def answered(result: bytes) -> None:
            if not self.shell.dead:
                self.run.answer(asked, result)
                self.feed(events.CallReturned(asked.number, Outcome(Answer.RESULT, len(result))))

        self.run.server.request(asked.planned, asked.client.script.principal, asked.place, answered)

    def _reply(self, command: do.Reply) -> None:
        asked = self.asked[command.call]
        if asked.sent:
            raise Violation(f"{asked.place} was sent, and answered from a speculation")
        held = self.engine.world.ledger.live.get(command.speculation)
        whose = "foreign" if held is not None and held.offer is not None else "own"
        self.run.stats[f"{whose} {command.how}"] += 1
        result = self.results[command.speculation]
        if TOOLS[asked.planned.tool].reuse_s == 0.0:
            self.run.used(result)
        self.run.answer(asked, result)

    def _launch(self, command: do.Launch) -> None:
        self.run.stats["launches"] += 1
        planned = Planned(command.tool, command.arguments)
        if command.tool in WRITES:
            raise Violation(f"{command.tool} was speculated")

        def answered(result: bytes) -> None:
            if self.shell.dead:
                return
            self.results[command.speculation] = self.run.numbered(result)
            self.feed(events.SpeculationReturned(command.speculation, Outcome(Answer.RESULT, len(result))))
            held = self.engine.world.ledger.live.get(command.speculation)
            if held is not None and held.state in (State.READY, State.JOINED, State.ADOPTED):
                self.shell.show(command.speculation, self.results[command.speculation])
            else:
                self.results.pop(command.speculation, None)

        self.run.server.request(planned, command.key.principal, "", answered)

    def _drop(self, command: do.Drop) -> None:
        self.shell.drop(command.speculation)

    def _is_wanted(self, command: do.Take) -> bool:
        held = self.engine.world.ledger.live.get(command.speculation)
        return held is not None and held.taken_as is not None and held.caller == command.call

    def _predict(self, command: do.Predict) -> None:
        random, client = self.run.random, self.run.clients[command.session]
        ahead = [planned for planned in client.ahead() if planned.tool not in WRITES][len(command.lineage) :][:AHEAD]
        random.shuffle(ahead)
        found = tuple(
            Candidate(SERVER, planned.tool, planned.arguments, random.uniform(0.5, 1.0), "script", True)
            for planned in ahead
            if random.random() < 0.8
        )
        self.feed(events.Predicted(command.session, command.step, command.lineage, found))


class Run:
    """A world, to its end."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.random = Random(plan.seed)
        self.clock = Clock()
        self.stats: Counter[str] = Counter()
        self.board_set_back_s = 0.0
        self.model = BoardModel(lambda: 1000.0 + self.clock.now_s - self.board_set_back_s)
        self.server = Server(plan, self.clock, self.random)
        self.clients = {script.session: Client(script) for script in plan.scripts}
        self._used: set[bytes] = set()
        self._numbers = count(1)
        self._results = count(1)
        self._processes = count(1)
        self._turns = count()
        self.replicas = [Replica(self, self._process(number)) for number in range(plan.replicas)]

    def _process(self, number: int) -> Process:
        return Process(f"replica-{number}", "host", next(self._processes), "now")

    def run(self) -> Counter[str]:
        """Let everything happen; what did.

        Raises:
            Violation: something that must hold did not.
        """
        for client in self.clients.values():
            self._next_turn(client)
        self._trouble()
        self.clock.run(self._is_over)
        rest_s = self.clock.now_s + REST_S
        self.clock.run(lambda: self.clock.now_s > rest_s)
        self._at_rest()
        return self.stats

    def _is_over(self) -> bool:
        return all(client.turn >= len(client.script.turns) for client in self.clients.values())

    # --- clients ----------------------------------------------------------------------------------------------------

    def _next_turn(self, client: Client) -> None:
        client.turn += 1
        if client.turn < len(client.script.turns):
            self.clock.after(client.script.thinks_s[client.turn], lambda: self._take_turn(client))

    def _take_turn(self, client: Client) -> None:
        turn = client.script.turns[client.turn]
        client.open = len(turn)
        for index, planned in enumerate(turn):
            living = [replica for replica in self.replicas if not replica.shell.dead]
            replica = living[next(self._turns) % len(living)]
            place = f"{client.script.session}:{client.turn}:{index}"
            number = next(self._numbers)
            asked = Asked(number, client, planned, place, replica, self.clock.now_s, dict(client.known))
            client.asked.append(asked)
            self.clock.after(ANSWER_S, lambda asked=asked: self._must_be_answered(asked))
            replica.arrives(asked)

    def _must_be_answered(self, asked: Asked) -> None:
        if not asked.answered and not asked.replica.shell.dead:
            raise Violation(f"{asked.place} ({asked.planned}) is not answered")

    def answer(self, asked: Asked, result: bytes) -> None:
        """The client sees it."""
        if asked.answered:
            raise Violation(f"{asked.place} was answered twice")
        asked.answered = True
        self.stats["answers"] += 1
        text = result.partition(b"#")[0]
        window = (asked.arrived_s, self.clock.now_s)
        seen = check(self.server, asked.planned, asked.client.script.principal, text, window, asked.known)
        for name, version in seen.items():
            asked.client.known[name] = max(asked.client.known.get(name, 0), version)
        self._one_less(asked.client)

    def _one_less(self, client: Client) -> None:
        client.open -= 1
        if not client.open:
            self._next_turn(client)

    def numbered(self, result: bytes) -> bytes:
        """Told from all others."""
        return b"%s#%d" % (result, next(self._results))

    def used(self, result: bytes) -> None:
        """It has answered a call."""
        if result in self._used:
            raise Violation(f"{result} has answered two calls")
        self._used.add(result)

    # --- trouble ----------------------------------------------------------------------------------------------------

    def _trouble(self) -> None:
        plan, after = self.plan, self.clock.after
        for at_s, number, for_s in plan.cuts:
            after(at_s, lambda number=number, for_s=for_s: self._cut(number, for_s))
        for at_s, number, again_s in plan.deaths:
            after(at_s, lambda number=number, again_s=again_s: self._die(number, again_s))
        for at_s in plan.database_restarts:
            after(at_s, self.model.crash)
        for at_s, by_s in plan.set_back:
            after(at_s, lambda by_s=by_s: self._set_back(by_s))

    def _cut(self, number: int, for_s: float) -> None:
        shell = self.replicas[number].shell
        shell.unreachable_until = max(shell.unreachable_until, self.clock.now_s + for_s)

    def _set_back(self, by_s: float) -> None:
        self.board_set_back_s += by_s

    def _die(self, number: int, again_s: float | None) -> None:
        dying = self.replicas[number]
        living = [replica for replica in self.replicas if not replica.shell.dead]
        if dying.shell.dead or len(living) < 2:
            return
        self.stats["deaths"] += 1
        for asked in dying.dies():
            self._one_less(asked.client)
        if again_s is not None:
            self.clock.after(again_s, lambda: self._replace(number))
        else:
            self.clock.after(self.plan.buried_after_s, lambda: self._bury(dying.process))

    def _replace(self, number: int) -> None:
        self.replicas[number] = Replica(self, self._process(number))

    def _bury(self, dead: Process) -> None:
        """Somebody on the same host has seen that it is gone."""
        found = next((member for member in self.model.members.values() if member.process == dead), None)
        if found is not None:
            self.stats["burials"] += 1
            self.model.handle().bury(found.fence)

    # --- the end ----------------------------------------------------------------------------------------------------

    def _at_rest(self) -> None:
        for client in self.clients.values():
            for asked in client.asked:
                if asked.planned.tool in WRITES:
                    self._check_write(asked)
        for replica in self.replicas:
            board = replica.engine.world.board
            if not replica.shell.dead and board is not None and (board.posted or board.asked):
                raise Violation(f"{replica.process.replica} has left {board.posted} and {board.asked} on the board")

    def _check_write(self, asked: Asked) -> None:
        times = self.server.written[asked.place]
        if times != 1 and not (asked.replica.shell.dead and times == int(asked.sent)):
            raise Violation(f"{asked.place} ({asked.planned}) was written {times} times")
