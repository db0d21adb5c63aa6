"""Which values flow from which results into the next calls, measured in recorded sessions: a draft's `followed_by`.

A rule is guessed from calls that happened (this argument stood there in that result) and then held against all
sessions by the same evaluation that predicts at run time: of the calls that it foretells, how many were made soon
after? That share is its confidence. What was guessed too rarely, or came true too rarely, is left out.
"""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, product

from spec_mcp.engine.calls import Arguments, Json
from spec_mcp.engine.effects import FollowRule
from spec_mcp.predict.recipes import SECRET
from spec_mcp.predict.rules import follow

HORIZON = 6
"""Calls after a result in which what it foretells must come: later ones follow from something else."""

SEEN_MIN = 3
"""Times that a rule must be seen before it is tried: twice is chance."""

SESSIONS_MIN = 2
"""In which a rule must be of use: one session may do the same again and again."""

SHARE_MIN = 0.1
"""Below it a rule costs more calls than it hides waiting."""

RULES_PER_TOOL = 4
RULES_PER_PAIR = 1
"""Two rules for the same next tool mostly say the same in other words."""

SOURCES_MAX = 3
"""Places of one value in one result; one that stands everywhere says little."""

GUESSES_MAX = 8
"""Rules that are guessed from one call."""

PLACES_MAX = 512
"""Values of one result that are looked at."""

NESTING_MAX = 12

CONSTANT_MAX_CHARS = 40
"""Longer values are contents and no habit."""

_PLAIN_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True, slots=True)
class Step:
    """One call of a session, as far as a rule may see it."""

    tool: str
    arguments: Arguments
    result: Json
    """As expressions see it; None where it was an error."""


@dataclass(frozen=True, slots=True)
class Flow:
    """A rule, and how often what it foretold came true."""

    source: str
    rule: FollowRule
    offered: int
    used: int
    sessions: int
    """In so many sessions it was of use."""


_Key = tuple[str, str, tuple[tuple[str, str], ...]]
"""The tool that was answered, the tool that follows, and its arguments' expressions."""


def flows(sessions: Sequence[Sequence[Step]], tools: Iterable[str]) -> dict[str, list[Flow]]:
    """By tool, the rules that hold, the best first; only calls of these tools are looked at."""
    known = frozenset(tools)
    own = [[step for step in session if step.tool in known] for session in sessions]
    seen: Counter[_Key] = Counter()
    for steps in own:
        for at, step in enumerate(steps):
            seen.update({key for later in _later(steps, at) for key in _guesses(step, later)})
    found: dict[str, list[Flow]] = defaultdict(list)
    for key, times in seen.items():
        if times >= SEEN_MIN and (flow := _measured(key, own)) is not None:
            found[key[0]].append(flow)
    return {tool: _best(of_tool) for tool, of_tool in sorted(found.items())}


def _later(steps: Sequence[Step], at: int) -> Sequence[Step]:
    return steps[at + 1 : at + 1 + HORIZON]


def _measured(key: _Key, sessions: Sequence[Sequence[Step]]) -> Flow | None:
    source, tool, arguments = key
    rule = FollowRule(tool, dict(arguments), 0.0)
    offered = used = useful = 0
    for steps in sessions:
        before = used
        for at, step in enumerate(steps):
            if step.tool != source or step.result is None:
                continue
            made = {_text(later.arguments) for later in _later(steps, at) if later.tool == tool}
            foretold = {_text(call) for call in follow(rule, step.arguments, step.result)}
            offered += len(foretold)
            used += len(foretold & made)
        useful += used > before
    share = used / offered if offered else 0.0
    if share < SHARE_MIN or used < SEEN_MIN or useful < SESSIONS_MIN:
        return None
    confidence = round((used + 1) / (offered + 2), 2)  # what was seen a few times is not certain
    return Flow(source, FollowRule(tool, rule.arguments, confidence), offered, used, useful)


def _best(found: Sequence[Flow]) -> list[Flow]:
    """Those that come true most often, a few for each tool that follows."""
    kept: list[Flow] = []
    pairs: Counter[str] = Counter()
    # of two that do as well, the one with the shorter expressions is the more general one
    order = sorted(found, key=lambda flow: (-flow.used, -flow.rule.confidence, len(str(flow.rule.arguments))))
    for flow in order:
        if pairs[flow.rule.tool] < RULES_PER_PAIR:
            pairs[flow.rule.tool] += 1
            kept.append(flow)
    return kept[:RULES_PER_TOOL]


# --- guessing ---------------------------------------------------------------------------------------------------------


def _guesses(step: Step, later: Step) -> Iterator[_Key]:
    """Rules by which the later call could have been foretold from this one's answer."""
    if step.result is None or (step.tool == later.tool and step.arguments == later.arguments):
        return
    at_hand = _sources(step)
    choices: list[list[tuple[str, str]]] = []
    for name, value in sorted(later.arguments.items()):
        found = at_hand.get(_text(value), [])[:SOURCES_MAX]
        if not found and (constant := _constant(name, value)) is not None:
            found = [constant]
        if not found:
            return
        choices.append([(name, expression) for expression in found])
    for chosen in islice(product(*choices), GUESSES_MAX):
        if not chosen or any(expression.startswith(("result", "arguments")) for _, expression in chosen):
            yield step.tool, later.tool, chosen


def _sources(step: Step) -> dict[str, list[str]]:
    """Expressions by the values that they gave here; those over the answer come first."""
    found: dict[str, list[str]] = defaultdict(list)
    for path, value in [*islice(_places(step.result, "result"), PLACES_MAX)]:
        if path not in found[text := _text(value)]:
            found[text].append(path)
    for name, value in step.arguments.items():
        found[_text(value)].append(f"arguments.{_key(name)}")
    return found


def _places(value: Json, path: str, depth: int = 0) -> Iterator[tuple[str, Json]]:
    """Scalars and the expressions that give them, for lists with all the others of their kind."""
    if depth > NESTING_MAX or value is None or isinstance(value, bool):
        return
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _places(inner, f"{path}.{_key(name)}", depth + 1)
    elif isinstance(value, list):
        # a projection within a projection would give lists of lists
        inside = f"{path}[]" if "[" in path else f"{path}[*]"
        for inner in value:
            yield from _places(inner, inside, depth + 1)
    elif value != "":
        yield path, value


def _text(value: Json) -> str:
    """The same for equal values, and for no others: 1, 1.0 and true differ."""
    return json.dumps(value, sort_keys=True)


def _key(name: str) -> str:
    return name if _PLAIN_KEY.fullmatch(name) else json.dumps(name)


def _constant(name: str, value: Json) -> str | None:
    """A value that does not depend on what was answered, as an expression."""
    if SECRET.search(name) or isinstance(value, list | dict) or value is None:
        return None
    text = json.dumps(value)
    return f"`{text}`" if len(text) <= CONSTANT_MAX_CHARS and "`" not in text and "\\" not in text else None
