"""JMESPath expressions in a manifest: do they parse, and which values do they speak of?

Imported only for manifests that hold expressions: jmespath costs 10 to 20 ms at start.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any, cast

import jmespath  # pyright: ignore[reportMissingTypeStubs]
from jmespath.exceptions import JMESPathError  # pyright: ignore[reportMissingTypeStubs]

from spec_mcp.predict.functions import ManifestFunctions

TEXT_MAX_CHARS = 4_000
"""Ten times the longest that the shipped manifests hold."""

COPIES_MAX = 64
"""How often what an expression sees may stand in what it gives: `[@, @] | [@, @] | …` doubles it with each step, and
nobody may wait for a manifest."""

Node = dict[str, Any]
"""A node of jmespath's syntax tree."""


class BadExpression(ValueError):  # noqa: N818  named for what it is, the author's error is ManifestError
    """The text is no JMESPath; the message is one line."""


FUNCTIONS = frozenset(cast("Mapping[str, object]", ManifestFunctions.FUNCTION_TABLE))  # pyright: ignore[reportUnknownMemberType]

_ONE_AFTER_THE_OTHER = frozenset(
    {"pipe", "projection", "value_projection", "filter_projection", "flatten", "index_expression", "subexpression"}
)
"""Nodes of which each child sees what the one before it gave."""

_ELEMENT_WISE = frozenset(
    {"pipe", "projection", "value_projection", "filter_projection", "flatten", "index_expression"}
)
"""Nodes whose first child alone sees what the node sees; the others see what that child gave."""


@dataclass(frozen=True, slots=True)
class Expression:
    """What an expression reads."""

    roots: frozenset[str]
    """Names that it looks up at the top: `arguments`, `result`, `before`."""
    arguments: frozenset[str]
    """Names that it looks up in `arguments`."""


def parse(text: str) -> Expression:
    """Parse one expression.

    Raises:
        BadExpression: it is no JMESPath, calls a function that there is not, or takes too long to evaluate.
    """
    if len(text) > TEXT_MAX_CHARS:
        raise BadExpression(f"longer than {TEXT_MAX_CHARS:,} characters")
    try:
        tree = cast("Node", jmespath.compile(text).parsed)  # pyright: ignore[reportUnknownMemberType]
    except (JMESPathError, ValueError, RecursionError) as error:
        raise BadExpression(_first_line(error)) from error
    for name in _functions(tree):
        if name not in FUNCTIONS:
            raise BadExpression(f"there is no function {name}")
    if _copies(tree) > COPIES_MAX:
        raise BadExpression(f"gives what it sees more than {COPIES_MAX} times over")
    paths = list(_paths(tree))
    return Expression(
        roots=frozenset(path[0] for path in paths),
        arguments=frozenset(path[1] for path in paths if path[0] == "arguments" and len(path) > 1),
    )


def _first_line(error: Exception) -> str:
    text = str(error).strip()
    return text.splitlines()[0].rstrip(":, ") if text else type(error).__name__


def _children(node: Node) -> list[Node]:
    """The nodes below; a slice holds bare numbers instead."""
    return [child for child in cast("list[Node | int | None]", node["children"]) if isinstance(child, dict)]


def _functions(node: Node) -> Iterator[str]:
    if node["type"] == "function_expression":
        yield cast("str", node["value"])
    for child in _children(node):
        yield from _functions(child)


def _copies(node: Node) -> int:
    """How often a part of what the node sees may stand in what it gives, at the most."""
    parts = [_copies(child) for child in _children(node)]
    if node["type"] in _ONE_AFTER_THE_OTHER:
        return prod(parts)
    if node["type"] == "function_expression":  # one that is given an expression applies it to each element
        applied = [child["type"] == "expref" for child in _children(node)]
        once = sum(copies for copies, is_applied in zip(parts, applied, strict=True) if not is_applied)
        return max(1, once) * prod(copies for copies, is_applied in zip(parts, applied, strict=True) if is_applied)
    return max(1, sum(parts))


def _paths(node: Node) -> Iterator[tuple[str, ...]]:
    """The chains of names that a tree looks up from the top: (`arguments`, `path`) for `arguments.path[0]`."""
    kind, children = node["type"], _children(node)
    if kind == "field":
        yield (cast("str", node["value"]),)
    elif kind == "subexpression":
        chain: tuple[str, ...] = ()
        for child in children:
            yield from (chain + path for path in _paths(child))
            if child["type"] != "field":
                break
            chain += (cast("str", child["value"]),)
    elif kind == "expref":
        return
    elif kind in _ELEMENT_WISE:
        yield from _paths(children[0])
    else:
        for child in children:
            yield from _paths(child)
