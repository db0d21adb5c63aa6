"""From the candidates of a moment to their probabilities."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from spec_mcp.predict.cells import CLASSES, START, Cell, Key, logit
from spec_mcp.predict.features import (
    AGE,
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
    CALL,
    CALL_AFTER,
    CHAIN_WEIGHTS,
    CHAINS,
    LAST,
    LENGTHS,
    MEMORY,
    OUTCOME,
    PACED,
    PLACES,
    STRUCTURE,
    few,
)
from spec_mcp.predict.mixer import sigmoid
from spec_mcp.predict.model import Model
from spec_mcp.predict.options import Evidence, Option, Scored
from spec_mcp.predict.recipes import Recipe

MAX_SCORED = 16
"""Candidates scored at one moment, the best by their recipes alone: scoring more finds nothing and takes longer."""

MAX_SCORED_WRITES = 4
"""Of them, those that write: they are never speculated unless reversible, and must not crowd out the reads."""

SHARED_WITH_OTHERS = 2
"""Of a candidate's contexts, those in which the other recipes that foretold it learn too."""

NO_WALK = (-1, 0, True)
"""What is known of a list from which nothing was taken yet."""


@dataclass(frozen=True, slots=True)
class Moment:
    """What all candidates of a moment share."""

    number: int
    """Of the last step."""
    last: int
    outcome: int
    last_hash: int
    turn: int
    since_write: int
    calls_since_write: dict[str, int]
    walked: dict[tuple[int, int], tuple[int, int, bool]]
    """Of each list that a recipe walks: the element used last, how many were, and whether it was walked in order."""


@dataclass(slots=True)
class _Shared:
    """What candidates of one recipe have in common when they were found and offered alike."""

    flags: tuple[int, ...]
    cells: list[tuple[int, Cell]]
    chains: list[tuple[int, float, float]]
    keys: tuple[Key, ...]
    sum_: float
    pace: int


def score(model: Model, options: Iterable[Option], moment: Moment) -> list[Scored]:
    """The candidates that may be worth anything, with their probabilities."""
    shared: dict[tuple[int, int, int, int], _Shared] = {}
    get = model.cells.table.get
    weights = model.used.weights
    scored: list[Scored] = []
    for option, recipe, evidence in _chosen(model, options):
        age = few(moment.number - evidence.step) if evidence.step >= 0 else AGES - 1
        offered = few(option.offered)
        walked = moment.walked.get((recipe.id, evidence.step), NO_WALK)
        pace = _pace(evidence.position, walked)
        like = shared.get((recipe.id, age, offered, pace))
        if like is None:
            like = shared[recipe.id, age, offered, pace] = _share(model, moment, option, recipe, age, offered, pace)
        memory = _memory_class(option)
        fresh = offered > 0
        own_keys: tuple[Key, ...] = (
            (CALL, option.hash_),
            (CALL_AFTER, option.hash_, moment.last_hash),
            (MEMORY, memory, int(fresh)),
        )
        flags = (
            BY_PLACE + pace * PLACES + few(evidence.position),
            BY_LENGTH + offered * LENGTHS + min(4, evidence.length.bit_length()),
            BY_SUPPORT + option.ever_made * 3 + min(2, len(option.evidence) - 1),
            BY_MEMORY + memory,
        )
        x = like.sum_
        for flag in flags:
            x += weights[flag]
        cells = like.cells
        for number, key in enumerate(own_keys, CALL):
            cell = get(key)
            if cell is not None:
                cells = [*cells, (number * CLASSES + cell.bucket, cell)]
                x += weights[number * CLASSES + cell.bucket] * cell.logit_used
        q = model.correction.apply(x)
        scored.append(
            Scored(
                option, recipe, x, q, like.flags + flags, cells, like.chains, like.keys + own_keys, moment.turn
            )
        )  # fmt: skip
    return scored


def logit_next(model: Model, scored: Scored) -> float:
    """The log odds that a candidate is the very next call."""
    weights = model.next_.weights
    x = 0.0
    for flag in scored.flags:
        x += weights[flag]
    for index, cell in scored.cells:
        x += weights[index] * cell.logit_next
    for index, _, next_ in scored.chains:
        x += weights[index] * next_
    return x


def learn(model: Model, scored: Scored, used: int, next_: int) -> None:
    """What became of a candidate."""
    flags = scored.flags
    rates = [(index, cell.logit_next) for index, cell in scored.cells]
    rates += [(index, of_next) for index, _, of_next in scored.chains]
    model.next_.learn(flags, rates, next_ - sigmoid(logit_next(model, scored)))
    if not scored.option.writes:  # the model of use is for what is told: reads, but for the reversible
        rates = [(index, cell.logit_used) for index, cell in scored.cells]
        rates += [(index, of_used) for index, of_used, _ in scored.chains]
        model.used.learn(flags, rates, used - sigmoid(scored.logit))
        model.correction.learn(scored.logit, used)
    weight = scored.weight
    recipe = scored.recipe
    recipe.cells[not scored.fresh].learn(used, next_, weight)
    get, at = model.cells.table.get, model.cells.at
    for key in scored.keys:
        (get(key) or at(key)).learn(used, next_, weight)
    recipe.follow(used)
    for other in scored.option.evidence:  # which foretold it as well, and must not look worse for not having spoken
        if other is not recipe:
            other.cells[not scored.fresh].learn(used, next_, weight)
            other.appraise()
            if scored.fresh:
                for kind, _, *rest in scored.keys[:SHARED_WITH_OTHERS]:
                    at((kind, other.id, *rest)).learn(used, next_, weight)


def _chosen(model: Model, options: Iterable[Option]) -> list[tuple[Option, Recipe, Evidence]]:
    """The candidates to be scored, each with the recipe that speaks for it: the most promising, the latest."""
    found: list[tuple[float, Option, Recipe, Evidence]] = []
    for option in options:
        if option.made:
            continue
        best, best_value, best_worth = None, -9.0, 0.0
        for item in option.evidence.items():
            recipe, evidence = item
            worth = recipe.worth
            # what was remembered whole says itself by its own contexts; the recipe says where the value stands
            value = worth + evidence.step * 1e-4 - (1.0 if recipe.remembered else 0.0)
            if value > best_value:
                best, best_value, best_worth = item, value, worth
        if best is not None:
            found.append((best_worth, option, *best))
    if len(found) > MAX_SCORED:
        found.sort(key=lambda item: -item[0])
        writing = 0
        kept: list[tuple[float, Option, Recipe, Evidence]] = []
        for item in found:
            writing += item[1].writes
            if not item[1].writes or writing <= MAX_SCORED_WRITES:
                kept.append(item)
        found = kept[:MAX_SCORED]
    return [(option, recipe, evidence) for _, option, recipe, evidence in found]


def _share(model: Model, moment: Moment, option: Option, recipe: Recipe, age: int, offered: int, pace: int) -> _Shared:
    get = model.cells.table.get
    weights = model.used.weights
    fresh = int(offered > 0)
    same_tool = min(3, moment.calls_since_write.get(option.token, 0))
    keys: tuple[Key, ...] = (
        (LAST, recipe.id, fresh, moment.last),
        (OUTCOME, recipe.id, fresh, moment.last, moment.outcome),
        (AGE, recipe.id, age, offered),
        (STRUCTURE, recipe.kind, age, offered),
        (PACED, recipe.id, moment.last, offered, pace, same_tool),
    )
    own = recipe.cells[fresh]
    by_number: list[Cell | None] = [own if own.seen else None]
    by_number += map(get, keys)
    cells = [(number * CLASSES + cell.bucket, cell) for number, cell in enumerate(by_number) if cell is not None]
    flags = (
        BY_KIND + recipe.kind * AGES + age,
        BY_STREAK + min(4, int(recipe.fast * 5)) * CLASSES + own.bucket,
        BY_PROGRESS + same_tool * 4 + min(3, moment.since_write),
        BIAS,
    )
    x = 0.0
    for flag in flags:
        x += weights[flag]
    for index, cell in cells:
        x += weights[index] * cell.logit_used
    chains: list[tuple[int, float, float]] = []
    base = CHAIN_WEIGHTS
    for chain in CHAINS:
        used, next_, bucket = START, START / 2, 0
        for number in chain:
            cell = by_number[number]
            if cell is not None:
                seen, bucket = cell.seen, cell.bucket
                whole = seen + BACK_OFF
                used = (cell.used * seen + used * BACK_OFF) / whole
                next_ = (cell.next_ * seen + next_ * BACK_OFF) / whole
        of_used = logit(used)
        chains.append((base + bucket, of_used, logit(next_)))
        x += weights[base + bucket] * of_used
        base += CLASSES
    return _Shared(flags, cells, chains, keys, x, pace)


def _pace(position: int, walked: tuple[int, int, bool]) -> int:
    """How an element stands to those of its list that were used: none was, and it is the first or not; in a list walked
    in order the next, or one further on; in a list of which single elements were picked the next, or any other."""
    last, count, in_order = walked
    if not count:
        return 0 if position == 0 else 5
    following = position == last + 1
    return (1 if following else 2) if in_order else (3 if following else 4)


def _memory_class(option: Option) -> int:
    if option.remembered is None:
        return 0
    return 1 + (min(5, option.remembered.length) - 1) * 4 + min(3, option.remembered.position)
