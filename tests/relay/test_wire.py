"""What is read of lines, held against the standard codec."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spec_mcp.engine.events import Answer
from spec_mcp.relay import wire

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(alphabet=st.characters(codec=None, categories=["L", "N", "P", "S", "Z", "Cc", "Cs"]))
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4), max_leaves=12
)
SPACES = st.text(alphabet=" \t\r", max_size=3)
NAMES = st.sampled_from(
    ["id", "method", "params", "result", "error", "name", "arguments", "_meta", "x", '"', "\\", "é"]
)


@st.composite
def written(draw: st.DrawFn, value: Any) -> bytes:
    """A value as some writer may write it: white space anywhere, any escapes."""

    def space() -> str:
        return draw(SPACES)

    def text_of(text: str) -> str:
        ascii_only = draw(st.booleans()) or any("\ud800" <= character <= "\udfff" for character in text)
        return json.dumps(text, ensure_ascii=ascii_only)

    def write(one: Any) -> str:
        if isinstance(one, dict):
            inner = ",".join(f"{space()}{text_of(name)}{space()}:{write(item)}" for name, item in one.items())
            return f"{space()}{{{inner}{space()}}}{space()}"
        if isinstance(one, list):
            return f"{space()}[{','.join(map(write, one))}{space()}]{space()}"
        return space() + (text_of(one) if isinstance(one, str) else json.dumps(one)) + space()

    return write(value).encode()


def loads(text: bytes) -> Any:
    return json.loads(text.decode())


@given(st.data())
def test_the_scanner_and_the_codec_find_the_members_that_the_standard_codec_finds(data: st.DataObject) -> None:
    value = data.draw(st.dictionaries(NAMES | st.text(), VALUES, max_size=6))
    text = data.draw(written(value))
    for found in (wire.scan(text), wire.members(text)):
        assert found is not None
        assert {name: loads(raw) for name, raw in found.items()} == value


@given(st.data())
def test_the_elements_of_an_array_are_those_that_the_standard_codec_finds(data: st.DataObject) -> None:
    value = data.draw(st.lists(VALUES, max_size=6))
    assert [loads(raw) for raw in wire.elements(data.draw(written(value)))] == value


@given(st.lists(st.tuples(NAMES, VALUES), max_size=8), st.data())
def test_of_equal_names_the_last_counts_as_for_everybody_else(
    pairs: list[tuple[str, Any]], data: st.DataObject
) -> None:
    inner = b",".join(json.dumps(name).encode() + b":" + data.draw(written(value)) for name, value in pairs)
    text = b"{%s}" % inner
    for found in (wire.scan(text), wire.members(text)):
        assert found is not None
        assert {name: loads(raw) for name, raw in found.items()} == dict(pairs)


@given(st.data())
def test_the_envelope_is_what_the_standard_codec_sees(data: st.DataObject) -> None:
    optional = {"params": VALUES, "result": VALUES, "error": st.dictionaries(NAMES, VALUES, max_size=2), "x": VALUES}
    value = data.draw(st.fixed_dictionaries({"id": SCALARS, "method": st.text(min_size=1)}, optional=optional))
    found = wire.read(data.draw(written(value)))
    assert isinstance(found, wire.Envelope)
    assert found.method == value["method"]
    for name in ("id", "params", "result", "error"):
        raw = getattr(found, name)
        assert (loads(raw) if raw else "absent") == value.get(name, "absent")


@given(st.binary(max_size=80) | st.text(alphabet='{}[]",:\\ abu\n0', max_size=40).map(str.encode))
def test_nothing_that_a_peer_sends_raises(line: bytes) -> None:
    message = wire.read(line)
    wire.members(line)
    wire.elements(line)
    wire.id_value(line)
    wire.ended_task(line)
    wire.outcome(wire.Envelope(result=line), 0)
    wire.outcome(wire.Envelope(error=line or b"x"), 0)
    wire.read_call(wire.Envelope(id=b"1", method="tools/call", params=line), line)
    try:
        decoded = json.loads(line.decode())
    except (ValueError, RecursionError):
        return
    assert (message is None) == (not _is_message(decoded)), (message, decoded)


def _is_message(decoded: object) -> bool:
    if isinstance(decoded, dict):
        return "id" in decoded or bool(decoded.get("method"))
    return isinstance(decoded, list) and len(decoded) > 0


@given(st.data())
def test_a_call_is_plain_exactly_where_nothing_else_is_in_it(data: st.DataObject) -> None:
    arguments = st.dictionaries(NAMES, VALUES, max_size=3)
    params = data.draw(
        st.fixed_dictionaries(
            {"name": st.text()}, optional={"arguments": arguments, "_meta": arguments, "task": arguments}
        )
    )
    envelope = {"jsonrpc": "2.0", "id": data.draw(SCALARS), "method": "tools/call", "params": params}
    envelope |= data.draw(st.fixed_dictionaries({}, optional={"extra": SCALARS}))
    line = data.draw(written(envelope) | st.just(json.dumps(envelope, separators=(",", ":")).encode())) + b"\n"
    message = wire.read(line)
    assert isinstance(message, wire.Envelope)
    call = wire.read_call(message, line)
    assert call.tool == params["name"]
    assert call.is_plain == ("task" not in params and "extra" not in envelope)
    assert {name: loads(raw) for name, raw in (("arguments", call.arguments), ("_meta", call.meta)) if raw} == {
        name: params[name] for name in ("arguments", "_meta") if name in params
    }


@given(st.sampled_from(["name", "arguments", "_meta"]), SPACES)
def test_a_call_that_has_a_member_twice_is_not_plain(twice: str, space: str) -> None:
    values = {"name": '"t"', "arguments": "{}", "_meta": "{}"}
    members = ",".join(f'"{name}":{value}' for name, value in [*values.items(), (twice, values[twice])])
    line = f'{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{space}{{{members}}}}}\n'.encode()
    message = wire.read(line)
    assert isinstance(message, wire.Envelope)
    assert not wire.read_call(message, line).is_plain


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (b"1", b"1.0", True),
        (b'"a"', b'"\\u0061"', True),
        (b'"\\ud800"', b'"\\uD800"', True),
        (b"1", b'"1"', False),
        (b"1", b"true", False),
        (b"0", b"false", False),
        (b"null", b'"null"', False),
        (b"null", b"false", False),
        (b"9007199254740993", b"9007199254740992", False),
        (b'["a"]', b'["a"]', True),
    ],
)
def test_ids_are_equal_where_json_says_so(one: bytes, other: bytes, same: bool) -> None:
    assert (wire.id_value(one) == wire.id_value(other)) is same
    assert {wire.id_value(one): 1}


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        (b'{"content":[]}', Answer.RESULT),
        (b'{"content":["\\ud800"]}', Answer.RESULT),
        (b'{"content":[],"isError":false,"task":null,"status":7,"taskId":{}}', Answer.RESULT),
        (b'{"content":[],"isError":true}', Answer.TOOL_ERROR),
        (b'{"content":["\\ud800"],"isError" : true}', Answer.TOOL_ERROR),
        (b'{"content":["a text with isError in it", "\\ud800"]}', Answer.RESULT),
        (b'{"content":[],"isError":"yes"}', Answer.TOOL_ERROR),
        (b'{"resultType":"input_required"}', Answer.INPUT_REQUIRED),
        (b'{"x":"\\ud800","resultType":"input_required"}', Answer.INPUT_REQUIRED),
        (b'{"resultType":5}', Answer.OTHER),
        (b'{"resultType":"novel"}', Answer.OTHER),
        (b'{"task":{"taskId":"t"}}', Answer.TASK),
        (b'{"x":"\\ud800","task":{"taskId":"t"}}', Answer.TASK),
        (b'{"resultType":"task","taskId":"t"}', Answer.TASK),
        (b"[]", Answer.OTHER),
        (b"null", Answer.OTHER),
        (b"", Answer.OTHER),
    ],
)
def test_what_kind_of_answer_it_is(result: bytes, expected: Answer) -> None:
    found = wire.outcome(wire.Envelope(id=b"1", result=result), 10)
    assert found.answer is expected
    assert found.task == ("t" if expected is Answer.TASK else None)


@pytest.mark.parametrize(
    ("error", "limited"),
    [(b'{"code":429}', True), (b'{"code":-1,"message":"Rate limit"}', True), (b'{"code":-1,"message":"no"}', False)],
)
def test_a_rate_limit_is_told_from_other_errors(error: bytes, limited: bool) -> None:
    assert wire.outcome(wire.Envelope(id=b"1", error=error), 10).rate_limited is limited


LARGE = 2_000_000
HARD = {
    "one string": b'{"a":"\\ud800","b":"%s"}' % (b"x" * LARGE),
    "escapes": b'{"a":"\\ud800","b":"%s"}' % (b"\\n" * (LARGE // 2)),
    "no end": b'{"a":"\\ud800","b":"%s' % (b'\\"' * (LARGE // 2)),
    "quotes": b'{"\\ud800' + b'"' * LARGE,
    "brackets": b'{"a":' + b"[" * LARGE,
    "spaces": b'{"a":"\\ud800"' + b" " * LARGE + b"}",
    "commas": b'{"a":"\\ud800"' + b"," * LARGE + b"}",
    "spaces first": b" " * LARGE + b'{"a":"\\ud800"}',
}


@pytest.mark.parametrize("name", HARD)
def test_reading_takes_time_in_proportion_to_the_length(name: str) -> None:
    def seconds(line: bytes) -> float:
        began = time.process_time()
        wire.read(line)
        return time.process_time() - began

    line = HARD[name]
    assert seconds(line) < 20 * max(seconds(line[: LARGE // 8]), 0.02)


def test_members_beyond_the_bound_are_left_unread_soon() -> None:
    assert wire.scan(b'{"a":[' + b"[]," * wire.SCANNED_MAX_TOKENS + b"[]]}") is None
