"""Which calls may touch the same thing."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from spec_mcp.engine.calls import Equivalence, Json
from spec_mcp.engine.resources import (
    MAX_PATTERNS,
    MAX_VALUE_CHARS,
    Footprint,
    Pattern,
    everything,
    fill,
    footprint,
    placeholders,
)

PATH = {"path": (Equivalence.POSIX_PATH,)}

FILES = ["file:{path}", "file:{path}/*", "file:*", "file:/a", "file:/a/*"]
TEMPLATES = st.sampled_from([*FILES, "{path}", "order:{id}/{path}", "*", "order:{id}/*"])
NAMES = st.text("aA/.. *é\u0301ß\\1", max_size=6)
ARGUMENTS = st.dictionaries(
    st.sampled_from(["path", "id"]),
    NAMES | st.integers(0, 3) | st.sampled_from([1.0, True, None, {}]) | st.lists(NAMES, max_size=3),
)


Stated = dict[str, tuple[Equivalence, ...]]


def touched(template: str, equal: Stated | None = None, /, **arguments: object) -> Footprint:
    return footprint("s", (template,), arguments, equal or {})  # type: ignore[arg-type]


def conflict(one: Footprint, other: Footprint) -> bool:
    assert one.overlaps(other) == other.overlaps(one)
    return one.overlaps(other)


PATTERNS = st.builds(Pattern, st.text("ab/", max_size=4), st.just(True)) | st.builds(
    lambda text: Pattern(text.rstrip("/"), False), st.text("ab/", max_size=4)
)


@given(PATTERNS, PATTERNS)
def test_patterns_overlap_exactly_where_a_name_is_common(first, second):
    assert first.overlaps(second) == second.overlaps(first)

    def names(pattern: Pattern, other: Pattern) -> set[str]:
        return {pattern.text, other.text, pattern.text.rstrip("/")} if pattern.prefix else {pattern.text}

    def covers(pattern: Pattern, name: str) -> bool:
        return (name + "/").startswith(pattern.text) if pattern.prefix else name == pattern.text

    candidates = names(first, second) | names(second, first)
    common = [name for name in candidates if covers(first, name) and covers(second, name)]
    assert first.overlaps(second) == bool(common)


@given(TEMPLATES, ARGUMENTS, TEMPLATES, ARGUMENTS)
def test_conflict_is_mutual_and_every_call_conflicts_with_itself(one, arguments, other, others):
    first, second = footprint("s", (one,), arguments, {}), footprint("t", (other,), others, PATH)
    conflict(first, second)
    assert conflict(first, first)
    assert conflict(first, footprint("u", ("*",), {}, {}))


def spellings(name: str, at: int) -> list[tuple[str, dict[str, object]]]:
    """Templates with arguments that make `x:` and this name."""
    whole: list[tuple[str, dict[str, object]]] = [("x:{path}", {"path": name}), ("{path}", {"path": "x:" + name})]
    parts: dict[str, object] = {"id": name[:at], "path": name[at:]}
    return [*whole, ("x:{id}{path}", parts), ("x:" + name, {}), ("x:*", {}), ("x:" + name[:at] + "*", {})]


@example("/.", 0, 0)
@example("/./a", 2, 0)
@given(st.text("aA/.é\u0301ß 1", max_size=6), st.integers(0, 6), st.integers(0, 6))
def test_values_that_give_the_same_name_conflict(name, at, other_at):
    """Whatever is widened or folded: what is literally the same name is never told apart."""
    for template, arguments in spellings(name, at):
        for other, others in spellings(name, other_at):
            for equal in ({}, PATH):
                assert fill(template, arguments) is not None  # type: ignore[arg-type]
                assert conflict(touched(template, **arguments), footprint("t", (other,), others, equal))  # type: ignore[arg-type]


@given(st.lists(NAMES, min_size=1, max_size=5), st.data())
def test_a_list_touches_what_each_of_its_elements_touches(names, data):
    assert conflict(touched("file:{path}", path=names), touched("file:{path}", path=data.draw(st.sampled_from(names))))


@given(NAMES, st.sampled_from(["path", "id"]))
def test_less_knowledge_never_means_less_conflict(name, missing):
    known = {"path": name, "id": name}
    unknown = {key: value for key, value in known.items() if key != missing}
    exact = footprint("s", ("order:{id}/{path}",), known, {})
    assert conflict(exact, footprint("t", ("order:{id}/{path}",), unknown, {}))
    assert conflict(exact, footprint("t", ("order:{id}/{path}",), None, {}))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("/a/b", "/A/B"),
        ("/a/\u00e9", "/a/e\u0301"),
        ("/straße", "/STRASSE"),
        ("/a//b", "/a/b"),
        ("/a/./b", "/a/b"),
        ("/a/b/", "/a/b"),
        ("a\\b", "a/b"),
        (" x ", "x"),
        (1, "1"),
        (1.0, 1),
        (-0.0, 0),
        (["a", "b"], "b"),
        ([["a"]], "a"),
        ("/a/../b", "/c"),
        ("a*", "/c"),
        ("a[bc]", "/c"),
        ("{a,b}", "/c"),
        ("a?", "/c"),
        (True, "/c"),
        ("x" * (MAX_VALUE_CHARS + 1), "/c"),
        ("..", "/c"),
        ("a\\..\\b", "/c"),
        (2**60, "/c"),
    ],
)
def test_what_a_server_may_take_for_the_same_conflicts(one, other):
    for tool in ("file:{path}", "file:{path}/*"):
        assert conflict(touched(tool, path=one), touched(tool, path=other))


@pytest.mark.parametrize(("one", "other"), [("/a", "/b"), ("/a", "/a/b"), (1, 2), ("ab", "a"), (["a", "b"], ["c"])])
def test_what_is_known_to_be_different_does_not_conflict(one, other):
    assert not conflict(touched("file:{path}", path=one), touched("file:{path}", path=other))


def test_a_folder_conflicts_with_what_is_in_it_where_it_is_declared_so():
    inside = touched("file:{path}", path="/a/b")
    assert conflict(touched("file:{path}/*", path="/a"), inside)
    assert not conflict(touched("file:{path}/*", path="/a/bc"), inside)
    assert not conflict(touched("file:{path}/*", path="/ab"), inside)


def test_the_root_folder_holds_everything():
    for root in ("/", "//", "/."):
        assert conflict(touched("file:{path}/*", path=root), touched("file:{path}", path="/a/b"))
        assert conflict(touched("file:{path}/*", PATH, path=root), touched("file:{path}", PATH, path="/a"))


def test_a_relative_path_may_be_any_path():
    assert conflict(touched("file:{path}", PATH, path="a"), touched("file:{path}", PATH, path="/x/a"))
    assert not conflict(touched("file:{path}", PATH, path="/a"), touched("file:{path}", PATH, path="/x/a"))


def test_a_prefix_that_ends_before_an_accent_still_covers_the_accented_letter():
    assert conflict(touched("file:{path}*", path="e"), touched("file:{path}", path="\u00e9"))


def test_without_declared_resources_everything_of_the_server_is_touched():
    assert conflict(footprint("s", None, {}, {}), touched("file:{path}", path="/a"))
    assert not conflict(footprint("t", None, {}, {}), touched("file:{path}", path="/a"))


def test_everything_of_a_server_reaches_as_far_as_its_declared_names():
    theirs = everything("t", ["file:{path}", "note:1"])
    assert conflict(theirs, touched("file:{path}", path="/a"))
    assert not conflict(theirs, touched("order:{id}", id=1))
    assert conflict(theirs, everything("u", ["note:{id}"]))
    assert not conflict(theirs, everything("u"))


def test_a_tool_that_declares_to_touch_nothing_conflicts_with_nothing_declared():
    assert not conflict(footprint("s", (), {}, {}), touched("*"))


def test_a_list_that_fans_out_too_far_touches_all_that_it_could():
    many: list[Json] = list(map(str, range(MAX_PATTERNS + 1)))
    assert conflict(touched("file:{path}", path=many), touched("file:{path}", path="/other"))
    two = footprint("s", ("a:{path}", "b:{path}"), {"path": many[: MAX_PATTERNS - 1]}, {})
    assert two == everything("s")


def test_two_lists_of_a_hundred_thousand_are_not_multiplied():
    many: list[object] = list(map(str, range(100_000)))
    wide = touched("a:{x}/{y}", x=many, y=many)
    assert wide.patterns == (Pattern("a:", True),)


def test_a_template_is_filled_with_scalars_alone():
    assert fill("file:{path}:{line}", {"path": "/a b", "line": 3}) == "file:/a b:3"
    assert fill("file:{path}", {"path": None}) is None
    assert fill("file:{path}", {"path": ["a"]}) is None
    assert fill("file:{path}", {}) is None
    assert fill("plain", {}) == "plain"
    assert placeholders("file:{path}:{line}{path}") == ["path", "line", "path"]
