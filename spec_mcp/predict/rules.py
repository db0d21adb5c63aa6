"""The author's word on what follows: a manifest's `followed_by`, as candidates.

Expressions are JMESPath over `arguments`, `result` and `before`. A list fans out: lists of one rule are walked side by
side, single values go with each element. The rule's confidence is where learning starts, not what it is bound to.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from spec_mcp.engine.calls import Arguments, Json
from spec_mcp.engine.effects import FollowRule
from spec_mcp.predict.recipes import MAX_FANOUT, Binding, Recipe

if TYPE_CHECKING:
    from jmespath.parser import ParsedResult

CONFIDENCE_WEIGHT = 8.0
"""Observations that the author's confidence counts for."""


def recipe_of(source: str, token: str, rule: FollowRule) -> Recipe:
    """What stands for a rule where its candidates are counted; `source` and `token` are its two tools."""
    bindings = tuple(Binding(name, f"m|{source}|", text) for name, text in sorted(rule.arguments.items()))
    recipe = Recipe(token, bindings or (Binding("", f"m|{source}|", ""),))
    recipe.start_from(rule.confidence, CONFIDENCE_WEIGHT)
    return recipe


def follow(rule: FollowRule, arguments: Arguments, result: Json) -> list[Arguments]:
    """The calls that a rule foretells after this one."""
    seen = {"arguments": arguments, "result": result, "before": None}
    found: dict[str, Json] = {}
    for name, text in rule.arguments.items():
        value = search(text, seen)
        if value is None or value == []:
            return []
        found[name] = value
    lengths = [len(value) for value in found.values() if isinstance(value, list)]
    calls: list[Arguments] = []
    for index in range(min(lengths, default=1)):
        call = {name: value[index] if isinstance(value, list) else value for name, value in found.items()}
        if None not in call.values():
            calls.append(call)
    return calls[:MAX_FANOUT]


def search(text: str, seen: Mapping[str, Json]) -> Json:
    """The value of a manifest's expression; None where it has none, or fails on these values."""
    import jmespath.exceptions

    from spec_mcp.predict.functions import OPTIONS

    try:
        found: Any = _compiled(text).search(seen, options=OPTIONS)
        return json.loads(json.dumps(found))
    except (jmespath.exceptions.JMESPathError, TypeError, ValueError, RecursionError):
        return None  # the answer has another shape than the author expected: nothing is foretold


@lru_cache(maxsize=256)
def _compiled(text: str) -> ParsedResult:
    import jmespath

    return jmespath.compile(text)
