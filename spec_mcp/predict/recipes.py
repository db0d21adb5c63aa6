"""Where a call's arguments came from, kept as a recipe by which the next such call can be made up.

A recipe binds each argument of a tool to a constant or to a path in an earlier result or argument, sometimes through
a small transformation. Paths of one recipe that stand in the same step are bound jointly: the values of one call come
from one record.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, product
from zlib import crc32

from spec_mcp.engine.calls import Arguments, Json
from spec_mcp.predict.cells import Cell
from spec_mcp.predict.features import KINDS
from spec_mcp.predict.history import NONE, History, Spot, Values
from spec_mcp.predict.leaves import Scalar

MAX_SOURCES = 3
"""Sources tried for one argument; a value that occurs everywhere says little anyway."""

MAX_COMBINATIONS = 4
"""Recipes made of one call, when several arguments have several sources."""

MAX_CONSTANT_CHARS = 64
"""Longer constants are not habits but contents."""

MAX_FANOUT = 24
"""Elements of one list that become candidates."""

FREE_FORM_WORDS = 4
"""A value of more words is prose, code or a query: it is repeated only where it is copied whole."""

SECRET = re.compile(r"passw|secret|token|api_?key|authorization|credential|cookie", re.IGNORECASE)
"""Arguments whose values are never remembered as constants."""

MAX_SHIFT = 1_000
"""A number that grew by more since the last call of the same tool is no page or offset."""


UNTRIED = 0.2
"""What a recipe is taken to be worth before it was tried."""

STREAK_RATE = 0.2
"""Weight of the latest offer in a recipe's streak."""


SIDES = {"a": "argument", "r": "result", "m": "result", "s": "said"}
"""The kind of source, by the letter that its paths begin with; `m` is a manifest's expression over a result."""


@dataclass(frozen=True, slots=True)
class Binding:
    """How one argument is made. `path` is empty for a constant, whose JSON text is `how`."""

    argument: str
    path: str
    how: str


class Recipe:
    """How all arguments of a call are made, and how that did. Recipes with the same `text` are the same recipe."""

    __slots__ = (
        "bindings",
        "cells",
        "constants",
        "fast",
        "id",
        "kind",
        "paths",
        "remembered",
        "source",
        "text",
        "token",
        "whole_list",
        "worth",
    )

    def __init__(self, token: str, bindings: tuple[Binding, ...], *, remembered: bool = False) -> None:
        self.token = token
        self.bindings = bindings
        self.remembered = remembered
        """It stands for the calls of a tool that are remembered whole."""
        parts = [[binding.argument, binding.path, binding.how] for binding in bindings]
        self.text = json.dumps([token, parts, *([1] if remembered else [])], separators=(",", ":"))
        self.id = crc32(self.text.encode("utf-8", "surrogatepass"))
        self.paths = tuple(dict.fromkeys(binding.path for binding in bindings if binding.path))
        self.constants: Arguments = {b.argument: json.loads(b.how) for b in bindings if not b.path}
        """The arguments that draw on nothing."""
        self.whole_list = frozenset(binding.path for binding in bindings if binding.how == "all")
        """The paths of which all values together are one argument."""
        self.kind = self._kind()
        self.source = self._source()
        """For people: where its values come from."""
        self.cells = (Cell(), Cell())
        """How its candidates did at their first offer, and later."""
        self.fast = 0.3
        """A rate of use that follows the last few offers alone: what stops paying is seen at once."""
        self.worth = UNTRIED
        """How well it does by itself; what was hardly tried is given a chance."""

    def start_from(self, rate: float, weight: float) -> None:
        """Begin with somebody's word on how often its candidates are used, worth so many observations."""
        self.cells[0].trust(rate, weight)
        self.fast = rate
        self.appraise()

    def follow(self, used: int) -> None:
        """One of its candidates was used, or not."""
        self.fast += (used - self.fast) * STREAK_RATE
        self.appraise()

    def appraise(self) -> None:
        """Work out its worth anew."""
        cell = self.cells[0] if self.cells[0].seen else self.cells[1]
        self.worth = (cell.used * cell.seen + 3.0 * UNTRIED) / (cell.seen + 3.0)

    @staticmethod
    def parse(text: str) -> Recipe:
        """The recipe of a text.

        Raises:
            ValueError: it is none.
        """
        try:
            token, bindings, *remembered = json.loads(text)
            return Recipe(
                str(token), tuple(Binding(str(a), str(p), str(h)) for a, p, h in bindings), remembered=bool(remembered)
            )
        except TypeError as error:
            raise ValueError(f"expected a recipe, found {text[:60]}") from error

    def _source(self) -> str:
        if self.remembered:
            return "history: seen before here"
        parts = [path.split("|", 2) for path in self.paths]
        places = ", ".join(f"{tool.partition(chr(9))[2]}.{path}" for _, tool, path in parts)
        return f"history: {places or 'a habit'}"

    def _kind(self) -> int:
        if self.remembered:
            return KINDS.index("memory")
        sides = {SIDES[path[0]] for path in self.paths}
        kind = "mixed" if len(sides) > 1 else sides.pop() if sides else "constant"
        return KINDS.index(kind)


def explain(history: History, token: str, arguments: Arguments, known: Sequence[Recipe]) -> list[Recipe]:
    """Recipes that would have made this call from what was there before it; none for free-form arguments."""
    choices: list[list[Binding]] = []
    preferred = {binding for recipe in known for binding in recipe.bindings}
    for name in sorted(arguments):
        found = list(dict.fromkeys(_bindings(history, token, name, arguments[name])))
        constant = _constant(name, arguments[name])
        if constant is not None and (not found or constant in preferred):
            found.append(constant)
        if not found:
            return []
        found.sort(key=lambda binding: binding not in preferred)
        choices.append(found[:MAX_SOURCES])
    # a call of constants alone is remembered whole instead, with what it followed
    combinations = [
        combination
        for combination in islice(product(*choices), 4 * MAX_COMBINATIONS)
        if not combination or any(binding.path for binding in combination)
    ]
    combinations.sort(key=_sources)
    return [Recipe(token, combination) for combination in combinations[:MAX_COMBINATIONS]]


def _sources(bindings: tuple[Binding, ...]) -> int:
    """From how many tools' calls or answers the values come."""
    return len({binding.path.rpartition("|")[0] for binding in bindings if binding.path})


def _bindings(history: History, token: str, name: str, value: Json) -> Iterator[Binding]:
    if isinstance(value, str | int | float) and not isinstance(value, bool):
        yield from (Binding(name, path, "") for path in history.paths_of(value)[:MAX_SOURCES])
        yield from _transformed(history, token, name, value)
    elif isinstance(value, list):
        yield from _listed(history, name, value)


def _constant(name: str, value: Json) -> Binding | None:
    text = json.dumps(value, sort_keys=True)
    habit = len(text) <= MAX_CONSTANT_CHARS and text.count(" ") < FREE_FORM_WORDS and not SECRET.search(name)
    return Binding(name, "", text) if habit else None


def _transformed(history: History, token: str, name: str, value: Scalar) -> Iterator[Binding]:
    before = history.last_argument(token, name)
    if isinstance(value, int) and isinstance(before, int) and 0 < value - before <= MAX_SHIFT:
        yield Binding(name, f"a|{token}|{name}", f"+{value - before}")
    if not isinstance(value, str):
        if isinstance(value, int):
            yield from (Binding(name, path, "int") for path in history.paths_of(str(value))[:2])
        return
    if value.isdigit() and len(value) < 16:
        yield from (Binding(name, path, "str") for path in history.paths_of(int(value))[:2])
    if value[0:1] == "#":
        yield from (Binding(name, path, "pre:#") for path in history.paths_of(value[1:])[:2])
    elif value:
        yield from (Binding(name, path, "cut:#") for path in history.paths_of("#" + value)[:2])
    if (lower := value.lower()) != value:
        yield from (Binding(name, path, "upper") for path in history.paths_of(lower)[:1] if value == lower.upper())
    head, slash, tail = value.rpartition("/")
    if slash and tail:
        for path in history.paths_of(tail)[:2]:
            heads = [f"join:{other}" for other in history.paths_of(head)[:2]] if head else []
            fixed = [f"pre:{head}/"] if not heads and len(head) <= 16 and " " not in head else []
            yield from (Binding(name, path, how) for how in (*heads, *fixed))


def _listed(history: History, name: str, value: list[Json]) -> Iterator[Binding]:
    scalars = [item for item in value if isinstance(item, str | int | float) and not isinstance(item, bool)]
    if len(scalars) != len(value) or not scalars:
        return
    for path in history.paths_of(scalars[0])[:MAX_SOURCES]:
        if len(scalars) == 1:
            yield Binding(name, path, "one")
        if [found for found, _, _ in history.latest(path)] == scalars and len(scalars) > 1:
            yield Binding(name, path, "all")


def make(
    recipe: Recipe, history: History, step: int, most: int = MAX_FANOUT, begin: int = 0
) -> tuple[list[tuple[Arguments, int]], int]:
    """The calls that a recipe makes from what one step brought, at most so many from element `begin` of a list on.

    Each comes with the position of the element that it was made of; the length of that list comes last. Older steps
    fill in what this one did not bring.
    """
    at_step: dict[str, Values] = {}
    driver, driving = "", NONE
    for path in recipe.paths:
        if values := history.at(path, step):
            at_step[path] = values
            if len(values) > len(driving):
                driver, driving = path, values
    if driver in recipe.whole_list:
        most = 1  # the whole list is one argument
    made: list[tuple[Arguments, int]] = []
    for position, spot in enumerate(driving[begin : begin + most], begin):
        arguments: Arguments = {}
        for binding in recipe.bindings:
            name, path = binding.argument, binding.path
            if path == driver:
                value = spot[0] if not binding.how else _transform(binding.how, spot[0], driving, history)
            elif path:
                value = _from_elsewhere(binding, spot, at_step, history)
            else:
                arguments[name] = recipe.constants[name]
                continue
            if value is None:
                break
            arguments[name] = value
        else:
            made.append((arguments, position))
    return made, len(driving)


def _from_elsewhere(binding: Binding, spot: Spot, at_step: dict[str, Values], history: History) -> Json:
    """An argument that another path makes than the one that is walked: of the same record, or else of the latest."""
    values = at_step.get(binding.path)
    if values is not None:
        return _transform(binding.how, _nearest(values, spot[2])[0], values, history)
    values = history.latest(binding.path)
    return _transform(binding.how, values[0][0], values, history) if values else None


def _nearest(values: Values, to: tuple[int, ...]) -> Spot:
    """The value in the same record: the one that shares most positions along the lists."""
    if len(values) == 1:
        return values[0]

    def shared(spot: Spot) -> int:
        count = 0
        for mine, other in zip(spot[2], to, strict=False):
            if mine != other:
                break
            count += 1
        return count

    return max(values, key=shared)


def _transform(how: str, value: Scalar, values: Values, history: History) -> Json:
    """A value made into an argument; `values` are all of its list."""
    if not how:
        return value
    if how == "one":
        return [value]
    if how == "all":
        return [item for item, _, _ in values]
    if how == "int":
        return int(value) if isinstance(value, str) and value.isdigit() and len(value) < 16 else None
    if how == "str":
        return str(value)
    if how == "upper":
        return str(value).upper()
    kind, _, rest = how.partition(":")
    if kind == "pre":
        return rest + str(value)
    if kind == "cut":
        return str(value).removeprefix(rest)
    if kind == "join":
        heads = history.latest(rest)
        return f"{str(heads[0][0]).rstrip('/')}/{value}" if heads else None
    if how.startswith("+") and isinstance(value, int):
        return value + int(how[1:])
    return None
