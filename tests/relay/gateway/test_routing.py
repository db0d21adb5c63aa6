"""Which server gets a request, and what it gets."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from spec_mcp.relay.gateway.catalogue import Catalogue
from spec_mcp.relay.gateway.directory import Directory, Refusal, Routed
from tests.relay.gateway.catalogues import at, handshake, named, raw, stateless, templates, view


def gateway(**servers: Catalogue | None) -> Directory:
    return Directory(view(servers))


def sent(
    directory: Directory, method: str, params: Mapping[str, Any] | bytes, is_stateless: bool = False
) -> dict[str, Any]:
    """What each server gets."""
    text = params if isinstance(params, bytes) else raw(params)
    routed = directory.route(method, text, is_stateless)
    assert isinstance(routed, Routed), routed
    return {route.server: json.loads(route.params) for route in routed.routes}


def refused(directory: Directory, method: str, params: Mapping[str, Any], is_stateless: bool = False) -> Refusal:
    """Why nobody gets it."""
    found = directory.route(method, raw(params), is_stateless)
    assert isinstance(found, Refusal), found
    return found


# --- one server -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "method",
    ["tools/call", "prompts/get", "resources/read", "tasks/list", "subscriptions/listen", "x/of-its-own", "ping"],
)
@pytest.mark.parametrize("params", [b"", b'{ "name" : "no such__tool" }', b'{"uri":"x"}', b"[]", b'{"name":3}'])
def test_with_one_server_every_request_is_its_own_as_it_came(method: str, params: bytes) -> None:
    for one in (None, handshake()):
        routed = gateway(only=one).route(method, params, False)
        assert isinstance(routed, Routed)
        assert [(route.server, route.params) for route in routed.routes] == [("only", params)]
        assert routed.honored == b""


# --- by name --------------------------------------------------------------------------------------------------------


def test_a_call_goes_to_the_tools_server_with_everything_else_as_it_came() -> None:
    directory = gateway(git=handshake(named("log")), files=handshake(named("log")))
    text = (
        b'{ "_meta":{"name":"git__log"},"arguments" : {"n": 1.0, "n": 1e2}, "name" :\t"files__log","inputResponses":{}}'
    )
    routed = directory.route("tools/call", text, True)
    assert isinstance(routed, Routed)
    (route,) = routed.routes
    assert (route.server, route.params) == ("files", text.replace(b'"files__log"', b'"log"'))


def test_a_name_goes_back_to_its_server_as_the_server_wrote_it() -> None:
    odd = Catalogue("handshake", "2025-11-25", handshake().hello, (b'{"name":"caf\\u00e9 \\ud800"}',), (), (), ())
    directory = gateway(git=odd, files=handshake())
    routed = directory.route("tools/call", b'{"name":"git__caf___"}', False)
    assert isinstance(routed, Routed)
    assert routed.routes[0].params == b'{"name":"caf\\u00e9 \\ud800"}'


def test_prompts_and_tools_of_the_same_name_are_two() -> None:
    directory = gateway(git=handshake(named("x.y"), named("x y")), files=handshake())
    assert sent(directory, "tools/call", {"name": "git__x_y"}) == {"git": {"name": "x.y"}}
    assert sent(directory, "prompts/get", {"name": "git__x_y"}) == {"git": {"name": "x y"}}


def test_a_tool_that_is_not_listed_goes_to_the_server_that_its_name_begins_with() -> None:
    directory = gateway(files=handshake(named("read")), **{"my git": None})
    assert sent(directory, "tools/call", {"name": "my_git__log__all"}) == {"my git": {"name": "log__all"}}
    assert sent(directory, "prompts/get", {"name": "files__new"}) == {"files": {"name": "new"}}


def test_a_name_that_nobody_has_is_an_error() -> None:
    directory = gateway(git=handshake(named("log")), files=None)
    for name in ("log", "other__log", "git__", "__log", "git_log", ""):
        assert refused(directory, "tools/call", {"name": name}) == Refusal(-32602, f"Unknown tool: {name}")
    assert refused(directory, "prompts/get", {"name": "x"}) == Refusal(-32602, "Unknown prompt: x")
    assert len(refused(directory, "tools/call", {"name": "x" * 10_000}).message) < 300


@pytest.mark.parametrize(
    ("method", "member"),
    [("tools/call", "name"), ("prompts/get", "name"), ("resources/read", "uri"), ("tasks/get", "taskId")],
)
def test_a_request_that_names_nothing_is_an_error(method: str, member: str) -> None:
    directory = gateway(git=handshake(), files=handshake())
    for params in ({}, {member: 3}, {member: None}):
        assert refused(directory, method, params) == Refusal(-32602, f"{method} needs a {member}")


def test_a_method_that_nobody_is_known_to_take_is_not_found() -> None:
    assert refused(gateway(git=None, files=None), "x/of-its-own", {}).code == -32601


# --- by URI ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["resources/read", "resources/subscribe", "resources/unsubscribe"])
def test_a_resource_goes_to_its_server_under_the_same_uri(method: str) -> None:
    directory = gateway(
        one=handshake(resources=at("x://a"), templates=templates("t://{id}")),
        two=handshake(resources=at("x://a", "y://b/c"), templates=templates("t://{id}", "t://{id}/more")),
    )
    wanted = {"x://a": "one", "y://b/c": "two", "t://1": "one", "t://1/more": "two", "y://b/other": "two"}
    for uri, server in wanted.items():
        assert sent(directory, method, {"uri": uri, "_meta": {"x": 1}}) == {server: {"uri": uri, "_meta": {"x": 1}}}


def test_a_resource_that_nobody_lists_goes_to_the_only_server_that_has_any() -> None:
    directory = gateway(git=handshake(capabilities={"tools": {}}), files=handshake(capabilities={"resources": {}}))
    assert sent(directory, "resources/read", {"uri": "x://a"}) == {"files": {"uri": "x://a"}}
    assert sent(gateway(git=handshake(capabilities={}), files=None), "resources/read", {"uri": "x://a"}).keys() == {
        "files"
    }


def test_a_resource_that_nobody_has_is_not_found_as_the_version_says() -> None:
    directory = gateway(git=handshake(), files=handshake())
    found = refused(directory, "resources/read", {"uri": "x://a"})
    assert (found.code, found.message, json.loads(found.data)) == (
        -32002,
        "Resource not found: x://a",
        {"uri": "x://a"},
    )
    assert refused(directory, "resources/read", {"uri": "x://a"}, is_stateless=True).code == -32602


# --- completion -----------------------------------------------------------------------------------------------------


def test_a_completion_goes_to_the_server_of_its_prompt_or_template() -> None:
    directory = gateway(
        git=handshake(prompts=named("sum up")), files=handshake(resources=at("x://a"), templates=templates("y://{id}"))
    )
    argument = {"name": "git__sum_up", "value": "ref"}
    params = {"ref": {"type": "ref/prompt", "name": "git__sum_up", "title": "name"}, "argument": argument}
    assert sent(directory, "completion/complete", params) == {
        "git": {"ref": {"type": "ref/prompt", "name": "sum up", "title": "name"}, "argument": argument}
    }
    for uri in ("y://{id}", "y://1", "x://a"):
        params = {"ref": {"type": "ref/resource", "uri": uri}, "argument": argument}
        assert sent(directory, "completion/complete", params) == {"files": params}


def test_only_the_prompts_name_is_touched_in_a_completion() -> None:
    directory = gateway(git=handshake(prompts=named("log")), files=handshake())
    text = b'{ "argument":{"name":"git__log"}, "ref" : { "type":"ref/prompt" , "name" :"git__log" } ,"x":1.0 }'
    routed = directory.route("completion/complete", text, False)
    assert isinstance(routed, Routed)
    assert routed.routes[0].params == text.replace(b'"name" :"git__log"', b'"name" :"log"')


@pytest.mark.parametrize("ref", [None, {}, {"type": "ref/prompt"}, {"type": "ref/other", "name": "git__log"}, 3])
def test_a_completion_of_nothing_is_an_error(ref: object) -> None:
    assert refused(gateway(git=handshake(), files=None), "completion/complete", {"ref": ref}).code == -32602


def test_a_completion_of_what_nobody_has_is_an_error() -> None:
    directory = gateway(git=handshake(), files=handshake())
    for ref in ({"type": "ref/prompt", "name": "x"}, {"type": "ref/resource", "uri": "x://a"}):
        assert refused(directory, "completion/complete", {"ref": ref}, is_stateless=True).code == -32602


# --- to all ---------------------------------------------------------------------------------------------------------


def test_the_logging_level_goes_to_all_servers_that_log_and_to_those_that_may() -> None:
    directory = gateway(git=handshake(), files=handshake(capabilities={"tools": {}}), new=None)
    assert sent(directory, "logging/setLevel", {"level": "info"}) == {
        "git": {"level": "info"},
        "new": {"level": "info"},
    }
    silent = gateway(git=handshake(capabilities={}), files=handshake(capabilities={"tools": {}}))
    assert refused(silent, "logging/setLevel", {"level": "info"}).code == -32601


def test_a_listen_is_split_over_the_servers() -> None:
    directory = gateway(
        git=stateless(named("log"), capabilities={"tools": {"listChanged": True}}),
        files=handshake(resources=at("x://a", "x://b"), capabilities={"resources": {}}),
        notes=handshake(resources=at("n://a"), capabilities={"resources": {}, "prompts": {}}),
    )
    directory.tasks.remember("git", "7")
    params = {
        "_meta": {"io.modelcontextprotocol/protocolVersion": "2026-07-28"},
        "notifications": {
            "toolsListChanged": True,
            "promptsListChanged": False,
            "resourcesListChanged": True,
            "resourceSubscriptions": ["x://a", "n://a", "x://b", "unknown://a", 3],
            "taskIds": ["7", "8"],
        },
    }
    routed = directory.route("subscriptions/listen", raw(params), True)
    assert isinstance(routed, Routed)
    parts = {route.server: json.loads(route.params) for route in routed.routes}
    assert all(part["_meta"] == params["_meta"] for part in parts.values())
    assert {server: part["notifications"] for server, part in parts.items()} == {
        "git": {"toolsListChanged": True, "taskIds": ["7"]},
        "files": {"resourcesListChanged": True, "resourceSubscriptions": ["x://a", "x://b"]},
        "notes": {"resourcesListChanged": True, "resourceSubscriptions": ["n://a"]},
    }
    assert json.loads(routed.honored) == {
        "toolsListChanged": True,
        "resourcesListChanged": True,
        "resourceSubscriptions": ["x://a", "x://b", "n://a"],
        "taskIds": ["7"],
    }


def test_a_listen_for_what_nobody_has_is_agreed_to_in_nothing() -> None:
    directory = gateway(git=handshake(capabilities={"tools": {}}), files=handshake(capabilities={"tools": {}}))
    wanted = {"promptsListChanged": True, "resourceSubscriptions": ["x://a"], "taskIds": ["1"]}
    assert directory.route("subscriptions/listen", raw({"notifications": wanted}), True) == Routed((), b"{}")
    assert refused(directory, "subscriptions/listen", {}).code == -32602


def test_a_server_is_asked_for_what_an_extension_adds_to_a_listen() -> None:
    directory = gateway(git=handshake(capabilities={}), files=handshake(capabilities={}))
    assert sent(directory, "subscriptions/listen", {"notifications": {"x.y/z": [1]}}) == {
        "git": {"notifications": {"x.y/z": [1]}},
        "files": {"notifications": {"x.y/z": [1]}},
    }


# --- tasks ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["tasks/get", "tasks/result", "tasks/update", "tasks/cancel"])
def test_a_task_is_asked_for_where_it_was_made(method: str) -> None:
    directory = gateway(git=handshake(), files=handshake())
    directory.tasks.remember("files", "7")
    assert sent(directory, method, {"taskId": "7", "x": 1}) == {"files": {"taskId": "7", "x": 1}}
    assert refused(directory, method, {"taskId": "8"}) == Refusal(-32602, "Task not found: 8")


def test_a_task_that_is_not_remembered_is_asked_for_at_the_only_server_that_makes_any() -> None:
    extension = {"extensions": {"io.modelcontextprotocol/tasks": {}}}
    directory = gateway(git=handshake(capabilities={}), files=stateless(capabilities=extension), new=None)
    assert sent(directory, "tasks/get", {"taskId": "8"}) == {"files": {"taskId": "8"}}


def test_a_task_that_two_servers_know_by_one_id_is_asked_for_under_the_id_that_its_server_knows() -> None:
    directory = gateway(git=handshake(), files=handshake(), mail=handshake())
    shown = [directory.tasks.remember(server, "7") for server in ("files", "git", "mail", "git")]
    assert shown == ["7", "git__7", "mail__7", "git__7"]
    for task, server in zip(shown, ("files", "git", "mail"), strict=False):
        assert sent(directory, "tasks/get", {"taskId": task, "x": 1}) == {server: {"taskId": "7", "x": 1}}
    params = {"notifications": {"taskIds": ["7", "git__7", "nobody's"]}}
    routed = directory.route("subscriptions/listen", raw(params), True)
    assert isinstance(routed, Routed)
    assert json.loads(routed.honored) == {"taskIds": ["7", "git__7"]}
    assert {one.server: json.loads(one.params)["notifications"]["taskIds"] for one in routed.routes} == {
        "files": ["7"],
        "git": ["7"],
    }


def test_a_task_of_a_server_that_is_gone_is_not_found() -> None:
    directory = gateway(git=handshake(), files=handshake(), old=handshake())
    directory.tasks.remember("old", "7")
    directory.show(view({"git": handshake(), "files": handshake()}))
    assert refused(directory, "tasks/get", {"taskId": "7"}).code == -32602


def test_tasks_are_listed_of_all_servers_page_by_page() -> None:
    directory = gateway(git=handshake(), files=handshake(), silent=handshake(capabilities={}), new=None)
    assert sent(directory, "tasks/list", {"_meta": {}}) == {"git": {"_meta": {}}, "files": {"_meta": {}}}
    merged = directory.tasks.merged(
        {
            "git": b'{"tasks":[{"taskId":"1" ,"status":"working"}],"nextCursor":"g\\u00e9 1"}',
            "files": b'{"tasks":[{"taskId":"2"},{}]}',
        }
    )
    found = json.loads(merged)
    assert found["tasks"] == [{"taskId": "1", "status": "working"}, {"taskId": "2"}, {}]
    assert b'{"taskId":"1" ,"status":"working"}' in merged, "as it came"
    params = {"_meta": {}, "cursor": found["nextCursor"]}
    assert sent(directory, "tasks/list", params) == {"git": {"_meta": {}, "cursor": "gé 1"}}
    assert sent(directory, "tasks/cancel", {"taskId": "2"}).keys() == {"files"}
    assert json.loads(directory.tasks.merged({"git": b'{"tasks":[]}', "files": b"[]"})) == {"tasks": []}


@pytest.mark.parametrize("cursor", ["", "x", "{}", '{"silent":"1"}', '{"git":1}', '["git"]', 7, {}])
def test_a_cursor_of_another_task_list_is_an_error(cursor: object) -> None:
    directory = gateway(git=handshake(), files=handshake(), silent=handshake(capabilities={}))
    assert refused(directory, "tasks/list", {"cursor": cursor}).code == -32602


def test_where_nobody_lists_tasks_the_method_is_not_found() -> None:
    directory = gateway(git=handshake(capabilities={"tasks": {}}), files=handshake(capabilities={}))
    assert refused(directory, "tasks/list", {}).code == -32601
