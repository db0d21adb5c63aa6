"""When two results of the same call are the same, where they differ, and what goes with the time."""

from __future__ import annotations

import json
from typing import Any

import pytest

from spec_mcp.engine.calls import Equivalence
from spec_mcp.engine.passing import Apart
from spec_mcp.engine.results import BadPath, Comparison, Verdict, compare_results, parse_path, path_text

APART = Apart(1.0, 3.0)


def as_text(value: Any, **more: Any) -> bytes:
    """A result that says its value in a text alone."""
    text = value if isinstance(value, str) else json.dumps(value)
    return json.dumps({"content": [{"type": "text", "text": text}], **more}).encode()


def as_both(value: Any) -> bytes:
    """A result that says its value twice."""
    return as_text(value, structuredContent=value)


def compared(early: bytes, real: bytes) -> Comparison:
    return compare_results(early, real, {}, APART)


@pytest.mark.parametrize("say", [as_text, as_both])
def test_results_are_the_same_as_json_whatever_the_order_of_members(say):
    assert compared(say({"a": 1, "b": [2]}), say({"b": [2], "a": 1})).verdict is Verdict.SAME


@pytest.mark.parametrize(
    ("early", "real", "place"),
    [
        ({"a": 1}, {"a": 1.0}, "result.a"),
        ({"a": 1}, {"a": True}, "result.a"),
        ({"a": 1}, {"a": 1, "b": None}, "result.b"),
        ({"a": {"b c": [1, 2]}}, {"a": {"b c": [1, 3]}}, 'result.a."b c"[*]'),
        ({"a": [1, 2]}, {"a": [1]}, "result.a"),
        ([1], [2], "result[*]"),
        ("one", "two", "result.text"),
        ("{not json", "{not json either", "result.text"),
    ],
)
def test_a_difference_has_the_path_that_a_manifest_would_name(early, real, place):
    (difference,) = compared(as_text(early), as_text(real)).differences
    assert (difference.path, difference.passes) == (place, False)
    assert path_text(parse_path(place)) == place


def test_what_is_said_twice_differs_once():
    assert [one.path for one in compared(as_both({"n": 1}), as_both({"n": 2})).differences] == ["result.n"]


def test_what_lies_outside_of_the_result_is_compared_too():
    early, real = as_text("x", _meta={"shard": 1}), as_text("x", _meta={"shard": 2})
    assert [one.path for one in compared(early, real).differences] == ["answer._meta.shard"]
    rules = {parse_path("answer._meta.shard"): (Equivalence.IGNORE,)}
    assert compare_results(early, real, rules, APART).verdict is Verdict.SAME


def test_an_error_is_no_result_like_another():
    assert compared(as_text("x"), as_text("x", isError=True)).verdict is Verdict.DIFFERENT


@pytest.mark.parametrize("broken", [b'{"a":1e400}', b"\xff", b'{"a":1,"a":2}', b"x" * 32])
def test_what_cannot_be_looked_into_differs_as_a_whole(broken):
    assert [one.path for one in compared(broken, b"{}").differences] == ["answer"]
    assert compared(broken, broken).verdict is Verdict.SAME


def test_many_differences_are_told_in_part():
    early, real = ({f"k{n}": n + more for n in range(500)} for more in (0, 1))
    found = compared(as_text(early), as_text(real))
    assert found.verdict is Verdict.DIFFERENT
    assert len(found.differences) < 40


def test_of_a_place_with_an_endless_name_what_stands_above_it_is_told():
    early, real = as_text({"a": {"x" * 9999 + "age": 1}}), as_text({"a": {"x" * 9999 + "age": 3}})
    assert [(one.path, one.passes) for one in compared(early, real).differences] == [("result.a", False)]


@pytest.mark.parametrize(
    ("early", "real"),
    [
        ({"at": "2026-01-01T10:00:00Z"}, {"at": "2026-01-01T10:00:02Z"}),
        ({"at": "2026-01-01 10:00:00.5"}, {"at": "2026-01-01 10:00:02.4"}),
        ({"at": "10:00:59"}, {"at": "10:01:01"}),
        ({"at": "23:59:59"}, {"at": "00:00:01"}),
        ({"at": "10:00"}, {"at": "10:01"}),
        ({"date": "Thu, 01 Jan 2026 10:00:00 GMT"}, {"date": "Thu, 01 Jan 2026 10:00:02 GMT"}),
        ({"timestamp": 1767225600}, {"timestamp": 1767225602}),
        ({"generatedAt": 1767225600123}, {"generatedAt": 1767225602223}),
        ({"age_s": 3.5}, {"age_s": 5.6}),
        ({"expires_in": 60}, {"expires_in": 58}),
        ({"age_ms": 1200}, {"age_ms": 3100}),
        ({"took_ms": 12}, {"took_ms": 3}),
        ({"requestId": "7f"}, {"requestId": "80"}),
        ({"items": [{"trace_id": 1}, {"trace_id": 2}]}, {"items": [{"trace_id": 3}, {"trace_id": 4}]}),
        ({"requests": 41}, {"requests": 42}),
        ("It is 10:00:01 in Paris.", "It is 10:00:03 in Paris."),
    ],
)
@pytest.mark.parametrize("say", [as_text, as_both])
def test_what_goes_with_the_time_or_the_request_is_known_by_its_place_and_form(say, early, real):
    assert compared(say(early), say(real)).verdict is Verdict.PASSING


@pytest.mark.parametrize(
    ("early", "real"),
    [
        ({"updated_at": "2026-01-01T08:00:00Z"}, {"updated_at": "2026-01-01T10:00:02Z"}),
        ({"updated": 1767225600}, {"updated": 1767999999}),
        ({"time": 3}, {"time": 5}),
        ({"age": 30}, {"age": 31, "name": "x"}),
        ({"age_s": 3}, {"age_s": 900}),
        ({"count": 3}, {"count": 4}),
        ({"requests": 42}, {"requests": 41}),
        ({"id": "7f"}, {"id": "80"}),
        ({"at": "2026-01-01T10:00:00Z", "n": 1}, {"at": "2026-01-01T10:00:02Z", "n": 2}),
        ({"items": [{"age": 1}, {"age": 1}]}, {"items": [{"age": 3}, {"age": 700}]}),
        ("It is 10:00:01 in Paris.", "It is 10:00:03 in Rome."),
        ("It is 10:00:01.", "It is 10:00:03 or 10:00:04."),
    ],
)
def test_what_has_changed_is_not_taken_for_a_clock(early, real):
    assert compared(as_text(early), as_text(real)).verdict is Verdict.DIFFERENT


@pytest.mark.parametrize(
    ("early", "real", "path", "word"),
    [
        ({"at": 1}, {"at": 2}, "result.at", Equivalence.IGNORE),
        ({"at": 1}, {}, "result.at", Equivalence.IGNORE),
        ({"a": [{"at": 1, "n": 1}]}, {"a": [{"at": 2, "n": 1}]}, "result.a[*].at", Equivalence.IGNORE),
        ({"a": [2, 1]}, {"a": [1, 2]}, "result.a", Equivalence.UNORDERED),
        ({"a": "X "}, {"a": "X"}, "result.a", Equivalence.TRIM),
        ({"a": "./x"}, {"a": "x"}, "result.a", Equivalence.POSIX_PATH),
        ("one", "two", "result.text", Equivalence.IGNORE),
    ],
)
@pytest.mark.parametrize("say", [as_text, as_both])
def test_a_manifest_says_which_values_count_as_the_same(say, early, real, path, word):
    if say is as_both and isinstance(early, str):
        return
    assert compare_results(say(early), say(real), {parse_path(path): (word,)}, APART).verdict is Verdict.SAME
    other = {**early, "n": 1} if isinstance(early, dict) else early + "!"
    found = compare_results(say(early), say(other), {parse_path("result.elsewhere"): (word,)}, APART)
    assert found.verdict is Verdict.DIFFERENT


@pytest.mark.parametrize(
    "text", ["", "path", "results.a", "result.", "result.a b", "result[0]", "result.[*]", "result..a"]
)
def test_what_is_no_path_is_refused(text):
    with pytest.raises(BadPath):
        parse_path(text)


def test_a_path_may_hold_any_name():
    path = parse_path('result."x.y z"[*].b-c')
    assert path == ("result", "x.y z", "[*]", "b-c")
    assert path_text(path) == 'result."x.y z"[*].b-c'
