"""From the candidates of a moment to their probabilities."""

from __future__ import annotations

from collections.abc import Iterable
from math import log
from operator import itemgetter

from spec_mcp.engine.values import value
from spec_mcp.predict.cells import CLASSES, LEAST_RATE, LOGIT_BOUND, MOST_RATE, START, Cell, learn_all, logit
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
    RECIPE,
    STRUCTURE,
    few,
)
from spec_mcp.predict.mixer import Chains, Rated, learn_both, sigmoid
from spec_mcp.predict.model import Model
from spec_mcp.predict.options import Common, Evidence, Option, Scored
from spec_mcp.predict.recipes import Recipe

MAX_SCORED = 16
"""Candidates scored at one moment, the best by their recipes alone: scoring more finds nothing and takes longer."""

MAX_SCORED_WRITES = 4
"""Of them, those that write: they are never speculated unless reversible, and must not crowd out the reads."""

SHARED_WITH_OTHERS = 2
"""Of a candidate's contexts, those in which the other recipes that foretold it learn too."""

NO_WALK = (-1, 0, True)
"""What is known of a list from which nothing was taken yet."""


Choice = tuple[Option, Recipe, Evidence]
"""A candidate, with the recipe that speaks for it and what that found."""

_worth = itemgetter(0)


@value
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


def choose(options: Iterable[Option]) -> list[Choice]:
    """The candidates to be scored, each with the recipe that speaks for it: the most promising, the latest."""
    found: list[tuple[float, Option, Recipe, Evidence]] = []
    for option in options:
        if option.made:
            continue
        best, best_promise = None, -9.0
        for item in option.evidence.items():
            recipe, evidence = item
            # what was remembered whole says itself by its own contexts; the recipe says where the value stands
            promise = recipe.worth + evidence[0] * 1e-4 - (1.0 if recipe.remembered else 0.0)
            if promise > best_promise:
                best, best_promise = item, promise
        if best is not None:
            found.append((best[0].worth, option, *best))
    if len(found) > MAX_SCORED:
        found.sort(key=_worth, reverse=True)
        writing = 0
        kept: list[tuple[float, Option, Recipe, Evidence]] = []
        for item in found:
            writing += item[1].writes
            if not item[1].writes or writing <= MAX_SCORED_WRITES:
                kept.append(item)
                if len(kept) == MAX_SCORED:
                    break
        found = kept
    return [(option, recipe, evidence) for _, option, recipe, evidence in found]


def score(model: Model, choices: Iterable[Choice], moment: Moment) -> list[Scored]:
    """What was chosen, with its probabilities."""
    common: dict[tuple[int, int, int, int], Common] = {}
    get = model.cells.table.get
    weights = model.used.weights
    apply = model.correction.apply
    number, last_hash, walked, turn = moment.number, moment.last_hash, moment.walked, moment.turn
    scored: list[Scored] = []
    for option, recipe, evidence in choices:
        step, position, length = evidence
        id_ = recipe.id
        age, offered = number - step, option.offered
        # of each what `few` makes of it, without calling it
        age = AGES - 1 if step < 0 else age if age < 3 else 3 if age < 6 else 4
        offered = offered if offered < 3 else 3 if offered < 6 else 4
        walk = walked.get((id_, step))
        pace = (5 if position else 0) if walk is None else _pace(position, walk)
        like = common.get((id_, age, offered, pace))
        if like is None:
            like = common[id_, age, offered, pace] = _common(model, moment, option, recipe, age, offered, pace)
        memory = 0 if option.remembered is None else _memory_class(option.remembered)
        hash_ = option.hash_
        keys = ((CALL, hash_), (CALL_AFTER, hash_, last_hash), (MEMORY, memory, 1 if offered else 0))
        place = BY_PLACE + pace * PLACES + (position and few(position))
        listed = BY_LENGTH + offered * LENGTHS + min(4, length.bit_length())
        support = BY_SUPPORT + option.ever_made * 3 + min(2, len(option.evidence) - 1)
        known = BY_MEMORY + memory
        x = like.sum_ + weights[place] + weights[listed] + weights[support] + weights[known]
        cells: list[tuple[int, Cell]] = []
        base = CALL * CLASSES
        for key in keys:
            cell = get(key)
            if cell is not None:
                index = base + cell.bucket
                cells.append((index, cell))
                x += weights[index] * cell.logit_used
            base += CLASSES
        flags = (place, listed, support, known)
        scored.append(Scored(option, recipe, x, apply(x), like, flags, cells, keys, turn))
    return scored


def logit_next(model: Model, scored: Scored) -> float:
    """The log odds that a candidate is the very next call."""
    common = scored.common
    return _sum_next(model, common.flags + scored.flags, common.cells + scored.cells, common.chains)


def _sum_next(model: Model, flags: Iterable[int], cells: Rated, chains: Chains) -> float:
    weights = model.next_.weights
    x = 0.0
    for flag in flags:
        x += weights[flag]
    for index, cell in cells:
        x += weights[index] * cell.logit_next
    for index, _, next_ in chains:
        x += weights[index] * next_
    return x


def learn(model: Model, scored: Scored, used: int, next_: int) -> None:
    """What became of a candidate."""
    recipe, weight, fresh, common = scored.recipe, scored.weight, scored.fresh, scored.common
    flags, cells, chains = common.flags + scored.flags, common.cells + scored.cells, common.chains
    next_error = next_ - sigmoid(_sum_next(model, flags, cells, chains))
    if scored.option.writes:  # the model of use is for what is told: reads, but for the reversible
        model.next_.learn_next(flags, cells, chains, next_error)
    else:
        used_error = used - sigmoid(scored.logit)
        learn_both(model.used, model.next_, flags, cells, chains, used_error, next_error)
        model.correction.learn(scored.logit, used)
    get, at = model.cells.table.get, model.cells.at
    learned = [get(key) or at(key) for key in common.keys + scored.keys]
    learned.append(recipe.cells[not fresh])
    learn_all(learned, used, next_, weight)
    recipe.follow(used)
    if len(scored.option.evidence) == 1:
        return
    for other in scored.option.evidence:  # which foretold it as well, and must not look worse for not having spoken
        if other is not recipe:
            learned = [other.cells[not fresh]]
            if fresh:
                learned += [at((kind, other.id, *rest)) for kind, _, *rest in common.keys[:SHARED_WITH_OTHERS]]
            learn_all(learned, used, next_, weight)
            other.appraise()


def _common(model: Model, moment: Moment, option: Option, recipe: Recipe, age: int, offered: int, pace: int) -> Common:
    """What candidates of one recipe have in common when they were found and offered alike."""
    get = model.cells.table.get
    weights = model.used.weights
    fresh = 1 if offered else 0
    same_tool = min(3, moment.calls_since_write.get(option.token, 0))
    id_, last = recipe.id, moment.last
    keys = (
        (LAST, id_, fresh, last),
        (OUTCOME, id_, fresh, last, moment.outcome),
        (AGE, id_, age, offered),
        (STRUCTURE, recipe.kind, age, offered),
        (PACED, id_, last, offered, pace, same_tool),
    )
    own = recipe.cells[fresh]
    kind = BY_KIND + recipe.kind * AGES + age
    streak = BY_STREAK + min(4, int(recipe.fast * 5)) * CLASSES + own.bucket
    progress = BY_PROGRESS + same_tool * 4 + min(3, moment.since_write)
    x = weights[kind] + weights[streak] + weights[progress] + weights[BIAS]
    by_number = [own if own.seen else None, *map(get, keys)]
    cells: list[tuple[int, Cell]] = []
    base = 0
    for cell in by_number:
        if cell is not None:
            index = base + cell.bucket
            cells.append((index, cell))
            x += weights[index] * cell.logit_used
        base += CLASSES
    general, used_in_general, next_in_general = 0, START, START / 2
    for cell in (by_number[STRUCTURE], by_number[RECIPE]):
        if cell is not None:
            seen, general = cell.seen, cell.bucket
            whole = seen + BACK_OFF
            used_in_general = (cell.used * seen + used_in_general * BACK_OFF) / whole
            next_in_general = (cell.next_ * seen + next_in_general * BACK_OFF) / whole
    chains: list[tuple[int, float, float]] = []
    base = CHAIN_WEIGHTS
    for one, other in CHAINS:
        bucket, used, next_ = general, used_in_general, next_in_general
        for cell in (by_number[one], by_number[other]):
            if cell is not None:
                seen, bucket = cell.seen, cell.bucket
                whole = seen + BACK_OFF
                used = (cell.used * seen + used * BACK_OFF) / whole
                next_ = (cell.next_ * seen + next_ * BACK_OFF) / whole
        # `logit`, without calling it but for what is nearly certain
        of_used = -LOGIT_BOUND if used <= LEAST_RATE else log(used / (1.0 - used)) if used < MOST_RATE else logit(used)
        of_next = (
            -LOGIT_BOUND if next_ <= LEAST_RATE else log(next_ / (1.0 - next_)) if next_ < MOST_RATE else logit(next_)
        )
        index = base + bucket
        chains.append((index, of_used, of_next))
        x += weights[index] * of_used
        base += CLASSES
    return Common((kind, streak, progress, BIAS), cells, chains, keys, x)


def _pace(position: int, walked: tuple[int, int, bool]) -> int:
    """How an element stands to those of its list that were used: none was, and it is the first (0) or not (5); in a
    list walked in order the next, or one further on; in a list of which single elements were picked the next, or any
    other."""
    last, _, in_order = walked
    following = position == last + 1
    return (1 if following else 2) if in_order else (3 if following else 4)


def _memory_class(remembered: Evidence) -> int:
    return 1 + (min(5, remembered.length) - 1) * 4 + min(3, remembered.position)
