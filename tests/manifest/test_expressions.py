"""Expressions of a manifest end soon, whatever they are applied to."""

from __future__ import annotations

import json
from typing import Any, cast

import jmespath
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spec_mcp.manifest import expressions
from spec_mcp.manifest.evaluate import evaluate
from spec_mcp.manifest.expressions import COPIES_MAX, TEXT_MAX_CHARS, BadExpression, parse

MARK = "a part of what is seen"

BOMBS = [
    "|".join(["[@, @]"] * 30),
    "|".join(["[@, @][]"] * 30),
    "|".join(["{a: @, b: @}"] * 30),
    "@" + ".[@, @]" * 30,
    "map(&map(&map(&[@, @, @, @], [@, @]), [@, @, @]), [@, @, @])",
    "join(',', ['a', to_string(@)]) | " + " | ".join(["join('', [to_string(@), to_string(@)])"] * 30),
    "@" + " | [*].[@, @][]" * 30,
    "[@, @, @]" + "[?[@, @, @]]" * 10,
    "x" * (TEXT_MAX_CHARS + 1),
]

PARTS = st.recursive(
    st.sampled_from(["@", "a", "'x'"]),
    lambda part: st.one_of(
        st.lists(part, min_size=1, max_size=3).map(lambda parts: f"[{', '.join(parts)}]"),
        st.tuples(part, part).map(lambda parts: f"{{a: {parts[0]}, b: {parts[1]}}}"),
        st.tuples(part, part).map(lambda parts: f"{parts[0]} | {parts[1]}"),
        st.tuples(part, part).map(lambda parts: f"map(&{parts[0]}, [{parts[1]}, {parts[1]}])"),
        part.map(lambda part: f"[{part}][]"),
        part.map(lambda part: f"[{part}][?@].a"),
        part.map(lambda part: f"to_string({part})"),
        st.tuples(part, part).map(lambda parts: f"({parts[0]} || {parts[1]})"),
    ),
    max_leaves=8,
)


@pytest.mark.parametrize("bomb", BOMBS, ids=lambda bomb: bomb[:20])
def test_one_that_gives_what_it_sees_over_and_over_is_refused(bomb: str) -> None:
    with pytest.raises(BadExpression, match=r"times over|longer than"):
        parse(bomb)


def test_one_that_only_puts_together_many_values_is_not() -> None:
    assert parse(f"{{{', '.join(f'k{number}: arguments.v{number}' for number in range(COPIES_MAX))}}}").roots


@given(PARTS)
def test_no_value_stands_more_often_in_what_is_given_than_is_reckoned(text: str) -> None:
    given = evaluate(text, arguments=MARK)
    reckoned = expressions._copies(cast("dict[str, Any]", jmespath.compile(text).parsed))
    assert json.dumps(given).count(MARK) <= reckoned
