"""One client and several servers: who gets what, and what comes back under whose id."""

from __future__ import annotations

import pytest

from spec_mcp.relay.gateway import asked, several, waiting
from spec_mcp.relay.gateway.eras.words import LEVELS
from spec_mcp.relay.gateway.names import ToolFilter
from spec_mcp.relay.gateway.view import merged
from tests.relay.gateway.rig import META, STREAM, Client, Rig, Script, raw, request, text


def two(**scripts: Script) -> tuple[Rig, Client]:
    rig = Rig({"a": Script(), "b": Script(), **scripts})
    client = rig.client().initializes()
    for server in ("a", "b"):
        rig.server(server).take()
    return rig, client


# --- requests -------------------------------------------------------------------------------------------------------


def test_each_call_goes_to_its_server_under_its_own_name() -> None:
    rig, client = two()
    assert client.listed() == ["a__echo", "b__echo"]
    client.calls(1, "a__echo", x=1).calls("1", "b__echo", x=2)
    assert rig.server("a").last == request(1, "tools/call", name="echo", arguments={"x": 1})
    assert rig.server("b").last == request("1", "tools/call", name="echo", arguments={"x": 2})
    rig.server("b").answers("1", text("from b"))
    rig.server("a").answers(1, text("from a"))
    assert [one["id"] for one in client.take()] == ["1", 1]


def test_an_answer_counts_only_from_the_server_that_was_asked() -> None:
    rig, client = two()
    client.calls(1, "a__echo")
    rig.server("b").answers(1, text("forged"))
    assert client.take() == []
    rig.server("a").answers(1, text("true"))
    assert client.result(1) == text("true")


def test_an_answer_counts_once() -> None:
    rig, client = two()
    client.calls(1, "a__echo")
    rig.server("a").answers(1, text("first")).answers(1, text("second"))
    assert client.take() == [{"jsonrpc": "2.0", "id": 1, "result": text("first")}]


def test_two_requests_under_one_id_are_both_answered() -> None:
    rig, client = two()
    client.calls(1, "a__echo").calls(1, "b__echo").calls(1, "a__echo", again=True)
    rig.server("b").answers(1, text("b"))
    rig.server("a").answers(1, text("a")).answers(1, text("again")).answers(1, text("once more"))
    assert [one["result"]["content"][0]["text"] for one in client.take()] == ["b", "a", "again"]


@pytest.mark.parametrize("answer", [b'{"jsonrpc":"2.0","id":1}', b'{"jsonrpc":"2.0","id":1,"error":null}'])
def test_an_answer_that_says_nothing_becomes_an_error(answer: bytes) -> None:
    rig, client = two()
    client.calls(1, "a__echo")
    rig.server("a").says(answer)
    assert client.error(1)["code"] == -32603


def test_a_batch_of_answers_is_taken_apart() -> None:
    rig, client = two()
    client.calls(1, "a__echo").calls(2, "a__echo")
    rig.server("a").says([{"jsonrpc": "2.0", "id": id, "result": {}} for id in (2, 3, 1)])  # noqa: A001
    assert [one["id"] for one in client.take()] == [2, 1]


def test_a_server_that_is_lost_takes_no_call_of_another_with_it() -> None:
    rig, client = two()
    client.calls(1, "a__echo").calls(2, "b__echo")
    rig.server("a").loses("the server ended (exit code 3)")
    assert "exit code 3" in client.error(1)["message"]
    rig.server("b").answers(2, text("hi"))
    assert client.result(2) == text("hi")
    rig.server("a").restarts()
    client.calls(3, "a__echo")
    rig.server("a").answers(3, text("again"))
    assert client.result(3) == text("again")


# --- cancellation ---------------------------------------------------------------------------------------------------


def test_a_cancellation_goes_to_the_server_that_has_the_request() -> None:
    rig, client = two()
    client.calls(1, "a__echo").calls(2, "b__echo").cancels(2)
    assert [one["method"] for one in rig.server("a").got] == ["tools/call"]
    assert rig.server("b").last["params"] == {"requestId": 2}
    rig.server("b").answers(2, text("it has crossed"))
    assert client.take() == []
    client.cancels(2).cancels("nobody's")
    assert len(rig.server("b").got) == 2


def test_what_is_cancelled_before_its_server_has_been_met_never_reaches_it() -> None:
    rig = Rig({"a": Script().silent("initialize"), "b": Script()})
    client = rig.client().says(request("init", "initialize", protocolVersion="2025-11-25"))
    client.tells("notifications/initialized")
    client.calls(1, "a__write").calls(2, "a__echo").cancels(1)
    rig.server("a").answers_own("initialize", result={"protocolVersion": "2025-11-25", "capabilities": {"tools": {}}})
    assert [one["id"] for one in rig.server("a").take("tools/call")] == [2]
    rig.server("a").answers(2, text("hi"))
    assert client.result(2) == text("hi")
    assert not client.has_answer(1)


def test_a_list_that_is_cancelled_while_it_waits_is_never_answered() -> None:
    rig = Rig({"a": Script().silent("tools/list"), "b": Script()})
    client = rig.client().initializes()
    client.asks(1, "tools/list").cancels(1)
    rig.server("a").answers_own("tools/list", result={"tools": []})
    rig.waits(100)
    assert not client.has_answer(1)


# --- several at once ------------------------------------------------------------------------------------------------


def test_what_goes_to_all_is_answered_once_by_what_any_could_do() -> None:
    rig, client = two()
    client.asks(1, "logging/setLevel", level="info")
    rig.server("a").answers(1, code=-32603, message="no")
    assert client.take() == []
    rig.server("b").answers(1, {})
    assert client.result(1) == {}


def test_a_server_that_answers_twice_what_went_to_all_does_no_harm() -> None:
    rig, client = two()
    client.asks(1, "logging/setLevel", level="info")
    rig.server("a").answers(1, {}).answers(1, {})
    assert client.take() == []
    rig.server("b").answers(1, {}).answers(1, {})
    assert len(client.take()) == 1


def test_a_server_that_never_answers_holds_up_what_went_to_all_for_no_longer_than_is_said() -> None:
    rig, client = two()
    client.asks(1, "logging/setLevel", level="info").asks(2, "logging/setLevel", level="debug")
    rig.server("a").answers(1, {})
    rig.waits(several.GATHERING_S - 0.1)
    assert client.take() == []
    rig.waits(0.2)
    assert client.result(1) == {}
    assert "within 10 s" in client.error(2)["message"]
    rig.server("b").answers(1, {}).answers(2, {})
    assert client.take() == []


def test_a_server_that_is_met_later_is_told_how_much_the_client_wants_to_hear() -> None:
    rig, client = two(a=Script(), b=Script(initialize={"error": {"code": -32603, "message": "not yet"}}))
    client.asks(1, "logging/setLevel", level="info")
    rig.server("a").answers(1, {})
    assert client.result(1) == {}
    assert not rig.server("b").take("logging/setLevel")
    rig.scripts["b"].replies["initialize"] = Script().replies["initialize"]
    client.calls(2, "b__echo")
    (told,) = rig.server("b").take("logging/setLevel")
    assert told["params"] == {"level": "info"}
    rig.server("b").answers(told["id"], {}).answers(2, text("hi"))
    assert [one["id"] for one in client.take()] == [2]
    rig.reconfigures({"a": rig.scripts["a"], "b": Script(), "c": Script(capabilities={"tools": {}})}, "b")
    (told,) = rig.server("b").take("logging/setLevel")
    assert not rig.server("c").take("logging/setLevel")
    assert not rig.server("a").take("logging/setLevel")[1:]


def test_a_level_that_waits_for_a_server_is_told_to_it_once() -> None:
    rig = Rig({"a": Script().silent("initialize"), "b": Script()})
    client = rig.client().says(request("init", "initialize", protocolVersion="2025-11-25"))
    client.tells("notifications/initialized").asks(1, "logging/setLevel", level="info")
    server, reply = rig.server("a"), Script().replies["initialize"]
    assert callable(reply)
    server.answers_own("initialize", **reply(server.own[0]))
    assert len(server.take("logging/setLevel")) == 1


def test_what_went_to_all_is_cancelled_everywhere() -> None:
    rig, client = two()
    client.asks(1, "logging/setLevel", level="info").cancels(1)
    for server in ("a", "b"):
        assert rig.server(server).last["method"] == "notifications/cancelled"
        rig.server(server).answers(1, {})
    rig.waits(100)
    assert client.take() == []


def test_tasks_of_several_servers_are_listed_as_one_and_found_again() -> None:
    able = {"tools": {}, "tasks": {"list": {}, "cancel": {}}}
    rig, client = two(a=Script(capabilities=able), b=Script(capabilities=able))
    client.asks(1, "tasks/list")
    for server in ("a", "b"):
        rig.server(server).answers(1, {"tasks": [{"taskId": f"of {server}", "status": "working"}]})
    assert [task["taskId"] for task in client.result(1)["tasks"]] == ["of a", "of b"]
    client.asks(2, "tasks/get", taskId="of b")
    assert rig.server("b").last["method"] == "tasks/get"
    client.calls(3, "a__echo")
    rig.server("a").answers(3, {"task": {"taskId": "new", "status": "working"}})
    client.asks(4, "tasks/get", taskId="new")
    assert rig.server("a").last["id"] == 4


def test_a_task_that_two_servers_know_by_one_id_is_two_tasks_to_the_client() -> None:
    able = {"tools": {}, "tasks": {"list": {}, "cancel": {}}}
    rig, client = two(a=Script(capabilities=able), b=Script(capabilities=able))
    related = {"io.modelcontextprotocol/related-task": {"taskId": "1"}}
    shown: dict[str, str] = {}
    for id, name in ((1, "a"), (2, "b")):  # noqa: A001
        client.calls(id, f"{name}__echo")
        rig.server(name).answers(id, {"task": {"taskId": "1", "status": "working"}})
        shown[name] = client.result(id)["task"]["taskId"]
    assert shown == {"a": "1", "b": "b__1"}
    for id, name in ((3, "a"), (4, "b")):  # noqa: A001
        client.asks(id, "tasks/get", taskId=shown[name])
        assert rig.server(name).last["params"] == {"taskId": "1"}
        rig.server(name).answers(id, {"taskId": "1", "status": "working", "_meta": {"x": 1} | related})
        found = client.result(id)
        assert [found["taskId"], *found["_meta"].values()] == [shown[name], 1, {"taskId": shown[name]}]
        rig.server(name).tells("notifications/tasks/status", taskId="1", status="completed")
        assert [told["params"]["taskId"] for told in client.take()] == [shown[name]]
        rig.server(name).asks("q", "elicitation/create", message="?", _meta=related)
        (question,) = client.take()
        assert question["params"]["_meta"]["io.modelcontextprotocol/related-task"] == {"taskId": shown[name]}
        client.answers(question["id"], {"action": "accept", "_meta": question["params"]["_meta"]})
        assert rig.server(name).last["result"]["_meta"] == related
    client.asks(5, "tasks/list")
    for name in ("a", "b"):
        rig.server(name).answers(5, {"tasks": [{"taskId": "1", "status": "completed"}]})
    assert [task["taskId"] for task in client.result(5)["tasks"]] == ["1", "b__1"]


# --- what servers ask -----------------------------------------------------------------------------------------------


def test_two_servers_may_ask_under_one_id_and_each_gets_its_own_answer() -> None:
    rig, client = two()
    rig.server("a").asks(1, "roots/list").asks(2, "elicitation/create", message="from a")
    rig.server("b").asks(1, "sampling/createMessage", messages=[])
    first, second, third = client.take()
    assert len({one["id"] for one in (first, second, third)}) == 3
    client.answers(third["id"], {"role": "assistant"}).answers(first["id"], {"roots": []})
    assert rig.server("b").last == {"jsonrpc": "2.0", "id": 1, "result": {"role": "assistant"}}
    assert rig.server("a").last == {"jsonrpc": "2.0", "id": 1, "result": {"roots": []}}
    client.answers(first["id"], {"roots": ["once more"]}).answers("nobody's", {}).answers(1, {})
    assert (len(rig.server("a").got), len(rig.server("b").got)) == (1, 1)


def test_an_error_or_an_answer_that_says_nothing_reaches_the_server_as_an_error() -> None:
    rig, client = two()
    rig.server("a").asks(1, "roots/list").asks(2, "roots/list")
    first, second = client.take()
    refusal = {"code": -32601, "message": "no"}
    client.says({"jsonrpc": "2.0", "id": first["id"], "error": refusal}, {"jsonrpc": "2.0", "id": second["id"]})
    assert [one["error"]["code"] for one in rig.server("a").got] == [-32601, -32603]


def test_a_client_reports_how_far_it_is_to_the_server_that_asked_alone() -> None:
    rig, client = two()
    for server in ("a", "b"):
        rig.server(server).asks(9, "sampling/createMessage", messages=[], _meta={"progressToken": 5, "x": server})
    first, second = client.take()
    tokens = [one["params"]["_meta"]["progressToken"] for one in (first, second)]
    assert len(set(tokens)) == 2
    assert [one["params"]["_meta"]["x"] for one in (first, second)] == ["a", "b"]
    client.tells("notifications/progress", progressToken=tokens[1], progress=1)
    client.tells("notifications/progress", progressToken=5, progress=1)
    assert rig.server("a").got == []
    (said,) = rig.server("b").got
    assert said["params"] == {"progressToken": 5, "progress": 1}


def test_a_question_that_its_server_takes_back_is_taken_back_under_the_id_that_the_client_knows() -> None:
    rig, client = two()
    rig.server("a").asks(1, "elicitation/create", message="?")
    rig.server("b").asks(1, "elicitation/create", message="?")
    first, second = client.take()
    rig.server("b").tells("notifications/cancelled", requestId=1, reason="too late")
    (said,) = client.take()
    assert said["params"] == {"requestId": second["id"], "reason": "too late"}
    client.answers(second["id"], {"action": "accept"}).answers(first["id"], {"action": "decline"})
    assert rig.server("b").got == []
    assert rig.server("a").last["result"] == {"action": "decline"}
    rig.server("b").tells("notifications/cancelled", requestId="nobody's")
    assert client.take() == []


def test_a_client_that_answers_nothing_keeps_no_server_waiting_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asked, "PROMPTS_MAX", 3)
    rig, client = two()
    for number in range(5):
        rig.server("a").asks(number, "roots/list")
    assert [one["id"] for one in rig.server("a").got] == [0, 1]
    assert all("error" in one for one in rig.server("a").got)
    told = client.take()
    assert [one["method"] for one in told].count("notifications/cancelled") == 2


def test_a_question_under_an_id_that_nobody_needs_so_long_is_refused_and_the_client_hears_nothing() -> None:
    rig, client = two()
    rig.server("a").asks("i" * 2000, "roots/list")
    (refused,) = rig.server("a").got
    assert "longer than" in refused["error"]["message"]
    assert client.take() == []


def test_a_task_with_too_long_an_id_keeps_it_and_is_not_remembered() -> None:
    rig, client = two()
    client.calls(1, "a__echo")
    task = "t" * 2000
    rig.server("a").answers(1, {"task": {"taskId": task, "status": "working"}})
    assert client.result(1)["task"]["taskId"] == task
    assert not client.session._directory.tasks._owned


def test_progress_and_logs_of_each_server_pass() -> None:
    rig, client = two()
    client.asks(1, "tools/call", name="a__echo", arguments={}, _meta={"progressToken": "t"})
    assert rig.server("a").last["params"]["_meta"] == {"progressToken": "t"}
    rig.server("a").tells("notifications/progress", progressToken="t", progress=1)
    rig.server("b").tells("notifications/message", level="info", data="x")
    assert [one["method"] for one in client.take()] == ["notifications/progress", "notifications/message"]


def test_what_a_client_notifies_reaches_all_servers() -> None:
    rig, client = two()
    client.tells("notifications/roots/list_changed")
    for server in ("a", "b"):
        assert rig.server(server).last["method"] == "notifications/roots/list_changed"


# --- streams of the stateless era -----------------------------------------------------------------------------------


def listening(rig: Rig, **wanted: object) -> Client:
    client = rig.client().discovers()
    client.asks("s", "subscriptions/listen", notifications=wanted, _meta=META)
    return client


def test_a_stream_over_several_servers_is_one_to_the_client() -> None:
    rig = Rig({"a": Script(era="stateless"), "b": Script(era="stateless")})
    rig.scripts["a"].replies["resources/list"] = {"result": {"resources": [{"uri": "a://x", "name": "x"}]}}
    client = listening(rig, toolsListChanged=True, resourceSubscriptions=["a://x"])
    (first,) = client.take()
    assert first["method"] == "notifications/subscriptions/acknowledged"
    assert first["params"]["notifications"] == {"toolsListChanged": True, "resourceSubscriptions": ["a://x"]}
    assert first["params"]["_meta"] == {STREAM: "s"}
    (part,) = rig.server("a").take("subscriptions/listen")
    assert part["params"]["notifications"] == {"toolsListChanged": True, "resourceSubscriptions": ["a://x"]}
    (other,) = rig.server("b").take("subscriptions/listen")
    assert other["params"]["notifications"] == {"toolsListChanged": True}
    meta = {STREAM: "s"}
    rig.server("a").tells("notifications/subscriptions/acknowledged", notifications={}, _meta=meta)
    rig.server("a").tells("notifications/resources/updated", uri="a://x", _meta=meta)
    (updated,) = client.take()
    assert updated["params"] == {"uri": "a://x", "_meta": meta}


def test_a_list_that_changes_at_one_of_them_is_told_of_once_on_the_stream() -> None:
    rig = Rig({"a": Script(era="stateless"), "b": Script()})
    client = listening(rig, toolsListChanged=True)
    client.take()
    rig.waits(2)
    rig.scripts["a"].tools.append("new")
    rig.server("a").tells("notifications/tools/list_changed", _meta={STREAM: "s"})
    rig.waits(2)
    (told,) = client.take()
    assert told["method"] == "notifications/tools/list_changed"
    assert told["params"]["_meta"] == {STREAM: "s"}
    assert client.asks(1, "tools/list", _meta=META).result(1)["tools"][1]["name"] == "a__new"


def test_a_stateless_client_that_listens_to_nothing_is_shown_a_list_that_has_changed() -> None:
    rig = Rig({"a": Script(era="stateless"), "b": Script()})
    client = rig.client().discovers()
    rig.scripts["a"].tools.append("new")
    shown = client.asks(1, "tools/list", _meta=META).result(1)["tools"]
    assert [tool["name"] for tool in shown] == ["a__echo", "a__new", "b__echo"]
    assert client.take() == []


@pytest.mark.parametrize("how", ["lost", "ended", "taken back"])
def test_a_part_of_a_stream_that_ends_is_asked_for_again_and_its_resources_may_have_changed(how: str) -> None:
    rig = Rig({"a": Script(era="stateless"), "b": Script(era="stateless")})
    rig.scripts["a"].replies["resources/list"] = {"result": {"resources": [{"uri": "a://x", "name": "x"}]}}
    client = listening(rig, toolsListChanged=True, resourceSubscriptions=["a://x"])
    client.take()
    server = rig.server("a")
    (part,) = server.take("subscriptions/listen")
    if how == "lost":
        server.loses()
        assert client.take() == []
        server.restarts()
    elif how == "ended":
        server.answers("s", {"resultType": "complete"})
    else:
        server.tells("notifications/cancelled", requestId="s")
    rig.waits(several.LISTEN_AGAIN_S)
    assert server.take("subscriptions/listen") == [part]
    (told,) = client.take()
    assert (told["method"], told["params"]["uri"]) == ("notifications/resources/updated", "a://x")
    client.cancels("s")
    for name in ("a", "b"):
        assert rig.server(name).last["method"] == "notifications/cancelled"
    rig.waits(100)
    assert client.take() == []


def test_a_stream_goes_on_while_one_of_its_servers_cannot_be_reached() -> None:
    rig = Rig({"a": Script(era="stateless"), "b": Script(era="stateless").silent("server/discover")})
    client = rig.client().asks("discover", "server/discover", _meta=META)
    rig.server("b").refuses = "it cannot be started"
    rig.server("b").loses("it cannot be started")
    client.asks("s", "subscriptions/listen", notifications={"toolsListChanged": True}, _meta=META)
    assert not client.has_answer("s")
    rig.waits(2)
    client.take()
    rig.scripts["a"].tools.append("new")
    rig.server("a").tells("notifications/tools/list_changed", _meta={STREAM: "s"})
    assert [one["method"] for one in client.take()] == ["notifications/tools/list_changed"]


def test_a_stream_that_no_server_gives_ends_with_the_error_of_one() -> None:
    rig = Rig({"a": Script(era="stateless"), "b": Script(era="stateless")})
    client = listening(rig, toolsListChanged=True)
    for server in ("a", "b"):
        rig.server(server).answers("s", code=-32601, message="no streams here")
    assert client.error("s")["message"] == "no streams here"


# --- servers come and go --------------------------------------------------------------------------------------------


def test_what_is_under_way_at_the_only_server_is_answered_when_there_are_two() -> None:
    rig = Rig({"a": Script()})
    client = rig.client().initializes()
    client.calls(1, "echo").calls(2, "echo").calls(3, "echo")
    rig.server("a").asks(7, "roots/list")
    (asked,) = client.take()
    rig.reconfigures({"a": rig.scripts["a"], "b": Script()})
    client.take()
    rig.server("a").answers(1, text("hi"))
    assert client.result(1) == text("hi")
    client.answers(asked["id"], {"roots": []})
    assert rig.server("a").last == {"jsonrpc": "2.0", "id": 7, "result": {"roots": []}}
    client.cancels(2)
    assert rig.server("a").last["params"] == {"requestId": 2}
    client.calls(4, "b__echo").calls(5, "a__echo")
    rig.server("b").answers(4, text("new"))
    rig.server("a").answers(5, text("renamed"))
    assert client.result(4) == text("new")
    assert client.result(5) == text("renamed")


def test_what_is_under_way_at_two_servers_is_answered_when_there_is_one() -> None:
    rig, client = two()
    client.calls(1, "a__echo").calls(2, "b__echo")
    rig.server("a").asks(7, "roots/list")
    rig.server("b").asks(8, "roots/list")
    of_a, of_b = client.take()
    rig.reconfigures({"a": rig.scripts["a"]}, why="it is not served any more")
    told = client.take()
    assert next(one for one in told if one.get("id") == 2)["error"]["code"] == -32000
    assert [one["params"]["requestId"] for one in told if "requestId" in one.get("params", {})] == [of_b["id"]]
    client.answers(of_a["id"], {"roots": []})
    assert rig.server("a").last == {"jsonrpc": "2.0", "id": 7, "result": {"roots": []}}
    rig.server("a").answers(1, text("hi"))
    assert client.result(1) == text("hi")
    client.calls(3, "echo")
    rig.server("a").answers(3, text("plain"))
    assert client.result(3) == text("plain")


def test_what_waits_for_a_server_that_goes_gets_an_error() -> None:
    rig = Rig({"a": Script().silent("initialize"), "b": Script(), "c": Script()})
    client = rig.client().says(request("init", "initialize", protocolVersion="2025-11-25"))
    client.tells("notifications/initialized").calls(1, "a__echo").asks(2, "logging/setLevel", level=LEVELS[0])
    rig.reconfigures({"b": rig.scripts["b"], "c": rig.scripts["c"]}, why="gone")
    assert "gone" in client.error(1)["message"]
    for server in ("b", "c"):
        rig.server(server).answers(2, {})
    assert client.result(2) == {}


def test_a_server_that_is_replaced_is_asked_from_then_on() -> None:
    rig, client = two()
    client.calls(1, "a__echo")
    rig.reconfigures({"a": Script(("other",)), "b": rig.scripts["b"]}, "a")
    assert client.error(1)["code"] == -32000
    assert client.listed() == ["a__other", "b__echo"]
    client.calls(2, "a__other")
    rig.server("a").answers(2, text("hi"))
    assert client.result(2) == text("hi")


def test_a_client_whose_servers_all_went_is_told_what_is_not_there() -> None:
    _, client = two()
    client.session.show(merged({}, {}))
    assert client.calls(1, "a__echo").error(1)["code"] == -32602
    assert client.asks(2, "x/y").error(2)["code"] == -32601


# --- bounds ---------------------------------------------------------------------------------------------------------


def test_what_is_never_answered_is_forgotten_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asked, "ASKED_MAX", 10)
    rig, client = two()
    for number in range(50):
        client.calls(number, "a__echo")
    rig.server("a").answers(0, text("late"))
    assert client.take() == []
    rig.server("a").answers(49, text("hi"))
    assert client.result(49) == text("hi")
    assert len(client.session._several._asked) == 9


def test_a_filter_of_a_server_holds_among_several() -> None:
    rig = Rig({"a": Script(("echo", "drop")), "b": Script()}, filters={"a": ToolFilter(("*",), ("drop",))})
    client = rig.client().initializes()
    assert client.listed() == ["a__echo", "b__echo"]
    assert "deny" in client.calls(1, "a__drop").error(1)["message"]
    client.says(b'{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"\\u0061__drop"}}')
    assert "deny" in client.error(2)["message"]
    assert rig.server("a").take("tools/call") == []


def test_an_answer_that_waits_is_given_once_whatever_comes_of_giving_it() -> None:
    said: list[str] = []
    timers: list[object] = []

    def later(delay_s: float, task: object, /) -> object:
        timers.append(task)
        return lambda: None

    known = False
    them = waiting.Waiting(later)  # pyright: ignore[reportArgumentType]

    def say(words: str) -> None:
        said.append(words)
        them.look()

    them.answer(b"1", lambda: known, lambda: say("one"), 1.0)
    them.answer(b"2", lambda: known, lambda: say("two"), 1.0)
    known = True
    them.look()
    them.look()
    assert said == ["one", "two"]
    assert len(them) == 0
    assert raw(len(timers)) == b"2"
