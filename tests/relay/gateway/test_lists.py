"""What clients are shown of their servers' lists: at once where that is known, and told of when it is another."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from spec_mcp.relay.gateway import lists, session, surveying
from tests.relay.gateway.rig import (
    INITIALIZED,
    META,
    STREAM,
    Client,
    Message,
    Rig,
    Script,
    catalogue,
    initialize,
    request,
)

CHANGED = "notifications/tools/list_changed"


def remembered(script: Script, *tools: str, others: int = 0, era: str = "handshake") -> Rig:
    """A server that is known from an earlier run, and others that are as they were."""
    names = ["a", *(f"b{number}" for number in range(others))]
    scripts = {name: script if name == "a" else Script() for name in names}
    known = {name: catalogue(Script(era=era), tools if name == "a" else ("echo",)) for name in names}
    return Rig(scripts, remembered=known)


def tools_of(message: Message) -> list[str]:
    return [tool["name"] for tool in message["tools"]]


def prefix(others: int) -> str:
    return "a__" if others else ""


alone_and_not = pytest.mark.parametrize("others", [0, 1])


# --- from memory ----------------------------------------------------------------------------------------------------


@alone_and_not
def test_a_client_is_answered_from_memory_before_its_server_has_said_a_word(others: int) -> None:
    rig = remembered(Script().silent("initialize"), "old", others=others)
    client = rig.client().says(initialize(0), INITIALIZED, request(1, "tools/list"))
    assert client.result(0)["capabilities"]["tools"] == {"listChanged": True}
    assert prefix(others) + "old" in tools_of(client.result(1))


@alone_and_not
def test_a_client_is_told_where_the_server_lists_something_else_than_in_memory(others: int) -> None:
    rig = remembered(Script(("new",)).silent("initialize"), "old", others=others)
    client = rig.client().says(initialize(0), INITIALIZED, request(1, "tools/list"))
    client.take()
    rig.server("a").answers_own("initialize", result=INITIALIZE_RESULT)
    assert [one["method"] for one in client.take()] == [CHANGED]
    assert prefix(others) + "new" in client.listed()
    rig.waits(10)
    assert client.take() == []


@alone_and_not
def test_a_client_is_told_nothing_where_the_server_lists_the_same(others: int) -> None:
    rig = remembered(Script(("same",)).silent("initialize"), "same", others=others)
    client = rig.client().says(initialize(0), INITIALIZED, request(1, "tools/list"))
    client.take()
    rig.server("a").answers_own("initialize", result=INITIALIZE_RESULT)
    rig.waits(10)
    assert client.take() == []


def test_a_stateless_client_is_told_on_its_stream_and_not_before_that_is_open() -> None:
    script = Script(("new",), era="stateless").silent("server/discover")
    rig = remembered(script, "old", era="stateless")
    client = rig.client().says(request(0, "server/discover", _meta=META), request(1, "tools/list", _meta=META))
    assert tools_of(client.result(1)) == ["old"]
    client.asks("s", "subscriptions/listen", notifications={"toolsListChanged": True}, _meta=META)
    client.take()
    server = rig.server("a")
    server.answers_own("server/discover", result=Script(era="stateless").replies["server/discover"]["result"])  # type: ignore[index]
    assert client.take() == []
    meta = {STREAM: "s"}
    server.tells("notifications/subscriptions/acknowledged", notifications={"toolsListChanged": True}, _meta=meta)
    assert [one["method"] for one in client.take()] == ["notifications/subscriptions/acknowledged", CHANGED]
    server.answers("s", {"resultType": "complete"})
    client.take()
    assert len(client.session._lists.streams) == 0


def test_what_is_known_of_a_server_in_another_version_is_not_promised_to_a_client_of_this_one() -> None:
    script = Script().silent("initialize")
    rig = Rig({"a": script}, remembered={"a": catalogue(script, ("echo",), version="2024-11-05")})
    client = rig.client().says(initialize(0))
    assert client.take() == []
    rig.server("a").answers_own("initialize", result=INITIALIZE_RESULT)
    assert client.result(0)["protocolVersion"] == "2025-11-25"


# --- servers that nobody knows --------------------------------------------------------------------------------------


@pytest.mark.parametrize("era", ["handshake", "stateless"])
def test_a_server_that_is_silent_holds_up_a_client_for_no_longer_than_is_said_and_once(era: str) -> None:
    rig = Rig({"a": Script().silent("initialize", "server/discover"), "b": Script()})
    client = rig.client()
    begin = initialize(0) if era == "handshake" else request(0, "server/discover", _meta=META)
    client.says(begin)
    rig.waits(session.MEETING_S - 0.1)
    assert client.take() == []
    rig.waits(0.2)
    assert "capabilities" in client.result(0)
    meta: dict[str, Any] = {} if era == "handshake" else {"_meta": META}
    client.tells("notifications/initialized")
    client.asks(1, "tools/list", **meta)
    rig.waits(lists.LISTING_S - 0.1)
    assert client.take() == []
    rig.waits(0.2)
    assert tools_of(client.result(1)) == ["b__echo"]
    assert tools_of(client.asks(2, "tools/list", **meta).result(2)) == ["b__echo"]
    assert client.asks(3, "prompts/list", **meta).result(3)["prompts"] == []


def test_a_server_that_comes_later_is_told_of() -> None:
    rig = Rig({"a": Script().silent("initialize"), "b": Script()})
    client = rig.client().says(initialize(0), INITIALIZED, request(1, "tools/list"))
    rig.waits(lists.LISTING_S + 1)
    client.take()
    rig.server("a").answers_own("initialize", result=INITIALIZE_RESULT)
    assert CHANGED in [one["method"] for one in client.take()]
    assert client.listed() == ["a__echo", "b__echo"]


def test_a_server_that_cannot_be_met_holds_up_nobody() -> None:
    rig = Rig({"a": Script().silent("initialize"), "b": Script()})
    client = rig.client().says(initialize(0), INITIALIZED, request(1, "tools/list"), request(2, "prompts/list"))
    assert client.take() == []
    rig.server("a").refuses = "cannot start 'no-such-program'"
    rig.server("a").loses(rig.server("a").refuses)
    assert "capabilities" in client.result(0)
    assert tools_of(client.result(1)) == ["b__echo"]
    assert client.result(2)["prompts"] == []
    assert "no-such-program" in client.calls(3, "a__echo").error(3)["message"]
    client.calls(4, "b__echo")
    rig.server("b").answers(4, {})
    assert client.result(4) == {}


def test_the_only_server_that_cannot_be_met_is_the_answer_to_the_handshake_and_is_tried_again_with_the_next() -> None:
    rig = Rig({"a": Script().silent("initialize")})
    client = rig.client().says(initialize(0))
    rig.server("a").loses("cannot start 'no-such-program'")
    error = client.error(0)
    assert (error["code"], "no-such-program" in error["message"]) == (-32000, True)
    client.says(initialize(1))
    assert client.take() == []
    rig.server("a").answers_own("initialize", result=INITIALIZE_RESULT)
    assert "capabilities" in client.result(1)


# --- what changes ---------------------------------------------------------------------------------------------------


def two() -> tuple[Rig, Client]:
    rig = Rig({"a": Script(), "b": Script()})
    client = rig.client().initializes()
    assert client.listed() == ["a__echo", "b__echo"]
    rig.waits(surveying.RELIST_S + 1)
    return rig, client


def test_a_change_at_one_of_several_is_told_of_once_and_when_it_is_known() -> None:
    rig, client = two()
    server = rig.server("a")
    server.script.silent("tools/list")
    server.tells(CHANGED)
    assert client.take() == []
    client.asks(1, "tools/list")
    assert client.take() == []
    server.answers_own("tools/list", result={"tools": [{"name": "new", "inputSchema": {}}]})
    assert tools_of(client.result(1)) == ["a__new", "b__echo"]
    assert [one["method"] for one in client.take()] == [CHANGED]


def test_a_change_that_changes_nothing_is_not_told_of() -> None:
    rig, client = two()
    rig.server("a").tells(CHANGED)
    rig.waits(10)
    assert client.take() == []


@pytest.mark.parametrize("reads_it", [False, True])
def test_a_server_that_says_all_the_time_that_its_list_has_changed_is_asked_now_and_then(reads_it: bool) -> None:
    rig, client = two()
    server = rig.server("a")
    before = len(server.own)
    if reads_it:
        listed = server.script.replies["tools/list"]

        def list_and_say(message: Message) -> Mapping[str, Any]:
            rig.deliver(lambda: server.tells(CHANGED))
            assert callable(listed)
            return listed(message)

        server.script.replies["tools/list"] = list_and_say
    for _ in range(1 if reads_it else 200):
        server.tells(CHANGED)
    rig.waits(10 * surveying.RELIST_S)
    assert len(server.own) - before <= 12
    client.asks(1, "tools/list")
    rig.waits(surveying.RELIST_S + 0.1)
    assert tools_of(client.result(1)) == ["a__echo", "b__echo"]


def test_the_change_that_comes_while_a_list_is_read_is_not_missed() -> None:
    rig, client = two()
    server = rig.server("a")
    server.script.silent("tools/list")
    server.tells(CHANGED)
    server.tells(CHANGED)
    server.answers_own("tools/list", result={"tools": []})
    server.script.replies["tools/list"] = {"result": {"tools": [{"name": "newest", "inputSchema": {}}]}}
    assert tools_of({"tools": []}) == []
    rig.waits(surveying.RELIST_S + 1)
    assert client.listed() == ["a__newest", "b__echo"]


def test_a_list_that_broke_off_with_its_server_is_no_empty_list() -> None:
    rig = Rig({"a": Script().silent("tools/list"), "b": Script()})
    client = rig.client().initializes()
    server = rig.server("a")
    client.asks(1, "tools/list")
    server.loses()
    assert not client.has_answer(1)
    server.script.replies["tools/list"] = {"result": {"tools": [{"name": "echo", "inputSchema": {}}]}}
    server.restarts()
    assert tools_of(client.result(1)) == ["a__echo", "b__echo"]
    assert rig.view.catalogues["a"].is_complete


def test_a_server_that_comes_back_with_other_tools_is_told_of() -> None:
    rig, client = two()
    server = rig.server("a")
    server.loses()
    server.script.tools.append("more")
    server.restarts()
    assert [one["method"] for one in client.take()] == [CHANGED]
    assert client.listed() == ["a__echo", "a__more", "b__echo"]


# --- lists as servers give them -------------------------------------------------------------------------------------


def test_all_pages_of_a_list_are_read() -> None:
    pages = {None: (["one"], "2"), "2": (["two"], "3"), "3": (["three"], None)}

    def paged(message: Message) -> Mapping[str, Any]:
        names, cursor = pages[message.get("params", {}).get("cursor")]
        more = {} if cursor is None else {"nextCursor": cursor}
        return {"result": {"tools": [{"name": name, "inputSchema": {}} for name in names], **more}}

    rig = Rig({"a": Script(tools__list=paged), "b": Script()})
    assert rig.client().initializes().listed() == ["a__one", "a__two", "a__three", "b__echo"]


@pytest.mark.parametrize("names", [(), ("echo",)])
def test_a_list_without_an_end_is_cut(names: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(surveying, "PAGES_MAX", 20)
    tools = [{"name": name, "inputSchema": {}} for name in names]
    rig = Rig({"a": Script(tools__list={"result": {"tools": tools, "nextCursor": "more"}}), "b": Script()})
    client = rig.client().initializes()
    assert client.listed()[-1] == "b__echo"
    assert sum(one["method"] == "tools/list" for one in rig.server("a").own) == 20


def test_of_very_many_tools_the_first_are_listed_and_the_other_servers_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(surveying, "CALLABLE_MAX", 2)
    tools = [{"name": f"t{number}", "inputSchema": {}} for number in range(4)]
    pages = {"result": {"tools": tools, "nextCursor": "more"}}
    rig = Rig({"a": Script(tools__list=pages), "b": Script()})
    assert rig.client().initializes().listed() == ["a__t0", "a__t1", "b__echo"]
    assert sum(one["method"] == "tools/list" for one in rig.server("a").own) == 1


def test_a_server_that_lists_with_an_error_has_nothing_and_holds_up_nobody() -> None:
    rig = Rig({"a": Script(tools__list={"error": {"code": -32603, "message": "no"}}), "b": Script()})
    assert rig.client().initializes().listed() == ["b__echo"]


# --- sessions -------------------------------------------------------------------------------------------------------


def test_each_session_is_shown_what_its_own_servers_list() -> None:
    """Servers list by what their client can: what one client's lists is not what another's does."""
    rig = Rig({"a": Script(), "b": Script()})
    first = rig.client().initializes()
    assert first.listed() == ["a__echo", "b__echo"]
    rig.scripts["a"].tools.append("for-elicitation")
    second = rig.client().initializes()
    assert second.listed() == ["a__echo", "a__for-elicitation", "b__echo"]
    assert first.take() == []
    assert first.listed() == ["a__echo", "b__echo"]
    rig.waits(2)
    rig.server("b", 0).script.tools.append("more")
    rig.server("b", 0).tells(CHANGED)
    assert [one["method"] for one in first.take()] == [CHANGED]
    assert first.listed() == ["a__echo", "b__echo", "b__more"]
    assert second.take() == []
    assert "a__for-elicitation" in second.listed()


def test_sessions_that_share_a_connection_are_shown_the_same() -> None:
    rig = Rig({"a": Script(), "b": Script()}, shared=("a", "b"))
    first, second = rig.client().initializes(), rig.client().initializes()
    assert first.listed() == second.listed() == ["a__echo", "b__echo"]
    rig.waits(2)
    rig.scripts["a"].tools.append("more")
    rig.server("a").tells(CHANGED)
    for client in (first, second):
        assert [one["method"] for one in client.take()] == [CHANGED]
        assert client.listed() == ["a__echo", "a__more", "b__echo"]


INITIALIZE_RESULT: Message = {
    "protocolVersion": "2025-11-25",
    "capabilities": {"tools": {"listChanged": True}, "prompts": {}, "resources": {}},
    "serverInfo": {"name": "a server", "version": "1"},
}
