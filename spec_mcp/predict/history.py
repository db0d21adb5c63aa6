"""What one session has seen: its calls in order, and where each value occurred."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import NamedTuple
from zlib import crc32

from spec_mcp.engine.calls import Arguments, Json
from spec_mcp.predict.leaves import Leaf, Scalar, leaves

MAX_STEPS = 48
"""Steps whose values are kept: a value shown longer ago is rarely used, and memory must stay bounded."""

MAX_PATHS_OF_VALUE = 8
"""Places remembered of one value, the latest ones."""

MAX_LOOKED_INTO = 16
"""Supposed results whose values are kept until they are answers, or supposed again: as many as one step is told."""

_STATE_KEY = re.compile(r"(?:^|_)(?:status|state|type|kind|stage|phase|result|outcome|mode)$", re.IGNORECASE)
_WORD = re.compile(r"^[A-Za-z][A-Za-z _-]{1,24}$")


class Place(NamedTuple):
    """One occurrence of a value. `position` of `length` is its place among the distinct values of its path there.

    As with `Leaf`, there are too many for dataclasses.
    """

    value: Scalar
    step: int
    at: tuple[int, ...]
    position: int
    length: int


Values = list[tuple[Scalar, object, tuple[int, ...]]]
"""Distinct values in their order, each with its identity and where it stands first."""

ByTail = list[tuple[str, Values]]
"""The values of one result, by the end of their path."""


@dataclass(slots=True)
class Step:
    """One call of the session. `outcome` sums up its answer coarsely: None while it runs."""

    number: int
    call: int
    token: str
    arguments: Arguments
    hash_: int
    tool: int
    """A number for its token."""
    outcome: int = 0
    """A number for the coarse features of its answer; 0 while it runs."""


@dataclass(slots=True)
class History:
    """The steps of a session and an index of their values."""

    steps: list[Step] = field(default_factory=list[Step])
    _by_path: dict[str, dict[int, list[Place]]] = field(default_factory=dict[str, dict[int, list[Place]]])
    _by_value: dict[object, tuple[str, ...]] = field(default_factory=dict[object, tuple[str, ...]])
    _paths_of_step: dict[int, list[str]] = field(default_factory=dict[int, list[str]])
    _looked_into: dict[int, tuple[Json, ByTail]] = field(default_factory=dict[int, "tuple[Json, ByTail]"])
    """Supposed results and their values, by the identity of the result; all forks keep them together."""
    _shares: bool = False
    """The places of a path belong to another history too: they are copied before they change."""

    def fork(self) -> History:
        """A history that can go on without changing this one."""
        return History(
            self.steps.copy(),
            self._by_path.copy(),
            self._by_value.copy(),
            self._paths_of_step.copy(),
            self._looked_into,
            _shares=True,
        )

    def paths_of(self, value: Scalar) -> tuple[str, ...]:
        """The paths at which a value occurred, the latest first."""
        return self._by_value.get(_identity(value), ())

    def has(self, value: Scalar) -> bool:
        """Did the value occur, whole?"""
        return _identity(value) in self._by_value

    def places(self, path: str, step: int) -> list[Place]:
        """What one step brought at a path."""
        at_path = self._by_path.get(path)
        return [] if at_path is None else at_path.get(step, [])

    def latest(self, path: str) -> list[Place]:
        """What the last step that had the path brought there."""
        at_path = self._by_path.get(path)
        return at_path[next(reversed(at_path))] if at_path else []

    def steps_with(self, path: str) -> list[int]:
        """The steps that brought values at a path, in order."""
        return list(self._by_path.get(path, ()))

    def last_argument(self, token: str, name: str) -> Json:
        """The value of an argument in the latest call of a tool."""
        for step in reversed(self.steps):
            if step.token == token:
                return step.arguments.get(name)
        return None

    def paths_at(self, step: int) -> list[str]:
        """The paths at which a step brought values."""
        return self._paths_of_step.get(step, [])

    def add(self, step: Step) -> list[str]:
        """A call began: index its arguments. The new paths are returned."""
        self.steps.append(step)
        if len(self.steps) > MAX_STEPS and not self._shares:
            self._forget(self.steps.pop(0).number)
        return self._index(f"a|{step.token}|", step.number, _by_tail(leaves(step.arguments)))

    def answer(self, step: Step, result: Json, is_error: bool) -> list[str]:
        """A call was answered: index its result. The new paths are returned."""
        step.outcome = crc32(outcome_of(result, is_error).encode("utf-8", "surrogatepass"))
        return [] if is_error else self._index(f"r|{step.token}|", step.number, self._look_into(result))

    def say(self, number: int, found: list[Leaf], role: str) -> list[str]:
        """Text that was shown: index what it names."""
        return self._index(f"s|{role}|", number, _by_tail(found))

    def _look_into(self, result: Json) -> ByTail:
        """The values of a result. One result is supposed in several chains before it is an answer."""
        known = self._looked_into.get(id(result))
        if known is not None and known[0] is result:
            if not self._shares:
                del self._looked_into[id(result)]
            return known[1]
        values = _by_tail(leaves(result))
        if self._shares and isinstance(result, dict | list):
            if len(self._looked_into) >= MAX_LOOKED_INTO:
                del self._looked_into[next(iter(self._looked_into))]
            self._looked_into[id(result)] = (result, values)
        return values

    def _index(self, prefix: str, number: int, found: ByTail) -> list[str]:
        paths: list[str] = []
        by_value = self._by_value
        for tail, values in found:
            path = prefix + tail
            length = len(values)
            places = [Place(value, number, at, position, length) for position, (value, _, at) in enumerate(values)]
            at_path = self._by_path.get(path)
            if at_path is None or self._shares:
                at_path = self._by_path[path] = dict(at_path or {})
            at_path.pop(number, None)
            at_path[number] = places
            paths.append(path)
            for _, identity, _ in values:
                known = by_value.get(identity, ())
                if not known or known[0] != path:
                    others = tuple(other for other in known if other != path)
                    by_value[identity] = (path, *others[: MAX_PATHS_OF_VALUE - 1])
        self._paths_of_step[number] = self._paths_of_step.get(number, []) + paths
        return paths

    def _forget(self, number: int) -> None:
        for path in self._paths_of_step.pop(number, []):
            at_path = self._by_path.get(path)
            if at_path is None:
                continue
            for place in at_path.pop(number, []):
                if not at_path:
                    identity = _identity(place.value)
                    left = tuple(other for other in self._by_value.get(identity, ()) if other != path)
                    if left:
                        self._by_value[identity] = left
                    else:
                        self._by_value.pop(identity, None)
            if not at_path:
                self._by_path.pop(path, None)


def outcome_of(result: Json, is_error: bool) -> str:
    """A coarse feature of an answer: error, emptiness, its states as it names them, the size of its largest list."""
    if is_error:
        return "error"
    if result is None:
        return "unseen"
    if isinstance(result, list):
        return f"list{_size(len(result))}"
    if not isinstance(result, dict):
        return "scalar"
    words: list[str] = []
    largest = -1
    for key, value in result.items():
        if isinstance(value, bool):
            if len(words) < 2:
                words.append(f"{key[:16]}={value}")
        elif isinstance(value, str):
            if len(words) < 2 and _STATE_KEY.search(key) and _WORD.match(value):
                words.append(value)
        elif isinstance(value, list | dict):
            largest = max(largest, len(value))
    if set(result) == {"text"}:
        text = str(result["text"]).strip()
        return "empty" if not text or text in ("[]", "{}", "null") else "text"
    return ";".join(words) + (f"#{_size(largest)}" if largest >= 0 else "")


def _size(count: int) -> int:
    return count if count < 4 else 4 if count < 8 else 5


def _by_tail(found: list[Leaf]) -> ByTail:
    by_tail: dict[str, dict[Scalar, Leaf]] = {}
    for leaf in found:
        at_tail = by_tail.get(leaf.path)
        if at_tail is None:
            by_tail[leaf.path] = {leaf.value: leaf}
        else:
            at_tail.setdefault(leaf.value, leaf)
    return [
        (tail, [(value, _identity(value), leaf.at) for value, leaf in distinct.items()])
        for tail, distinct in by_tail.items()
    ]


def _identity(value: Scalar) -> object:
    """Numbers and texts differ, as do 1 and 1.0."""
    return value if isinstance(value, str) else (repr(value),)
