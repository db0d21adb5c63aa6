"""Installing again: into what is new, over what is gone, and with another wish."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from spec_mcp.clients.entries import ours, words_of
from spec_mcp.clients.plans import Action
from spec_mcp.errors import UserError
from tests.clients.putting import BIN, JOIN, PROGRAM, WISH, WRAPPING, actions, put_in, servers, taken_out, why

A, B = {"command": "npx", "args": ["a"]}, {"command": "node", "args": ["b"]}
NEW_PROGRAM = ("/new/bin/python", "-P", "-m", "spec_mcp")


def text_of(**entries: Any) -> str:
    return json.dumps({"mcpServers": entries}, indent=2)


def test_servers_that_are_new_are_put_behind_us_and_all_come_out() -> None:
    first = put_in("cursor", text_of(a=A))
    more = json.loads(first.text)
    more["mcpServers"]["b"] = B
    second = put_in("cursor", json.dumps(more, indent=2), WISH, first.record)
    assert actions(second) == {"a": Action.ALREADY, "b": Action.WRAPPED}
    assert taken_out("cursor", second.text, second.record).text == text_of(a=A, b=B)


def test_what_was_restored_by_hand_is_put_in_again() -> None:
    first = put_in("cursor", text_of(a=A))
    second = put_in("cursor", text_of(a=B), WISH, first.record)
    assert actions(second) == {"a": Action.WRAPPED}
    assert taken_out("cursor", second.text, second.record).text == text_of(a=B)


@pytest.mark.parametrize("wish", [WISH, JOIN])
def test_an_environment_that_was_moved_is_mended(wish: Any) -> None:
    first = put_in("cursor", text_of(a=A, b=B), wish)
    moved = replace(wish, wrapping=replace(WRAPPING, program=NEW_PROGRAM), exists=lambda path: path != PROGRAM[0])
    second = put_in("cursor", first.text, moved, first.record)
    assert PROGRAM[0] not in second.text
    assert NEW_PROGRAM[0] in second.text
    assert taken_out("cursor", second.text, second.record).text == text_of(a=A, b=B)


def test_a_server_whose_command_is_elsewhere_now_is_found_again() -> None:
    first = put_in("cursor", text_of(a=A, b=B))
    elsewhere = replace(WRAPPING, which={"npx": "/new/npx"}.get)
    second = put_in(
        "cursor", first.text, replace(WISH, wrapping=elsewhere, exists=lambda path: path != BIN["npx"]), first.record
    )
    found = servers("cursor", second.text)
    assert ours(words_of(found["a"])).server == ("/new/npx", "a")  # type: ignore[union-attr]
    assert ours(words_of(found["b"])).server == (BIN["node"], "b")  # type: ignore[union-attr]


@pytest.mark.parametrize("wish", [WISH, JOIN])
def test_what_is_written_anew_keeps_its_mode(wish: Any) -> None:
    first = put_in("cursor", text_of(a=A), replace(wish, wrapping=replace(WRAPPING, mode="shadow")))
    moved = replace(wish, wrapping=replace(WRAPPING, program=NEW_PROGRAM), exists=lambda path: path != PROGRAM[0])
    (entry,) = servers("cursor", put_in("cursor", first.text, moved, first.record).text).values()
    assert entry["command"] == NEW_PROGRAM[0]
    assert entry["args"][entry["args"].index("--mode") + 1] == "shadow"


def test_a_command_that_the_user_wrote_as_a_path_is_the_users_own() -> None:
    first = put_in("cursor", text_of(a={"command": "/not/there"}))
    second = put_in("cursor", first.text, replace(WISH, exists=lambda path: path == PROGRAM[0]), first.record)
    assert actions(second) == {"a": Action.ALREADY}


def test_another_spec_mcp_that_is_there_is_left() -> None:
    first = put_in("cursor", text_of(a=A))
    second = put_in("cursor", first.text, replace(WISH, wrapping=replace(WRAPPING, program=NEW_PROGRAM)), first.record)
    assert second.text == first.text


def test_one_of_ours_that_is_gone_and_unknown_is_named() -> None:
    entry = {"command": "/gone/spec-mcp", "args": ["wrap", "--", "npx"]}
    plan = put_in("cursor", text_of(a=entry), replace(WISH, exists=lambda path: False))
    assert actions(plan) == {"a": Action.ALREADY}
    assert "/gone/spec-mcp is gone" in why(plan, "a")


def test_another_mode_is_written_anew_only_where_it_is_asked_for() -> None:
    first = put_in("cursor", text_of(a=A, b=B))
    asked = replace(WISH, wrapping=replace(WRAPPING, mode="on"), names=("b",))
    second = put_in("cursor", first.text, asked, first.record)
    modes = {name: ours(words_of(entry)).option("mode") for name, entry in servers("cursor", second.text).items()}  # type: ignore[union-attr]
    assert modes == {"a": None, "b": "on"}
    third = put_in("cursor", second.text, WISH, second.record)
    assert third.text == second.text
    assert taken_out("cursor", third.text, third.record).text == text_of(a=A, b=B)


def test_a_gateway_takes_in_what_is_new() -> None:
    first = put_in("cursor", text_of(a=A), JOIN)
    more = json.loads(first.text)
    more["mcpServers"]["b"] = B
    second = put_in("cursor", json.dumps(more, indent=2), JOIN, first.record)
    assert list(servers("cursor", second.text)) == ["spec-mcp"]
    assert actions(second) == {"a": Action.JOINED, "b": Action.JOINED}
    assert json.loads(taken_out("cursor", second.text, second.record).text) == json.loads(text_of(a=A, b=B))
    named = put_in("cursor", json.dumps(more, indent=2), replace(JOIN, names=("b",)), first.record)
    assert list(servers("cursor", named.text)) == ["spec-mcp"]


def test_what_is_wrapped_on_its_own_is_not_taken_into_a_gateway() -> None:
    first = put_in("cursor", text_of(a=A))
    second = put_in("cursor", first.text, JOIN, first.record)
    assert second.text == first.text
    assert "uninstall it first" in why(second, "a")


def test_only_the_servers_that_are_named_are_touched() -> None:
    plan = put_in("cursor", text_of(a=A, b=B), replace(WISH, names=("b",)))
    assert actions(plan) == {"b": Action.WRAPPED}
    assert servers("cursor", plan.text)["a"] == A


def test_a_server_that_is_not_there_is_said_to_be_missing() -> None:
    with pytest.raises(UserError, match="--server gitub: there is no such server in the file: did you mean github"):
        put_in("cursor", text_of(github=A), replace(WISH, names=("gitub",)))


def test_one_server_of_a_gateway_cannot_be_taken_out_alone() -> None:
    plan = put_in("cursor", text_of(a=A, b=B), JOIN)
    with pytest.raises(UserError, match="it is in the gateway spec-mcp"):
        taken_out("cursor", plan.text, plan.record, ["a"])
    with pytest.raises(UserError, match="was not put behind spec-mcp"):
        taken_out("cursor", plan.text, plan.record, ["z"])
