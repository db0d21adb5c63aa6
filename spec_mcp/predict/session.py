"""One session: its history, the candidates that it holds, and what becomes of them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from zlib import crc32

from spec_mcp.engine.calls import Arguments, Json
from spec_mcp.engine.effects import ServerPolicy
from spec_mcp.engine.events import Candidate
from spec_mcp.engine.resources import Footprint, everything, footprint
from spec_mcp.predict.cells import CLASSES, START, Key, logit
from spec_mcp.predict.features import (
    AGES,
    BACK_OFF,
    BIAS,
    BY_KIND,
    BY_LENGTH,
    BY_MEMORY,
    BY_PLACE,
    BY_PROGRESS,
    BY_STREAK,
    BY_SUPPORT,
    CHAIN_WEIGHTS,
    CHAINS,
    KINDS,
    LENGTHS,
    PLACES,
    contexts,
    few,
)
from spec_mcp.predict.history import History, Step
from spec_mcp.predict.leaves import leaves
from spec_mcp.predict.mixer import sigmoid
from spec_mcp.predict.model import RECIPE, Model
from spec_mcp.predict.predictor import CallBegan, CallEnded, Supposed
from spec_mcp.predict.recipes import Recipe, explain, make

MAX_OPTIONS = 160
"""Candidates held of one session; the oldest that were never used give way."""

MAX_SCORED = 20
"""Candidates scored at one step, the best by their recipes alone: scoring more finds nothing and takes longer."""

MAX_SCORED_WRITES = 4
"""Of them, those that write: they are never speculated unless reversible, and must not crowd out the reads."""

HORIZON_TURNS = 24
"""A candidate that no call used within so many turns counts as not used, though no write has come."""

HOPELESS = 0.012
"""A recipe that pays less, after `HOPELESS_AFTER` offers, makes candidates at every `RETRY_STEPS`-th step only."""

HOPELESS_AFTER = 60
RETRY_STEPS = 8
GROUPING = 0.5
"""How much the candidates of one recipe at one moment share: 0 they are independent, 1 they count as one."""

AGAIN = 0.5
"""Weight of an example whose candidate was offered in an earlier turn too."""

STREAK_RATE = 0.2
"""Weight of the latest offer in a recipe's streak."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """Where a recipe found the values of a candidate."""

    step: int
    position: int
    length: int


@dataclass(slots=True)
class Option:
    """A call that the client may make."""

    text: str
    token: str
    arguments: Arguments
    hash_: int
    writes: bool
    evidence: dict[Recipe, Evidence]
    remembered: Evidence | None = None
    """How well the call is remembered as a follower of the last calls: `position` is its rank, `length` its count."""
    touches: Footprint | None = None
    offered: int = 0
    made: bool = False
    """Made since the last conflicting write: not offered again before one comes."""
    ever_made: bool = False


@dataclass(slots=True)
class Scored:
    """An option at one step with its probabilities and what they were made of."""

    option: Option
    recipe: Recipe
    logit: float
    q: float
    q_next: float
    raw_next: float
    keys: tuple[Key, ...]
    used_inputs: list[tuple[int, float]]
    next_inputs: list[tuple[int, float]]
    turn: int
    weight: float = 1.0
    """Of what is learned from it: candidates of one list at one moment, or of one session again, say much the same."""

    @property
    def server(self) -> str:
        return self.option.token.partition("\t")[0]

    @property
    def tool(self) -> str:
        return self.option.token.partition("\t")[2]

    @property
    def writes(self) -> bool:
        return self.option.writes


@dataclass(slots=True)
class Session:
    """See the module."""

    model: Model
    policies: Mapping[str, ServerPolicy]
    history: History = field(default_factory=History)
    _pool: dict[str, Option] = field(default_factory=dict[str, Option])
    _walked: dict[tuple[str, int], tuple[int, int]] = field(default_factory=dict[tuple[str, int], tuple[int, int]])
    """Of each list that a recipe walks: the element used last, and how many were."""
    _in_flight: dict[int, Step] = field(default_factory=dict[int, Step])
    _open: dict[str, list[Scored]] = field(default_factory=dict[str, list[Scored]])
    _since_write: list[str] = field(default_factory=list[str])
    _writes: int = 0
    _turn: int = 0
    _number: int = 0
    _scored: list[Scored] | None = None

    def __post_init__(self) -> None:
        for recipe in self.model.constant_recipes():
            self._make(recipe, -1)
        self._remember(0)

    # --- what happens ---------------------------------------------------------------------------------------------

    def began(self, call: CallBegan) -> None:
        if not self._in_flight:
            self._offer()
        token = f"{call.server}\t{call.tool}"
        text = text_of(token, call.arguments)
        self.model.writes[token] = call.writes
        self._settle_used(text)
        self._note_made(text)
        recipes = [self.model.recipe(found) for found in self._explain(token, call.arguments)]
        touched = self._footprint(call.server, call.tool, call.arguments)
        if call.writes:
            self._write(touched)
        else:
            self._since_write.append(token)
        step = Step(self._number, call.call, token, call.arguments, crc32(text.encode()), self._turn)
        self._number += 1
        before = [earlier.hash_ for earlier in self.history.steps[-3:]] or [0]
        self.model.memory.learn(before, text, call.arguments)
        self._in_flight[call.call] = step
        self._scored = None
        paths = self.history.add(step)
        for recipe, new in recipes:
            if new:
                self._backfill(recipe, text, step.number)
        self._renew(paths, step.number)
        if not call.writes:
            self._exclude(text, token, call.arguments)
        self._remember(step.hash_)

    def ended(self, call: CallEnded) -> None:
        step = self._in_flight.pop(call.call, None)
        if step is None:
            return
        paths = self.history.answer(step, call.result, call.is_error)
        self._renew(paths, step.number)
        self._scored = None

    def said(self, role: str, text: str) -> None:
        self._renew(self.history.say(self._number, leaves({"": text}), role), self._number)
        self._scored = None

    def close(self) -> None:
        """Nothing that was offered will be used any more."""
        if not self._in_flight:
            self._offer()
        for examples in self._open.values():
            for example in examples:
                self._learn(example, 0, 0)
        self._open.clear()

    def suppose(self, step: Supposed) -> Session:
        """A session in which that call was made and answered too; this one is left as it is."""
        token = f"{step.server}\t{step.tool}"
        text = text_of(token, step.arguments)
        other = Session.__new__(Session)
        other.model, other.policies = self.model, self.policies
        other.history = self.history.fork()
        other._pool = {key: replace(o, evidence=dict(o.evidence)) for key, o in self._pool.items()}
        other._walked = dict(self._walked)
        other._in_flight, other._open, other._scored = {}, {}, None
        other._since_write = [*self._since_write, token]
        other._writes, other._turn, other._number = self._writes, self._turn + 1, self._number + 1
        made = Step(self._number, -1, token, step.arguments, crc32(text.encode()), self._turn)
        other._note_made(text)
        paths = other.history.add(made)
        paths += other.history.answer(made, step.result, step.is_error)
        other._renew(paths, made.number)
        other._exclude(text, token, step.arguments)
        other._remember(made.hash_)
        return other

    # --- candidates -----------------------------------------------------------------------------------------------

    def options(self) -> list[Scored]:
        """The candidates of this moment, scored."""
        if self._scored is None:
            self._scored = self._score()
        return self._scored

    def candidate(self, scored: Scored, next_: bool = False) -> Candidate:
        """What a predictor tells of a scored option."""
        option = scored.option
        return Candidate(
            server=scored.server,
            tool=scored.tool,
            arguments=option.arguments,
            q=scored.q_next if next_ else scored.q,
            source=f"history: {_describe(scored.recipe)}",
            copied_whole=all(
                isinstance(value, str | int | float) and not isinstance(value, bool) and self.history.has(value)
                for value in option.arguments.values()
            ),
        )

    def _score(self) -> list[Scored]:
        model, worth = self.model, self.model.worth
        chosen: list[tuple[float, Option, Recipe, Evidence]] = []
        for option in self._pool.values():
            if option.made:
                continue
            best, best_worth = None, -9.0
            for recipe, evidence in option.evidence.items():
                # what was remembered whole says itself by its own contexts; the recipe says where the value stands
                value = worth(recipe) + evidence.step * 1e-4 - (1.0 if recipe.remembered else 0.0)
                if value > best_worth:
                    best, best_worth = (recipe, evidence), value
            if best is not None:
                chosen.append((worth(best[0]), option, *best))
        if len(chosen) > MAX_SCORED:
            chosen.sort(key=lambda item: -item[0])
            writing = 0
            kept: list[tuple[float, Option, Recipe, Evidence]] = []
            for item in chosen:
                writing += item[1].writes
                if not item[1].writes or writing <= MAX_SCORED_WRITES:
                    kept.append(item)
            chosen = kept[:MAX_SCORED]
        steps = self.history.steps
        last = steps[-1] if steps else None
        last_token = last.token if last is not None else ""
        last2 = steps[-2].token if len(steps) > 1 else ""
        outcome = (last.outcome or "?") if last is not None else ""
        last_hash = last.hash_ if last is not None else 0
        now = last.number if last is not None else 0
        since = min(3, len(self._since_write))
        writes = min(2, self._writes)
        table = model.cells.table
        used_weights, next_weights = model.used.weights, model.next_.weights
        scored: list[Scored] = []
        for _, option, recipe, evidence in chosen:
            age = few(now - evidence.step) if evidence.step >= 0 else AGES - 1
            offered, place = few(option.offered), few(evidence.position)
            length = min(4, evidence.length.bit_length())
            walked = self._walked.get((recipe.text, evidence.step))
            pace = _pace(evidence.position, walked)
            same_tool = min(3, self._since_write.count(option.token))
            made = int(option.ever_made)
            memory = 0
            if option.remembered is not None:
                count, rank = min(5, option.remembered.length), min(3, option.remembered.position)
                memory = 1 + (count - 1) * 4 + rank
            kind = _kind(recipe)
            keys = contexts(
                recipe.text, option.token, kind, last_token, last2, outcome, age, offered, place, length, pace,
                same_tool, writes, made, since, option.hash_, last_hash, memory,
            )  # fmt: skip
            cells = [table.get(key) for key in keys]
            own = cells[0]
            own_class = own.bucket if own is not None else 0
            flags = (
                BY_KIND + kind * AGES + age,
                BY_PLACE + pace * PLACES + place,
                BY_LENGTH + offered * LENGTHS + length,
                BY_STREAK + min(4, int(recipe.fast * 5)) * CLASSES + own_class,
                BY_PROGRESS + same_tool * 4 + since,
                BY_SUPPORT + made * 3 + min(2, len(option.evidence) - 1),
                BY_MEMORY + memory,
                BIAS,
            )
            used_inputs = [(flag, 1.0) for flag in flags]
            next_inputs = list(used_inputs)
            for number, cell in enumerate(cells):
                if cell is not None:
                    index = number * CLASSES + cell.bucket
                    used_inputs.append((index, cell.logit_used))
                    next_inputs.append((index, cell.logit_next))
            index = CHAIN_WEIGHTS
            for chain in CHAINS:
                used, next_, bucket = START, START / 2, 0
                for number in chain:
                    cell = cells[number]
                    if cell is not None:
                        seen, bucket = cell.seen, cell.bucket
                        used = (cell.used * seen + used * BACK_OFF) / (seen + BACK_OFF)
                        next_ = (cell.next_ * seen + next_ * BACK_OFF) / (seen + BACK_OFF)
                used_inputs.append((index + bucket, logit(used)))
                next_inputs.append((index + bucket, logit(next_)))
                index += CLASSES
            x = sum([used_weights[index] * value for index, value in used_inputs])
            y = sum([next_weights[index] * value for index, value in next_inputs])
            q = model.correction.apply(x)
            scored.append(Scored(option, recipe, x, q, sigmoid(y), y, keys, used_inputs, next_inputs, self._turn))
        return scored

    def _renew(self, paths: list[str], step: int) -> None:
        """Make the candidates that new values allow."""
        for recipe in self.model.recipes_from(paths):
            self._make(recipe, step)

    def _make(self, recipe: Recipe, step: int) -> None:
        cell = self.model.cells.table.get((RECIPE, recipe.text, 0))
        if cell is not None and cell.seen >= HOPELESS_AFTER and cell.used < HOPELESS and step % RETRY_STEPS:
            return
        if not recipe.paths:
            arguments: Arguments = {b.argument: json.loads(b.how) for b in recipe.bindings}
            self._hold(recipe, arguments, Evidence(step, 0, 1))
            return
        for made in make(recipe, self.history, step)[: 1 if self.model.writes.get(recipe.token, True) else None]:
            self._hold(recipe, made.arguments, Evidence(step, made.place.position, made.place.length))

    def _backfill(self, recipe: Recipe, text: str, number: int) -> None:
        """A recipe was just found: what it would have made from the steps before is a candidate from now on."""
        steps = {step for path in recipe.paths for step in self.history.steps_with(path)}
        for step in sorted(steps)[-4:]:
            self._make(recipe, step)
        if not recipe.paths:
            self._make(recipe, -1)
        option = self._pool.get(text)
        if option is not None:
            self._walk(option)

    def _hold(self, recipe: Recipe, arguments: Arguments, evidence: Evidence) -> Option:
        text = text_of(recipe.token, arguments)
        option = self._pool.get(text)
        if option is None:
            if len(self._pool) >= MAX_OPTIONS:
                self._make_room()
            writes = self.model.writes.get(recipe.token, True)
            option = Option(text, recipe.token, arguments, crc32(text.encode()), writes, {})
            self._pool[text] = option
        option.evidence[recipe] = evidence
        return option

    def _exclude(self, text: str, token: str, arguments: Arguments) -> None:
        """A read was made: until a write comes, making it again would be a poll."""
        option = self._pool.get(text)
        if option is None:
            option = Option(text, token, arguments, crc32(text.encode()), False, {})
            self._pool[text] = option
        option.made = option.ever_made = True

    def _remember(self, hash_: int) -> None:
        for remembered in self.model.memory.after(hash_):
            recipe = self.model.pseudo(remembered.token)
            evidence = Evidence(self._number - 1, remembered.rank, remembered.count)
            self._hold(recipe, remembered.arguments, evidence).remembered = evidence

    def _make_room(self) -> None:
        order = sorted(
            self._pool.values(),
            key=lambda option: max((evidence.step for evidence in option.evidence.values()), default=-1),
        )
        for option in order[: MAX_OPTIONS // 4]:
            del self._pool[option.text]

    # --- learning -------------------------------------------------------------------------------------------------

    def _offer(self) -> None:
        """A turn ends: the candidates of this moment become examples, to be settled by what the client does."""
        options = self.options()
        group = Counter(scored.recipe for scored in options)
        for scored in options:
            scored.weight = group[scored.recipe] ** -GROUPING * (AGAIN if scored.option.offered else 1.0)
            scored.option.offered += 1
            self._open.setdefault(scored.option.text, []).append(scored)
        self._turn += 1
        if self._turn % 4 == 0:
            self._settle_old()

    def _settle_used(self, text: str) -> None:
        for example in self._open.pop(text, ()):
            self._learn(example, 1, int(example.turn == self._turn - 1))

    def _settle_old(self) -> None:
        for text, examples in list(self._open.items()):
            old = [example for example in examples if self._turn - example.turn > HORIZON_TURNS]
            if old:
                for example in old:
                    self._learn(example, 0, 0)
                left = examples[len(old) :]
                if left:
                    self._open[text] = left
                else:
                    del self._open[text]

    def _write(self, touched: Footprint) -> None:
        """What the write conflicts with was not used before it, and may be read again after it."""
        self._writes += 1
        self._since_write.clear()
        for text, examples in list(self._open.items()):
            if touched.overlaps(self._touches(examples[0].option)):
                for example in examples:
                    self._learn(example, 0, 0)
                del self._open[text]
        for option in self._pool.values():
            if option.made and touched.overlaps(self._touches(option)):
                option.made = False
                option.offered = 0

    def _learn(self, example: Scored, used: int, next_: int) -> None:
        model = self.model
        model.used.learn(example.used_inputs, used - sigmoid(example.logit))
        model.next_.learn(example.next_inputs, next_ - example.q_next)
        model.correction.learn(example.logit, used)
        at = model.cells.at
        for key in example.keys:
            at(key).learn(used, next_, example.weight)
        recipe = example.recipe
        recipe.fast += (used - recipe.fast) * STREAK_RATE

    def _explain(self, token: str, arguments: Arguments) -> list[Recipe]:
        return explain(self.history, token, arguments, self.model.recipes_of(token))

    def _note_made(self, text: str) -> None:
        option = self._pool.get(text)
        if option is not None:
            option.made = option.ever_made = True
            self._walk(option)

    def _walk(self, option: Option) -> None:
        for recipe, evidence in option.evidence.items():
            _, count = self._walked.get((recipe.text, evidence.step), (0, 0))
            self._walked[recipe.text, evidence.step] = (evidence.position, count + 1)

    def _touches(self, option: Option) -> Footprint:
        if option.touches is None:
            server, _, tool = option.token.partition("\t")
            option.touches = self._footprint(server, tool, option.arguments)
        return option.touches

    def _footprint(self, server: str, tool: str, arguments: Arguments) -> Footprint:
        policy = self.policies.get(server)
        if policy is None:
            return everything(server)
        of_tool = policy.tool(tool)
        return footprint(server, of_tool.touches, arguments, of_tool.equal)


def text_of(token: str, arguments: dict[str, Json]) -> str:
    """The identity of a call, as text."""
    return json.dumps([token, arguments], sort_keys=True, separators=(",", ":"))


def _pace(position: int, walked: tuple[int, int] | None) -> int:
    """How an element stands to the one used last: none was, next, further on, before, the same."""
    if walked is None:
        return 0
    step = position - walked[0]
    return 1 if step == 1 else 2 if step > 1 else 3 if step < 0 else 4


def _kind(recipe: Recipe) -> int:
    if recipe.remembered:
        return KINDS.index("memory")
    sides = {path[0] for path in recipe.paths}
    if not sides:
        return KINDS.index("constant")
    if len(sides) > 1:
        return KINDS.index("mixed")
    return KINDS.index({"a": "argument", "r": "result", "s": "said"}[sides.pop()])


def _describe(recipe: Recipe) -> str:
    if recipe.remembered:
        return "seen before here"
    sources = [path.split("|", 2) for path in recipe.paths]
    return ", ".join(f"{tool.partition(chr(9))[2]}.{path}" for _, tool, path in sources) or "a habit"
