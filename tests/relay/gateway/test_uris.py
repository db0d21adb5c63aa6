"""Whose a URI is."""

from __future__ import annotations

import time

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from mcp.shared.uri_template import InvalidUriTemplate, UriTemplate

from spec_mcp.relay.gateway import uris
from spec_mcp.relay.gateway.uris import Owners, Template, beginnings

LITERALS = st.text(alphabet="ab/-:.", max_size=4)
EXPRESSIONS = st.sampled_from(
    ["{x}", "{y}", "{z}", "{+x}", "{#x}", "{/x}", "{/x*}", "{.x}", "{;x}", "{?x}", "{?x,y}", "{&x}", "{x,y}"]
)
TEXTS = st.lists(LITERALS | EXPRESSIONS, max_size=6).map("".join)
VALUES = st.text(alphabet="ab /?#-.é", max_size=5)


@given(TEXTS, VALUES, VALUES, VALUES)
def test_whatever_a_template_is_expanded_to_matches_it(text: str, x: str, y: str, z: str) -> None:
    try:
        template = UriTemplate.parse(f"res://{text}")
    except InvalidUriTemplate:
        assume(False)
        raise
    values: dict[str, str | list[str]] = {"y": y, "z": z, "x": [x, y] if "x*" in text else x}
    uri = template.expand({name: value for name, value in values.items() if name in text})
    assert Template.of(template.template).matches(uri)


@given(TEXTS, st.text(alphabet="ab/-:.?#;&=", max_size=12))
@example("{?x}", "#")
def test_what_the_sdk_reads_back_matches_here_too(text: str, rest: str) -> None:
    try:
        template = UriTemplate.parse(f"res://{text}")
    except InvalidUriTemplate:
        assume(False)
        raise
    uri = f"res://{rest}"
    # a query may come in any order there, and where one may come, a fragment is not looked at
    is_read_otherwise = "?" in uri or ("#" in uri and ("{?" in text or "{&" in text))
    if template.match(uri) is not None and not is_read_otherwise:
        assert Template.of(template.template).matches(uri)


@pytest.mark.parametrize(
    ("template", "uri", "is_one"),
    [
        ("users://{id}/profile", "users://7/profile", True),
        ("users://{id}/profile", "users://7/8/profile", False),
        ("users://{id}/profile", "users://7/profile/x", False),
        ("users://{id}", "users://7?x=1", False),
        ("users://{id}", "user://7", False),
        ("file:///{+path}", "file:///a/b/c.txt", True),
        ("file:///{+path}", "file://host/a", False),
        ("x://{+a}/{b}", "x://p/q/r", True),
        ("x://a{/b,c}", "x://a/p", True),
        ("x://a{/b}", "x://ap", False),
        ("x://a{/b*}", "x://a/p/q", True),
        ("x://a{/b*}", "x://a", True),
        ("x://a{?q}", "x://a?q=1", True),
        ("x://a{?q}", "x://a/b", False),
        ("x://a.b", "x://a.b", True),
        ("x://a.b", "x://aXb", False),
        ("x://{a}-{b}", "x://1-2-3", True),
        ("x://{a", "x://{a", True),
        ("", "", True),
        ("{x}", "", True),
    ],
)
def test_templates_are_read_backwards(template: str, uri: str, is_one: bool) -> None:
    assert Template.of(template).matches(uri) is is_one


def test_no_template_and_no_uri_take_long() -> None:
    hostile = Template.of("x://" + "{+a}-" * 12 + "!")
    began = time.process_time()
    for _ in range(20):
        assert not hostile.matches("x://" + "-" * (uris.MATCHED_MAX_CHARS - 4))
    assert time.process_time() - began < 5, "a regular expression would not be done in a lifetime"


def test_beyond_the_bounds_nothing_matches() -> None:
    assert Template.of("x://{+a}").matches("x://" + "a" * (uris.MATCHED_MAX_CHARS - 4))
    assert not Template.of("x://{+a}").matches("x://" + "a" * uris.MATCHED_MAX_CHARS)
    assert not Template.of("x://" + "{a}-" * uris.PARTS_MAX).matches("x://" + "1-" * uris.PARTS_MAX)


def test_a_uri_begins_with_its_folders_its_authority_and_its_scheme() -> None:
    assert list(beginnings("file://host/a/b?q=/x#/y")) == [
        "file://host/a/b/",
        "file://host/a/",
        "file://host/",
        "file://",
        "file:/",
        "file:",
    ]
    assert list(beginnings("mailto:ann")) == ["mailto:ann/", "mailto:"]
    assert list(beginnings("")) == ["/"]


def test_the_first_server_keeps_what_two_list() -> None:
    owners = Owners()
    assert owners.add_uri("x://a", "one")
    assert not owners.add_uri("x://a", "two")
    assert owners.add_template("y://{a}", "one")
    assert not owners.add_template("y://{a}", "two")
    assert owners.add_uri("x://a", "one"), "a server may list its own twice"
    assert [owners.owner(uri) for uri in ("x://a", "y://b")] == ["one", "one"]


def test_what_is_listed_goes_before_templates_and_these_before_beginnings() -> None:
    owners = Owners()
    owners.add_template("x://{a}", "wide")
    owners.add_template("x://special-{a}", "narrow")
    owners.add_uri("x://special-1", "listed")
    owners.add_uri("x://folder/a", "folder")
    assert owners.owner("x://special-1") == "listed"
    assert owners.owner("x://special-2") == "narrow"
    assert owners.owner("x://other") == "wide"
    assert owners.owner("x://folder/b") == "folder"


def test_the_longest_beginning_counts() -> None:
    owners = Owners()
    owners.add_uri("file:///home/ann/notes/a.md", "notes")
    owners.add_uri("file:///home/ann/code/a.py", "code")
    owners.add_uri("db://main", "db")
    assert owners.owner("file:///home/ann/code/deep/b.py") == "code"
    assert owners.owner("file:///home/ann/notes/b.md") == "notes"
    assert owners.owner("file:///home/ann/b.md") == "notes", "of two with the same beginning the first"
    assert owners.owner("db://main/table") == "db"
    assert owners.owner("db://other") == "db"
    assert owners.owner("http://elsewhere") is None


def test_a_template_owns_what_it_begins_with() -> None:
    owners = Owners()
    owners.add_template("repo://{owner}/{name}", "repos")
    owners.add_template("{+anything}?x", "nothing of its own")
    assert owners.owner("repo://a/b/c/d") == "repos"
    assert owners.owner("other:a") is None
