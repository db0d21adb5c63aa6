"""Many servers as one client sees them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spec_mcp.relay.gateway import pages, tasks
from spec_mcp.relay.gateway.catalogue import LIST_METHODS, Catalogue, Kind
from spec_mcp.relay.gateway.directory import Directory, Refusal, Routed
from spec_mcp.relay.gateway.names import ToolFilter
from spec_mcp.relay.gateway.view import merged
from tests.relay.gateway.catalogues import (
    at,
    handshake,
    items,
    named,
    raw,
    shown,
    stateless,
    styled,
    templates,
    view,
)

TOOLS = "notifications/tools/list_changed"
PROMPTS = "notifications/prompts/list_changed"
RESOURCES = "notifications/resources/list_changed"


def listed(
    directory: Directory, method: str = "tools/list", params: object = None, is_stateless: bool = False
) -> dict[str, Any]:
    """A page as a client gets it."""
    found = directory.listing(method, b"" if params is None else raw(params), is_stateless)
    assert isinstance(found, bytes), found
    assert b"\n" not in found
    return json.loads(found)


def all_pages(directory: Directory, method: str) -> list[dict[str, Any]]:
    """Every page, until there is no cursor."""
    found = [listed(directory, method)]
    while "nextCursor" in found[-1]:
        assert len(found) < 100
        found.append(listed(directory, method, {"cursor": found[-1]["nextCursor"]}))
    return found


# --- names and items ------------------------------------------------------------------------------------------------


def test_with_one_server_everything_is_as_it_gave_it() -> None:
    odd = (b'{ "name" : "a.b/c", "x":1e999, "x":2 }', b'{"title":"no name"}', b"17", b'{"name":"\\ud800"}')
    one = Catalogue("handshake", "2025-11-25", raw({"capabilities": {"tools": {}}}), odd, odd, odd, odd)
    directory = Directory(merged({"only": ToolFilter()}, {"only": one}))
    for method, kind in LIST_METHODS.items():
        found = directory.listing(method, b"", False)
        if kind is Kind.TOOLS:
            assert found == b'{"tools":[%s]}' % b",".join(odd)
        else:
            assert found == Refusal(-32601, f"no server has {kind.capability}")


def test_with_several_servers_each_tool_and_prompt_says_whose_it_is() -> None:
    found = view({"git": handshake(named("log", "show"), named("sum up")), "files": handshake(named("read", "log"))})
    assert shown(found, Kind.TOOLS) == ["git__log", "git__show", "files__read", "files__log"]
    assert shown(found, Kind.PROMPTS) == ["git__sum_up"]


def test_only_the_name_is_touched() -> None:
    item = (
        b'{"annotations":{"title":"name","readOnlyHint":true}, "name" : "log" ,"_meta":{"name":"log"},'
        b'"inputSchema":{"$defs":{"name":{}},"x":1.50},"outputSchema":{},"new":[]}'
    )
    one = Catalogue("handshake", "2025-11-25", handshake().hello, (item,), (), (), ())
    found = view({"git": one, "files": None})
    assert found.shown[Kind.TOOLS] == (item.replace(b'"name" : "log"', b'"name" : "git__log"'),)


NAMES = st.text(alphabet="ab_.", max_size=5) | st.text(max_size=70)
URIS = st.builds("{}://{}".format, st.sampled_from(["x", "y", "file"]), st.text(alphabet="ab/", max_size=5))
SERVERS = st.text(alphabet="ab_.", max_size=4)


@st.composite
def worlds(draw: st.DrawFn) -> dict[str, Catalogue]:
    """Several servers that list things, much of it alike, written as they like it."""
    found: dict[str, Catalogue] = {}
    for server in draw(st.lists(SERVERS, min_size=2, max_size=4, unique=True)):
        style = draw(st.integers(0, 3))
        tools, prompts, resources = (draw(st.lists(source, max_size=4)) for source in (NAMES, NAMES, URIS))
        forms = templates(*(f"{uri}{{x}}" for uri in resources))
        lists = [
            tuple(styled(value, style) for value in values)
            for values in (named(*tools), named(*prompts), at(*resources), forms)
        ]
        found[server] = Catalogue("handshake", "2025-11-25", handshake().hello, *lists)
    return found


REQUESTS = {Kind.TOOLS: "tools/call", Kind.PROMPTS: "prompts/get", Kind.RESOURCES: "resources/read"}


@given(worlds(), st.integers(0, 3))
def test_what_is_listed_goes_to_the_server_that_lists_it_under_its_own_name(
    world: dict[str, Catalogue], style: int
) -> None:
    directory = Directory(view(world))
    rest = {"arguments": {"name": "x", "uri": "y"}, "_meta": {"progressToken": 1}}
    for kind, method in REQUESTS.items():
        seen: set[str] = set()
        for item in directory.view.shown[kind]:
            key = json.loads(item)[kind.key]
            assert kind is Kind.RESOURCES or key not in seen
            seen.add(key)
            routed = directory.route(method, styled({**rest, kind.key: key}, style), False)
            assert isinstance(routed, Routed)
            (route,) = routed.routes
            params = json.loads(route.params)
            own = {json.loads(one)[kind.key]: json.loads(one) for one in world[route.server].items(kind) or ()}
            assert params == {**rest, kind.key: params[kind.key]}
            assert json.loads(item) == {**own[params[kind.key]], kind.key: key}, "the rest of the item is its server's"


@given(worlds())
def test_everything_that_can_be_called_is_listed_once(world: dict[str, Catalogue]) -> None:
    found = view(world)
    for kind in Kind:
        own = {(server, json.loads(item)[kind.key]) for server, one in world.items() for item in one.items(kind) or ()}
        if kind in (Kind.TOOLS, Kind.PROMPTS):
            assert {(one.server, one.name) for one in found.named[kind].values()} == own
            assert len(found.shown[kind]) == len(own)
        else:
            assert set(shown(found, kind)) == {uri for _, uri in own}


def test_a_tool_that_is_denied_is_neither_listed_nor_called() -> None:
    long = "delete_" + "x" * 60
    git = handshake(named("log", "delete_branch", long))
    for others in ({}, {"files": handshake()}):
        found = view({"git": git, **others}, {"git": ToolFilter(deny=("delete_*",))})
        directory = Directory(found)
        assert len(shown(found, Kind.TOOLS)) == 1
        prefix = "git__" if others else ""
        why = "the tool delete_branch is not served: 'delete_*' in deny of [servers.git]"
        params = raw({"name": prefix + "delete_branch"})
        assert directory.route("tools/call", params, False) == Refusal(-32602, why)
        cut = next((name for name, one in found.named[Kind.TOOLS].items() if one.name == long), long)
        assert isinstance(directory.route("tools/call", raw({"name": cut}), False), Refusal)
        assert isinstance(directory.route("tools/call", raw({"name": prefix + "log"}), False), Routed)


def test_a_deny_list_changes_no_other_tools_name() -> None:
    git, files = handshake(named("x.y", "x_y")), handshake()
    before = view({"git": git, "files": files})
    after = view({"git": git, "files": files}, {"git": ToolFilter(deny=("x_y",))})
    assert set(shown(after, Kind.TOOLS)) < set(shown(before, Kind.TOOLS))


def test_an_item_that_would_spoil_the_list_for_all_servers_is_left_out_and_said() -> None:
    one = Catalogue("handshake", "2025-11-25", handshake().hello, (b'{"title":"x"}', b"3"), (), (b"{}",), ())
    found = view({"odd": one, "git": handshake(named("log", "log"), resources=at("x://a", "x://a"))})
    assert shown(found, Kind.TOOLS) == ["git__log"]
    assert shown(found, Kind.RESOURCES) == ["x://a", "x://a"]
    assert len(found.left_out) == 4
    assert found.left_out[2] == "git lists tools 'log': the name is there twice, which some clients refuse"


def test_a_resource_that_two_servers_list_is_the_firsts() -> None:
    one = handshake(resources=[{"uri": "x://a", "name": "one's"}], templates=templates("x://{b}"))
    two = handshake(resources=[{"uri": "x://a", "name": "two's"}, *at("x://b")], templates=templates("x://{b}"))
    found = view({"one": one, "two": two})
    assert [json.loads(item)["name"] for item in found.shown[Kind.RESOURCES]] == ["one's", "x://b"]
    assert shown(found, Kind.TEMPLATES) == ["x://{b}"]
    assert found.left_out == (
        "two lists resources 'x://a': a server before it in the configuration lists it too",
        "two lists resourceTemplates 'x://{b}': a server before it in the configuration lists it too",
    )


@pytest.mark.shared
def test_recorded_tools_are_listed_whole_and_found_again(shared: Path) -> None:
    world = {
        file.name.removesuffix(".tools.json"): handshake(json.loads(file.read_text())["tools"])
        for file in sorted((shared / "traces").glob("*.tools.json"))
    }
    directory = Directory(view(world))
    own = [(server, item) for server, one in world.items() for item in one.tools or ()]
    found = listed(directory)["tools"]
    assert len(found) == len(own) > 300
    for (server, item), tool in zip(own, found, strict=True):
        mine = json.loads(item)
        assert {**tool, "name": mine["name"]} == mine
        routed = directory.route("tools/call", raw({"name": tool["name"], "arguments": {"a": 1}}), False)
        assert isinstance(routed, Routed)
        assert [(route.server, json.loads(route.params)) for route in routed.routes] == [
            (server, {"name": mine["name"], "arguments": {"a": 1}})
        ]


# --- pages ----------------------------------------------------------------------------------------------------------


def test_what_fits_is_one_page() -> None:
    directory = Directory(view({"git": handshake(named(*map(str, range(1000)))), "files": None}))
    assert len(all_pages(directory, "tools/list")) == 1


@settings(max_examples=50)
@given(st.lists(st.integers(0, 300), max_size=30), st.integers(1, 6), st.integers(50, 1000))
def test_the_pages_together_are_the_list(sizes: list[int], max_items: int, max_bytes: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pages, "PAGE_MAX_ITEMS", max_items)
        patch.setattr(pages, "PAGE_MAX_BYTES", max_bytes)
        tools = [{"name": f"tool{number}", "description": "x" * size} for number, size in enumerate(sizes)]
        directory = Directory(view({"git": handshake(tools), "files": handshake(tools)}))
        found = all_pages(directory, "tools/list")
        texts = [items(page["tools"]) for page in found]
        assert sum(texts, ()) == tuple(raw(json.loads(item)) for item in directory.view.shown[Kind.TOOLS])
        for page in texts:
            assert len(page) <= max_items
            assert len(page) <= 1 or sum(map(len, page)) <= max_bytes
        for page, following in pairwise(texts):
            assert len(page) == max_items or sum(map(len, page)) + len(following[0]) > max_bytes, "it is full"


def test_a_cursor_holds_while_the_list_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "PAGE_MAX_ITEMS", 2)
    world = {"git": handshake(named("a", "b", "c")), "files": handshake(named("d"))}
    directory = Directory(view(world))
    cursor = listed(directory)["nextCursor"]
    second = listed(directory, params={"cursor": cursor})
    assert [tool["name"] for tool in second["tools"]] == ["git__c", "files__d"]
    assert listed(Directory(view(world)), params={"cursor": cursor}) == second, "for another session too"
    directory.update("git", handshake(named("a", "new", "c")))
    refused = directory.listing("tools/list", raw({"cursor": cursor}), False)
    assert isinstance(refused, Refusal)
    assert refused.code == -32602


@pytest.mark.parametrize("cursor", ["", "0", "1", "x", 1, True, {}, [], "e3b0c44298fc1c14-0"])
def test_a_cursor_that_is_not_ours_is_an_error(cursor: object) -> None:
    for world in ({"git": handshake(named("a")), "files": None}, {"git": handshake(named("a"))}):
        refused = Directory(view(world)).listing("tools/list", raw({"cursor": cursor}), False)
        assert isinstance(refused, Refusal)
        assert refused.code == -32602


def test_a_cursor_that_is_null_begins_the_list() -> None:
    assert listed(Directory(view({"git": handshake(named("a"))})), params={"cursor": None})["tools"] == named("a")


def test_a_list_in_the_stateless_era_says_that_it_may_not_be_kept() -> None:
    directory = Directory(view({"git": stateless(named("a")), "files": None}))
    assert listed(directory).keys() == {"tools"}
    found = listed(directory, is_stateless=True)
    assert (found["resultType"], found["ttlMs"], found["cacheScope"]) == ("complete", 0, "private")
    assert found["_meta"]["io.modelcontextprotocol/serverInfo"]["name"] == "spec-mcp"


# --- what changes ---------------------------------------------------------------------------------------------------


def world() -> Mapping[str, Catalogue]:
    return {"git": handshake(named("log"), named("sum"), at("x://a"), templates("x://{b}")), "files": handshake()}


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        (handshake(named("log"), named("sum"), at("x://a"), templates("x://{b}")), set[str]()),
        (handshake(named("log", "new"), named("sum"), at("x://a"), templates("x://{b}")), {TOOLS}),
        (handshake(named("log"), [], at("x://a"), templates("x://{b}")), {PROMPTS}),
        (handshake(named("log"), named("sum"), at("x://b"), templates("x://{b}")), {RESOURCES}),
        (handshake(named("log"), named("sum"), at("x://a"), []), {RESOURCES}),
        (handshake(), {TOOLS, PROMPTS, RESOURCES}),
        (
            handshake(named("log"), named("sum"), at("x://a"), templates("x://{b}"), instructions="other"),
            set[str](),
        ),
    ],
)
def test_a_client_is_told_of_the_lists_that_it_sees_changed_and_of_no_other(changed: Catalogue, told: set[str]) -> None:
    directory = Directory(view(world()))
    assert directory.update("git", changed) == told
    assert directory.update("git", changed) == frozenset()


def test_a_change_in_what_is_not_shown_is_told_to_nobody() -> None:
    directory = Directory(view(world(), {"git": ToolFilter(allow=("l*",))}))
    assert directory.update("git", handshake(named("log", "new"), named("sum"), at("x://a"), templates("x://{b}"))) == (
        frozenset()
    )


def test_a_server_that_is_met_for_the_first_time_adds_what_it_lists() -> None:
    directory = Directory(view({"git": handshake(named("log")), "files": None}))
    assert not directory.knows("tools/list")
    assert directory.update("files", handshake(named("read"))) == {TOOLS}
    assert directory.knows("tools/list")
    assert [tool["name"] for tool in listed(directory)["tools"]] == ["git__log", "files__read"]


def test_a_server_of_which_only_the_handshake_is_known_has_no_known_lists() -> None:
    directory = Directory(view({"git": handshake(named("log")), "files": None}))
    assert directory.update("files", Catalogue("handshake", "2025-11-25", handshake().hello)) == frozenset()
    assert not directory.knows("tools/list")
    assert [tool["name"] for tool in listed(directory)["tools"]] == ["git__log"]


def test_another_configuration_shows_other_servers() -> None:
    before = view(world())
    directory = Directory(before)
    only = before.with_servers({"git": ToolFilter()})
    assert directory.show(only) == {TOOLS, PROMPTS}, "names without the server's; resources are the same"
    assert shown(directory.view, Kind.TOOLS) == ["log"]
    assert directory.show(only.with_servers({"files": ToolFilter()})) == {TOOLS, PROMPTS, RESOURCES}


def test_one_view_serves_many_sessions() -> None:
    found = view(world())
    updated = found.updated("git", handshake(named("new")))
    assert found.updated("git", world()["git"]) is found, "nothing new makes no other view"
    assert Directory(found).show(updated) == Directory(found).show(updated) == {TOOLS, PROMPTS, RESOURCES}
    assert shown(found, Kind.TOOLS) == ["git__log"], "a view is never changed"


# --- what nobody has ------------------------------------------------------------------------------------------------


def test_a_list_that_no_server_has_is_not_found_as_it_would_be_there() -> None:
    directory = Directory(view({"git": handshake(named("log"), capabilities={"tools": {}}), "files": None}))
    assert listed(directory, "prompts/list") == {"prompts": []}, "files may have some: it has never been met"
    directory.update("files", handshake(capabilities={"resources": {}}))
    assert directory.listing("prompts/list", b"", False) == Refusal(-32601, "no server has prompts")
    assert listed(directory, "resources/templates/list") == {"resourceTemplates": []}


def test_a_list_that_the_client_was_told_of_stays() -> None:
    directory = Directory(view({"git": handshake(named("log"), named("sum"))}))
    directory.initialized("2025-11-25")
    assert directory.update("git", handshake(named("log"), capabilities={"tools": {}})) == {PROMPTS}
    assert listed(directory, "prompts/list") == {"prompts": []}


def test_no_server_at_all_lists_nothing() -> None:
    directory = Directory(view({}))
    assert isinstance(directory.listing("tools/list", b"", False), Refusal)
    assert isinstance(directory.route("tools/call", raw({"name": "a"}), False), Refusal)
    assert json.loads(directory.initialized("2025-11-25"))["capabilities"] == {}


def test_tasks_are_remembered_within_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks, "TASKS_MAX", 2)
    directory = Directory(view({"git": handshake(), "files": handshake()}))
    for server, task in (("git", "1"), ("files", "2"), ("git", "1"), ("git", "3")):
        directory.tasks.remember(server, task)
    owners = {
        task: routed.routes[0].server if isinstance(routed, Routed) else None
        for task in "123"
        for routed in [directory.route("tasks/get", raw({"taskId": task}), False)]
    }
    assert owners == {"1": "git", "2": None, "3": "git"}
