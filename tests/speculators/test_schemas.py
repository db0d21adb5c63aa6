"""A server's schema is asked whether it takes a guess, and nothing that it says makes that long or leads elsewhere."""

from __future__ import annotations

from typing import Any

import pytest

from spec_mcp.predict.prompts import ToolShown
from spec_mcp.speculators.schemas import Schemas


def takes(schema: Any, **arguments: Any) -> bool:
    return Schemas().take(ToolShown("s", "t", "", schema, True), arguments)


DOUBLED = {f"d{n}": {"allOf": [{"$ref": f"#/$defs/d{n + 1}"}] * 2} for n in range(40)} | {"d40": {}}


def test_a_pattern_that_would_take_for_ever_is_not_tried() -> None:
    hostile = {"type": "string", "pattern": "^(a+)+$"}
    text = "a" * 40 + "!"
    assert takes({"type": "object", "properties": {"x": hostile}}, x=text)
    assert takes({"type": "object", "patternProperties": {"^(a+)+$": {"type": "number"}}}, **{text: "x"})
    assert takes({"type": "object", "properties": {"pattern": {"type": "string"}}}, pattern="a")
    assert not takes({"type": "object", "properties": {"pattern": {"type": "string"}}}, pattern=1)


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "#/$defs/d0", "$defs": DOUBLED},
        {"$ref": "#"},
        {"allOf": [{"$ref": "#"}, {"$ref": "#"}]},
        {"$schema": "http://json-schema.org/draft-07/schema#", "allOf": [{"$ref": "#"}] * 2},
    ],
)
def test_a_schema_without_an_end_takes_nothing(schema: Any) -> None:
    assert not takes(schema, x=1)


@pytest.mark.parametrize("place", ["http://127.0.0.1:1/schema.json", "file:///etc/passwd"])
def test_a_schema_that_lies_elsewhere_is_not_fetched_and_takes_nothing(place: str) -> None:
    assert not takes({"$ref": place}, x=1)


def test_one_that_refers_to_its_own_parts_is_asked_as_ever() -> None:
    node = {"properties": {"next": {"$ref": "#/$defs/node"}, "n": {"type": "number"}}}
    tree = {"$ref": "#/$defs/node", "$defs": {"node": node}}
    assert takes(tree, n=1, next={"n": 2, "next": {"n": 3}})
    assert not takes(tree, n=1, next={"n": 2, "next": {"n": "3"}})
