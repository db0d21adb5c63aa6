"""What one session has seen: its calls in order, and where each value occurred."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import NamedTuple
from zlib import crc32

from spec_mcp.engine.calls import Arguments, Json
from spec_mcp.predict.leaves import Leaf, Scalar, leaves, leaves_again

MAX_STEPS = 48
"""Steps whose values are kept: a value shown longer ago is rarely used, and memory must stay bounded."""

MAX_PATHS_OF_VALUE = 8
"""Places remembered of one value, the latest ones."""

MIN_TRACED_CHARS = 4
"""Shorter values occur everywhere, and tell nothing of where they come from."""

MAX_LOOKED_INTO = 16
"""Supposed results whose values are kept until they are answers, or supposed again: as many as one step is told."""

_STATE_KEY = re.compile(r"(?:^|_)(?:status|state|type|kind|stage|phase|result|outcome|mode)$", re.IGNORECASE)
_WORD = re.compile(r"^[A-Za-z][A-Za-z _-]{1,24}$")


Spot = tuple[Scalar, object, tuple[int, ...]]
"""A value, its identity, and the positions along the lists of its path; a plain tuple, as a result holds hundreds."""

Values = list[Spot]
"""The distinct values that one step brought at one path, in their order."""

ByTail = list[tuple[str, Values]]
"""The values of one result, by the end of their path."""

NONE: Values = []
"""What a step brought at a path that it has not."""


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


class Trace(NamedTuple):
    """Where the values of a call come from, of those that are worth tracing."""

    values: int
    """How many there are."""
    seen: int
    """How many of them occurred before."""
    newest: int | None
    """The latest step in which one did."""
    oldest: int | None
    """The earliest of the steps in which those last did that an answer brought; the client's own may be its habits, and
    count where there are no others, by the latest."""


@dataclass(slots=True)
class History:
    """The steps of a session and an index of their values."""

    steps: list[Step] = field(default_factory=list[Step])
    begun: int = 0
    """The step with which the present conversation began. What came before it makes no calls by itself any more."""
    _by_path: dict[str, dict[int, Values]] = field(default_factory=dict[str, dict[int, Values]])
    _by_value: dict[object, tuple[str, ...]] = field(default_factory=dict[object, tuple[str, ...]])
    _seen_at: dict[object, int] = field(default_factory=dict[object, int])
    """The last step in which a value occurred."""
    _said: set[object] = field(default_factory=set[object])
    """The values that the client was the first to name."""
    _paths_of_step: dict[int, list[str]] = field(default_factory=dict[int, list[str]])
    _looked_into: dict[int, tuple[Json, ByTail]] = field(default_factory=dict[int, "tuple[Json, ByTail]"])
    """Supposed results and their values, by the identity of the result; all forks keep them together."""
    _under: History | None = None
    """What this one goes on from. It holds what came before; only what came since is here."""
    _not_indexed: list[ByTail] = field(default_factory=list[ByTail])
    """Of a fork: what it brought, for the rare case that somebody asks whether a value occurred."""

    def fork(self) -> History:
        """A history that goes on without changing this one, and holds for as long as this one is not changed."""
        return History(self.steps.copy(), self.begun, _looked_into=self._looked_into, _under=self)

    def again(self, step: Step) -> Step:
        """Of a fork: the same step, to be answered here alone."""
        self.steps[self.steps.index(step)] = own = replace(step)
        return own

    def paths_of(self, value: Scalar) -> tuple[str, ...]:
        """The paths at which a value occurred, the latest first. Not asked of a fork."""
        return self._by_value.get(_identity(value), ())

    def has(self, value: Scalar) -> bool:
        """Did the value occur, whole?"""
        identity = _identity(value)
        history: History | None = self
        while history is not None:
            if history._not_indexed:
                history._index_values()
            if identity in history._by_value:
                return True
            history = history._under
        return False

    def begin(self, step: int) -> None:
        """The present conversation began with this step: what was before it explains no call any more."""
        if step > self.begun:
            self._by_value.clear()
        self.begun = step

    @property
    def next_number(self) -> int:
        """Of the next step."""
        return self.steps[-1].number + 1 if self.steps else 0

    def made(self, hash_: int, since: int) -> bool:
        """Was the call of this hash made in one of the steps from `since` on?"""
        return any(step.hash_ == hash_ and step.number >= since for step in self.steps)

    def trace(self, arguments: Arguments) -> Trace:
        """Where the values of a call come from that is about to be made. Not asked of a fork."""
        values, brought, said = 0, list[int](), list[int]()
        for path, _, value in leaves(arguments):
            if len(str(value)) < MIN_TRACED_CHARS or "~" in path:
                continue
            values += 1
            identity = _identity(value)
            step = self._seen_at.get(identity)
            if step is not None:
                (said if identity in self._said else brought).append(step)
        newest = max((*brought, *said), default=None)
        return Trace(values, len(brought) + len(said), newest, min(brought, default=newest))

    def at(self, path: str, step: int) -> Values:
        """What one step brought at a path."""
        history: History | None = self
        while history is not None:
            at_path = history._by_path.get(path)
            if at_path is not None and step in at_path:
                return at_path[step]
            history = history._under
        return NONE

    def latest(self, path: str) -> Values:
        """What the last step of the conversation that had the path brought there."""
        history: History | None = self
        while history is not None:
            at_path = history._by_path.get(path)
            if at_path:
                last = next(reversed(at_path))
                return at_path[last] if last >= self.begun else NONE
            history = history._under
        return NONE

    def steps_with(self, path: str) -> list[int]:
        """The steps of the conversation that brought values at a path, in order. Not asked of a fork."""
        return [step for step in self._by_path.get(path, ()) if step >= self.begun]

    def last_argument(self, token: str, name: str) -> Json:
        """The value of an argument in the latest call of a tool."""
        for step in reversed(self.steps):
            if step.token == token:
                return step.arguments.get(name)
        return None

    def add(self, step: Step) -> list[str]:
        """A call began: index its arguments. The new paths are returned."""
        self.steps.append(step)
        if len(self.steps) > MAX_STEPS and self._under is None:
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
            if self._under is None:
                del self._looked_into[id(result)]
            return known[1]
        values = _by_tail(leaves_again(result))
        if self._under is not None and isinstance(result, dict | list):
            if len(self._looked_into) >= MAX_LOOKED_INTO:
                del self._looked_into[next(iter(self._looked_into))]
            self._looked_into[id(result)] = (result, values)
        return values

    def _index(self, prefix: str, number: int, found: ByTail) -> list[str]:
        paths: list[str] = []
        by_path = self._by_path
        for tail, values in found:
            path = prefix + tail
            at_path = by_path.get(path)
            if at_path is None:
                by_path[path] = {number: values}
            else:
                at_path.pop(number, None)
                at_path[number] = values
            paths.append(path)
        if self._under is not None:
            self._not_indexed.append(found)
            return paths
        for path, (_, values) in zip(paths, found, strict=True):
            self._note_values(path, values, number)
        self._paths_of_step[number] = self._paths_of_step.get(number, []) + paths
        return paths

    def _note_values(self, path: str, values: Values, step: int) -> None:
        by_value, seen_at = self._by_value, self._seen_at
        said = path.startswith("a|")
        alone = (path,)
        for _, identity, _ in values:
            known = by_value.get(identity)
            seen_at[identity] = step
            if known is None:
                by_value[identity] = alone
                if said:
                    self._said.add(identity)
            elif known[0] != path:
                others = tuple(other for other in known if other != path)
                by_value[identity] = (path, *others[: MAX_PATHS_OF_VALUE - 1])

    def _index_values(self) -> None:
        """Of a fork: take note of all values at once."""
        for found in self._not_indexed:
            for _, values in found:
                self._by_value.update((identity, ()) for _, identity, _ in values)
        self._not_indexed.clear()

    def _forget(self, number: int) -> None:
        for path in self._paths_of_step.pop(number, []):
            at_path = self._by_path.get(path)
            if at_path is None:
                continue
            values = at_path.pop(number, NONE)
            if not at_path:
                del self._by_path[path]
            for _, identity, _ in values:
                if self._seen_at.get(identity, number) <= number:
                    self._by_value.pop(identity, None)
                    self._seen_at.pop(identity, None)
                    self._said.discard(identity)


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
    by_tail: dict[str, dict[Scalar, Spot]] = {}
    for path, at, value in found:
        at_tail = by_tail.get(path)
        if at_tail is None:
            at_tail = by_tail[path] = {}
        if value not in at_tail:
            at_tail[value] = (value, value if type(value) is str else _identity(value), at)
    return [(tail, list(distinct.values())) for tail, distinct in by_tail.items()]


def _identity(value: Scalar) -> object:
    """Numbers and texts differ, as do 1 and 1.0."""
    return value if isinstance(value, str) else (repr(value),)
