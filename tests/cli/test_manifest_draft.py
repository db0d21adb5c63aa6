"""Drafts: whatever a server says of itself, the file can be read, trusts nothing, and suggests nothing faulty."""

from __future__ import annotations

import datetime
import re
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from spec_mcp.engine.effects import UNLISTED, Effect, ServerPolicy
from spec_mcp.manifest import (
    check_against_tools,
    fingerprint,
    match_manifest,
    parse_manifest,
    with_trusted_annotations,
)
from spec_mcp.manifest.draft import NAME_CHARS, Subject, draft
from spec_mcp.manifest.flows import Step, flows
from spec_mcp.manifest.load import Manifest
from tests.manifest.writing import tool

TODAY = datetime.date(2026, 11, 22)
SHOP = Subject("shop", "1.2", "fallback")

texts = st.text(st.characters(), max_size=30)
words = st.sampled_from(
    ["get_order", "deleteUser", "list files", "read", 'a"b', "a.b", "a\nb", "\x7f", "é", "", "#x", "]", "\ud800", "'"]
)
arguments = st.sampled_from(
    ["path", "paths", "order_id", "orderIds", "id", "repo_path", "url", "dir", "file*", "{path}", "a path", "\ud800id"]
)
schemas = st.one_of(
    st.none(),
    texts,
    st.builds(
        lambda names, more: {"type": "object", "properties": {name: {"type": "string"} for name in names}, **more},
        st.lists(arguments | texts, max_size=6),
        st.sampled_from([{}, {"additionalProperties": True}, {"properties": []}, {"anyOf": []}]),
    ),
)
hints = st.fixed_dictionaries(
    {},
    optional={
        "readOnlyHint": st.sampled_from([True, False, "yes", None]),
        "destructiveHint": st.booleans(),
        "openWorldHint": st.booleans(),
        "title": texts,
    },
)
definitions = st.fixed_dictionaries(
    {"name": words | texts},
    optional={
        "description": st.one_of(
            texts, st.sampled_from(["Gets the time\n#effect = 'read'", "Deletes\r\n[tools.x]", 5])
        ),
        "annotations": hints | texts,
        "inputSchema": schemas,
    },
)
tool_lists = st.lists(definitions, max_size=5)
readable_lists = st.lists(definitions.filter(lambda tool: is_text(str(tool["name"]))), max_size=5)
"""As they come from a server: the relay and the commands refuse a list with halves of characters as a whole."""


def read(text: str) -> Manifest:
    """What the text says; a fault fails the test."""
    text.encode("utf-8")
    return parse_manifest(tomllib.loads(text), "draft.toml")


def switched_on(text: str) -> str:
    """The draft as somebody leaves it who believes all that it suggests."""
    return re.sub(r"^#(?=[a-z])", "", text, flags=re.MULTILINE)


def is_text(name: str) -> bool:
    return name.encode("utf-8", "ignore").decode() == name


def can_be_listed(name: str) -> bool:
    return len(name) <= NAME_CHARS and is_text(name)


@given(tools=tool_lists, server=words | texts, version=texts)
@example(tools=[{"name": "x" * (NAME_CHARS + 1)}, {"name": "y" * NAME_CHARS}], server="\ud800", version="")
def test_whatever_the_tools_are_called_the_draft_is_read_and_trusts_nothing(
    tools: list[dict[str, Any]], server: str, version: str
) -> None:
    manifest = read(draft(Subject(server, version, "fallback"), tools, TODAY))

    assert manifest.policy.server in (server, "fallback")
    assert set(manifest.policy.tools) == {tool["name"] for tool in tools if can_be_listed(tool["name"])}
    for policy in manifest.policy.tools.values():
        assert (policy.effect, policy.touches, policy.open_world) == (Effect.UNSAFE, UNLISTED.touches, True)
    head = manifest.form.manifest
    assert (head.concurrent, head.stateless, head.cancel, head.open_world) == (None, False, False, True)


@given(tools=readable_lists)
@example(tools=[{"name": "x" * (NAME_CHARS + 1)}])
def test_a_draft_fits_the_server_that_it_was_made_from(tools: list[dict[str, Any]]) -> None:
    comparison = check_against_tools(read(draft(SHOP, tools, TODAY)), tools)

    assert (comparison.errors, comparison.warnings) == ((), ())
    assert len(comparison.notes) == len({tool["name"] for tool in tools if not can_be_listed(tool["name"])})


@given(tools=readable_lists)
def test_what_a_draft_suggests_is_without_fault_when_it_is_switched_on(tools: list[dict[str, Any]]) -> None:
    text = draft(SHOP, tools, TODAY)
    manifest = read(switched_on(text))

    assert check_against_tools(manifest, tools).errors == ()
    assert manifest.form.manifest.reviewed == TODAY
    offered = [policy for policy in manifest.policy.tools.values() if policy.effect is Effect.READ]
    assert len(offered) == text.count('\n#effect = "read"')


@settings(max_examples=40)
@given(tools=readable_lists, data=st.data())
def test_what_was_measured_fits_the_server_and_is_without_fault_whatever_is_switched_on(
    tools: list[dict[str, Any]], data: st.DataObject
) -> None:
    names = [tool["name"] for tool in tools] or ["x"]
    calls = st.builds(
        Step,
        st.sampled_from(names),
        st.dictionaries(arguments | texts, st.sampled_from(["a", 1]), max_size=2),
        st.dictionaries(arguments | texts, st.sampled_from(["a", 1]), max_size=2),
    )
    sessions = data.draw(st.lists(st.lists(calls, max_size=6), max_size=3))
    text = draft(SHOP, tools, TODAY, flows=flows([*sessions, *sessions, *sessions], names))

    for written in (text, switched_on(text)):
        assert check_against_tools(read(written), tools).errors == ()


@given(tools=tool_lists)
def test_trusting_annotations_drafts_what_trusting_them_at_run_time_allows(tools: list[dict[str, Any]]) -> None:
    manifest = read(draft(SHOP, tools, TODAY, trust_annotations=True))

    last = list({tool["name"]: tool for tool in tools}.values())
    trusted = with_trusted_annotations(ServerPolicy("shop"), last).tools
    drafted = {name: policy for name, policy in manifest.policy.tools.items() if policy.effect is Effect.READ}
    assert set(drafted) == {name for name in trusted if can_be_listed(name)}
    assert all(
        (policy.ttl_s, policy.open_world, policy.touches)
        == (trusted[name].ttl_s, trusted[name].open_world, trusted[name].touches)
        for name, policy in drafted.items()
    )


def table(text: str, name: str) -> list[str]:
    """The lines of a tool's table."""
    lines = text.splitlines()
    start = lines.index(f"[tools.{name}]")
    return lines[start + 1 : lines.index("", start) if "" in lines[start:] else len(lines)]


def drafted(*tools: dict[str, Any]) -> str:
    return draft(SHOP, tools, TODAY)


def test_a_suggested_read_says_who_says_so_and_how_to_switch_it_on() -> None:
    station = tool("get_station", "station_id", description="Gets readings", annotations={"readOnlyHint": True})
    lines = table(drafted(station), "get_station")
    prose = " ".join(line[2:] for line in lines if line.startswith("# "))

    assert 'REVIEW effect: the server says readOnlyHint: true; its description begins with "gets".' in prose
    assert '#effect = "read"' in lines
    assert '#touches = ["station:{station_id}"]' in lines
    assert "Without it: everything of the server" in prose
    assert lines[-1] == f'fingerprint = "{fingerprint(station)}"'


@pytest.mark.parametrize(
    ("definition", "suggested"),
    [
        (tool("get_order"), True),
        (tool("order", description="Returns an order"), True),
        (tool("order", description="Something about orders"), False),
        (tool("get_order", annotations={"readOnlyHint": False}), False),
        (tool("get_order", annotations={"destructiveHint": True}), False),
        (tool("get_and_delete"), False),
        (tool("get_order", description="Creates an order if there is none"), False),
        (tool("anything", annotations={"readOnlyHint": True}), True),
        (tool("anything", annotations={"readOnlyHint": "true"}), False),
    ],
)
def test_a_read_is_suggested_only_where_something_speaks_for_it(definition: dict[str, Any], suggested: bool) -> None:
    assert ('#effect = "read"' in drafted(definition)) is suggested


@pytest.mark.parametrize(
    ("definition", "doubt"),
    [
        (tool("delete_all", annotations={"readOnlyHint": True}), 'But it says "delete"'),
        (tool("get_current_time"), 'mentions "current", and what changes by itself is no read'),
        (tool("get_token", description="Gets a random token"), 'mentions "token"'),
    ],
)
def test_what_speaks_against_a_read_is_said_too(definition: dict[str, Any], doubt: str) -> None:
    prose = " ".join(line.removeprefix("# ") for line in drafted(definition).splitlines())
    assert doubt in prose


@pytest.mark.parametrize(
    ("name", "arguments", "touches"),
    [
        ("read_file", ["path"], '["file:{path}"]'),
        ("list_files", ["path"], '["file:*"]'),
        ("list_directory", ["path"], '["file:*"]'),
        ("get_order", ["orderId"], '["order:{orderId}"]'),
        ("get_orders", ["id"], '["order:{id}"]'),
        ("git_status", ["repo_path"], '["repository:*"]'),
        ("fetch", ["url"], '["web:*"]'),
        ("get_both", ["user_id", "order_ids"], '["user:{user_id}", "order:{order_ids}"]'),
    ],
)
def test_resources_are_suggested_from_the_names_of_arguments(name: str, arguments: Sequence[str], touches: str) -> None:
    assert f"#touches = {touches}" in drafted(tool(name, *arguments)).splitlines()


GET, FIND = tool("get_order", "order_id"), tool("find_orders", "name")
SESSIONS = [
    [
        Step("find_orders", {"name": "n"}, {"ids": [n]}),
        Step("get_order", {"order_id": n}, {}),
        Step("pay", {"id": n}, {}),
    ]
    for n in range(6)
]


def test_what_followed_a_tool_in_recorded_sessions_stands_there_with_how_often_it_did() -> None:
    text = draft(SHOP, [GET, FIND], TODAY, flows=flows(SESSIONS, ["get_order", "find_orders"]))

    [rule] = read(text).policy.tool("find_orders").followed_by
    assert (rule.tool, dict(rule.arguments), rule.confidence) == ("get_order", {"order_id": "result.ids[*]"}, 0.88)
    assert "# Measured: 6 of 6 such calls were made, in 6 sessions." in text


@pytest.mark.parametrize("other", [tool("pay", "id"), tool("pay", "number")])
def test_neither_a_write_nor_what_the_schemas_rule_out_is_said_to_follow(other: dict[str, Any]) -> None:
    text = draft(SHOP, [FIND, GET, other], TODAY, flows=flows(SESSIONS, ["get_order", "pay"]))

    assert "followed_by" not in text


@pytest.mark.parametrize("named", ["delete_it", {"tool": "delete_it", "why": "x"}, {"compensatingTool": "delete_it"}])
def test_a_tool_that_the_server_names_as_undo_is_told_and_not_believed(named: object) -> None:
    text = drafted(tool("make_it", annotations={"recovery": named}), tool("delete_it", "id"))
    prose = " ".join(line.removeprefix("# ") for line in table(text, "make_it"))

    assert "REVIEW undo: the server names delete_it as what takes it back." in prose
    assert read(text).policy.tool("make_it").undo is None


@pytest.mark.parametrize("named", ["gone", "make_it", 5, {"tool": ["delete_it"]}, None])
def test_an_undo_that_the_server_does_not_have_is_not_told(named: object) -> None:
    assert "undo" not in drafted(tool("make_it", annotations={"recovery": named}), tool("delete_it", "id"))


def test_arguments_that_name_nothing_suggest_no_resource() -> None:
    assert "touches" not in "".join(table(drafted(tool("search", "query", "limit")), "search"))


def test_a_file_validator_is_suggested_for_one_file_alone() -> None:
    assert '#fresh = { file = "{path}" }' in drafted(tool("read_file", "path"))
    assert "#fresh" not in drafted(tool("read_files", "paths"))
    assert "#fresh" not in drafted(tool("write_file", "path"))


def test_the_draft_can_be_read_at_80_columns_but_for_fingerprints() -> None:
    text = drafted(tool("get", "path", description="word " * 300, annotations={"readOnlyHint": True}))
    assert [line for line in text.splitlines() if len(line) > 80 and not line.startswith("fingerprint")] == []


def test_a_saved_draft_is_found_by_the_name_of_its_server(tmp_path: Path) -> None:
    path = tmp_path / "manifests" / "x.toml"
    path.parent.mkdir()
    name = 'a "quoted" name' + "é" * 40
    path.write_text(draft(Subject(name, "1", "x"), [tool("get")], TODAY), encoding="utf-8")
    assert match_manifest(name, tmp_path) == path
