"""What expressions see, what they give, and what is said where they give nothing."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spec_mcp.engine.calls import Json
from spec_mcp.manifest.evaluate import Unbound, bind, evaluate, is_true, result_of
from spec_mcp.manifest.expressions import parse

NAMES = st.lists(st.sampled_from(["a", "b", "c", "d", 1, 1.5, True, None, {"x": 1}, ["a"]]), max_size=4)


@pytest.mark.parametrize(
    ("result", "seen"),
    [
        ({"structuredContent": {"a": 1}, "content": [{"type": "text", "text": "{}"}]}, {"a": 1}),
        ({"content": [{"type": "text", "text": '{"a": [1]}'}]}, {"a": [1]}),
        ({"content": [{"type": "text", "text": "plain"}]}, {"text": "plain"}),
        ({"content": [{"type": "text", "text": "1"}, {"type": "text", "text": "2"}]}, {"text": "1\n2"}),
    ],
)
def test_a_result_is_its_structure_else_its_single_text_as_json_else_its_text(result: Json, seen: Json) -> None:
    assert result_of(result) == seen


def test_the_arguments_of_an_undo_come_from_what_the_call_answered() -> None:
    expressions = {"names": "result.made[*].name", "why": "'undone'", "folder": "before.folder", "id": "arguments.id"}

    bound = bind(
        expressions, arguments={"id": 7}, result={"made": [{"name": "x"}, {"name": "y"}]}, before={"folder": "/f"}
    )

    assert bound == {"names": ["x", "y"], "why": "undone", "folder": "/f", "id": 7}
    assert type(bound["names"]) is list


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ("result.gone", "id: 'result.gone' gives null"),
        ("length(arguments.number)", "id: 'length(arguments.number)' cannot be evaluated: In function length()"),
        ("&result", "id: '&result' cannot be evaluated: "),
    ],
)
def test_what_cannot_be_bound_is_named_in_one_line(expression: str, said: str) -> None:
    with pytest.raises(Unbound) as caught:
        bind({"id": expression}, arguments={"number": 3}, result={})

    assert str(caught.value).startswith(said)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("value", [None, False, "", [], {}])
def test_nothing_and_empty_things_are_not_true(value: Json) -> None:
    assert not is_true("before", arguments={}, before=value)


@pytest.mark.parametrize("value", [True, 0, "0", [None], {"a": None}])
def test_everything_else_is_true_zero_too(value: Json) -> None:
    assert is_true("before", arguments={}, before=value)


def test_a_filter_cannot_see_the_arguments_but_overlap_can() -> None:
    before: Json = {"entities": [{"name": "a"}, {"name": "b"}]}
    unless = "overlap(before.entities[].name, arguments.entities[].name)"

    assert is_true(unless, arguments={"entities": [{"name": "b"}]}, before=before)
    assert not is_true(unless, arguments={"entities": [{"name": "c"}]}, before=before)
    assert not is_true(unless, arguments={}, before=before)
    assert parse(unless).roots == {"arguments", "before"}


def as_json(value: Any) -> str:
    return repr(value)


@given(left=NAMES, right=NAMES)
def test_without_leaves_what_does_not_overlap(left: list[Json], right: list[Json]) -> None:
    values: Json = {"left": left, "right": right}

    rest = evaluate("without(arguments.left, arguments.right)", arguments=values)
    overlaps = evaluate("overlap(arguments.left, arguments.right)", arguments=values)

    other = {as_json(item) for item in right}
    assert rest == [item for item in left if as_json(item) not in other]
    assert overlaps is (len(left) > len(rest) if isinstance(rest, list) else None)


def test_jmespath_is_loaded_by_the_first_evaluation() -> None:
    script = (
        "import sys, spec_mcp.manifest.evaluate as e; print('jmespath' in sys.modules);"
        "e.evaluate('arguments', arguments={}); print('jmespath' in sys.modules)"
    )

    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)

    assert done.stdout.split() == ["False", "True"]
