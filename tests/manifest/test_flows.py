"""What is measured in recorded sessions: only what came true often enough, in several of them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spec_mcp.manifest.expressions import parse
from spec_mcp.manifest.flows import SEEN_MIN, SHARE_MIN, Step, flows
from spec_mcp.predict.rules import follow

TOOLS = ("find", "get", "note")

keys = st.sampled_from(["id", "a b", 'q"', "items", "", "é"]) | st.text(max_size=4)
scalars = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.sampled_from(["x", "y", ""]), st.text()
)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3), max_leaves=8
)
steps = st.builds(Step, st.sampled_from([*TOOLS, "other"]), st.dictionaries(keys, values, max_size=2), values)
sessions = st.lists(st.lists(steps, max_size=8), max_size=5)


def walk(number: int, ids: list[Any], **more: Any) -> list[Step]:
    """A session that finds things and looks at the first of them."""
    found: dict[str, Any] = {"items": [{"id": id_} for id_ in ids], "next": number}
    return [Step("find", {"kind": "a", **more}, found), Step("get", {"id": ids[0], "kind": "a"}, {"id": ids[0]})]


def test_a_value_that_is_carried_on_becomes_a_rule_with_the_share_in_which_that_came_true() -> None:
    rules = flows([walk(n, [f"t{n}", f"u{n}"]) for n in range(8)], TOOLS)

    [flow] = rules["find"]
    assert dict(flow.rule.arguments) == {"id": "result.items[*].id", "kind": "arguments.kind"}
    assert (flow.offered, flow.used, flow.sessions) == (16, 8, 8)
    assert flow.rule.confidence == 0.5


def test_lists_within_lists_are_flattened_so_that_each_value_is_foretold() -> None:
    def nested(n: int) -> list[Step]:
        return [Step("find", {}, {"a": [{"b": [{"id": n}, {"id": -n}]}]}), Step("get", {"id": -n}, {})]

    [flow] = flows([nested(n) for n in range(1, 9)], TOOLS)["find"]

    assert dict(flow.rule.arguments) == {"id": "result.a[*].b[].id"}
    assert flow.offered == 16


def test_a_constant_goes_along_with_what_is_carried_on_but_no_secret() -> None:
    def session(n: int, name: str) -> list[Step]:
        return [Step("find", {}, {"id": n}), Step("get", {"id": n, name: "always"}, {})]

    [flow] = flows([session(n, "how") for n in range(5)], TOOLS)["find"]
    assert dict(flow.rule.arguments) == {"how": '`"always"`', "id": "result.id"}
    assert flows([session(n, "api_key") for n in range(5)], TOOLS) == {}


@pytest.mark.parametrize(
    "recorded",
    [
        [walk(n, [f"t{n}"]) for n in range(SEEN_MIN - 1)],
        [[step for n in range(9) for step in walk(n, [f"t{n}"])]],
        [[Step("find", {}, None), Step("get", {"id": n}, {})] for n in range(9)],
        [[Step("find", {}, {"id": n}), *[Step("note", {}, 0)] * 9, Step("get", {"id": n}, {})] for n in range(9)],
        [[Step("find", {}, {"id": True}), Step("get", {"id": 1}, {})] for _ in range(9)],
        [[Step("find", {}, {"ids": [*range(40)]}), Step("get", {"id": 1}, {})] for _ in range(9)],
    ],
    ids=["too few", "one session", "errors", "too late", "other types", "one of many"],
)
def test_what_is_chance_or_rare_is_no_rule(recorded: list[list[Step]]) -> None:
    found = flows(recorded, TOOLS).get("find", [])

    assert [flow for flow in found if flow.rule.tool == "get"] == []


def test_tools_that_are_not_asked_for_are_not_looked_at() -> None:
    assert flows([walk(n, [f"t{n}"]) for n in range(8)], ("find",)) == {}


@settings(max_examples=40)
@given(recorded=sessions)
def test_whatever_was_recorded_each_rule_is_an_expression_that_foretells_what_was_counted(
    recorded: list[list[Step]],
) -> None:
    for tool, found in flows([*recorded, *recorded, *recorded], TOOLS).items():
        for flow in found:
            assert flow.source == tool
            assert flow.used >= SHARE_MIN * flow.offered
            assert 0 < flow.rule.confidence < 1
            for expression in flow.rule.arguments.values():
                assert parse(expression).roots <= {"result", "arguments"}
            steps = [step for session in recorded for step in session if step.tool == tool and step.result is not None]
            assert any(follow(flow.rule, step.arguments, step.result) for step in steps)
