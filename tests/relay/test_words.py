"""Context hints on the wire: taken out of every line, heard once, and never in a call's way."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spec_mcp.hints import HINTS_MAX_BYTES, TEXT_MAX_CHARS
from spec_mcp.relay.words import taken_out
from spec_mcp.store.rows import TextRow
from tests.relay.rig import Rig, answer, call

SAID = '[{"role":"user","text":"look at W7"}]'


@pytest.mark.parametrize(
    ("meta", "left"),
    [
        (f'{{"spec-mcp/hints":{SAID}}}', "{}"),
        (f'{{ "spec-mcp/hints" : {SAID} , "a": 1e400 }}', '{ "a": 1e400 }'),
        (f'{{"a":"\\ud800", "spec-mcp/hints":{SAID}, "b":[1 ]}}', '{"a":"\\ud800", "b":[1 ]}'),
        (f'{{"a":1 ,"spec-mcp\\/hints":{SAID} }}', '{"a":1 }'),
        (f'{{"spec-mcp/hints":1,"x":2,"spec-mcp/hints":{SAID}}}', '{"x":2}'),
    ],
)
def test_the_server_gets_every_byte_but_the_hints(rig: Rig, meta: str, left: str) -> None:
    rig.client(call(1, "get", meta=meta))
    (line,) = rig.to_server
    assert line.split(b'"_meta":')[1].replace(b" ", b"") == left.replace(" ", "").encode() + b"}}"
    assert line.startswith(call(1, "get", meta="{}").split(b"{}}}")[0])
    assert rig.quiet().predictor.words == [("user", "look at W7")]


@pytest.mark.parametrize(
    "line",
    [
        call(1, "get", '{"text":"spec-mcp/hints"}'),
        call(1, "get", '{"_meta":{"spec-mcp/hints":[]}}'),
        call(1, "get", meta='{"spec-mcp/session":"a"}'),
        b'{"jsonrpc":"2.0","id":1,"method":"x","params":[{"_meta":{"spec-mcp/hints":1}}]}',
        b'{"spec-mcp/hints": broken',
    ],
)
def test_what_only_looks_like_hints_is_left_alone(rig: Rig, line: bytes) -> None:
    assert rig.client(line).to_server == [line]


def test_a_call_with_hints_is_the_same_call(rig: Rig) -> None:
    rig.held()
    rig.client(call(7, "get", meta=f'{{"spec-mcp/hints":{SAID}}}'))
    assert len(rig.to_client) == 1
    assert rig.to_server == []


def test_hints_go_out_of_batches_too(rig: Rig) -> None:
    rig.client(b"[%s, %s]" % (call(1, "get", meta=f'{{"spec-mcp/hints":{SAID}}}'), call(2, "get")))
    (line,) = rig.to_server
    assert b"hints" not in line
    assert [one["id"] for one in json.loads(line)] == [1, 2]


def test_a_conversation_that_is_sent_again_is_heard_once(rig: Rig) -> None:
    said = [{"role": "user", "text": "a"}, {"role": "assistant", "text": "b"}, {"role": "user", "text": "c"}]
    for number, part in enumerate((said[:1], said[:2], said[2:], said)):
        rig.client(call(number, "get", meta=json.dumps({"spec-mcp/hints": part})))
    assert rig.quiet().predictor.words == [("user", "a"), ("assistant", "b"), ("user", "c")]
    rows = [row for row in rig.recorder.rows if isinstance(row, TextRow)]
    assert [(row.number, row.role, row.text) for row in rows] == [
        (1, "user", "a"),
        (2, "assistant", "b"),
        (3, "user", "c"),
    ]


@pytest.mark.parametrize(
    "hints",
    ["7", "null", '"words"', '[{"role":"system","text":"x"}]', '[{"role":"user"}]', "[[]]", "[" * 2000 + "]" * 2000,
     json.dumps([{"role": "user", "text": "x" * HINTS_MAX_BYTES}])],
    ids=["number", "null", "text", "role", "no text", "lists", "deep", "long"],
)  # fmt: skip
def test_hints_that_cannot_be_read_are_said_once_and_the_call_goes_through(
    rig: Rig, hints: str, capfd: pytest.CaptureFixture[str]
) -> None:
    for number in (1, 2):
        rig.client(call(number, "get", meta=f'{{"spec-mcp/hints":{hints}}}'))
    assert rig.to_server == [call(number, "get", meta="{}") for number in (1, 2)]
    rig.server(answer(1))
    assert rig.to_client == [answer(1)]
    assert rig.quiet().predictor.words == []
    assert capfd.readouterr().err.count("are left aside") == 1


def test_of_a_long_text_the_end_is_heard(rig: Rig) -> None:
    text = "x" * TEXT_MAX_CHARS + "W7"
    rig.client(call(1, "get", meta=json.dumps({"spec-mcp/hints": [{"role": "user", "text": text}]})))
    ((_, heard),) = rig.quiet().predictor.words
    assert heard == text[-TEXT_MAX_CHARS:]


VALUES = st.recursive(st.none() | st.integers() | st.text(), lambda inner: st.lists(inner, max_size=3), max_leaves=6)
METAS = st.dictionaries(st.sampled_from(["a", "spec-mcp/hints", "spec-mcp/session", "x y", "\u2028"]), VALUES)


@given(meta=METAS, indent=st.sampled_from([None, 1]), ascii_only=st.booleans())
def test_whatever_is_beside_them_stays(meta: dict[str, object], indent: int | None, ascii_only: bool) -> None:
    message = {"id": 1, "params": {"name": "t", "_meta": meta, "z": 1}}
    line = json.dumps(message, indent=indent, ensure_ascii=ascii_only).replace("\n", " ").encode()
    left, found = taken_out(line)
    expected = {name: value for name, value in meta.items() if name != "spec-mcp/hints"}
    assert json.loads(left) == {"id": 1, "params": {"name": "t", "_meta": expected, "z": 1}}
    assert [json.loads(raw) for raw in found] == [meta[name] for name in meta if name == "spec-mcp/hints"]
    if not found:
        assert left == line
