"""JMESPath expressions in a manifest: do they parse, and which values do they speak of?

Imported only for manifests that hold expressions: jmespath costs 10 to 20 ms at start.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

import jmespath  # pyright: ignore[reportMissingTypeStubs]
from jmespath.exceptions import JMESPathError  # pyright: ignore[reportMissingTypeStubs]

from spec_mcp.predict.functions import ManifestFunctions

Node = dict[str, Any]
"""A node of jmespath's syntax tree."""


class BadExpression(ValueError):  # noqa: N818  named for what it is, the author's error is ManifestError
    """The text is no JMESPath; the message is one line."""


FUNCTIONS = frozenset(cast("Mapping[str, object]", ManifestFunctions.FUNCTION_TABLE))  # pyright: ignore[reportUnknownMemberType]

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
        BadExpression: it is no JMESPath, or calls a function that there is not.
    """
    try:
        tree = cast("Node", jmespath.compile(text).parsed)  # pyright: ignore[reportUnknownMemberType]
    except (JMESPathError, ValueError, RecursionError) as error:
        raise BadExpression(_first_line(error)) from error
    for name in _functions(tree):
        if name not in FUNCTIONS:
            raise BadExpression(f"there is no function {name}")
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
