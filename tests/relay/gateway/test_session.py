"""One client of the gateway, whatever order it says things in; one server and several."""

from __future__ import annotations

import pytest

from spec_mcp.relay.gateway.eras.words import EARLY_PAUSE_S
from spec_mcp.relay.gateway.names import ToolFilter
from tests.relay.gateway.rig import (
    INITIALIZED,
    META,
    Rig,
    Script,
    initialize,
    raw,
    request,
    text,
)

EXTRA = ("a", "b")


def one(**more: Script) -> Rig:
    return Rig({"only": Script(), **more})


def two() -> Rig:
    return Rig({"a": Script(), "b": Script()})


both = pytest.mark.parametrize("servers", [1, 2])


def rig_of(servers: int) -> Rig:
    return Rig({name: Script() for name in EXTRA[:servers]})


def named(servers: int) -> str:
    return "echo" if servers == 1 else "a__echo"


# --- introductions --------------------------------------------------------------------------------------------------


@both
def test_a_client_that_has_not_introduced_itself_gets_an_error_and_starts_no_server(servers: int) -> None:
    rig = rig_of(servers)
    client = rig.client()
    for id, method in ((1, "tools/list"), (2, "tools/call"), (3, "no/such")):  # noqa: A001
        client.asks(id, method)
        assert client.error(id)["code"] == -32600
    assert client.asks(4, "ping").result(4) == {}
    assert not any(rig.servers.values())


@both
def test_what_is_said_before_the_handshake_is_answered_is_answered_after_it(servers: int) -> None:
    rig = rig_of(servers)
    client = rig.client()
    client.says(initialize(0), INITIALIZED, request(1, "tools/call", name=named(servers), arguments={"x": 1}))
    assert client.result(0)["protocolVersion"] == "2025-11-25"
    assert [one["method"] for one in rig.server("a").got] == ["notifications/initialized", "tools/call"]
    rig.server("a").answers(1, text("hi"))
    assert client.result(1) == text("hi")


@both
def test_a_client_may_say_that_it_is_ready_before_it_says_who_it_is(servers: int) -> None:
    rig = rig_of(servers)
    client = rig.client().says(INITIALIZED, initialize(0))
    assert "capabilities" in client.result(0)
    client.calls(1, named(servers))
    rig.server("a").answers(1, text("hi"))
    assert client.result(1) == text("hi")


@both
def test_a_client_that_never_says_that_it_is_ready_is_served_once_it_asks(servers: int) -> None:
    rig = rig_of(servers)
    client = rig.client().says(initialize(0))
    assert "capabilities" in client.result(0)
    assert rig.server("a").take() == []
    client.calls(1, named(servers))
    assert [one["method"] for one in rig.server("a").got] == ["notifications/initialized", "tools/call"]


def test_the_same_where_it_asks_before_it_has_the_answer_to_its_handshake() -> None:
    rig = one()
    rig.client().says(initialize(0), request(1, "tools/call", name="echo"))
    assert [one["method"] for one in rig.server("only").got] == ["notifications/initialized", "tools/call"]


@both
def test_a_second_handshake_is_answered_like_the_first_and_starts_nothing_anew(servers: int) -> None:
    rig = rig_of(servers)
    client = rig.client().initializes()
    first = client.says(initialize(1)).result(1)
    assert client.says(initialize(2)).result(2) == first
    assert [len(found) for found in rig.servers.values()] == [1] * servers
    client.calls(3, named(servers))
    rig.server("a").answers(3, text("hi"))
    assert client.result(3) == text("hi")


@both
@pytest.mark.parametrize("era", ["handshake", "stateless", "both"])
def test_both_eras_may_be_tried_on_one_pipe_at_once(servers: int, era: str) -> None:
    rig = Rig({name: Script(era=era) for name in EXTRA[:servers]})
    client = rig.client()
    client.says(request(1, "server/discover", _meta=META), initialize(2), INITIALIZED)
    assert "2026-07-28" in client.result(1)["supportedVersions"]
    assert client.result(2)["protocolVersion"] == "2025-11-25"
    client.calls(3, named(servers))
    (asked,) = rig.server("a").take("tools/call")
    answer = text("hi") if era == "handshake" else {**text("hi"), "resultType": "complete"}
    rig.server("a").answers(asked["id"], answer)
    assert client.result(3)["content"] == text("hi")["content"]


@pytest.mark.parametrize("era", ["handshake", "stateless"])
def test_what_a_client_asked_before_it_went_over_to_the_other_era_is_answered_all_the_same(era: str) -> None:
    rig = Rig({"only": Script(era=era)})
    client = rig.client().discovers()
    client.asks(1, "tools/call", name="echo", arguments={}, _meta=META)
    rig.waits(EARLY_PAUSE_S)  # the server might ask for the roots first
    client.says(initialize(2), INITIALIZED, request(3, "tools/call", name="echo", arguments={}))
    server = rig.server("only")
    first, second = server.take("tools/call")
    for asked, words in ((second, "second"), (first, "first")):
        server.answers(asked["id"], {**text(words), "resultType": "complete"})
    assert client.result(1)["content"] == text("first")["content"]
    assert client.result(3)["content"] == text("second")["content"]


@both
def test_a_version_that_nobody_knows_is_refused_with_those_that_are_known(servers: int) -> None:
    rig = rig_of(servers)
    client = rig.client()
    other = {**META, "io.modelcontextprotocol/protocolVersion": "2099-01-01"}
    error = client.asks(1, "tools/list", _meta=other).error(1)
    assert (error["code"], error["data"]) == (-32022, {"supported": ["2026-07-28"], "requested": "2099-01-01"})
    assert not any(rig.servers.values())
    assert client.asks(2, "tools/list", _meta=META).result(2)["tools"]


def test_a_client_of_an_older_version_is_answered_in_it_where_another_has_met_the_shared_server() -> None:
    rig = Rig({"only": Script()}, shared=("only",))
    rig.client().initializes("2025-11-25")
    client = rig.client()
    assert client.says(initialize(1, "2024-11-05")).result(1)["protocolVersion"] == "2024-11-05"


def test_a_server_that_knows_only_an_older_version_says_so_itself() -> None:
    rig = Rig({"only": Script(version="2024-11-05")})
    assert rig.client().says(initialize(1)).result(1)["protocolVersion"] == "2024-11-05"


# --- what is no message ---------------------------------------------------------------------------------------------


@both
@pytest.mark.parametrize("line", [b"nonsense", b"{not json}", b"[]", b"17", b'{"jsonrpc":"2.0"}'])
def test_what_is_no_message_is_answered_with_an_error_and_the_session_goes_on(servers: int, line: bytes) -> None:
    rig = rig_of(servers)
    client = rig.client().initializes()
    (said,) = client.says(line).take()
    assert (said["id"], said["error"]["code"]) == (None, -32700)
    client.calls(1, named(servers))
    assert rig.server("a").last["method"] == "tools/call"


@pytest.mark.parametrize("servers", [1, 2])
def test_a_request_under_an_id_that_nobody_needs_so_long_is_refused_and_the_session_goes_on(servers: int) -> None:
    rig = rig_of(servers)
    client = rig.client().initializes()
    assert "longer than" in client.calls("i" * 2000, named(servers)).error("i" * 2000)["message"]
    client.calls(1, named(servers))
    assert rig.server("a").last["id"] == 1


def test_an_empty_line_is_nothing() -> None:
    assert one().client().says(b"", b"   ").take() == []


@both
def test_a_batch_within_a_batch_a_thousand_times_is_no_message(servers: int) -> None:
    rig = rig_of(servers)
    client = rig.client().initializes()
    client.says(b"[" * 3000 + raw(request(1, "ping")) + b"]" * 3000, b"[[]]", b'[{"jsonrpc":"2.0","method":[]}]')
    answers = [one for said in client.take() for one in (said if isinstance(said, list) else [said])]
    assert {one["error"]["code"] for one in answers} <= {-32600, -32700}
    assert client.asks(2, "ping").result(2) == {}


def test_a_batch_goes_to_the_only_server_as_it_came() -> None:
    rig = one()
    client = rig.client().initializes()
    server = rig.server("only")
    batch = [request(1, "tools/call", name="echo", arguments={}), request(2, "ping")]
    client.says(batch)
    assert server.raw[-1] == raw(batch) + b"\n"
    answers = [{"jsonrpc": "2.0", "id": id, "result": {}} for id in (1, 2)]  # noqa: A001
    server.says(answers)
    assert client.take() == [answers]


def test_the_messages_of_a_batch_go_where_they_belong_where_there_are_several_servers() -> None:
    rig = two()
    client = rig.client().initializes()
    client.says([request(1, "tools/call", name="a__echo"), request(2, "tools/call", name="b__echo"), 3])
    assert client.take() == []
    client.calls(4, "a__echo")
    for name, id in (("b", 2), ("a", 4), ("a", 1)):  # noqa: A001
        rig.server(name).answers(id, text(name))
    single, batch = client.take()
    assert single["id"] == 4
    assert [(one["id"], one.get("result")) for one in batch] == [(None, None), (2, text("b")), (1, text("a"))]


def test_of_a_batch_what_was_cancelled_is_not_waited_for() -> None:
    rig = two()
    client = rig.client().initializes()
    client.says([request(1, "tools/call", name="a__echo"), request(2, "tools/call", name="b__echo")])
    rig.server("a").answers(1, text("a"))
    client.cancels(2)
    (batch,) = client.take()
    assert [one["id"] for one in batch] == [1]
    client.says([request(3, "tools/call", name="a__echo")]).cancels(3)
    assert client.take() == []


def test_a_batch_does_not_reach_a_tool_that_is_denied() -> None:
    rig = Rig({"only": Script(("echo", "drop"))}, filters={"only": ToolFilter(deny=("drop",))})
    client = rig.client().initializes()
    client.says([request(1, "tools/call", name="drop"), request(2, "tools/call", name="echo")])
    rig.server("only").answers(2, text("hi"))
    ((denied, answered),) = client.take()
    assert "deny" in denied["error"]["message"]
    assert answered["result"] == text("hi")
    assert [one["params"]["name"] for one in rig.server("only").take("tools/call")] == ["echo"]


# --- one server -----------------------------------------------------------------------------------------------------


def test_what_an_only_server_says_passes_byte_for_byte() -> None:
    rig = one()
    client = rig.client().initializes()
    client.asks(1, "x/anything", deep={"a": [1, 2.50]})
    assert rig.server("only").raw[-1] == raw(request(1, "x/anything", deep={"a": [1, 2.50]})) + b"\n"
    odd = b'{ "id":1 , "jsonrpc":"2.0","result":{"x":1e400,"x":2},"more":[] }'
    rig.server("only").says(odd)
    assert client.lines == [odd + b"\n"]


def test_a_banner_of_a_server_is_no_message_for_the_client() -> None:
    rig = one()
    client = rig.client().initializes()
    rig.server("only").says(b"Welcome!").says(b"").says(b"  ").tells("notifications/message", level="info", data="x")
    assert [one["method"] for one in client.take()] == ["notifications/message"]


def test_the_tools_that_are_denied_are_neither_listed_nor_called() -> None:
    rig = Rig({"only": Script(("echo", "drop"))}, filters={"only": ToolFilter(deny=("drop",))})
    client = rig.client().initializes()
    assert client.listed() == ["echo"]
    assert client.calls(1, "drop").error(1)["code"] == -32602


# --- the end --------------------------------------------------------------------------------------------------------


@both
def test_a_session_that_has_ended_says_and_hears_nothing(servers: int) -> None:
    rig = rig_of(servers)
    client = rig.client().initializes()
    client.calls(1, named(servers))
    server = rig.server("a")
    client.leaves()
    assert client.take() == []
    server.answers(1, text("late")).tells("notifications/message", level="info", data="x").asks(5, "roots/list")
    client.says(request(2, "ping"))
    assert client.take() == []
    rig.waits(1000)
    assert client.take() == []


@both
@pytest.mark.parametrize("silent", ["initialize", "tools/list"])
def test_nothing_of_a_session_waits_once_it_has_ended(servers: int, silent: str) -> None:
    rig = Rig({name: Script().silent(silent) for name in EXTRA[:servers]})
    client = rig.client().says(initialize(0), INITIALIZED, request(1, "tools/list"), request(2, "prompts/list"))
    assert client.session.awaited >= 1
    client.leaves()
    assert client.session.awaited == 0
    rig.waits(2)  # a list is not asked for again for so long
    for server in (server for found in rig.servers.values() for server in found):
        server._contact.close()  # as its keeper does when it is empty
        assert server._contact.legs == []
    assert rig.time.pending == 0


def test_a_client_is_waited_for_as_long_as_it_has_no_answer() -> None:
    rig = two()
    client = rig.client().initializes()
    assert client.session.awaited == 0
    client.calls(1, "a__echo").calls(2, "b__echo")
    assert client.session.awaited == 2
    rig.server("a").answers(1, text("hi"))
    assert client.session.awaited == 1
    rig.server("b").loses()
    assert client.session.awaited == 0
