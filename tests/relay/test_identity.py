"""What a call is known by is the same on the short way and on the long one."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spec_mcp.engine.calls import canonical, decode_strict
from spec_mcp.relay.identity import simple_arguments

NAMES = st.text(alphabet='ab\\"\u00e9 \x7f', max_size=3)
SCALARS = st.one_of(
    st.none(), st.booleans(), st.text(alphabet='xy{},:"\\\u00e9\x01 ', max_size=6), st.integers(-(2**60), 2**60)
)


@given(st.dictionaries(NAMES, SCALARS | st.floats() | st.lists(SCALARS, max_size=2), max_size=4), st.booleans())
def test_the_short_way_gives_what_the_long_way_gives_or_nothing(arguments: dict[str, object], compact: bool) -> None:
    raw = json.dumps(arguments, separators=(",", ":") if compact else None).encode()
    found, text = simple_arguments(raw)
    if found is not None:
        assert found == decode_strict(raw)
        assert text == canonical(decode_strict(raw))


@given(st.binary(max_size=30).map(lambda inner: b'{"a":"' + inner + b'"}'))
def test_bytes_that_the_long_way_refuses_are_not_taken_on_the_short_one(raw: bytes) -> None:
    found, text = simple_arguments(raw)
    if found is not None:
        assert text == canonical(decode_strict(raw))


@pytest.mark.parametrize(
    "raw",
    [
        b'{"a":1,"a":1}',
        b'{"a":1,"a":12}',
        b'{"b":1,"a":2}',
        b'{"a":-0}',
        b'{"a":01}',
        b'{"a":1.0}',
        b'{"a":1e2}',
        b'{"a":"\\u0061"}',
        b'{"a":"\xc3\xa9"}',
        b'{"a":"\x7f"}',
        b'{"a":{}}',
        b'{"a":1,}',
        b'{"a": 1}',
        b'{"a":9007199254740993}',
        b"[]",
        b"",
    ],
)
def test_whatever_is_not_written_in_the_one_plain_way_goes_the_long_way(raw: bytes) -> None:
    assert simple_arguments(raw) == (None, "")


@pytest.mark.parametrize("raw", [b"{}", b'{"a":"x y"}', b'{"a":-7,"b":null,"c":true}'])
def test_plain_arguments_go_the_short_way(raw: bytes) -> None:
    assert simple_arguments(raw) == (json.loads(raw), raw.decode())
