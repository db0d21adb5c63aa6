"""What a server said of itself, kept and told apart."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spec_mcp.relay.gateway import catalogue as catalogues
from spec_mcp.relay.gateway.catalogue import Catalogue, Kind, page_of, stem
from spec_mcp.relay.gateway.ports import Principal
from tests.relay.gateway.catalogues import VALUES, handshake, named, raw, stateless, written

ITEMS = st.lists(
    st.dictionaries(st.sampled_from(["name", "uri", "$defs", "_meta", "é"]), VALUES, max_size=3), max_size=4
)


@st.composite
def any_catalogue(draw: st.DrawFn) -> Catalogue:
    lists = [
        None if values is None else tuple(draw(written(value)) for value in values)
        for values in (draw(st.none() | ITEMS) for _ in Kind)
    ]
    hello = draw(written({"capabilities": draw(VALUES), "instructions": draw(VALUES)}))
    return Catalogue(draw(st.sampled_from(["handshake", "stateless"])), draw(st.text()), hello, *lists)


def kept(one: Catalogue) -> bytes:
    text = one.to_json()
    assert text is not None
    return text


@given(any_catalogue())
def test_what_is_kept_is_found_again_byte_for_byte(one: Catalogue) -> None:
    assert Catalogue.from_json(kept(one)) == one


def test_what_no_codec_takes_is_kept_too() -> None:
    odd = (
        b'{"name":"\\ud800","x":1e999,"x":2}',
        b'{"name":"\xff\xfe"}',
        b"{" + b'"a":[' * 200 + b"1" + b"]" * 200 + b"}",
    )
    one = replace(handshake(), tools=odd)
    assert Catalogue.from_json(kept(one)) == one


@given(any_catalogue(), st.data())
def test_half_a_file_or_a_changed_one_is_no_catalogue(one: Catalogue, data: st.DataObject) -> None:
    text = kept(one)
    assert Catalogue.from_json(text[: data.draw(st.integers(0, len(text) - 1))]) is None
    at = data.draw(st.integers(0, len(text) - 1))
    other = Catalogue.from_json(text[:at] + b"9" + text[at + 1 :])
    assert other in (None, one), "never a catalogue that no server gave"


@pytest.mark.parametrize(
    "text", [b"", b"null", b"[]", b"{}", b'{"form":1}', b"\xff", b'{"form":1,"digest":3}', b"{" * 99]
)
def test_what_is_no_catalogue_is_no_error(text: bytes) -> None:
    assert Catalogue.from_json(text) is None


def test_a_file_of_a_newer_program_is_as_good_as_none() -> None:
    text = kept(handshake(named("a")))
    assert text.startswith(b'{"form":1,')
    assert Catalogue.from_json(text) is not None
    assert Catalogue.from_json(text.replace(b'"form":1', b'"form":2')) is None
    assert Catalogue.from_json(text.replace(b'"form":1', b'"form":true')) is None


def test_members_of_a_file_that_a_later_program_adds_are_skipped() -> None:
    text = kept(handshake(named("a")))
    assert Catalogue.from_json(text[:-1] + b',"seen_at":12}') == handshake(named("a"))


def test_too_much_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    text = kept(handshake(named("a")))
    monkeypatch.setattr(catalogues, "KEPT_MAX_BYTES", len(text))
    assert handshake(named("a")).to_json() == text
    assert Catalogue.from_json(text) is not None
    monkeypatch.setattr(catalogues, "KEPT_MAX_BYTES", len(text) - 1)
    assert handshake(named("a")).to_json() is None
    assert Catalogue.from_json(text) is None


@given(any_catalogue(), any_catalogue())
def test_a_digest_tells_two_catalogues_apart(one: Catalogue, other: Catalogue) -> None:
    assert (one.digest() == other.digest()) == (one == other)


def test_a_digest_sees_where_an_item_ends_and_which_list_it_is_in() -> None:
    seen = [
        replace(handshake(), tools=tools, prompts=prompts).digest()
        for tools, prompts in [
            ((b"1", b"2"), ()),
            ((b"12",), ()),
            ((b"2", b"1"), ()),
            ((b"1",), (b"2",)),
            ((), (b"1", b"2")),
            (None, (b"1", b"2")),
        ]
    ]
    assert len(set(seen)) == len(seen)


def test_unknown_lists_and_empty_ones_are_not_the_same() -> None:
    unknown = Catalogue("handshake", "2025-11-25", b"{}")
    assert not unknown.is_complete
    for kind in Kind:
        assert unknown.items(kind) is None
        unknown = unknown.with_items(kind, (kind.value.encode(),))
    assert unknown.is_complete
    assert [unknown.items(kind) for kind in Kind] == [(kind.value.encode(),) for kind in Kind]


def test_the_era_and_the_capabilities_are_read_of_what_it_said() -> None:
    assert stateless().is_stateless
    assert not handshake().is_stateless
    assert handshake(capabilities={"tools": {"listChanged": True}}).capabilities == {"tools": b'{"listChanged":true}'}
    assert replace(handshake(), hello=b"[]").capabilities == {}


# --- pages of a server ----------------------------------------------------------------------------------------------


@given(st.lists(VALUES, max_size=4), st.data())
def test_a_page_gives_the_items_as_they_came(values: list[Any], data: st.DataObject) -> None:
    texts = [data.draw(written(value)) for value in values]
    result = b'{ "_meta":{}, "tools" : [' + b" , ".join(texts) + b' ],"nextCursor" : "more" }'
    page = page_of(Kind.TOOLS, result)
    assert page is not None
    assert page.items == tuple(texts)
    assert page.next_cursor == b'"more"'


def test_the_last_page_has_no_cursor() -> None:
    for result in (b'{"prompts":[]}', b'{"prompts":[],"nextCursor":null}'):
        page = page_of(Kind.PROMPTS, result)
        assert page is not None
        assert (page.items, page.next_cursor) == ((), b"")


@pytest.mark.parametrize("result", [b"", b"{}", b'{"tools":null}', b'{"tools":{"a":1}}', b'{"prompts":[]}', b"[]"])
def test_what_is_no_list_is_none(result: bytes) -> None:
    assert page_of(Kind.TOOLS, result) is None


# --- where it is kept -----------------------------------------------------------------------------------------------


def test_each_server_launch_and_principal_has_a_file_of_its_own() -> None:
    someone = Principal("ann", "https://issuer")
    stems = [
        stem("github", "launch", Principal()),
        stem("github", "other", Principal()),
        stem("git", "hublaunch", Principal()),
        stem("github", "launch", someone),
        stem("github", "launch", replace(someone, issuer="https://other")),
        stem("github", "launch", replace(someone, scopes=("read",))),
        stem("github", "launch", replace(someone, credentials="read")),
    ]
    assert len(set(stems)) == len(stems)
    assert stem("github", "launch", Principal()) == stems[0]


def test_a_files_name_holds_no_character_that_a_file_system_refuses() -> None:
    for server in ("../../etc", "a/b", "CON:", "x" * 300, "", "é\ud800"):
        name = stem(server, "launch", Principal())
        assert name.isascii()
        assert len(name) < 100
        assert not set(name) & set('/\\:*?"<>|. ')


@pytest.mark.shared
def test_recorded_tool_lists_are_kept_whole(shared: Path) -> None:
    for file in sorted((shared / "traces").glob("*.tools.json")):
        tools = json.loads(file.read_text())["tools"]
        one = handshake(tools)
        assert one.tools == tuple(raw(tool) for tool in tools)
        assert Catalogue.from_json(kept(one)) == one
