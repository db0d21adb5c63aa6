"""One session: its history, the candidates that it holds, and what becomes of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from operator import attrgetter
from typing import cast

from spec_mcp.engine.calls import Arguments, Json
from spec_mcp.engine.effects import Effect, ServerPolicy
from spec_mcp.engine.events import Candidate
from spec_mcp.engine.resources import Footprint, everything, footprint
from spec_mcp.predict.conversations import Conversations, Course
from spec_mcp.predict.history import History, Step
from spec_mcp.predict.leaves import SCALARS, Scalar, leaves
from spec_mcp.predict.model import Model
from spec_mcp.predict.options import Evidence, Option, Scored, hash_of, server_and_tool, text_of, token_of
from spec_mcp.predict.predictor import CallBegan, CallEnded, Supposed
from spec_mcp.predict.recipes import MAX_FANOUT, Recipe, explain, make
from spec_mcp.predict.rules import follow, recipe_of
from spec_mcp.predict.scoring import NO_WALK, Moment, choose, learn, score

MIN_TOLD = 0.02
"""Candidates less likely than this are not told: no setting would launch them."""

MAX_OPTIONS = 128
"""Candidates held of one session; the oldest give way."""

HORIZON_TURNS = 24
"""A candidate that no call used within so many turns counts as not used, though no write has come."""

HOPELESS = 0.03
"""A recipe that pays less, after `HOPELESS_AFTER` offers, makes candidates at every `RETRY_STEPS`-th step only."""

HOPELESS_AFTER = 10
RETRY_STEPS = 8

GROUPING = 0.5
"""How much the candidates of one recipe at one moment share: 0 they are independent, 1 they count as one."""

AGAIN = 0.5
"""Weight of an example whose candidate was offered in an earlier turn too."""

START_OF_SESSION = 0
"""What stands for the call before the first."""

AHEAD = 8
"""So many elements of a list, walked in order, and the candidates for the following ones are made."""

BACKFILLED = 3
"""Earlier steps from which a recipe that was just found makes candidates."""

_probability = attrgetter("q")


@dataclass(slots=True)
class Session:
    """See the module."""

    model: Model
    policies: Mapping[str, ServerPolicy]
    _conversations: Conversations
    history: History = field(default_factory=History)
    _pool: dict[str, Option] = field(default_factory=dict[str, Option])
    _shared: set[str] = field(default_factory=set[str])
    """The options that another session holds too: they are copied before they change."""
    _walked: dict[tuple[int, int], tuple[int, int, bool]] = field(
        default_factory=dict[tuple[int, int], tuple[int, int, bool]]
    )
    _in_flight: dict[int, Step] = field(default_factory=dict[int, Step])
    _open: dict[str, list[Scored]] = field(default_factory=dict[str, list[Scored]])
    """Examples of which it is not known yet what becomes of them, by the text of their call."""
    _since_write: dict[str, int] = field(default_factory=dict[str, int])
    _aside: dict[str, Option] = field(default_factory=dict[str, Option])
    """What the conversation before it had left, until it is certain that nobody takes it up."""
    _turn: int = 0
    _number: int = 0
    _scored: list[Scored] | None = None
    _likely: list[Scored] | None = None
    _supposed: bool = False
    """It stands on calls that the client has not made."""

    @classmethod
    def begin(cls, model: Model, policies: Mapping[str, ServerPolicy]) -> Session:
        """A session in which nothing has happened."""
        session = cls(model, policies, Conversations(model.cells))
        for recipe in model.constant_recipes():
            session._make(recipe, -1)
        session._remember(START_OF_SESSION)
        return session

    # --- what happens ---------------------------------------------------------------------------------------------

    def began(self, call: CallBegan) -> None:
        """The client made a call: candidates that foretold it were right."""
        if not self._in_flight:
            self._offer()
        token = token_of(call.server, call.tool)
        text = text_of(token, call.arguments)
        self.model.writes[token] = call.writes
        for example in self._open.pop(text, ()):
            learn(self.model, example, 1, int(example.turn == self._turn - 1))
        self._note_made(text)
        self._follow(self._conversations.took(hash_of(text), hash_of(token), call.arguments, self.history, call.at_s))
        found = explain(self.history, token, call.arguments, self.model.recipes_of(token))
        if call.writes:
            self._write(self._footprint(call.server, call.tool, call.arguments))
        else:
            self._since_write[token] = self._since_write.get(token, 0) + 1
        before = [earlier.hash_ for earlier in self.history.steps[-3:] if earlier.number >= self.history.begun]
        before = before or [START_OF_SESSION]
        self.model.memory.learn(before, text, call.arguments)
        step = self._take_step(call.call, token, text, call.arguments)
        self._in_flight[call.call] = step
        for recipe, new in [self.model.recipe(recipe) for recipe in found]:
            if new:
                self._backfill(recipe, text)
        if not call.writes:
            self._exclude(text, token, call.arguments)

    def ended(self, call: CallEnded) -> None:
        """A call was answered: its values make candidates."""
        step = self._in_flight.pop(call.call, None)
        if step is not None:
            self._take_answer(step, call.result, call.is_error)
        self._conversations.answered(call.at_s)

    def said(self, role: str, text: str) -> None:
        """Text was seen."""
        self._renew(self.history.say(self._number, leaves({"": text}), role), self._number)

    def attached(self, read: Supposed) -> None:
        """The client has this result without having called: what it does next may follow from it, and whether it would
        have called will never be known."""
        token = token_of(read.server, read.tool)
        text = text_of(token, read.arguments)
        self._open.pop(text, None)
        self._take_answer(self._take_step(-1, token, text, read.arguments), read.result, read.is_error)
        self._exclude(text, token, read.arguments)

    def close(self) -> None:
        """Nothing that was offered will be used any more."""
        if not self._in_flight:
            self._offer()
        self._settle_all()
        self._conversations.close()

    def _follow(self, course: Course) -> None:
        """What is before a call that begins a conversation is left behind: it counts as not used, and is offered no
        more, unless it is taken up after all. What was read stays excluded: no write has come."""
        self.history.begin(self._conversations.began)
        if course is Course.RESUMES:
            for text, option in self._aside.items():
                self._pool.setdefault(text, option)
            self._aside = {}
        if course is not Course.BEGINS:
            return
        self._settle_all()
        self._aside = {text: option for text, option in self._pool.items() if not option.made}
        self._pool = {text: option for text, option in self._pool.items() if option.made}
        self._walked.clear()
        self._since_write.clear()
        for recipe in self.model.constant_recipes():
            self._make(recipe, -1)

    def _settle_all(self) -> None:
        for examples in self._open.values():
            for example in examples:
                learn(self.model, example, 0, 0)
        self._open.clear()

    def suppose(self, step: Supposed) -> Session:
        """A session in which that call was made and answered too; this one is left as it is."""
        token = token_of(step.server, step.tool)
        text = text_of(token, step.arguments)
        other = Session(
            self.model,
            self.policies,
            self._conversations,
            self.history.fork(),
            self._pool.copy(),
            set(self._pool),
            self._walked.copy(),
            {},
            {},
            {**self._since_write, token: self._since_write.get(token, 0) + 1},
            _turn=self._turn + 1,
            _number=self._number,
            _supposed=True,
        )
        running = next((made for made in self._in_flight.values() if made.hash_ == hash_of(text)), None)
        if running is not None and running in other.history.steps:  # it is made, and its answer alone is supposed
            other._since_write = self._since_write.copy()
            other._take_answer(other.history.again(running), step.result, step.is_error)
            return other
        other._note_made(text)
        made = other._take_step(-1, token, text, step.arguments)
        other._take_answer(made, step.result, step.is_error)
        other._exclude(text, token, step.arguments)
        return other

    # --- candidates -----------------------------------------------------------------------------------------------

    def options(self) -> list[Scored]:
        """The candidates of this moment, scored."""
        if self._scored is None:
            self._scored = score(self.model, choose(self._pool.values()), self._moment())
        return self._scored

    def likely(self) -> list[Scored]:
        """Those that may be told, likeliest first. A moment within a turn, or supposed, teaches nothing: then no others
        are scored."""
        if self._likely is None:
            if self._scored is None and (self._supposed or self._in_flight):
                chosen = [choice for choice in choose(self._pool.values()) if self._may_be_told(choice[0])]
                scored = score(self.model, chosen, self._moment())
            else:
                scored = [scored for scored in self.options() if self._may_be_told(scored.option)]
            self._likely = [scored for scored in scored if scored.q >= MIN_TOLD]
            self._likely.sort(key=_probability, reverse=True)
        return self._likely

    def _moment(self) -> Moment:
        steps = self.history.steps
        last = steps[-1] if steps else None
        return Moment(
            number=last.number if last is not None else 0,
            last=last.tool if last is not None else 0,
            outcome=last.outcome if last is not None else 0,
            last_hash=last.hash_ if last is not None else START_OF_SESSION,
            turn=self._turn,
            since_write=sum(self._since_write.values()),
            calls_since_write=self._since_write,
            walked=self._walked,
        )

    def _may_be_told(self, option: Option) -> bool:
        server, tool = server_and_tool(option.token)
        policy = self.policies.get(server)
        if policy is None:
            return not option.writes
        return policy.tool(tool).effect is not Effect.UNSAFE

    def told(self, scored: Scored) -> Candidate:
        """What a predictor tells of an option of this moment."""
        if scored.told is None:
            scored.told = self.candidate(scored, scored.q)
        return scored.told

    def candidate(self, scored: Scored, q: float) -> Candidate:
        """The same with another probability."""
        server, tool = server_and_tool(scored.option.token)
        arguments = scored.option.arguments
        return Candidate(server, tool, arguments, q, scored.recipe.source, self._holds(arguments))

    def _holds(self, arguments: Arguments) -> bool:
        """Did each of the values occur, whole?"""
        has = self.history.has
        for value in arguments.values():
            if type(value) not in SCALARS:
                return False
            if not has(cast("Scalar", value)):
                return False
        return True

    def _take_step(self, call: int, token: str, text: str, arguments: Arguments) -> Step:
        """A call goes into the history: its arguments, and what followed such a call before, make candidates."""
        step = Step(self._number, call, token, arguments, hash_of(text), hash_of(token))
        self._number += 1
        self._renew(self.history.add(step), step.number)
        self._remember(step.hash_)
        return step

    def _take_answer(self, step: Step, result: Json, is_error: bool) -> None:
        """An answer goes into the history: its values, and what the manifest says of it, make candidates."""
        self._renew(self.history.answer(step, result, is_error), step.number)
        server, tool = server_and_tool(step.token)
        policy = self.policies.get(server)
        if policy is None or is_error:
            return
        for rule in policy.tool(tool).followed_by:
            calls = follow(rule, step.arguments, result)
            if calls:
                recipe, _ = self.model.recipe(recipe_of(step.token, token_of(server, rule.tool), rule))
                for position, arguments in enumerate(calls):
                    self._hold(recipe, arguments, Evidence(step.number, position, len(calls)))

    def _renew(self, paths: list[str], step: int) -> None:
        """Make the candidates that new values allow."""
        self._scored = self._likely = None
        for recipe in self.model.recipes_from(paths):
            self._make(recipe, step)

    def _make(self, recipe: Recipe, step: int, begin: int = 0) -> None:
        if step % RETRY_STEPS:
            fresh = recipe.cells[0]
            if fresh.used < HOPELESS and fresh.seen >= HOPELESS_AFTER:
                return
        if not recipe.paths:
            self._hold(recipe, recipe.constants, Evidence(step, 0, 1))
            return
        writes = self.model.writes.get(recipe.token, True)
        if writes and self._supposed:  # only the very next call is ever asked of those, and never of a chain
            return
        made, length = make(recipe, self.history, step, 1 if writes else MAX_FANOUT, begin)
        for arguments, position in made:
            self._hold(recipe, arguments, Evidence(step, position, length))

    def _backfill(self, recipe: Recipe, text: str) -> None:
        """A recipe was just found: what it would have made from the steps before is a candidate from now on."""
        steps = {step for path in recipe.paths for step in self.history.steps_with(path)}
        for step in sorted(steps)[-BACKFILLED:]:
            self._make(recipe, step)
        if not recipe.paths:
            self._make(recipe, -1)
        if text in self._pool:
            self._walk(self._pool[text])

    def _remember(self, hash_: int) -> None:
        for remembered in self.model.memory.after(hash_):
            evidence = Evidence(self._number - 1, remembered.rank, remembered.count)
            recipe = self.model.remembered(remembered.token)
            self._hold(recipe, remembered.arguments, evidence).remembered = evidence

    def _hold(self, recipe: Recipe, arguments: Arguments, evidence: Evidence) -> Option:
        text = text_of(recipe.token, arguments)
        option = self._own(text)
        if option is None:
            option = self._add(text, recipe.token, arguments)
        option.evidence[recipe] = evidence
        return option

    def _add(self, text: str, token: str, arguments: Arguments) -> Option:
        if len(self._pool) >= MAX_OPTIONS:
            self._make_room()
        writes = self.model.writes.get(token, True)
        option = self._pool[text] = Option(text, token, arguments, hash_of(text), writes, {})
        return option

    def _own(self, text: str) -> Option | None:
        """The option of a call, ready to be changed."""
        option = self._pool.get(text)
        if option is not None and text in self._shared:
            self._shared.discard(text)
            option = self._pool[text] = option.copy()
        return option

    def _make_room(self) -> None:
        def latest(option: Option) -> int:
            return max((evidence.step for evidence in option.evidence.values()), default=-1)

        for option in sorted(self._pool.values(), key=latest)[: MAX_OPTIONS // 4]:
            del self._pool[option.text]

    # --- what became of them --------------------------------------------------------------------------------------

    def _offer(self) -> None:
        """A turn ends: the candidates of this moment become examples, to be settled by what the client does."""
        options = self.options()
        group = Counter(scored.recipe for scored in options)
        for scored in options:
            again = scored.option.offered
            scored.weight = group[scored.recipe] ** -GROUPING * (AGAIN if again else 1.0)
            scored.option.offered = again + 1
            scored.fresh = not again
            scored.told = None
            self._open.setdefault(scored.option.text, []).append(scored)
        self._turn += 1
        if self._turn % 4 == 0:
            self._settle_old()

    def _settle_old(self) -> None:
        for text, examples in list(self._open.items()):
            while examples and self._turn - examples[0].turn > HORIZON_TURNS:
                learn(self.model, examples.pop(0), 0, 0)
            if not examples:
                del self._open[text]

    def _write(self, touched: Footprint) -> None:
        """What the write conflicts with was not used before it, and may be read again after it."""
        self._since_write.clear()
        for text, examples in list(self._open.items()):
            if touched.overlaps(self._touches(examples[0].option)):
                for example in examples:
                    learn(self.model, example, 0, 0)
                del self._open[text]
        for option in self._pool.values():
            if option.made and touched.overlaps(self._touches(option)):
                option.made = False
                option.offered = 0

    def _note_made(self, text: str) -> None:
        option = self._own(text)
        if option is not None:
            option.made = option.ever_made = True
            self._walk(option)

    def _exclude(self, text: str, token: str, arguments: Arguments) -> None:
        """A read was made: until a write comes, making it again would be a poll."""
        option = self._own(text) or self._add(text, token, arguments)
        option.made = option.ever_made = True

    def _walk(self, option: Option) -> None:
        """An element of a list was used: remember how far it is walked, and have the next ones at hand."""
        lists: list[tuple[Recipe, Evidence]] = []
        for recipe, evidence in option.evidence.items():
            last, count, in_order = self._walked.get((recipe.id, evidence.step), NO_WALK)
            in_order = in_order and evidence.position == last + 1
            self._walked[recipe.id, evidence.step] = (evidence.position, count + 1, in_order)
            if in_order and (evidence.position + 1) % AHEAD == 0 and evidence.position + AHEAD < evidence.length:
                lists.append((recipe, evidence))
        for recipe, evidence in lists:
            self._make(recipe, evidence.step, begin=evidence.position + 1)

    def _touches(self, option: Option) -> Footprint:
        if option.touches is None:
            server, tool = server_and_tool(option.token)
            option.touches = self._footprint(server, tool, option.arguments)
        return option.touches

    def _footprint(self, server: str, tool: str, arguments: Arguments) -> Footprint:
        policy = self.policies.get(server)
        if policy is None:
            return everything(server)
        of_tool = policy.tool(tool)
        return footprint(server, of_tool.touches, arguments, of_tool.equal)
