"""One session's calls that speculators have named: what is said of each, and what becomes of them.

As with history's own candidates, a guess is right when a call uses it before the next conflicting write, be it the very
next call or a later one. Each is worth what it adds: to what history told, and to what cheaper speculators named.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from spec_mcp.engine.calls import Arguments, Unmatchable, canonical_arguments
from spec_mcp.engine.effects import Effect, ServerPolicy, ToolPolicy
from spec_mcp.engine.events import Candidate
from spec_mcp.engine.policy import worth_s
from spec_mcp.engine.resources import Footprint, everything, footprint
from spec_mcp.engine.timing import Timing
from spec_mcp.predict.bandit import Arm, Bandit
from spec_mcp.predict.guessing import About, Answered, Guess
from spec_mcp.predict.opinions import Opinions, Statement, Weighed
from spec_mcp.predict.predictor import CallBegan, CallEnded, Supposed
from spec_mcp.predict.session import AGAIN, HORIZON_TURNS

MAX_NAMED = 64
"""Calls named and not used yet; the oldest give way."""

Identity = tuple[str, str, str]
"""Server, tool and canonical arguments: equal ones are the same call."""


@dataclass(frozen=True, slots=True)
class Judges:
    """What all sessions have in common."""

    opinions: Opinions
    bandit: Bandit
    order: Sequence[str]
    """The speculators, the cheapest first."""
    policies: Mapping[str, ServerPolicy]
    timing: Timing


@dataclass(frozen=True, slots=True)
class _Naming:
    """That a speculator named a call."""

    arm: Arm
    confidence: float
    rank: int
    turn: int
    at_s: float


@dataclass(slots=True)
class _Named:
    guess: Guess
    touches: Footprint
    by: dict[str, _Naming] = field(default_factory=dict[str, _Naming])
    weighed: Weighed | None = None
    """As it was when it was named last, or offered."""


@dataclass(frozen=True, slots=True)
class _Told:
    """What history says of a call that would be launched for that."""

    candidate: Candidate
    since_s: float


@dataclass(frozen=True, slots=True)
class _Example:
    """What was said of a call at the end of a turn."""

    weighed: Weighed
    touches: Footprint
    turn: int
    weight: float
    was_named: bool


@dataclass(slots=True)
class _Open:
    """What an answer to a question could have hidden of the waiting for a turn's calls, and history did not."""

    after: str
    since_s: float
    seconds: float = 0.0


@dataclass(slots=True)
class Foretold:
    """See the module. `told` is always what history says at the moment."""

    judges: Judges
    turn: int = 0
    after: dict[About, str] = field(default_factory=lambda: {About.NEXT_CALL: "", About.NEXT_MESSAGE: ""})
    """What can be asked in this turn, and the tool after which it comes."""
    asked: set[tuple[str, About]] = field(default_factory=set[tuple[str, About]])
    """In this turn."""
    listens: bool = False
    """The words of the conversation are shown."""
    running: dict[int, tuple[str, str]] = field(default_factory=dict[int, tuple[str, str]])
    """Server and tool of each call that runs."""
    _spoken: dict[str, int] = field(default_factory=dict[str, int])
    """Who has spoken in this turn, and how many calls each might have named."""
    _named: dict[Identity, _Named] = field(default_factory=dict[Identity, _Named])
    _told: dict[Identity, _Told] = field(default_factory=dict[Identity, _Told])
    _examples: dict[Identity, list[_Example]] = field(default_factory=dict[Identity, list[_Example]])
    _began_s: float = 0.0
    """When the first call of this turn was made."""
    _quiet_s: float = 0.0
    """When the last one was answered."""
    _open: dict[About, _Open] = field(default_factory=dict[About, "_Open"])
    """Of each question that might have been asked before this turn."""
    _waited_s: float = 0.0

    # --- what happens -------------------------------------------------------------------------------------------------

    def began(self, call: CallBegan, told: Sequence[Candidate]) -> None:
        """The client made a call; `told` is what history said before it."""
        begins = not self.running
        if begins:
            self._end_turn(told, call.at_s)
        identity = self._identity(call.server, call.tool, call.arguments)
        if identity is not None:
            self._use(identity, call)
        if call.writes:
            touches = self._touches(call.server, call.tool, call.arguments)
            self._drop(touches.overlaps)
            for other in [key for key, told_ in self._told.items() if touches.overlaps(self._of(told_.candidate))]:
                del self._told[other]
        if begins:
            self._began_s = call.at_s
            self.after = {About.RUNNING_CALL: call.tool}
        self.running[call.call] = (call.server, call.tool)

    def ended(self, call: CallEnded) -> None:
        """A call was answered."""
        running = self.running.pop(call.call, None)
        if running is not None and not self.running:
            self._quiet_s = call.at_s
            self.after[About.NEXT_CALL] = self.after[About.NEXT_MESSAGE] = running[1]

    def attached(self, read: Supposed) -> None:
        """The client has this result without having called: whether it would have, nobody will know."""
        identity = self._identity(read.server, read.tool, read.arguments)
        if identity is not None:
            for of in (self._named, self._told, self._examples):
                of.pop(identity, None)

    def close(self, told: Sequence[Candidate]) -> None:
        """Nothing that was named will be used any more."""
        if not self.running:
            self._offer(told, self._quiet_s)
        self._drop(lambda _: True)

    def answered(self, arm: Arm, turn: int, answered: Answered, now_s: float) -> None:
        """A speculator has answered what it was asked in this turn, or in an earlier one."""
        question = answered.question
        if turn == self.turn:
            self._spoken[question.speculator] = max(question.k, self._spoken.get(question.speculator, 0))
        for rank, guess in enumerate(answered.guesses[: question.k]):
            identity = self._identity(guess.server, guess.tool, guess.arguments)
            if identity is None:
                continue
            named = self._named.get(identity)
            if named is None:
                if len(self._named) >= MAX_NAMED:
                    self._drop_named(next(iter(self._named)))
                touches = self._touches(guess.server, guess.tool, guess.arguments)
                named = self._named[identity] = _Named(guess, touches)
            self._name_later(identity)
            earlier = named.by.get(question.speculator)
            at_s = now_s if earlier is None else earlier.at_s  # it has been there since then
            confidence = min(1.0, max(0.0, guess.confidence))  # in this order what is no number becomes 0
            named.by[question.speculator] = _Naming(arm, confidence, rank, turn, at_s)

    # --- what is said -------------------------------------------------------------------------------------------------

    def merge(self, told: Sequence[Candidate], now_s: float) -> list[Candidate]:
        """All candidates, each once, those first that are likeliest; `told` itself where no speculator has spoken."""
        self._note(told, now_s)
        if not self._named and not self._spoken:
            return list(told)
        merged: list[Candidate] = []
        known: set[Identity | None] = set()
        for candidate, identity, weighed in self._weigh(told):
            known.add(identity)
            named = None if identity is None else self._named.get(identity)
            source = " + ".join([candidate.source, *(named.by if named is not None else ())])
            merged.append(candidate if weighed is None else replace(candidate, q=weighed.q, source=source))
        for identity, named in self._named.items():
            guess = named.guess
            if identity not in known and self._may_be_launched(guess.server, guess.tool):
                q, source = self._weigh_alone(identity, named).q, " + ".join(named.by)
                merged.append(Candidate(guess.server, guess.tool, guess.arguments, q, source, guess.copied_whole))
        merged.sort(key=lambda candidate: -candidate.q)
        return merged

    def _weigh(self, told: Sequence[Candidate]) -> list[tuple[Candidate, Identity | None, Weighed | None]]:
        """What history tells, with what speculators say of it; None where they say nothing."""
        found: list[tuple[Candidate, Identity | None, Weighed | None]] = []
        for candidate in told:
            identity = self._identity(candidate.server, candidate.tool, candidate.arguments)
            statements = [] if identity is None else self._statements(identity)
            weighed = self.judges.opinions.weigh(candidate.q, candidate.tool, statements) if statements else None
            if identity is not None and (named := self._named.get(identity)) is not None:
                named.weighed = weighed
            found.append((candidate, identity, weighed))
        return found

    def _weigh_alone(self, identity: Identity, named: _Named) -> Weighed:
        """What speculators say of a call that history does not tell."""
        named.weighed = self.judges.opinions.weigh(None, named.guess.tool, self._statements(identity))
        return named.weighed

    def _statements(self, identity: Identity) -> list[Statement]:
        named = self._named.get(identity)
        statements: list[Statement] = []
        for name in self.judges.order:
            naming = None if named is None else named.by.get(name)
            if naming is not None:
                age = self.turn - naming.turn
                statements.append(Statement(name, naming.confidence, is_first=naming.rank == 0, age=age))
            elif name in self._spoken:
                statements.append(Statement(name, None, asked_for=self._spoken[name]))
        return statements

    def _note(self, told: Sequence[Candidate], now_s: float) -> None:
        """Take note of what history tells surely enough to be launched."""
        hidden_s: dict[tuple[str, str], float] = {}
        for candidate in told:
            tool = (candidate.server, candidate.tool)
            if tool not in hidden_s:
                hidden_s[tool] = self.judges.timing.hidden_s(*tool, 0.0, 1)
            if self._pays(*tool, candidate.q, hidden_s[tool]):
                identity = self._identity(candidate.server, candidate.tool, candidate.arguments)
                if identity is not None:
                    self._told.setdefault(identity, _Told(candidate, now_s))

    def without_waiting(self, merged: Sequence[Candidate], out: Mapping[str, tuple[float, int]]) -> list[Candidate]:
        """What should not wait for the answers that are out, of each speculator: how long it
        may still take, and how many guesses it was asked for.

        A candidate waits where the answer is expected to be worth more than the time until it comes: a good speculator
        that does not name it saves a wasted call. This is the value of information (Howard, "Information value
        theory", IEEE Transactions on Systems Science and Cybernetics 2(1), 1966).
        """
        return [
            candidate
            for candidate in merged
            if not any(self._gains_by(candidate, name, *of) for name, of in out.items())
        ]

    def _gains_by(self, candidate: Candidate, speculator: str, left_s: float, k: int) -> bool:
        server, tool = candidate.server, candidate.tool
        prospects = self.judges.opinions.prospects(speculator, candidate.q, tool, k)
        if not prospects:
            return False
        timing, cost_s = self.judges.timing, self._cost_s(server, tool)
        now_s, later_s = timing.hidden_s(server, tool, 0.0, 1), timing.hidden_s(server, tool, -left_s, 1)
        waiting_s = sum(share * max(0.0, worth_s(q, later_s, cost_s)) for share, q in prospects)
        q = sum(share * q for share, q in prospects)  # by what is known of such calls, not by history's word for them
        return waiting_s > max(0.0, worth_s(q, now_s, cost_s))

    # --- what becomes of it -------------------------------------------------------------------------------------------

    def _end_turn(self, told: Sequence[Candidate], now_s: float) -> None:
        self._offer(told, now_s)
        if self.turn:
            open_s = {(about, of.after): of.seconds for about, of in self._open.items()}
            self.judges.bandit.turned(open_s, self._waited_s)
        self._waited_s = 0.0
        since_s = {About.RUNNING_CALL: self._began_s}
        self._open = {about: _Open(tool, since_s.get(about, self._quiet_s)) for about, tool in self.after.items()}
        self.turn += 1
        self._spoken.clear()
        self.asked.clear()
        self._settle_old()

    def _offer(self, told: Sequence[Candidate], now_s: float) -> None:
        """What is said of each call as the turn ends is an example, to be settled by what the client does."""
        self._note(told, now_s)
        if not self._named and not self._spoken:
            return
        known: set[Identity | None] = set()
        for candidate, identity, weighed in self._weigh(told):
            known.add(identity)
            if identity is not None and weighed is not None:
                self._take_example(identity, weighed, self._of(candidate))
        for identity, named in self._named.items():
            if identity not in known:
                self._take_example(identity, self._weigh_alone(identity, named), named.touches)

    def _take_example(self, identity: Identity, weighed: Weighed, touches: Footprint) -> None:
        examples = self._examples.setdefault(identity, [])
        weight = AGAIN if examples else 1.0
        examples.append(_Example(weighed, touches, self.turn, weight, identity in self._named))

    def _name_later(self, identity: Identity) -> None:
        """In time for its use it is named: in the turns before, when nobody did, nothing was gained by launching it."""
        examples = self._examples.pop(identity, [])
        self._miss(example for example in examples if not example.was_named)
        if named := [example for example in examples if example.was_named]:
            self._examples[identity] = named

    def _use(self, identity: Identity, call: CallBegan) -> None:
        """A call uses what foretold it."""
        timing, bandit = self.judges.timing, self.judges.bandit
        latency_s = timing.latency_s(call.server, call.tool, 0.5)
        told = self._told.pop(identity, None)
        hidden_s = 0.0 if told is None else min(latency_s, call.at_s - told.since_s)
        self._waited_s += latency_s
        if self._may_be_launched(call.server, call.tool, reads=not call.writes):
            for of in self._open.values():
                of.seconds += max(0.0, min(latency_s, call.at_s - of.since_s) - hidden_s)
        named = self._named.pop(identity, None)
        if named is not None:
            pays = self._is_launched(named)
            for name in self.judges.order:
                if (naming := named.by.get(name)) is not None:
                    own_s = min(latency_s, call.at_s - naming.at_s) if pays else 0.0
                    bandit.earned(naming.arm, naming.rank, max(0.0, own_s - hidden_s), was_right=True)
                    hidden_s = max(hidden_s, own_s)
        for example in self._examples.pop(identity, ()):
            self.judges.opinions.learn(example.weighed, 1, example.weight)

    def _drop(self, goes: Callable[[Footprint], bool]) -> None:
        """What touches this was not used, and will not be."""
        for identity in [identity for identity, named in self._named.items() if goes(named.touches)]:
            self._drop_named(identity)
        for identity, examples in list(self._examples.items()):
            if goes(examples[0].touches):
                self._miss(self._examples.pop(identity))

    def _settle_old(self) -> None:
        for identity, named in list(self._named.items()):
            if self.turn - max(naming.turn for naming in named.by.values()) > HORIZON_TURNS:
                self._drop_named(identity)
        for identity, examples in list(self._examples.items()):
            if self.turn - examples[-1].turn > HORIZON_TURNS:
                self._miss(self._examples.pop(identity))

    def _drop_named(self, identity: Identity) -> None:
        """The waste is whose guess led to it: nobody's if history told it as well, else that of the cheapest."""
        named = self._named.pop(identity)
        cost_s = self._cost_s(named.guess.server, named.guess.tool)
        is_waste = identity not in self._told and self._is_launched(named)
        for name in self.judges.order:
            if (naming := named.by.get(name)) is not None:
                self.judges.bandit.earned(naming.arm, naming.rank, -cost_s if is_waste else 0.0, was_right=False)
                is_waste = False

    def _miss(self, examples: Iterable[_Example]) -> None:
        for example in examples:
            self.judges.opinions.learn(example.weighed, 0, example.weight)

    # --- by the way ---------------------------------------------------------------------------------------------------

    def _is_launched(self, named: _Named) -> bool:
        """Would it be launched, by what is known now?"""
        server, tool = named.guess.server, named.guess.tool
        if named.weighed is None or not self._may_be_launched(server, tool):
            return False
        q = self.judges.opinions.again(named.weighed)
        return self._pays(server, tool, q, self.judges.timing.hidden_s(server, tool, 0.0, 1))

    def _pays(self, server: str, tool: str, q: float, hidden_s: float) -> bool:
        return worth_s(q, hidden_s, self._cost_s(server, tool)) > 0.0

    def _cost_s(self, server: str, tool: str) -> float:
        policy = self._policy(server, tool)
        return self.judges.bandit.costs.settings().wasted_call_s + (0.0 if policy is None else policy.cost_s)

    def _may_be_launched(self, server: str, tool: str, *, reads: bool = True) -> bool:
        policy = self._policy(server, tool)
        return reads if policy is None else policy.effect is not Effect.UNSAFE

    def _policy(self, server: str, tool: str) -> ToolPolicy | None:
        policy = self.judges.policies.get(server)
        return None if policy is None else policy.tool(tool)

    def _identity(self, server: str, tool: str, arguments: Arguments) -> Identity | None:
        policy = self._policy(server, tool)
        try:
            return (server, tool, canonical_arguments(arguments, {} if policy is None else policy.equal))
        except Unmatchable:
            return None

    def _of(self, candidate: Candidate) -> Footprint:
        return self._touches(candidate.server, candidate.tool, candidate.arguments)

    def _touches(self, server: str, tool: str, arguments: Arguments) -> Footprint:
        policy = self._policy(server, tool)
        return everything(server) if policy is None else footprint(server, policy.touches, arguments, policy.equal)
