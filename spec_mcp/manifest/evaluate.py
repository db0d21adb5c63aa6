"""Evaluating a manifest's expressions: the arguments of an undo, `unless`, `done`.

What happens at run time and what `manifest verify` tries must be the same, so both evaluate here. jmespath is loaded
by the first evaluation and not before.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from spec_mcp.engine.calls import Arguments, Json
from spec_mcp.predict.results import seen_result

if TYPE_CHECKING:
    from jmespath.parser import ParsedResult  # pyright: ignore[reportMissingTypeStubs]

COMPILED_EXPRESSIONS = 256
"""More than the manifests of one person's servers hold."""


class Unbound(ValueError):  # noqa: N818  named for what it is: nothing can be called by such arguments
    """An expression gave null, or failed on the values at hand; the message is one line."""


def result_of(result: Json) -> Json:
    """What an expression sees of a decoded `tools/call` result.

    `structuredContent` where there is one, else the JSON that the single text item holds, else `{"text": …}`.
    """
    return seen_result(result)


def evaluate(expression: str, *, arguments: Json, result: Json = None, before: Json = None) -> Json:
    """The value of one expression; `result` and `before` as `result_of` gives them.

    Raises:
        Unbound: it fails on these values, such as a function that is given a value of the wrong type.
    """
    import jmespath.exceptions  # pyright: ignore[reportMissingTypeStubs]

    from spec_mcp.predict.functions import OPTIONS

    seen = {"arguments": arguments, "result": result, "before": before}
    try:
        found: Any = _compiled(expression).search(seen, options=OPTIONS)  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
        # its own kinds of lists become plain ones, and nothing of the values at hand is shared
        return json.loads(json.dumps(found))
    except (jmespath.exceptions.JMESPathError, TypeError, ValueError, RecursionError) as error:
        said = str(error).strip().splitlines()
        raise Unbound(f"{expression!r} cannot be evaluated: {said[0] if said else type(error).__name__}") from error


def bind(expressions: Mapping[str, str], *, arguments: Json, result: Json = None, before: Json = None) -> Arguments:
    """The arguments of a call that a manifest spells by expressions.

    Raises:
        Unbound: an expression gives null or fails; the message names its key.
    """
    bound: Arguments = {}
    for key, expression in expressions.items():
        try:
            value = evaluate(expression, arguments=arguments, result=result, before=before)
        except Unbound as error:
            raise Unbound(f"{key}: {error}") from error
        if value is None:
            raise Unbound(f"{key}: {expression!r} gives null")
        bound[key] = value
    return bound


def is_true(expression: str, *, arguments: Json, result: Json = None, before: Json = None) -> bool:
    """Is the value of an expression true in JMESPath's sense: not null, false, or an empty text, list or object?

    Raises:
        Unbound: it fails on these values, so that neither answer is known.
    """
    value = evaluate(expression, arguments=arguments, result=result, before=before)
    return value is not None and value is not False and value not in ("", [], {})


@lru_cache(maxsize=COMPILED_EXPRESSIONS)
def _compiled(expression: str) -> ParsedResult:
    import jmespath  # pyright: ignore[reportMissingTypeStubs]

    return jmespath.compile(expression)  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
