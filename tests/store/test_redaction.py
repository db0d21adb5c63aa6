"""Values under the user's keys never reach the disk, wherever they hide."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spec_mcp.store.cleaning import Cleaner, recorded_result
from spec_mcp.store.redaction import MAX_DEPTH, REDACTED, Redactor
from tests.store.rows import call, session, speculation

SECRET = "s3cr3t-value"
PATTERNS = ("*password*", "*secret*", "access_token", "api_key", "authorization")

keys = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
hidden_keys = st.sampled_from(
    ["password", "PassWord", "user_password_2", "API_KEY", "Authorization", "client_SECRET_x"]
)
plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | keys,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3),
    max_leaves=8,
)


@st.composite
def holding_a_secret(draw: st.DrawFn) -> Any:
    """A value in which `SECRET` lies under a hidden key, below other values and within JSON texts."""
    value: Any = draw(st.sampled_from([SECRET, [SECRET], {"x": SECRET}, json.dumps({"y": [SECRET]})]))
    value = draw(st.dictionaries(keys, plain, max_size=2)) | {draw(hidden_keys): value}
    for _ in range(draw(st.integers(0, 5))):
        match draw(st.sampled_from(["list", "object", "text", "indented"])):
            case "list":
                value = [*draw(st.lists(plain, max_size=2)), value]
            case "object":
                value = draw(st.dictionaries(keys, plain, max_size=2)) | {draw(keys): value}
            case "text":
                value = json.dumps(value)
            case _:
                value = "\n " + json.dumps(value, indent=2, ensure_ascii=False)
    return value


@given(holding_a_secret())
def test_a_value_under_a_hidden_key_is_gone_at_any_depth_and_within_any_text(value: Any) -> None:
    cleaned = Redactor(PATTERNS).clean_json(json.dumps(value))
    assert cleaned is not None
    assert SECRET.encode() not in cleaned
    assert REDACTED.encode() in cleaned


@given(plain)
def test_a_value_without_hidden_keys_stays_as_it_is(value: Any) -> None:
    redactor = Redactor(("*never-such-a-key*",))
    assert json.dumps(redactor.clean(value)) == json.dumps(value)
    text = json.dumps(value, indent=1)
    assert redactor.clean(text) == text


@given(holding_a_secret())
def test_cleaning_twice_is_cleaning_once(value: Any) -> None:
    redactor = Redactor(PATTERNS)
    once = redactor.clean(value)
    assert redactor.clean(once) == once


@given(st.binary(max_size=60))
def test_what_is_no_json_is_left_out(text: bytes) -> None:
    cleaned = Redactor(PATTERNS).clean_json(text)
    if cleaned is not None:
        json.loads(cleaned)


def test_a_secret_does_not_survive_as_the_first_of_two_equal_keys() -> None:
    text = f'{{"a": {{"password": "{SECRET}"}}, "a": 1}}'
    redactor = Redactor(PATTERNS)
    assert SECRET not in str(redactor.clean(text))
    assert SECRET.encode() not in (redactor.clean_json(text) or b"")


def test_an_escaped_key_is_still_the_key() -> None:
    assert SECRET.encode() not in (Redactor(PATTERNS).clean_json(f'{{"p\\u0061ssword": "{SECRET}"}}') or b"")


def test_no_patterns_hide_nothing() -> None:
    assert Redactor(()).clean({"password": "x"}) == {"password": "x"}


@pytest.mark.parametrize("text", ["[" * 5_000 + "]" * 5_000, '{"a":' * 600 + "1" + "}" * 600])
def test_what_is_nested_too_deep_is_not_kept_and_exhausts_nothing(text: str) -> None:
    redactor = Redactor(PATTERNS)
    cleaned = redactor.clean_json(text)
    assert cleaned is None or (len(cleaned) < 8 * MAX_DEPTH + 40 and REDACTED.encode() in cleaned)
    assert len(str(redactor.clean(text))) < 8 * MAX_DEPTH + 40


def test_numbers_beyond_a_double_become_null_and_the_text_stays_json() -> None:
    assert Redactor(()).clean_json('{"a": 1e400, "b": -1e400}') == b'{"a":null,"b":null}'
    assert Redactor(()).clean([math.nan, 1.5]) == [None, 1.5]


def test_a_lone_surrogate_stays_the_escape_that_it_was() -> None:
    assert Redactor(()).clean_json('{"a": "\\ud800"}') == b'{"a":"\\ud800"}'


@pytest.mark.parametrize(
    ("answer", "recorded"),
    [
        ({"structuredContent": {"a": 1}, "content": [{"type": "text", "text": "{}"}]}, {"a": 1}),
        ({"content": [{"type": "text", "text": "plain"}]}, "plain"),
        (
            {
                "content": [
                    {"type": "text", "text": "a"},
                    {"type": "image", "data": "AA"},
                    {"type": "text", "text": "b"},
                ]
            },
            "a\nb",
        ),
        ({"content": []}, ""),
        ({"code": -32602, "message": "no such tool"}, {"code": -32602, "message": "no such tool"}),
        ({"taskId": "t1"}, {"taskId": "t1"}),
    ],
)
def test_a_record_holds_what_the_answer_says_and_not_its_wrapping(answer: Any, recorded: Any) -> None:
    assert recorded_result(answer) == recorded


def test_arguments_results_and_speculated_arguments_are_all_cleaned() -> None:
    cleaner = Cleaner(Redactor(PATTERNS), record_results=True)
    arguments = json.dumps({"password": SECRET, "q": 1}).encode()
    result = json.dumps({"content": [{"type": "text", "text": json.dumps({"api_key": SECRET})}]}).encode()
    rows = [
        cleaner.clean(call(arguments=arguments, result=result)),
        cleaner.clean(speculation(arguments=arguments)),
        cleaner.clean(speculation(arguments={"password": SECRET})),
    ]
    assert SECRET not in repr(rows)
    assert repr(rows).count("redacted") == 4


def test_results_are_left_out_where_the_user_says_so() -> None:
    cleaned = Cleaner(Redactor(()), record_results=False).clean(call(result=b'{"content":[]}'))
    assert cleaned == call(result=None, result_bytes=14)


def test_rows_without_payload_pass_unchanged() -> None:
    assert Cleaner(Redactor(PATTERNS), record_results=True).clean(session()) == session()
