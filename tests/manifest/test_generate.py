"""Arguments made from schemas: they fit, and they speak of what was seen."""

from __future__ import annotations

from random import Random
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spec_mcp.engine.calls import Json
from spec_mcp.manifest.verifying.generate import Generator, Pool, stem

SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["order_id", "kind", "count", "deep", "either", "list"],
    "properties": {
        "order_id": {"type": "string"},
        "kind": {"enum": ["x", "y"]},
        "count": {"type": "integer", "minimum": 2, "maximum": 5},
        "deep": {"$ref": "#/$defs/deep"},
        "either": {"anyOf": [{"type": "null"}, {"type": "boolean"}]},
        "list": {"type": "array", "items": {"type": "string", "minLength": 3}, "minItems": 1, "maxItems": 2},
        "path": {"type": "string"},
        "paths": {"type": "array", "items": {"type": "string"}, "minItems": 1},
    },
    "$defs": {"deep": {"type": "object", "properties": {"deep": {"$ref": "#/$defs/deep"}}}},
}
FIXED: dict[str, list[Json]] = {"path": ["/scratch/a"], "paths": ["/scratch/b"]}
ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
)


def generator(seed: int, pool: Pool) -> Generator:
    return Generator([{"name": "get_order", "inputSchema": SCHEMA}], pool, {}, Random(seed))


@given(seed=st.integers(), seen=ANY_JSON)
def test_arguments_fit_the_schema_whatever_was_seen(seed: int, seen: Json) -> None:
    pool = Pool(FIXED)
    pool.learn(seen)
    made: Any = generator(seed, pool).arguments("get_order")

    assert set(SCHEMA["required"]) <= set(made) <= set(SCHEMA["properties"])
    assert isinstance(made["order_id"], str)
    assert made["kind"] in ("x", "y")
    assert made["count"] in range(2, 6)
    assert isinstance(made["deep"], dict)
    assert made["either"] in (None, True, False)
    assert 1 <= len(made["list"]) <= 2
    assert all(len(item) >= 3 for item in made["list"] if item not in pool.any())
    assert made.get("path", "/scratch/a") == "/scratch/a", "an argument with fixed values has no others"
    assert set(made.get("paths", ["/scratch/b"])) == {"/scratch/b"}


@given(seed=st.integers())
def test_the_same_seed_makes_the_same_arguments(seed: int) -> None:
    assert generator(seed, Pool({})).arguments("get_order") == generator(seed, Pool({})).arguments("get_order")


def test_most_values_were_seen_under_a_like_name() -> None:
    pool = Pool({})
    pool.learn({"user": {"orders": ["#1", "#2"], "zip": "99"}})
    made = [cast("str", generator(seed, pool).arguments("get_order")["order_id"]) for seed in range(200)]

    assert sum(value in ("#1", "#2") for value in made) > 100
    assert len(set(made)) > 5, "others are tried too"


@pytest.mark.parametrize(
    ("name", "about"),
    [
        ("order_id", "order"),
        ("orderIds", "order"),
        ("orders", "order"),
        ("entityNames", "entity"),
        ("entities", "entity"),
        ("payment_methods", "payment method"),
        ("id", ""),
    ],
)
def test_a_name_is_about_what_stands_before_its_tail(name: str, about: str) -> None:
    assert stem(name) == about


def test_an_overlapping_call_shares_values() -> None:
    made = generator(1, Pool({}))
    first = made.arguments("get_order")
    shared = [made.overlapping("get_order", first) for _ in range(20)]

    assert all(set(SCHEMA["required"]) <= set(other) for other in shared)
    assert sum(other["order_id"] == first["order_id"] for other in shared) > 5
