"""What must hold, whatever the predictors say: checked on each command, answer and end.

Of an answered read, the oracle asks for a moment at which the server would have answered just so. That moment must lie
before the answer, and not before the call arrived; where others change the thing too, not more than `ttl_s` before the
call arrived, not before any change through us that was made by then, and not before anything that the client has seen.
Where several calls run at the same time this admits every order that is possible without speculation, and no other.
"""

from __future__ import annotations

from collections import Counter, deque
from typing import TYPE_CHECKING

from spec_mcp.engine import commands as do
from spec_mcp.engine.ageing import ends_at
from spec_mcp.engine.attaching import ATTACHED_MAX, ATTACHED_MAX_BYTES
from spec_mcp.engine.calls import Arguments, CallKey
from spec_mcp.engine.checking import CHECKS_PER_MINUTE
from spec_mcp.engine.effects import reads
from spec_mcp.engine.events import Answer, CallId, Candidate, Guess, Mode, SpeculationId
from spec_mcp.engine.expiring import RATE_LIMIT_PAUSE_S
from spec_mcp.engine.ledger import HELD_MAX, HELD_MAX_BYTES, using
from spec_mcp.engine.results import Verdict
from spec_mcp.engine.speculation import Speculation
from spec_mcp.engine.states import State
from tests.sim.clients import Asked
from tests.sim.plan import TOOLS, Call
from tests.sim.server import Request, Result, Server, Violation, expected_answer, expected_notes

if TYPE_CHECKING:
    from tests.sim.clients import Client
    from tests.sim.relay import Relay, Speculated

CLOSE = 1e-9
"""Times nearer than this are the same moment."""


class Oracle:
    """The judge of one run."""

    def __init__(self, relay: Relay) -> None:
        self.relay = relay
        self.sent: set[CallId] = set()
        self.stats: Counter[str] = Counter()
        self.cancelled: set[SpeculationId] = set()
        self._settled: set[CallId] = set()
        self._reused: Counter[int] = Counter()
        self._written: dict[str, dict[CallId, Asked]] = {connection: {} for connection in relay.servers}
        self._writes_received: dict[str, list[CallId]] = {connection: [] for connection in relay.servers}
        self._requests_open: set[int] = set()
        self._slow_down_at: dict[str, float] = {}
        self._deadly: set[tuple[str, str]] = set()
        self._doubted: dict[str, set[str]] = {}
        """By connection, the sessions that were there when it could not be told apart what it says."""
        self._seen_on: dict[str, set[str]] = {connection: set() for connection in relay.servers}
        """The sessions that have called over a connection, or are attached to it."""
        self._polls: set[CallKey] = set()
        self._open_writes = 0
        self._demoted: frozenset[tuple[str, str]] = frozenset()
        self._checked_at: dict[str, deque[float]] = {name: deque() for name in relay.plan.policies}
        self._outside_at: deque[float] = deque()
        self._foretold: dict[tuple[str, str, str, str], int] = {}
        """By client, server, tool and arguments: after how many rounds a call was foretold last as very likely."""
        self._last_meta: dict[tuple[str, str], Arguments] = {}
        """By client and connection, what its last call there carried: its next will look like that."""
        self._attached: set[SpeculationId] = set()
        self._launched_at: dict[str, deque[float]] = {name: deque() for name in relay.plan.policies}

    @property
    def now_s(self) -> float:
        return self.relay.clock.now_s

    # --- calls ------------------------------------------------------------------------------------------------------

    def arrived(self, asked: Asked) -> None:
        """A client asked."""
        self.stats["calls"] += 1
        server = self.relay.engine.world.connection(asked.connection)
        if asked.method == "tools/call":
            self._seen_on[asked.connection].add(asked.client.name)
            if self.relay.key(asked.client, asked.calls[0]) is not None:
                self._last_meta[asked.client.name, asked.connection] = asked.calls[0].meta
        asked.known_read = asked.method == "resources/read" or all(
            reads(server.tool(call.tool)) for call in asked.calls
        )
        if self._writes(asked):
            self._written[asked.connection][asked.number] = asked
            asked.known_read = False
        if not asked.known_read:
            self._polls.clear()
            self._open_writes += 1

    def invoked(self, asked: Asked) -> None:
        """A call is sent to its server."""
        if asked.number in self.sent:
            raise Violation(f"{asked.place} was sent twice")
        if asked.number in self._settled:
            raise Violation(f"{asked.place} was sent after it had been answered")
        self.sent.add(asked.number)

    def received(self, server: Server, request: Request) -> None:
        """A request arrives at its server."""
        if not request.speculated:
            self._check_order(server, request)
            return
        (tool, arguments), *_ = request.members
        if server.writes(tool):
            raise Violation(f"a speculation wrote: {tool.name}")
        if server.serial and any(map(self._is_waited_for, server.running + server.waiting)):
            raise Violation(f"the serial server {server.name} got a speculation beside other work")
        if tool.quirk == "outside":
            self._check_outside(str(arguments.get("url")))

    def _is_waited_for(self, request: Request) -> bool:
        """What was given up no longer counts, though a server may work on it: nobody can tell."""
        if request.speculated:
            return request.number not in self.cancelled
        asked = self.relay.asked.get(request.number)
        return asked is not None and not asked.cancelled

    def _check_order(self, server: Server, request: Request) -> None:
        """Rule 9: a read must not arrive behind a write of the same things that its client made after it."""
        if request.number in self._written[server.connection]:
            self._writes_received[server.connection].append(request.number)
            self._check_writes(server.connection)
            return
        names = {name for tool, arguments in request.members for name in self.relay.things.names(tool, arguments)}
        for number in reversed(self._writes_received[server.connection]):
            if number < request.number:
                return
            if names & self._written_names(number):
                raise Violation(f"the read {request.number} arrives behind the later write {number}")

    def _check_writes(self, connection: str) -> None:
        """They arrive in the order in which they were made; what was cancelled while it waited never does."""
        received = self._writes_received[connection]
        last = max(received, default=0)
        made = [number for number in self._written[connection] if number <= last]
        written = self._written[connection]
        if received != [number for number in made if number in received or not written[number].cancelled]:
            raise Violation(f"writes were made {made} and received {received}")

    def _written_names(self, number: CallId) -> set[str]:
        asked = next(asked for client in self.relay.clients for asked in client.asked if asked.number == number)
        return {
            name
            for call in asked.calls
            if TOOLS[call.tool].writes
            for name in self.relay.things.names(TOOLS[call.tool], call.arguments)
        }

    def _check_outside(self, url: str) -> None:
        if not url.startswith("https://ok.com/") or "confirm" in url:
            raise Violation(f"a speculation told the outside world {url}")
        self._outside_at.append(self.now_s)
        while self._outside_at[0] <= self.now_s - 60.0 + CLOSE:
            self._outside_at.popleft()
        budget = TOOLS["fetch"].policy.open_world_per_minute if TOOLS["fetch"].policy else 0
        if len(self._outside_at) > budget and not self.relay.set_back_s:
            raise Violation("the outside world was told more than the budget allows")

    def _writes(self, asked: Asked) -> bool:
        """Does it change anything, as its server is now?"""
        if not asked.calls:
            return asked.method != "resources/read"
        return any(self.relay.servers[asked.connection].writes(TOOLS[call.tool]) for call in asked.calls)

    def answered_for_real(self, asked: Asked) -> None:
        """A server answered a call."""
        if not asked.known_read:
            self._open_writes -= 1
            self._polls.clear()

    def adopted(self, asked: Asked, command: do.Reply) -> None:
        """A call is answered from a speculation."""
        self.stats[command.how] += 1
        if asked.number in self.sent:
            raise Violation(f"{asked.place} was sent to its server and answered from a speculation")
        if asked.cancelled:
            raise Violation(f"{asked.place} was cancelled, and answered all the same")
        if self.relay.engine.world.mode is not Mode.ON:
            raise Violation(f"an answer from a speculation in mode {self.relay.engine.world.mode}")
        self._reused[command.speculation] += 1
        policy = TOOLS[asked.calls[0].tool].policy
        if self._reused[command.speculation] > 1 and (policy is None or not policy.reuse_s):
            raise Violation(f"one result answered {asked.place} and another call before it")

    def answer(self, asked: Asked) -> None:
        """Whatever answered it: is it what the call would have been answered?"""
        self._settled.add(asked.number)
        result = asked.result
        if result is None or asked.cancelled:
            return
        members = tuple((TOOLS[call.tool], call.arguments) for call in asked.calls)
        if (
            result.answer is not Answer.TASK
            and asked.calls
            and result.answer is not expected_answer(members, result.seen)
        ):
            raise Violation(f"{asked.place} {asked.calls} was answered with {result}")
        echo = self.relay.echo_of(asked)
        if result.echo != echo:
            raise Violation(f"{asked.place} asked for {echo} and got {result.echo}")
        if asked.calls and result.seen and result.notes != expected_notes(members):
            raise Violation(f"{asked.place} was told {result.notes}")
        if result.seen:
            self._check_moment(asked, result)
            self._note_poll(asked)

    def _check_moment(self, asked: Asked, result: Result) -> None:
        earliest_s = asked.arrived_at
        policy = TOOLS[asked.calls[0].tool].policy if len(asked.calls) == 1 else None
        ages = asked.number not in self.sent and policy is not None and policy.fresh is None and not policy.exclusive
        if ages and policy is not None and policy.ttl_s is not None:
            earliest_s -= policy.ttl_s
        since_s, until_s = earliest_s, self.now_s
        for name, version in result.seen:
            history = self.relay.things.histories[name]
            known_s = max((at for at in history.known_at if at <= asked.arrived_at - CLOSE), default=-1.0)
            since_s = max(since_s, history.changed_at[version], known_s)
            until_s = min(until_s, history.ended_at(version))
            if version < asked.known.get(name, 0):
                raise Violation(f"{asked.place} sees {name} as it was before what its client had seen")
        if since_s > until_s + CLOSE:
            raise Violation(
                f"{asked.place} {asked.calls} at {asked.arrived_at:.3f}, answered at {self.now_s:.3f}, "
                f"saw {result.seen}, which was so at no moment after {earliest_s:.3f}"
            )

    # --- what is attached -------------------------------------------------------------------------------------------

    def foretold(self, client: Client, candidates: tuple[Candidate, ...]) -> None:
        """A predictor has spoken."""
        for told in candidates:
            place = (client.name, told.server, told.tool, repr(told.arguments))
            if told.q >= 0.8:
                self._foretold[place] = client.rounds

    def attached(self, asked: Asked, extra: Speculated, known: dict[str, int]) -> None:
        """The client is given a result that it has not asked for: is it what a call would return just now?"""
        self.stats["attached"] += 1
        relay, client, launch, result = self.relay, asked.client, extra.launch, extra.result
        if not relay.plan.settings.attach or not client.script.knows_extras:
            raise Violation(f"{asked.place} was given what it had not asked for")
        if relay.engine.world.mode is not Mode.ON:
            raise Violation(f"something was attached in mode {relay.engine.world.mode}")
        if asked.method != "tools/call" or asked.result is None or asked.result.answer is not Answer.RESULT:
            raise Violation(f"something was attached to {asked.result}")
        if launch.session != client.name:
            raise Violation(f"{client.name} was given what had been read for {launch.session}")
        if result is None or result.answer is not Answer.RESULT or not extra.extra_bytes:
            raise Violation(f"{result} was attached")
        if launch.speculation in self._attached:
            raise Violation(f"{launch.tool} {launch.arguments} was attached twice")
        self._attached.add(launch.speculation)
        if launch.key in self._polls:
            raise Violation(f"{launch.tool} {launch.arguments} was attached, and had been answered")
        policy = TOOLS[launch.tool].policy
        if policy is None or policy.fresh is not None:
            raise Violation(f"{launch.tool} was attached without a proof that it is fresh")
        rounds = self._foretold.get((client.name, launch.server, launch.tool, repr(launch.arguments)), -1)
        if rounds < client.rounds - (not client.waits_for):
            raise Violation(f"{launch.tool} was attached after {client.rounds} rounds, and foretold after {rounds}")
        self._check_as_a_call(asked, launch, result, known)

    def _check_as_a_call(self, host: Asked, launch: do.Launch, result: Result, known: dict[str, int]) -> None:
        """Had the client made that call just now, would this be its answer?"""
        connection = self.relay.plan.way(host.client.name, launch.server)
        meta = self._last_meta.get((host.client.name, connection), {})
        call = Call(launch.server, launch.tool, launch.arguments, meta)
        place = (host.place[0], -1)
        made = Asked(-1, host.client, place, launch.server, connection, (call,), "tools/call", self.now_s, known)
        made.result, made.known_read = result, True
        self.answer(made)

    def attached_at_once(self, extras: list[Speculated]) -> None:
        """All that goes along with one reply."""
        if len(extras) > ATTACHED_MAX or sum(extra.extra_bytes for extra in extras) > ATTACHED_MAX_BYTES:
            raise Violation(f"{len(extras)} results were attached to one reply")

    # --- speculations -----------------------------------------------------------------------------------------------

    def launched(self, command: do.Launch) -> None:
        """The engine launches."""
        self.stats["launches"] += 1
        relay, server = self.relay, self.relay.servers[command.connection]
        if server.name != command.server or relay.plan.way(command.session, command.server) != command.connection:
            raise Violation(f"a speculation for {command.session} goes over {command.connection}")
        if relay.engine.world.mode is Mode.OFF:
            raise Violation("a launch while speculation is off")
        if not server.alive:
            raise Violation(f"a speculation would start {server.name}")
        if command.connection in self._doubted:
            raise Violation(f"{command.connection} is speculated on, though what it says cannot be told apart")
        if (command.server, command.tool) in self._deadly:
            raise Violation(f"{command.server} died under {command.tool}, which is speculated again")
        told_s = self._slow_down_at.get(command.server)
        if told_s is not None and self.now_s < told_s + RATE_LIMIT_PAUSE_S - CLOSE and not relay.set_back_s:
            raise Violation(f"{command.server} was pestered after it had asked to slow down")
        if (command.server, command.tool) in self._demoted and relay.engine.world.mode is Mode.ON:
            raise Violation(f"{command.tool} is speculated, though its results differ")
        if command.speculation in relay.recalled:
            self._check_check(command)
        elif command.key in self._polls:
            raise Violation(f"a poll was speculated: {command.tool} {command.arguments}")
        there = relay.engine.world.ledger.outstanding_on(command.connection, relay.engine_s)
        running = using((other for other in there if other.session == command.session), relay.engine_s)
        if running > relay.plan.settings.in_flight:
            raise Violation(f"{running} speculations at once")
        self._check_rate(command.server)

    def _check_rate(self, server: str) -> None:
        policy, launched_at = self.relay.engine.world.server(server).policy, self._launched_at[server]
        launched_at.append(self.now_s)
        while launched_at[0] <= self.now_s - 60.0 + CLOSE:
            launched_at.popleft()
        if policy.rate_per_minute and len(launched_at) > policy.rate_per_minute and not self.relay.set_back_s:
            raise Violation(f"{server} got more speculations within a minute than its user allows")

    def _check_check(self, command: do.Launch) -> None:
        """A call that was answered is made again: only where nobody waits, and seldom."""
        self.stats["checks"] += 1
        if any(not request.speculated for request in self.relay.servers[command.connection].running) and any(
            asked.connection == command.connection and not asked.cancelled and asked.number in self.sent
            for asked in self.relay.asked.values()
        ):
            raise Violation(f"a call is under way at {command.connection}, and an earlier one is checked")
        checked_at = self._checked_at[command.server]
        checked_at.append(self.now_s)
        while checked_at[0] <= self.now_s - 60.0 + CLOSE:
            checked_at.popleft()
        if len(checked_at) > CHECKS_PER_MINUTE and not self.relay.set_back_s:
            raise Violation(f"{command.server} is checked too often")

    def compared(self, command: do.Compare, early: Result | None, real: Result | None) -> None:
        """Two results of one call are held against each other."""
        self.stats["compared"] += 1
        if real is None or early is None:
            raise Violation("a comparison of what has not come")
        tool = TOOLS[command.tool]
        stands = tool.policy is not None and (tool.policy.exclusive or tool.policy.fresh is not None)
        if stands and tool.quirk != "counts" and real != early:
            raise Violation(f"a comparison that counts finds a difference: {early}, {real}")

    def judged(self, command: do.Compare, verdict: Verdict) -> None:
        """The engine has been told what a comparison found."""
        policy, tool = TOOLS[command.tool].policy, (command.server, command.tool)
        evidence = self.relay.engine.world.server(command.server).evidence
        if verdict is Verdict.SAME or policy is None or not policy.exclusive:
            return
        if evidence.entry(command.tool) == command.entry and tool not in self._demoted:
            raise Violation(f"{command.tool} gave two results, and is speculated all the same")

    def demoted(self, command: do.Demote) -> None:
        """A tool is demoted, or no more."""
        self.stats["demoted"] += 1
        tool = (command.server, command.tool)
        self._demoted = self._demoted | {tool} if command.entry else self._demoted - {tool}

    def slow_down_answered(self, server: str) -> None:
        """A server has answered that it is asked too much."""
        self._slow_down_at[server] = self.now_s

    def died_under(self, server: str, tool: str) -> None:
        """A server died under a speculation."""
        self._deadly.add((server, tool))

    def _note_poll(self, asked: Asked) -> None:
        (call, *more) = asked.calls or (None,)
        if call is None or more or self._open_writes or not asked.known_read or asked.method != "tools/call":
            return
        policy = TOOLS[call.tool].policy
        key = self.relay.key(asked.client, call)
        if key is not None and policy is not None and policy.fresh is None and self._late_writes_settled():
            self._polls.add(key)

    def _late_writes_settled(self) -> bool:
        return not self.relay.engine.world.ledger.writes.are_settling(self.relay.engine_s)

    def disturbed(self) -> None:
        """Something happened after which an equal question may be asked again."""
        self._polls.clear()

    # --- what servers say ---------------------------------------------------------------------------------------------

    def asked_by_server(self, request: int) -> None:
        """A server asks its client."""
        self._requests_open.add(request)

    def settled_request(self, request: int) -> None:
        """It was passed on or refused."""
        if request not in self._requests_open:
            raise Violation("a server's request was settled twice")
        self._requests_open.discard(request)

    def prompted(self, server: Server, by: Request) -> None:
        """A prompt reaches the client."""
        if by.speculated:
            self._doubt(server, "a prompt")

    def logged(self, server: Server, by: Request, withheld: bool) -> None:
        """A log message reached the client, or was withheld."""
        if by.speculated and not withheld:
            self._doubt(server, "a log message")
        if not by.speculated and withheld:
            raise Violation("a log message of a call was withheld")

    def _doubt(self, server: Server, what: str) -> None:
        self.stats["doubts"] += 1
        mine = [other for other in server.running + server.waiting if not other.speculated]
        waiting = self.relay.engine.world.works_for_clients(self.relay.engine.world.connection(server.connection))
        if not mine and not waiting:
            raise Violation(f"{what} that only a speculation can have caused reached the client")

    def cannot_be_told_apart(self, server: Server) -> None:
        """It says something that may belong to a speculation: from now on it is not speculated on."""
        self.disturbed()
        if any(other.speculated and not other.cancelled for other in server.running + server.waiting):
            there = self._seen_on[server.connection] | set(self.relay.plan.users(server.connection))
            left = {client.name for client in self.relay.clients if client.gone}
            self._doubted.setdefault(server.connection, set()).update(there - left)

    def left(self, session: str) -> None:
        """A client has left; what was said beside its calls is no doubt of others."""
        for connection, sessions in list(self._doubted.items()):
            sessions.discard(session)
            if not sessions:
                del self._doubted[connection]

    # --- guesses ------------------------------------------------------------------------------------------------------

    def asked_to_predict(self, command: do.Predict) -> None:
        """The engine asks what follows."""
        if len(command.lineage) > self.relay.plan.settings.depth:
            raise Violation(f"more is supposed than the depth allows: {command.lineage}")

    def resting_on_wrong(self, session: str, guess: Guess, right: tuple[int, ...]) -> list[Speculation]:
        """What rests on guesses of which none was right, and no call uses."""
        return [
            held
            for held in self.relay.engine.world.ledger.live.of(session)
            if _is_idle(held)
            and any(
                isinstance(link, Guess) and link.surrogate == guess.surrogate and not {*link.ranks} & {*right}
                for link in held.lineage
            )
        ]

    def fallen(self, wrong: list[Speculation]) -> None:
        """That has been told: nothing of it is left."""
        for held in wrong:
            if held.id in self.relay.engine.world.ledger.live and _is_idle(held):
                raise Violation(f"{held.tool} is kept, though the guesses that it rests on were wrong")

    # --- bounds and ends ----------------------------------------------------------------------------------------------

    def after_event(self) -> None:
        """What must hold after each event."""
        ledger = self.relay.engine.world.ledger
        if self._requests_open:
            raise Violation("a server's request was neither passed on nor refused")
        spare_bytes: Counter[str] = Counter()
        held_by = Counter(held.session for held in ledger.live)
        for held in ledger.live:
            spare_bytes[held.session] += held.size_bytes if held.caller is None else 0
        if spare_bytes and max(spare_bytes.values()) > HELD_MAX_BYTES:
            raise Violation(f"bytes are held that nobody waits for: {spare_bytes}")
        if held_by and max(held_by.values()) > HELD_MAX + self.relay.plan.settings.in_flight * len(self.relay.servers):
            raise Violation(f"speculations are held: {held_by}")
        self._check_deadline()

    def _check_deadline(self) -> None:
        """What is due by time alone is never due later than the engine says."""
        engine = self.relay.engine
        due = [at_s for held in engine.world.ledger.live for at_s in (ends_at(held), held.join_until)]
        soonest_s = min((at_s for at_s in due if at_s is not None), default=None)
        if soonest_s is not None and (engine.deadline_s is None or engine.deadline_s > soonest_s):
            raise Violation(f"something is due at {soonest_s}, and the engine says {engine.deadline_s}")

    def at_rest(self) -> None:
        """What must hold when the last client has left."""
        world = self.relay.engine.world
        for client in self.relay.clients:
            for asked in client.asked:
                hangs = any(TOOLS[call.tool].quirk == "hangs" for call in asked.calls)
                if asked.cancelled and asked.number not in self.sent and asked.result is not None:
                    raise Violation(f"{asked.place} was cancelled while it waited, and answered")
                late = asked.cancelled and self.now_s - asked.arrived_at > 40.0 and asked.number not in self.sent
                if late and client.script.turns[asked.place[0]].cancel_after_s is None and not hangs:
                    raise Violation(f"{asked.place} was never answered and never sent")
        if world.sessions or world.ledger.live or (self.relay.clients[0].script.ways and world.connections):
            raise Violation(f"left behind: {list(world.sessions)} {list(world.connections)} {list(world.ledger.live)}")
        for connection in self._written:
            self._check_writes(connection)


def _is_idle(held: Speculation) -> bool:
    waiting = held.state in (State.PROPOSED, State.LAUNCHED, State.READY)
    return waiting and held.caller is None and held.compared_with is None
