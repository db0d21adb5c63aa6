from __future__ import annotations

import copy
import hashlib
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spec_mcp.manifest import fingerprint, fingerprints

NAMES = st.sampled_from(["path", "title", "description", "examples", "properties", "items", "größe", "\ud800"])
WORDS = st.fixed_dictionaries(
    {}, optional={"title": st.text(), "description": st.text(), "examples": st.lists(st.integers())}
)


def _with_words(schema: dict[str, Any], words: dict[str, Any]) -> dict[str, Any]:
    return {**schema, **words}


LEAVES = st.builds(
    _with_words,
    st.sampled_from([{"type": "string"}, {"type": "integer", "minimum": 0}, {"enum": ["title", {"title": 1}]}, {}]),
    WORDS,
)


def _nested(inner: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    named = st.dictionaries(NAMES, inner, max_size=3)
    return st.one_of(
        st.builds(_with_words, named.map(lambda p: {"type": "object", "properties": p, "required": sorted(p)}), WORDS),
        st.builds(_with_words, inner.map(lambda i: {"type": "array", "items": i}), WORDS),
        st.builds(_with_words, st.lists(inner, min_size=1, max_size=2).map(lambda a: {"anyOf": a}), WORDS),
        st.builds(_with_words, named.map(lambda d: {"$defs": d, "additionalProperties": False}), WORDS),
    )


SCHEMAS = st.recursive(LEAVES, _nested, max_leaves=8)


def _shuffled(value: Any, order: random.Random) -> Any:
    """The same JSON with other orders of keys."""
    if isinstance(value, dict):
        items = list(value.items())
        order.shuffle(items)
        return {key: _shuffled(inner, order) for key, inner in items}
    return [_shuffled(item, order) for item in value] if isinstance(value, list) else value


def _reworded(schema: Any, word: str) -> Any:
    """The same schema with other words for its reader at every depth."""
    if isinstance(schema, list):
        return [_reworded(item, word) for item in schema]
    if not isinstance(schema, dict):
        return schema
    result: dict[str, Any] = {"title": word, "description": word, "examples": [word]}
    for key, value in schema.items():
        if key in ("properties", "$defs"):
            result[key] = {name: _reworded(inner, word) for name, inner in value.items()}
        elif key in ("items", "anyOf"):
            result[key] = _reworded(value, word)
        elif key not in result:
            result[key] = value
    return result


@given(SCHEMAS, st.randoms(use_true_random=False))
def test_the_order_of_keys_is_free(schema: dict[str, Any], order: random.Random) -> None:
    tool = {"name": "read", "inputSchema": schema, "annotations": {"readOnlyHint": True, "idempotentHint": True}}

    assert fingerprint(_shuffled(tool, order)) == fingerprint(tool)


@given(SCHEMAS, st.text(max_size=5))
def test_words_for_the_reader_are_free_at_any_depth(schema: dict[str, Any], word: str) -> None:
    first = {"name": "read", "inputSchema": schema, "outputSchema": schema}
    other = {
        "name": "read",
        "title": word,
        "description": word,
        "inputSchema": _reworded(schema, word),
        "outputSchema": _reworded(schema, word),
        "_meta": {"word": word},
    }

    assert fingerprint(first) == fingerprint(other)


BASE: dict[str, Any] = {
    "name": "read",
    "inputSchema": {
        "type": "object",
        "properties": {
            "path": {"type": "string", "description": "where"},
            "description": {"type": "string"},
            "kind": {"enum": ["a", "b"]},
        },
        "required": ["path"],
    },
    "outputSchema": {"type": "object", "properties": {"examples": {"type": "array", "items": {"type": "string"}}}},
    "annotations": {"readOnlyHint": True, "title": "Read"},
}

CHANGES: list[tuple[tuple[Any, ...], Any]] = [
    (("name",), "write"),
    (("inputSchema", "properties", "path", "type"), "integer"),
    (("inputSchema", "properties", "mode"), {"type": "string"}),
    (("inputSchema", "properties", "description"), None),
    (("inputSchema", "properties", "description", "type"), "integer"),
    (("inputSchema", "properties", "kind", "enum"), ["a", "b", "c"]),
    (("inputSchema", "required"), ["path", "kind"]),
    (("inputSchema", "additionalProperties"), False),
    (("outputSchema", "properties", "examples", "items", "type"), "integer"),
    (("outputSchema",), None),
    (("annotations", "readOnlyHint"), False),
    (("annotations", "destructiveHint"), True),
]


@pytest.mark.parametrize(("path", "value"), CHANGES)
def test_a_change_of_what_the_tool_takes_gives_or_does_shows(path: tuple[Any, ...], value: Any) -> None:
    changed = copy.deepcopy(BASE)
    place = changed
    for step in path[:-1]:
        place = place[step]
    if value is None:
        del place[path[-1]]
    else:
        place[path[-1]] = value

    assert fingerprint(changed) != fingerprint(BASE)


def test_a_title_among_the_annotations_is_a_word_for_the_reader() -> None:
    renamed = copy.deepcopy(BASE)
    renamed["annotations"]["title"] = "Lire"

    assert fingerprint(renamed) == fingerprint(BASE)


def test_a_fingerprint_is_the_hash_of_the_canonical_definition() -> None:
    tool = {
        "title": "Read",
        "name": "read",
        "inputSchema": {"type": "object", "properties": {"title": {"type": "string", "title": "T"}}},
        "annotations": {"title": "Read", "readOnlyHint": True},
    }
    text = (
        b'{"annotations":{"readOnlyHint":true},'
        b'"inputSchema":{"properties":{"title":{"type":"string"}},"type":"object"},"name":"read"}'
    )

    assert fingerprint(tool) == "sha256:" + hashlib.sha256(text).hexdigest()


def test_a_tool_list_gives_a_fingerprint_for_each_name() -> None:
    assert fingerprints([BASE, {"inputSchema": {}}]) == {"read": fingerprint(BASE)}
