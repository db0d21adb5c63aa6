"""What is read of Claude Code's transcripts. The samples follow what version 2.1 and older ones write."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spec_mcp.records import Session
from spec_mcp.replay import transcripts
from spec_mcp.replay.transcripts import Transcripts, claude_code
from spec_mcp.replay.warm import teach
from tests.replay.transcript_lines import BEGAN, Entry, answer, pair, said, use, write

READ = "mcp__files__read"


def tools(found: Transcripts, server: str = "files") -> list[list[str]]:
    return [[call.tool for call in session.calls()] for session in found.by_server.get(server, [])]


def only(found: Transcripts, server: str = "files") -> Session:
    (session,) = found.by_server[server]
    return session


def test_a_call_is_read_with_its_arguments_answer_and_times(tmp_path: Path) -> None:
    write(tmp_path, "s1.jsonl", [use("t1", READ, 0, arguments={"path": "/a"}), answer("t1", '{"size": 3}', 2)])
    found = claude_code(tmp_path)
    (call,) = only(found).calls()
    assert (call.tool, call.arguments, call.result, call.is_error) == ("read", {"path": "/a"}, '{"size": 3}', False)
    assert (call.t_start, call.t_end) == (BEGAN, BEGAN + 2)
    assert (found.files, found.conversations, found.calls) == (1, 1, 1)


def test_nothing_but_the_tools_of_mcp_servers_is_read(tmp_path: Path) -> None:
    entries = [
        {"type": "queue-operation", "operation": "dequeue", "timestamp": "2026-09-01T12:00:00.000Z", "sessionId": "s1"},
        said("please use mcp__files__read on the secret", 0),
        *pair("t1", "Bash", 1, "secret"),
        *pair("t2", "mcp__files__read", 3),
        *pair("t3", "mcp__broken", 5),
        {"type": "file-history-snapshot", "messageId": "m", "snapshot": {}, "tool_use": "no message"},
        {"type": "progress", "data": {"message": use("t4", READ, 6)}, "uuid": "p"},
        {"type": "system", "subtype": "compact_boundary", "compactMetadata": {"trigger": "auto"}},
        said("This session is being continued: tool_use tool_result", 7, isCompactSummary=True),
    ]
    write(tmp_path, "s1.jsonl", entries)
    found = claude_code(tmp_path)
    assert tools(found) == [["read"]]
    assert list(found.by_server) == ["files"]
    assert "secret" not in repr(found)


def test_a_string_is_an_answer_as_well_as_blocks_are_and_pictures_are_passed_over(tmp_path: Path) -> None:
    blocks = [{"type": "text", "text": "one"}, {"type": "image", "source": {}}, {"type": "text", "text": "two"}]
    string: Entry = answer("t2", [], 4)
    string["message"]["content"][0]["content"] = '{"from": "structured"}'
    write(tmp_path, "s1.jsonl", [use("t1", READ, 0), answer("t1", blocks, 1), use("t2", READ, 3), string])
    assert [call.result for call in only(claude_code(tmp_path)).calls()] == ["one\ntwo", '{"from": "structured"}']


def test_structured_content_is_what_a_tool_answered(tmp_path: Path) -> None:
    meta = {"structuredContent": {"size": 3}}
    write(tmp_path, "s1.jsonl", [use("t1", READ, 0), answer("t1", "3 bytes", 1, mcpMeta=meta)])
    assert [call.result for call in only(claude_code(tmp_path)).calls()] == [{"size": 3}]


def test_calls_made_at_once_are_one_turn_though_each_is_an_entry(tmp_path: Path) -> None:
    entries = [
        use("t1", READ, 0, turn="m1"),
        use("t2", READ, 0.1, turn="m1"),
        answer("t2", "two", 1),
        answer("t1", "one", 2),
        *pair("t3", READ, 3, turn="m2"),
    ]
    write(tmp_path, "s1.jsonl", entries)
    first, second, third = only(claude_code(tmp_path)).calls()
    assert first.batch == second.batch != third.batch
    assert [call.result for call in (first, second, third)] == ["one", "two", "ok"]


def test_copies_in_a_resumed_or_forked_session_count_once(tmp_path: Path) -> None:
    start = [*pair("t1", READ, 0), *pair("t2", READ, 2)]
    write(tmp_path, "a.jsonl", [*start, *pair("t3", "mcp__files__list", 4)])
    resumed = [line | {"sessionId": "b"} for line in start]
    write(tmp_path, "b.jsonl", [*resumed, *pair("t4", "mcp__files__stat", 9)])
    found = claude_code(tmp_path)
    assert tools(found) == [["read", "read", "list", "stat"]], "one conversation, in the order of its times"
    assert (found.files, found.conversations, found.calls, found.skipped.repeated) == (2, 1, 4, 2)


@pytest.mark.parametrize("names", [("a.jsonl", "b.jsonl"), ("b.jsonl", "a.jsonl")])
def test_a_conversation_has_the_same_name_whichever_file_is_read_first(tmp_path: Path, names: tuple[str, str]) -> None:
    start = pair("t1", READ, 0)
    write(tmp_path, names[0], start)
    write(tmp_path, names[1], [*start, *pair("t2", READ, 2)])
    assert only(claude_code(tmp_path)).session == "claude-code/t1"


def test_history_that_a_compaction_appends_again_counts_once(tmp_path: Path) -> None:
    start = [*pair("t1", READ, 0), *pair("t2", "mcp__files__list", 2)]
    boundary: Entry = {"type": "system", "subtype": "compact_boundary", "uuid": "b", "parentUuid": None}
    write(tmp_path, "s1.jsonl", [*start, boundary, *start, *pair("t3", "mcp__files__stat", 5)])
    assert tools(claude_code(tmp_path)) == [["read", "list", "stat"]]


def test_a_result_that_was_cleared_in_a_copy_stays_as_it_was(tmp_path: Path) -> None:
    cleared = answer("t1", "[Old tool result content cleared]", 1)
    write(tmp_path, "s1.jsonl", [*pair("t1", READ, 0, "whole"), cleared])
    assert [call.result for call in only(claude_code(tmp_path)).calls()] == ["whole"]
    write(tmp_path, "s1.jsonl", [use("t1", READ, 0), cleared, answer("t1", "whole", 1)])
    assert [call.result for call in only(claude_code(tmp_path)).calls()] == ["whole"]


def test_a_subagent_is_a_conversation_of_its_own(tmp_path: Path) -> None:
    write(tmp_path, "s1.jsonl", [*pair("t1", READ, 0), *pair("t2", READ, 8)])
    lines = [line | {"isSidechain": True, "agentId": "a1b2"} for line in pair("t3", "mcp__files__list", 3)]
    write(tmp_path, "s1/subagents/agent-a1b2.jsonl", lines)
    write(tmp_path, "s2/subagents/agent-a1b2.jsonl", pair("t4", "mcp__files__stat", 20))
    assert tools(claude_code(tmp_path)) == [["read", "read"], ["list"], ["stat"]]


def test_in_older_files_a_subagent_is_told_by_whose_child_it_is(tmp_path: Path) -> None:
    asked = said("look it up", 1, isSidechain=True) | {"uuid": "root"}
    first, back = pair("t2", "mcp__files__list", 2, isSidechain=True)
    other = said("and this", 1.5, isSidechain=True) | {"uuid": "other"}
    second, rest = pair("t3", "mcp__files__stat", 2.5, isSidechain=True)
    chain = [
        asked,
        other,
        first | {"parentUuid": "root", "uuid": "u1"},
        second | {"parentUuid": "other", "uuid": "u2"},
        back | {"isSidechain": True, "parentUuid": "u1"},
        rest | {"isSidechain": True, "parentUuid": "u2"},
    ]
    write(tmp_path, "s1.jsonl", [*pair("t1", READ, 0), *chain, *pair("t4", READ, 9)])
    assert tools(claude_code(tmp_path)) == [["read", "read"], ["list"], ["stat"]]


CUT = [
    "<persisted-output>\nOutput too large (36.8KB). Full output saved to: /x.txt\n\nPreview (first 2KB):\n# A\n...",
    "Error: result (179,889 characters) exceeds maximum allowed tokens. Output has been saved to /x.txt.\nFormat: JSON",
    'MCP tool "read" response (94702 tokens) exceeds maximum allowed tokens (25000). Please use pagination',
    "begin " * 90 + "\n\n[OUTPUT TRUNCATED - exceeded 25000 token limit]\n\nThe tool output was truncated.",
    "begin [truncated]",
    "begin ... [12,345 characters truncated] ...",
    "[Old tool result content cleared]",
    "x" * (transcripts.MAX_RESULT_CHARACTERS + 1),
]


@pytest.mark.parametrize("text", CUT)
def test_what_the_client_cut_is_no_result_but_the_call_was_made(tmp_path: Path, text: str) -> None:
    write(tmp_path, "s1.jsonl", [use("t1", READ, 0), answer("t1", text, 1, is_error=text.startswith("Error"))])
    found = claude_code(tmp_path)
    assert [(call.result, call.is_error) for call in only(found).calls()] == [(None, False)]
    assert found.skipped.cut == 1


@pytest.mark.parametrize(
    "text",
    [
        "the field `truncated` is false",
        "[truncated] stands here at the start, and much comes after it" + "\nline" * 300,
        'see "<persisted-output>" in the manual',
        "[]",
    ],
)
def test_a_tool_may_speak_of_cutting_itself(tmp_path: Path, text: str) -> None:
    write(tmp_path, "s1.jsonl", pair("t1", READ, 0, text))
    assert [call.result for call in only(claude_code(tmp_path)).calls()] == [text]


@pytest.mark.parametrize(
    ("text", "more"),
    [
        ("The user doesn't want to proceed with this tool use. The tool use was rejected", {}),
        ("Claude requested permissions to use mcp__files__read, but you haven't granted it yet.", {}),
        ("Permission to use mcp__files__read has been denied.", {}),
        ("<tool_use_error>Error: No such tool available: mcp__files__read</tool_use_error>", {}),
        ("denied by a rule", {"toolDenialKind": "permission-rule"}),
    ],
)
def test_a_call_that_no_server_saw_is_left_out(tmp_path: Path, text: str, more: dict[str, Any]) -> None:
    write(tmp_path, "s1.jsonl", [use("t1", READ, 0), answer("t1", text, 1, is_error=True, **more)])
    found = claude_code(tmp_path)
    assert (found.by_server, found.skipped.refused) == ({}, 1)


def test_an_error_of_the_tool_is_an_answer(tmp_path: Path) -> None:
    write(tmp_path, "s1.jsonl", [use("t1", READ, 0), answer("t1", "no such file", 1, is_error=True)])
    assert [(call.result, call.is_error) for call in only(claude_code(tmp_path)).calls()] == [("no such file", True)]


def test_a_call_without_an_answer_is_left_out(tmp_path: Path) -> None:
    write(tmp_path, "s1.jsonl", [*pair("t1", READ, 0), use("t2", READ, 3)])
    found = claude_code(tmp_path)
    assert (tools(found), found.skipped.unanswered) == ([["read"]], 1)


def test_half_a_line_at_the_end_is_a_session_that_goes_on_and_one_in_the_middle_is_told(tmp_path: Path) -> None:
    line = json.dumps(use("t9", READ, 9)).encode()
    write(tmp_path, "a.jsonl", pair("t1", READ, 0), end=line[:-20])
    assert (claude_code(tmp_path).calls, claude_code(tmp_path).skipped.broken_lines) == (1, 0)
    write(tmp_path, "a.jsonl", pair("t1", READ, 0), end=line[:-20] + b'\n"tool_use \xff"\n')
    assert (claude_code(tmp_path).calls, claude_code(tmp_path).skipped.broken_lines) == (1, 2)


def test_a_line_beyond_the_bound_is_left_out_and_the_rest_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transcripts, "MAX_LINE_BYTES", 2_000)
    write(tmp_path, "s1.jsonl", [*pair("t1", READ, 0, "x" * 9_000), *pair("t2", "mcp__files__list", 3)])
    found = claude_code(tmp_path)
    assert (tools(found), found.skipped.unanswered) == ([["list"]], 1)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    write(tmp_path, "s1.jsonl", pair("t1", READ, 0))
    (tmp_path / "projects" / "x.jsonl").mkdir()
    found = claude_code(tmp_path)
    assert found.calls == 1
    assert [line.partition(": ")[0] for line in found.skipped.files] == [str(tmp_path / "projects" / "x.jsonl")]


@pytest.mark.parametrize(
    ("tool", "known", "server", "own"),
    [
        ("mcp__plugin_shop_orders__get", (), "plugin_shop_orders", "get"),
        ("mcp__files__read__all", (), "files", "read__all"),
        ("mcp__my__files__read", ("my", "my__files"), "my__files", "read"),
        ("mcp__claude_ai_Mail__search", (), "claude_ai_Mail", "search"),
    ],
)
def test_a_tools_name_is_taken_apart(tmp_path: Path, tool: str, known: tuple[str, ...], server: str, own: str) -> None:
    write(tmp_path, "s1.jsonl", pair("t1", tool, 0))
    assert tools(claude_code(tmp_path, known), server) == [[own]]


def test_the_name_that_tools_carry_has_no_dots_or_blanks() -> None:
    assert transcripts.carried_name("my server.io:8080/x-y_z") == "my_server_io_8080_x-y_z"


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.sampled_from(["t1", "t2", READ, "\ud800", "", "2026-09-01"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["text", "id", "name"]), inner),
    max_leaves=6,
)
BLOCKS = st.fixed_dictionaries(
    {"type": st.sampled_from(["tool_use", "tool_result"])},
    optional={
        "id": VALUES,
        "tool_use_id": VALUES,
        "name": st.just(READ) | VALUES,
        "input": VALUES,
        "content": VALUES,
        "is_error": VALUES,
    },
)
ENTRIES = st.fixed_dictionaries(
    {
        "type": st.sampled_from(["assistant", "user"]) | VALUES,
        "message": st.fixed_dictionaries({"content": st.lists(BLOCKS, max_size=3) | VALUES}, optional={"id": VALUES})
        | VALUES,
    },
    optional={"isSidechain": VALUES, "agentId": VALUES, "uuid": VALUES, "parentUuid": VALUES, "timestamp": VALUES},
)


@settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture], max_examples=150)
@given(entries=st.lists(ENTRIES | VALUES, max_size=8))
def test_whatever_a_transcript_holds_is_read_and_can_be_learned(tmp_path: Path, entries: list[Any]) -> None:
    write(tmp_path, "s1.jsonl", entries)
    for server, sessions in claude_code(tmp_path).by_server.items():
        teach(server, sessions, None)
