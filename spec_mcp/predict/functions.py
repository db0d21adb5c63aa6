"""What a manifest's expressions may call besides JMESPath's own functions.

JMESPath has no `let`: within a filter, an expression sees the element alone, neither `arguments` nor `before`. So what
compares two of them is a function of both. Imported only where an expression is evaluated or judged, as jmespath is.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

from jmespath.functions import Functions, signature  # pyright: ignore[reportMissingTypeStubs, reportUnknownVariableType]
from jmespath.visitor import Options  # pyright: ignore[reportMissingTypeStubs]

from spec_mcp.engine.calls import Json

_LIST = {"types": ["array", "null"]}
_TWO_LISTS: Callable[[Any], Any] = signature(_LIST, _LIST)  # pyright: ignore[reportArgumentType]


class ManifestFunctions(Functions):
    """Lists are compared element by element, equal where their JSON is; null counts as an empty list."""

    @_TWO_LISTS
    def _func_overlap(self, left: list[Json] | None, right: list[Json] | None) -> bool:
        """Do both hold an equal element?"""
        return not _texts(left or ()).isdisjoint(_texts(right or ()))

    @_TWO_LISTS
    def _func_without(self, left: list[Json] | None, right: list[Json] | None) -> list[Json]:
        """The elements of the first that the second does not hold, in their order."""
        dropped = _texts(right or ())
        return [item for item in left or () if _text(item) not in dropped]


OPTIONS = Options(custom_functions=ManifestFunctions())
"""For `search`, wherever an expression of a manifest is evaluated."""


def _texts(items: Iterable[Json]) -> set[str]:
    return {_text(item) for item in items}


def _text(item: Json) -> str:
    return json.dumps(item, sort_keys=True)
