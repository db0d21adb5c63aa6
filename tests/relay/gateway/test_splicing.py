"""One value replaced, every other byte as it came."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from spec_mcp.relay.gateway.splicing import spliced
from spec_mcp.relay.gateway.splicing import written as of_members
from tests.relay.gateway.catalogues import TEXTS, VALUES, raw, written

OBJECTS = st.dictionaries(TEXTS | st.sampled_from(["name", "uri", "_meta"]), VALUES, max_size=5)


def loads(text: bytes) -> Any:
    return json.loads(text.decode())


@given(OBJECTS, VALUES, VALUES, st.data())
def test_only_the_value_of_the_member_is_another(
    value: dict[str, Any], old: Any, new: Any, data: st.DataObject
) -> None:
    pairs = [(name, one) for name, one in value.items() if name != "name"]
    at = data.draw(st.integers(0, len(pairs)))
    pieces = [data.draw(written({name: one}))[1:-1] for name, one in pairs]
    before, after = pieces[:at], pieces[at:]
    space = data.draw(st.sampled_from([b"", b" ", b"\t "]))

    def around(inner: bytes) -> bytes:
        return b"{" + b",".join([*before, b'"name":' + space + inner + space, *after]) + b"}"

    replacement = raw(new)
    assert spliced(around(data.draw(written(old))), "name", replacement) == around(replacement)


@given(OBJECTS, st.data())
def test_without_the_member_nothing_changes(value: dict[str, Any], data: st.DataObject) -> None:
    text = data.draw(written({name: one for name, one in value.items() if name != "name"}))
    assert spliced(text, "name", b'"new"') == text


def test_a_member_of_an_inner_object_stays() -> None:
    text = b'{"arguments":{"name":"inner"},"name":"outer"}'
    assert spliced(text, "name", b'"new"') == b'{"arguments":{"name":"inner"},"name":"new"}'


def test_a_member_that_stands_there_twice_is_replaced_twice_so_that_every_reader_finds_the_same() -> None:
    text = b'{"name":"one", "x":[1 ,2], "na\\u006de" : "two"}'
    assert spliced(text, "name", b'"new"') == b'{"name":"new", "x":[1 ,2], "na\\u006de" : "new"}'


def test_what_no_codec_takes_is_spliced_all_the_same() -> None:
    text = b'{"name":"one","x":"\\ud800","y":"\xff\xfe","z":1e999}'
    assert spliced(text, "name", b'"new"') == b'{"name":"new","x":"\\ud800","y":"\xff\xfe","z":1e999}'


def test_white_space_is_not_made_up_for_by_names_that_are_read_longer_than_they_are() -> None:
    text = b'{"\xff":1,  "name":"one"}'
    assert spliced(text, "name", b'"new"') == b'{"\xff":1,  "name":"new"}'


def test_what_is_no_object_stays() -> None:
    for text in (b"", b"[]", b'"name"', b"{", b'{"name":"one"'):
        assert spliced(text, "name", b"1") == text


@given(OBJECTS)
def test_an_object_is_written_so_that_the_standard_codec_reads_it(value: dict[str, Any]) -> None:
    assert loads(of_members({name: raw(one) for name, one in value.items()})) == loads(raw(value))
