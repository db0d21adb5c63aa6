"""When two texts are the same arguments."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spec_mcp.engine.calls import (
    MAX_EXACT_INTEGER,
    MAX_KEY_CHARS,
    Equivalence,
    Json,
    Unmatchable,
    canonical,
    canonical_arguments,
    canonical_meta,
    decode_strict,
    fold_text,
)

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-MAX_EXACT_INTEGER, MAX_EXACT_INTEGER)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec=None, exclude_categories=()), max_size=8)
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4)
)


def shuffled(value: Json, data: st.DataObject) -> Json:
    """The same value with the members of its objects in another order."""
    if isinstance(value, dict):
        names = data.draw(st.permutations(list(value)))
        return {name: shuffled(value[name], data) for name in names}
    return [shuffled(item, data) for item in value] if isinstance(value, list) else value


def same(one: Json, other: Json) -> bool:
    """Equality that tells types and the sign of zero apart."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[name], other[name]) for name in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other and (not isinstance(one, float) or math.copysign(1, one) == math.copysign(1, other))  # type: ignore[arg-type]


@given(VALUES)
def test_the_canonical_text_says_the_value_and_is_stable(value):
    text = canonical(value)
    try:
        again = decode_strict(text)
    except Unmatchable:
        raise AssertionError(f"{text} is canonical and cannot be read") from None
    assert canonical(again) == text


@given(VALUES, st.data())
def test_the_order_of_keys_is_free(value, data):
    assert canonical(shuffled(value, data)) == canonical(value)


@given(VALUES, VALUES)
def test_different_values_have_different_texts(one, other):
    # two halves of a pair are no value that JSON can hold apart, so they are put together first
    one, other = json.loads(json.dumps(one)), json.loads(json.dumps(other))
    assert (canonical(one) == canonical(other)) == same(one, other)


@given(VALUES, st.sampled_from([None, 2, "\t"]), st.booleans())
def test_white_space_and_escapes_are_free(value, indent, ascii_only):
    value = json.loads(json.dumps(value))
    text = json.dumps(value, indent=indent, ensure_ascii=ascii_only)
    assert canonical(decode_strict(text)) == canonical(value)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("1", "1.0"),
        ("1", "true"),
        ("0", "false"),
        ("0.0", "-0.0"),
        ("null", '""'),
        ("{}", '{"a":null}'),
        ("[1,2]", "[2,1]"),
        ('"a"', '"A"'),
        ('"\\ud800"', '"\\ufffd"'),
        ('"e\\u0301"', '"\\u00e9"'),
    ],
)
def test_these_are_not_the_same(one, other):
    assert canonical(decode_strict(one)) != canonical(decode_strict(other))


@pytest.mark.parametrize(("one", "other"), [("1e2", "100.0"), ("1E+2", "100.0"), ("0.10", "0.1"), ('"A"', '"\\u0041"')])
def test_these_are_the_same_to_every_reader(one, other):
    assert canonical(decode_strict(one)) == canonical(decode_strict(other))


@pytest.mark.parametrize(
    "text",
    [
        '{"a":1,"a":1}',
        '[{"a":{"b":1,"b":2}}]',
        "9007199254740993",
        "-9007199254740993",
        "123456789012345678901234567890",
        "-0",
        "1e400",
        "-1e400",
        "1e-400",
        "0.1000000000000000055",
        "1.2345678901234567e-320",
        "1e99999999999999999999",
        "0e99999999999999999999",
        "NaN",
        "Infinity",
        "",
        "{",
        "01",
        "[" * 100_000,
        b'"\xff"',
        b'"\xed\xa0\x80"',
        b"\xff\xfe1\x00",
    ],
)
def test_what_readers_may_understand_differently_never_matches(text):
    with pytest.raises(Unmatchable):
        decode_strict(text)


def test_what_is_nested_more_deeply_than_can_be_read_never_matches():
    deep: Json = []
    for _ in range(100_000):
        deep = [deep]
    for call in (lambda: canonical(deep), lambda: canonical_arguments({"a": deep}, {"a": [Equivalence.TRIM]})):
        with pytest.raises(Unmatchable):
            call()


def test_three_hundred_levels_are_read():
    text = "[" * 300 + "]" * 300
    assert canonical(decode_strict(text)) == text


@pytest.mark.parametrize("value", [2**53 + 1, math.inf, math.nan, {1: 2}, {"a": {None: 1}}, {"a": {1, 2}}, {"a": b"x"}])
def test_values_that_are_no_json_have_no_text(value):
    with pytest.raises(Unmatchable):
        canonical(value)


def test_long_arguments_are_not_compared():
    assert canonical_arguments({"a": "x" * (MAX_KEY_CHARS - 8)}, {})
    with pytest.raises(Unmatchable):
        canonical_arguments({"a": "x" * MAX_KEY_CHARS}, {})
    with pytest.raises(Unmatchable):
        canonical_meta({"a": "x" * MAX_KEY_CHARS})


def test_meta_is_compared_but_for_what_names_the_call():
    ours = {"progressToken": 1, "traceparent": "t", "spec-mcp/context": "c"}
    assert canonical_meta({"locale": "de"} | ours) == canonical_meta({"locale": "de"})
    assert canonical_meta({"locale": "de"}) != canonical_meta({"locale": "fr"})


# --- equivalences -----------------------------------------------------------------------------------------------------


def equal(one: Json, other: Json, *equivalences: Equivalence) -> bool:
    stated = {"a": equivalences}
    return canonical_arguments({"a": one}, stated) == canonical_arguments({"a": other}, stated)


@pytest.mark.parametrize(
    ("one", "other"), [("/a/b", "/a//b"), ("/a/b", "/a/./b"), ("a/b", "./a/b"), ("/", "//"), (".", "./."), ("/", "/.")]
)
def test_posix_paths_that_lead_to_the_same_are_the_same(one, other):
    assert equal(one, other, Equivalence.POSIX_PATH)
    assert not equal(one, other)


@pytest.mark.parametrize(
    ("one", "other"),
    [("/a/b", "/a/b/"), ("/a/b", "/a/c/../b"), ("a", "/a"), ("/a", "/A"), ("", "."), ("/a", "/a/."), ("/a", "/a ")],
)
def test_posix_paths_that_may_differ_are_not_the_same(one, other):
    assert not equal(one, other, Equivalence.POSIX_PATH)


def test_each_other_equivalence_widens_what_it_says():
    assert equal("ß", "SS", Equivalence.CASEFOLD)
    assert equal(" x\n", "x", Equivalence.TRIM)
    assert equal([2, 1, 2], [1, 2, 2], Equivalence.UNORDERED)
    assert not equal([2, 1, 2], [1, 2], Equivalence.UNORDERED)
    assert equal(["A ", "b"], ["B", "a"], Equivalence.UNORDERED, Equivalence.CASEFOLD, Equivalence.TRIM)
    assert canonical_arguments({"a": 1}, {"a": [Equivalence.IGNORE]}) == canonical_arguments({}, {})
    assert not equal({"x": "A"}, {"x": "a"}, Equivalence.CASEFOLD)


def test_an_equivalence_holds_for_its_argument_alone():
    stated = {"a": [Equivalence.CASEFOLD]}
    assert canonical_arguments({"b": "X"}, stated) != canonical_arguments({"b": "x"}, stated)


@given(st.text(max_size=12), st.sets(st.sampled_from([*Equivalence])))
def test_folding_twice_changes_nothing_more(text, equivalences):
    chosen = tuple(equivalences)
    if Equivalence.TRIM in chosen and Equivalence.POSIX_PATH in chosen:
        text = text.replace(" ", "")
    once = fold_text(text, chosen)
    assert fold_text(once, chosen) == once or Equivalence.CASEFOLD in chosen
