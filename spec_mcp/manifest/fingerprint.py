"""The fingerprint of a tool's definition: what must be reviewed again when it changes.

It covers the name, the schemas and the annotations. Descriptions, titles and examples are left out wherever a schema
may carry them: they are words for a reader, and servers write time zones and paths into them. A property that happens
to be *named* `description`, `title` or `examples` is part of the schema and stays.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any, cast

_WORDS = frozenset({"title", "description", "examples"})
_NAMED_SCHEMAS = frozenset({"properties", "patternProperties", "$defs", "definitions", "dependentSchemas"})
_SCHEMAS = frozenset(
    {
        "items",
        "prefixItems",
        "additionalItems",
        "unevaluatedItems",
        "contains",
        "additionalProperties",
        "unevaluatedProperties",
        "propertyNames",
        "allOf",
        "anyOf",
        "oneOf",
        "not",
        "if",
        "then",
        "else",
    }
)
"""Keywords of JSON Schema that hold a schema or a list of them. What stands under any other keyword is kept as it is:
to forget a keyword here can only make a fingerprint too sensitive."""


def fingerprint(tool: Mapping[str, Any]) -> str:
    """`sha256:` and 64 hexadecimal digits for one element of a `tools/list` result."""
    definition: dict[str, Any] = {"name": tool.get("name")}
    for key in ("inputSchema", "outputSchema"):
        if tool.get(key) is not None:
            definition[key] = _schema(tool[key])
    if isinstance(annotations := tool.get("annotations"), dict):
        hints = cast("dict[str, Any]", annotations)
        definition["annotations"] = {name: value for name, value in hints.items() if name != "title"}
    # escapes keep lone surrogates apart, which UTF-8 cannot hold
    text = json.dumps(definition, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return "sha256:" + hashlib.sha256(text.encode("ascii")).hexdigest()


def fingerprints(tools: list[Mapping[str, Any]]) -> dict[str, str]:
    """Name to fingerprint for a whole `tools/list` result; elements without a name are left out."""
    return {tool["name"]: fingerprint(tool) for tool in tools if isinstance(tool.get("name"), str)}


def _schema(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_schema(item) for item in cast("list[Any]", schema)]
    if not isinstance(schema, dict):
        return schema
    kept: dict[str, Any] = {}
    for key, value in cast("dict[str, Any]", schema).items():
        if key in _WORDS:
            continue
        if key in _NAMED_SCHEMAS and isinstance(value, dict):
            kept[key] = {name: _schema(inner) for name, inner in cast("dict[str, Any]", value).items()}
        elif key in _SCHEMAS:
            kept[key] = _schema(value)
        else:
            kept[key] = value
    return kept
