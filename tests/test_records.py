from __future__ import annotations

import gzip
import json
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spec_mcp.records import (
    CallEvent,
    RecordError,
    Session,
    TextEvent,
    Tool,
    halves,
    parse_session,
    read_sessions,
    read_tools,
    seen_result,
    session_line,
    tools_beside,
    write_sessions,
    write_tools,
)

TEXT = st.text(st.characters())  # lone surrogates too
TIMES = st.none() | st.floats(0, 1e9)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
TEXT_EVENTS = st.builds(TextEvent, st.sampled_from(["user", "assistant"]), TEXT, TIMES)
CALL_EVENTS = st.builds(
    CallEvent,
    tool=TEXT,
    arguments=st.dictionaries(TEXT, JSON, max_size=3),
    result=JSON,
    is_error=st.booleans(),
    kind=st.sampled_from(["read", "write", None]),
    batch=st.none() | st.integers(0, 99),
    t_start=TIMES,
    t_end=TIMES,
)
SESSIONS = st.builds(
    Session,
    session=TEXT,
    source=TEXT,
    events=st.lists(TEXT_EVENTS | CALL_EVENTS, max_size=4).map(tuple),
    task=JSON,
    model=st.none() | TEXT,
    reward=st.none() | st.floats(0, 1),
)


@given(SESSIONS)
def test_what_is_written_is_read_again(session: Session) -> None:
    line = session_line(session)

    assert line.count(b"\n") == 1
    assert parse_session(line, "x", 1) == session


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz"])
def test_a_file_of_sessions_is_read_in_order_packed_or_not(tmp_path: Path, name: str) -> None:
    sessions = [Session(str(n), "here", (TextEvent("user", "hi"), CallEvent("t", {"n": n}, "r"))) for n in range(3)]

    write_sessions(tmp_path / name, sessions)

    assert list(read_sessions(tmp_path / name)) == sessions
    assert [call.arguments for call in sessions[2].calls()] == [{"n": 2}]


def write(folder: Path, *lines: str) -> Path:
    path = folder / "a.jsonl"
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def test_what_others_add_is_skipped(tmp_path: Path) -> None:
    events: list[dict[str, Any]] = [
        {"type": "user_call", "tool": "phone", "arguments": {}},
        {"type": "note", "text": {"of": "another shape"}, "t": "noon"},
        {"type": "call", "tool": "t", "arguments": None, "result": {"a": 1}, "is_error": None, "via": "b"},
        {"type": "assistant", "text": "bye", "t": 5, "mood": "good"},
    ]
    path = write(tmp_path, "", json.dumps({"session": "s", "events": events, "extra": [1]}), "  ")

    assert list(read_sessions(path)) == [
        Session("s", "", (CallEvent("t", {}, {"a": 1}), TextEvent("assistant", "bye", 5.0)))
    ]


GOOD = '{"session": "s", "events": []}'


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("{", "a.jsonl:2: no recorded session: "),
        ("[]", "a.jsonl:2: no recorded session: Expected `object`, got `array`"),
        ('{"events": []}', "a.jsonl:2: no recorded session: Object missing required field `session`"),
        ('{"session": "s", "events": [3]}', "a.jsonl:2: no recorded session: Expected `object`, got `int`"),
        ('{"session": "s", "events": [{"type": "call"}]}', "a.jsonl:2: no recorded session: a call without a tool"),
        (
            '{"session": "s", "events": [{"type": "user", "text": 1}]}',
            "a.jsonl:2: no recorded session: Expected `str`, got `int` - at `$.events[0].text`",
        ),
        ("[" * 99_999, "a.jsonl:2: no recorded session: "),
    ],
)
def test_a_faulty_line_is_named(tmp_path: Path, line: str, fault: str) -> None:
    sessions = read_sessions(write(tmp_path, GOOD, line))

    assert next(sessions).session == "s"
    with pytest.raises(RecordError) as caught:
        next(sessions)
    assert fault in str(caught.value)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match=r"gone\.jsonl: cannot be read: No such file"):
        list(read_sessions(tmp_path / "gone.jsonl"))

    packed = tmp_path / "cut.jsonl.gz"
    packed.write_bytes(gzip.compress((GOOD + "\n").encode() * 2000)[:-20])
    with pytest.raises(RecordError, match=r"cut\.jsonl\.gz:?\d*: cannot be read: "):
        list(read_sessions(packed))
    packed.write_bytes(b"no gzip")
    with pytest.raises(RecordError, match=r"cut\.jsonl\.gz: cannot be read: Not a gzipped file"):
        list(read_sessions(packed))


def test_the_catalogue_lies_beside_the_sessions(tmp_path: Path) -> None:
    tools = [Tool("t", "does", {"type": "object"}, "read"), Tool("u")]
    assert tools_beside(tmp_path / "a.jsonl.gz") is None

    write_tools(tmp_path / "a.tools.json", tools, "here")

    for name in ("a.jsonl.gz", "a.jsonl"):
        assert tools_beside(tmp_path / name) == tmp_path / "a.tools.json"
    assert read_tools(tmp_path / "a.tools.json") == tools


@pytest.mark.parametrize(("text", "fault"), [("{}", "Object missing required field `tools`"), ("{", "truncated")])
def test_a_faulty_catalogue_is_named(tmp_path: Path, text: str, fault: str) -> None:
    path = tmp_path / "a.tools.json"
    path.write_text(text)

    with pytest.raises(RecordError, match=f"no tool catalogue: .*{fault}"):
        read_tools(path)
    with pytest.raises(RecordError, match="cannot be read: No such file"):
        read_tools(tmp_path / "gone.tools.json")


def test_the_halves_part_tasks_and_never_the_sessions_of_one() -> None:
    tasks = ["a", "b", "a", None, "c", 4, "b"]
    sessions = [Session(str(n), "", (), task=task) for n, task in enumerate(tasks)]

    first, rest = halves(sessions)

    assert [session.task for session in first] == ["a", "b", "a", "b"]
    assert [session.task for session in rest] == [None, "c", 4]
    assert halves([]) == ([], [])


def test_a_recorded_text_is_seen_as_the_json_that_it_holds() -> None:
    assert seen_result('{"a": [1]}') == {"a": [1]}
    assert seen_result("12") == 12
    assert seen_result("not found") == {"text": "not found"}
    assert seen_result({"a": 1}) == {"a": 1}
    assert seen_result(None) is None


@pytest.mark.shared
def test_all_shared_records_are_read_fast(shared: Path) -> None:
    files = sorted((shared / "traces").glob("*.jsonl.gz"))
    started = time.process_time()

    sessions = {path.name: list(read_sessions(path)) for path in files}

    spent_s = time.process_time() - started
    calls = sum(1 for of_file in sessions.values() for session in of_file for _ in session.calls())
    assert (sum(map(len, sessions.values())), calls) == (2534, 11882)
    assert calls / spent_s > 5_000, "a tenth of what an idle machine does"
    for path in files:
        catalogue = tools_beside(path)
        assert catalogue is not None
        named = {tool.name for tool in read_tools(catalogue)}
        assert {call.tool for session in sessions[path.name] for call in session.calls()} <= named
        first, rest = halves(sessions[path.name])
        assert not {str(session.task) for session in first} & {str(session.task) for session in rest}
