"""The relay of the simulation: carries the engine's commands out in virtual time and feeds the events back."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from random import Random

from spec_mcp.engine import commands as do
from spec_mcp.engine import events
from spec_mcp.engine.calls import Arguments, CallKey, Unmatchable, canonical_arguments, canonical_meta
from spec_mcp.engine.effects import ServerPolicy, ToolValidator
from spec_mcp.engine.engine import Engine
from spec_mcp.engine.events import Answer, CallId, Event, Mode, Outcome, SpeculationId
from spec_mcp.engine.results import Verdict
from tests.sim.clients import Asked, Client
from tests.sim.guessing import Predictor
from tests.sim.oracle import Oracle
from tests.sim.plan import IDS, TOOLS, Call, Plan
from tests.sim.server import Clock, Request, Result, Server, Things, Violation

LEFT_AT_MOST_S = 200.0
"""When the last client has left, this much time passes for what is still on its way."""

CLOCK_STARTS_AT_S = 1000.0


@dataclass(slots=True)
class Speculated:
    """A speculation that is known here: its request and what came back."""

    launch: do.Launch
    result: Result | None = None
    extra_bytes: int = 0


class Relay:
    """One process: one engine, its servers and its clients."""

    def __init__(self, plan: Plan, mode: Mode) -> None:
        self.plan = plan
        self.random = Random(plan.seed * 2 + 1)
        self.clock = Clock()
        self.things = Things()
        late = plan.manifest_late
        policies = {name: ServerPolicy(name, concurrent=policy.concurrent) for name, policy in plan.policies.items()}
        self.engine = Engine(plan.settings, policies if late else plan.policies, mode=mode)
        self.servers = {
            connection: Server(name, connection, plan, self.clock, self.things, self.random)
            for connection, name in plan.connections.items()
        }
        """By connection."""
        self.oracle = Oracle(self)
        self.clients = [Client(script, self) for script in plan.scripts]
        self.predictor = Predictor(plan, self.random)
        self.asked: dict[CallId, Asked] = {}
        self.speculated: dict[SpeculationId, Speculated] = {}
        self.kept: dict[CallId, Result | None] = {}
        self.extras: dict[CallId, list[Speculated]] = {}
        """What goes along with the answer to a call."""
        self.recalled: dict[SpeculationId, Result | None] = {}
        """By check, what its call was given."""
        self.epochs = dict.fromkeys(self.servers, 0)
        self.connecting: dict[str, list[Request]] = {}
        self.set_back_s = 0.0
        self._calls = count(1)
        self._numbers = count(1)
        self._server_numbers: dict[int, tuple[Server, int]] = {}
        self._queue: deque[Event] = deque()
        self._feeding = False
        self._withheld = False
        self._ticks_at = -1.0
        self._carry_out: dict[type, Callable[..., None]] = {
            do.Invoke: self._invoke,
            do.Reply: self._reply,
            do.AttachReads: self._attach_reads,
            do.PassOn: self._pass_on,
            do.Refuse: self._refuse,
            do.ForwardCancellation: self._forward_cancellation,
            do.Withhold: self._withhold,
            do.Launch: self._launch,
            do.CancelSpeculation: self._cancel_speculation,
            do.Drop: self._drop,
            do.Validate: self._validate,
            do.Keep: self._keep,
            do.Recall: self._recall,
            do.Compare: self._compare,
            do.Demote: self._demote,
            do.Predict: self._predict,
            do.BindSurrogate: self._bind_surrogate,
            do.SpeculationEnded: self._ended,
        }

    # --- the run ----------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Let all clients go through their scripts, then let everything come to rest."""
        early = self.random.random() < 0.5
        if early:
            self._attach()
        for server in self.servers.values():
            server.relay = self
            self._connect(server)
        if not early:
            self._attach()
        for client in self.clients:
            client.begin()
        self._trouble()
        self.clock.run(lambda: all(client.gone for client in self.clients))
        rest_s = self.clock.now_s + LEFT_AT_MOST_S
        self.clock.run(lambda: self.clock.now_s > rest_s)
        self.oracle.at_rest()

    def _attach(self) -> None:
        for script in self.plan.scripts:
            for server, connection in script.ways.items():
                self.feed(events.Attached(script.session, server, connection))

    def _trouble(self) -> None:
        plan, after = self.plan, self.clock.after
        for at_s, mode in plan.mode_changes:
            if self.engine.world.mode is not Mode.OFF:
                after(at_s, lambda mode=mode: self._set_mode(mode))
        if plan.manifest_late:
            after(self.random.uniform(0.0, 3.0), self._find_manifests)
        if plan.outside_every_s:
            after(plan.outside_every_s, self._change_outside)
        if plan.clock_jumps_at_s:
            after(plan.clock_jumps_at_s, self._set_clock_back)
        if plan.drifts_at_s:
            drifting = [server for server in self.servers.values() if server.name == "s"]
            after(plan.drifts_at_s, self.random.choice(drifting).drift)

    def _set_mode(self, mode: Mode) -> None:
        self.feed(events.ModeSet(mode))

    def _find_manifests(self) -> None:
        for connection, server in self.servers.items():
            if connection in self.engine.world.connections:
                self.feed(events.ManifestFound(connection, self.plan.policies[server.name], {}))

    def _set_clock_back(self) -> None:
        self.set_back_s += self.random.choice([0.5, 3.0, 100.0])
        self.feed(events.Ticked())

    def _change_outside(self) -> None:
        """Somebody else changes something, and sometimes the server tells of it."""
        name = f"{self.random.choice(['out', 'out', 'file'])}:{self.random.randrange(IDS)}"
        told = name.startswith("out") and self.random.random() < self.plan.announced
        self.things.histories[name].change(self.clock.now_s, known=told)
        if told:
            self.oracle.disturbed()
            telling = [server.connection for server in self.servers.values() if server.name == "s" and server.alive]
            for connection in telling[: 1 if self.random.random() < 0.5 else None]:
                self.feed(events.ServerNotified(connection, "notifications/resources/updated"))
            if not telling:
                self.things.histories[name].known_at[-1] = float("inf")
        if not all(client.gone for client in self.clients):
            self.clock.after(self.random.expovariate(1 / self.plan.outside_every_s), self._change_outside)

    def feed(self, event: Event) -> None:
        """Tell the engine, carry out what it asks for, and check what must hold after each event."""
        self._queue.append(event)
        if self._feeding:
            return
        self._feeding = True
        while self._queue:
            for command in self.engine.handle(self._queue.popleft(), self.engine_s):
                if (carry_out := self._carry_out.get(type(command))) is not None:
                    carry_out(command)
            self.oracle.after_event()
        self._feeding = False
        if self.plan.spiteful:
            self._leave_others_waiting()
        self._wind_up()

    def _leave_others_waiting(self) -> None:
        world = self.engine.world
        for speculation in world.ledger.live:
            call = world.caller_of(speculation)
            if call is not None and call.session != speculation.session:
                leaver = next(client for client in self.clients if client.name == speculation.session)
                self.clock.after(0.0, leaver.leave)

    @property
    def engine_s(self) -> float:
        """What the engine's clock shows."""
        return CLOCK_STARTS_AT_S + self.clock.now_s - self.set_back_s

    def _wind_up(self) -> None:
        deadline_s = self.engine.deadline_s
        if deadline_s is None or deadline_s == self._ticks_at:
            return
        self._ticks_at = deadline_s
        self.clock.after(max(0.0, deadline_s - self.engine_s), lambda: self._tick(deadline_s))

    def _tick(self, deadline_s: float) -> None:
        if self._ticks_at == deadline_s:
            self._ticks_at = -1.0
            self.feed(events.Ticked())

    # --- servers ----------------------------------------------------------------------------------------------------

    def _connect(self, server: Server) -> None:
        server.alive = True
        self.epochs[server.connection] += 1
        self.oracle.disturbed()
        self.feed(events.Connected(server.connection, self.epochs[server.connection]))
        self._list(server)
        for request in self.connecting.pop(server.connection, []):
            self.oracle.received(server, request)
            server.receive(request)

    def _list(self, server: Server) -> None:
        epoch = self.epochs[server.connection]

        def listed() -> None:
            if server.alive and epoch == self.epochs[server.connection]:
                self.feed(events.ToolsListed(server.connection, server.fingerprints()))

        self.clock.after(self.random.choice([0.0, 0.1, 1.0]), listed)

    def list_changed(self, server: Server) -> None:
        self.oracle.disturbed()
        self.feed(events.ServerNotified(server.connection, "notifications/tools/list_changed"))
        self._list(server)

    def server_died(self, server: Server) -> None:
        self.oracle.disturbed()
        for asked in list(self.asked.values()):
            if asked.connection == server.connection and asked.number in self.oracle.sent:
                del self.asked[asked.number]
                self.feed(events.CallReturned(asked.number, Outcome(Answer.NONE)))
                asked.client.lost(asked)
        if self.random.random() < 0.5:
            for running in list(self.engine.world.ledger.outstanding):
                if running.connection == server.connection:
                    self.feed(events.SpeculationReturned(running.id, Outcome(Answer.NONE)))
        self.feed(events.Disconnected(server.connection))
        if self.random.random() < 0.5:
            self._restart(server)

    def _restart(self, server: Server) -> None:
        if server.connection not in self.connecting:
            self.connecting[server.connection] = []
            self.clock.after(
                self.random.choice([0.0, 0.2, 2.0]),
                lambda: self._connect(server) if server.connection in self.connecting else None,
            )

    def _deliver(self, server: Server, request: Request) -> None:
        if not server.alive or server.connection in self.connecting:
            self._restart(server)
            self.connecting[server.connection].append(request)
            return
        self.oracle.received(server, request)
        server.receive(request)

    def answered(self, server: Server, request: Request, result: Result, outcome: Outcome) -> None:
        """A server answered; a speculation's notes are held with its result."""
        if not server.alive:  # it goes on for nobody
            return
        if outcome.rate_limited:
            self.oracle.slow_down_answered(server.name)
        if request.speculated:
            if (held := self.speculated.get(request.number)) is not None:
                held.result, held.extra_bytes = result, outcome.extra_bytes
            self.feed(events.SpeculationReturned(request.number, outcome))
            if self.random.random() < 0.02:
                self.feed(events.SpeculationReturned(request.number, outcome))
            return
        if request.number in self.kept:
            self.kept[request.number] = result
        if request.method == "tools/call":
            self.feed(events.AnswerComing(request.number, outcome))
        asked = self.asked.pop(request.number, None)
        if asked is None:
            self.feed(events.CallReturned(request.number, outcome))
            return
        self.oracle.answered_for_real(asked)
        self._give(asked, result)
        self.feed(events.CallReturned(request.number, outcome))

    def _give(self, asked: Asked, result: Result) -> None:
        """A client gets an answer, and what goes along with it."""
        extras, now_known = self.extras.pop(asked.number, []), asked.client.known
        asked.client.answered(asked, result)
        self.oracle.answer(asked)
        self.oracle.attached_at_once(extras)
        for extra in extras:
            self.oracle.attached(asked, extra, dict(now_known))
        for extra in extras:
            asked.client.learns(extra.result)

    def task_ended(self, server: Server, task: str) -> None:
        self.oracle.disturbed()
        if server.alive:
            self.feed(events.TaskEnded(server.connection, task))

    def server_asks(self, server: Server, number: int, method: str) -> None:
        if not server.alive:
            return
        ours = next(self._numbers)
        self._server_numbers[ours] = (server, number)
        self.oracle.asked_by_server(ours)
        if method != "roots/list":
            self.oracle.cannot_be_told_apart(server)
        self.feed(events.ServerAsked(server.connection, ours, method))

    def server_logs(self, server: Server, request: Request) -> None:
        if not server.alive:
            return
        self._withheld = False
        self.oracle.cannot_be_told_apart(server)
        self.feed(events.ServerNotified(server.connection, "notifications/message"))
        self.oracle.logged(server, request, self._withheld)

    # --- clients ----------------------------------------------------------------------------------------------------

    def next_call(self) -> CallId:
        return next(self._calls)

    def client_asks(self, asked: Asked) -> None:
        self.asked[asked.number] = asked
        self.oracle.arrived(asked)
        session = asked.client.name
        if asked.method == "batch":
            members = tuple(("tools/call", call.tool) for call in asked.calls)
            self.feed(events.BatchArrived(asked.number, session, asked.connection, members))
        elif asked.method != "tools/call":
            self.feed(events.RequestArrived(asked.number, session, asked.connection, asked.method))
        else:
            (call,) = asked.calls
            key = self.key(asked.client, call)
            knows = asked.client.script.knows_extras
            arrived = events.CallArrived(
                asked.number, session, asked.connection, call.tool, call.arguments, key, may_attach=knows
            )
            self.feed(arrived)

    def key(self, client: Client, call: Call) -> CallKey | None:
        """The identity of a call."""
        connection = self.plan.way(client.name, call.server)
        policy = self.engine.world.connection(connection).policy.tool(call.tool)
        try:
            arguments, meta = canonical_arguments(call.arguments, policy.equal), canonical_meta(call.meta)
        except Unmatchable:
            return None
        epoch, principal = self.epochs[connection], client.script.principal
        return CallKey(connection, epoch, "p", call.tool, principal, arguments, meta)

    def client_cancels(self, asked: Asked) -> None:
        self.feed(events.CallCancelled(asked.number))
        if asked.number not in self.oracle.sent:
            self.asked.pop(asked.number, None)

    def client_notifies(self, client: Client, server: str, method: str) -> None:
        self.oracle.disturbed()
        connection = self.plan.way(client.name, server)
        self.feed(events.ClientNotified(client.name, connection, method))
        if self.servers[connection].alive:
            self.servers[connection].roots_changed()

    def client_left(self, client: Client) -> None:
        self.feed(events.SessionClosed(client.name))
        self.oracle.left(client.name)
        for number in [number for number, asked in self.asked.items() if asked.client is client]:
            del self.asked[number]
        for connection in set(client.script.ways.values()):
            if all(other.gone for other in self.clients if connection in other.script.ways.values()):
                self.clock.after(self.random.choice([0.0, 0.0, 0.5, 5.0]), lambda left=connection: self._leave(left))

    def _leave(self, connection: str) -> None:
        """Nobody uses the connection any more."""
        self.oracle.disturbed()
        self.servers[connection].left()
        self.connecting.pop(connection, None)
        self.feed(events.ConnectionClosed(connection, self.plan.ends_when_left))

    # --- commands ---------------------------------------------------------------------------------------------------

    def _invoke(self, command: do.Invoke) -> None:
        asked = self.asked.get(command.call)
        if asked is None:
            raise Violation(f"call {command.call} was made, though its client waits for it no more")
        if asked.connection != command.connection:
            raise Violation(f"{asked.place} goes over {command.connection}, not over {asked.connection}")
        members = tuple((TOOLS[call.tool], call.arguments) for call in asked.calls)
        self.oracle.invoked(asked)
        request = Request(asked.number, False, self.echo_of(asked), members, asked.method)
        self._deliver(self.servers[asked.connection], request)

    def echo(self, connection: str, principal: str, call: Call) -> str:
        """What an answer must say that it answers."""
        return f"{connection} {principal} {call.tool} {call.arguments!r} {call.meta!r}"

    def echo_of(self, asked: Asked) -> str:
        """What the answer to a request must say that it answers."""
        principal = asked.client.script.principal
        return " ".join(self.echo(asked.connection, principal, call) for call in asked.calls)

    def _launch(self, command: do.Launch) -> None:
        key = command.key
        self.oracle.launched(command)
        self.speculated[command.speculation] = Speculated(command)
        meta: Arguments = {"locale": "de"} if "locale" in key.meta else {}
        call = Call(command.server, command.tool, command.arguments, meta)
        echo = self.echo(command.connection, key.principal, call)
        members = ((TOOLS[command.tool], command.arguments),)
        self._deliver(self.servers[command.connection], Request(command.speculation, True, echo, members))

    def _reply(self, command: do.Reply) -> None:
        asked = self.asked.pop(command.call, None)
        if asked is None:
            raise Violation(f"an answer to call {command.call}, for which nobody waits")
        held = self.speculated[command.speculation]
        self.oracle.adopted(asked, command)
        if held.result is None:
            raise Violation(f"{asked.place} was to be answered with a result that had not come")
        self._give(asked, held.result)

    def _attach_reads(self, command: do.AttachReads) -> None:
        if command.call not in self.asked:
            raise Violation(f"something was attached to the answer to {command.call}, for which nobody waits")
        self.extras[command.call] = [self.speculated[number] for number in command.speculations]

    def _pass_on(self, command: do.PassOn) -> None:
        server, number = self._server_numbers.pop(command.request)
        self.oracle.settled_request(command.request)
        by = server.asked_by.get(number)
        if by is not None:
            self.oracle.prompted(server, by)
        method = "roots/list" if by is None else "sampling/createMessage"
        session = next(iter(self.plan.users(server.connection)), self.clients[0].name)

        def answer() -> None:
            self.oracle.disturbed()
            if server.connection in self.engine.world.connections:  # else nobody is there any more
                self.feed(events.ClientAnswered(session, server.connection, method))
            server.told(number, refused=False)

        self.clock.after(self.random.choice([0.0, 0.3]), answer)

    def _refuse(self, command: do.Refuse) -> None:
        server, number = self._server_numbers.pop(command.request)
        self.oracle.settled_request(command.request)
        by = server.asked_by.get(number)
        if by is None or not by.speculated:
            raise Violation("a prompt that a call caused, or nobody, was refused")
        self.clock.after(0.0, lambda: server.told(number, refused=True))

    def _forward_cancellation(self, command: do.ForwardCancellation) -> None:
        if command.call not in self.oracle.sent:
            raise Violation("a cancellation names an id that the server has not seen")
        self.servers[command.connection].cancel(command.call, speculated=False)

    def _withhold(self, command: do.Withhold) -> None:
        self._withheld = True

    def _cancel_speculation(self, command: do.CancelSpeculation) -> None:
        server = self.servers[command.connection]
        if self.speculated[command.speculation].launch.connection != command.connection:
            raise Violation("a speculation was cancelled over another connection")
        if not server.plan.policies[server.name].cancel:
            raise Violation(f"a speculation was cancelled on {server.name}, which does not bear it")
        self.oracle.cancelled.add(command.speculation)
        server.cancel(command.speculation, speculated=True)

    def _drop(self, command: do.Drop) -> None:
        self.speculated.pop(command.speculation, None)

    def _validate(self, command: do.Validate) -> None:
        of_tool = command.validator.tool if isinstance(command.validator, ToolValidator) else "cat"
        names = self.things.names(TOOLS[of_tool], command.arguments)

        def read() -> None:
            value = None if not names or self.random.random() < 0.02 else str(self.things.seen(names))
            self.feed(events.Validated(command.speculation, command.call, value))

        if self.plan.in_validators_s:
            self.clock.after(self.random.uniform(0.0, self.plan.in_validators_s), read)
        else:
            read()

    def _keep(self, command: do.Keep) -> None:
        self.kept[command.call] = None

    def _recall(self, command: do.Recall) -> None:
        self.recalled[command.check] = self.speculated[command.adopted].result

    def _compare(self, command: do.Compare) -> None:
        result = self.speculated[command.speculation].result
        if command.is_check:
            early, real = self.recalled[command.speculation], result
        else:
            early, real = result, self.kept.pop(command.call)
        self.oracle.compared(command, early, real)
        verdict = Verdict.SAME if early == real else Verdict.DIFFERENT

        def tell() -> None:
            self.feed(events.Compared(command.server, command.tool, command.entry, verdict))
            self.oracle.judged(command, verdict)

        self.clock.after(self.random.choice([0.0, 0.1]), tell)

    def _demote(self, command: do.Demote) -> None:
        self.oracle.demoted(command)

    def _predict(self, command: do.Predict) -> None:
        client = next(client for client in self.clients if client.name == command.session)

        def answer() -> None:
            candidates = self.predictor.guess(client, command.lineage)
            self.oracle.foretold(client, candidates)
            self.feed(events.Predicted(command.session, command.step, command.lineage, candidates))

        self.oracle.asked_to_predict(command)
        if command.lineage and isinstance(guess := command.lineage[-1], events.Guess):
            self.clock.after(self.random.choice([0.0, 0.3, 1.0, 3.0]), lambda: self._judge(command.session, guess))
        self._when_predicted(answer)

    def _when_predicted(self, answer: Callable[[], None]) -> None:
        if self.plan.in_predictors_s:
            self.clock.after(self.random.uniform(0.0, self.plan.in_predictors_s), answer)
        else:
            answer()

    def _judge(self, session: str, guess: events.Guess) -> None:
        """Somebody says which guesses were right, at any time: the first, another, several, or none."""
        right = self.random.choice([(0,), (1,), (2,), (0, 1), ()])
        wrong = self.oracle.resting_on_wrong(session, guess, right)
        self.feed(events.GuessesJudged(session, guess.surrogate, guess.server, guess.tool, right))
        self.oracle.fallen(wrong)

    def _bind_surrogate(self, command: do.BindSurrogate) -> None:
        """Its arguments are those of the call, or any others."""
        identity = command.arguments.get("id") if self.random.random() < 0.8 else self.random.randrange(IDS)
        bound = events.SurrogateBound(command.session, command.key, {"id": identity})
        self._when_predicted(lambda: self.feed(bound))

    def _ended(self, command: do.SpeculationEnded) -> None:
        self.oracle.stats[f"ended {command.reason}"] += 1
        if command.source.startswith("surrogate"):
            self.oracle.stats["surrogates"] += 1
