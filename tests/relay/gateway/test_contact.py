"""Meeting a server: in which era, how long it is waited for, and what becomes of what waits for it."""

from __future__ import annotations

from typing import Any

import pytest

from spec_mcp.relay.gateway import greeting, leg
from spec_mcp.relay.gateway.contact import ContactState
from spec_mcp.relay.gateway.eras import Era
from spec_mcp.relay.gateway.eras.words import EARLY_PAUSE_S
from tests.relay.gateway.rig import (
    INITIALIZED,
    META,
    NOT_FOUND,
    Client,
    Message,
    Rig,
    Script,
    initialize,
    request,
    text,
)
from tests.relay.gateway.test_lists import INITIALIZE_RESULT

every_era = pytest.mark.parametrize("client_era", ["handshake", "stateless"])


def began(rig: Rig, client_era: str) -> Client:
    """A client that has introduced itself, and asks for something that its server must answer."""
    client = rig.client()
    if client_era == "handshake":
        client.says(initialize(0), INITIALIZED)
        return client.calls(1, "echo")
    client.asks(0, "server/discover", _meta=META)
    return client.asks(1, "tools/call", name="echo", arguments={}, _meta=META)


def tried(rig: Rig) -> list[str]:
    """How the server was asked who it is."""
    return [one["method"] for one in rig.server("only").own if one["method"] in ("initialize", "server/discover")]


def state(rig: Rig) -> ContactState:
    return rig.server("only")._contact.state


# --- eras -----------------------------------------------------------------------------------------------------------


@every_era
@pytest.mark.parametrize("server_era", ["handshake", "stateless", "both"])
def test_a_server_is_met_in_its_clients_era_where_it_speaks_that(client_era: str, server_era: str) -> None:
    rig = Rig({"only": Script(era=server_era)})
    client = began(rig, client_era)
    first = "initialize" if client_era == "handshake" else "server/discover"
    second = "server/discover" if client_era == "handshake" else "initialize"
    assert tried(rig) == ([first] if server_era in (client_era, "both") else [first, second])
    rig.waits(EARLY_PAUSE_S)  # a server of the other era may ask for the roots first
    (asked,) = rig.server("only").take("tools/call")
    rig.server("only").answers(asked["id"], {**text("hi"), "resultType": "complete"})
    assert client.result(1)["content"] == text("hi")["content"]


def test_the_next_client_goes_by_what_the_first_has_found_out() -> None:
    rig = Rig({"only": Script(era="handshake")})
    for expected in (["server/discover", "initialize"], ["initialize"]):
        began(rig, "stateless")
        assert tried(rig) == expected


def test_a_server_that_speaks_both_is_met_by_each_client_in_its_own() -> None:
    rig = Rig({"only": Script(era="both")})
    began(rig, "handshake")
    began(rig, "stateless")
    assert tried(rig) == ["server/discover"]
    began(rig, "handshake")
    assert tried(rig) == ["initialize"]


def test_a_server_that_says_nothing_before_a_handshake_is_asked_for_one_after_a_while() -> None:
    rig = Rig({"only": Script(era="handshake").silent("server/discover")})
    client = began(rig, "stateless")
    assert tried(rig) == ["server/discover"]
    rig.waits(greeting.PATIENCE_S + 0.1)
    assert tried(rig) == ["server/discover", "initialize"]
    assert "capabilities" in client.result(0)
    began(rig, "stateless")
    assert tried(rig) == ["initialize"]


def test_a_stateless_server_that_is_slow_to_start_is_no_handshake_server() -> None:
    rig = Rig({"only": Script(era="stateless").silent("server/discover", "initialize")})
    client = began(rig, "stateless")
    rig.waits(greeting.PATIENCE_S + 0.1)
    discovered: Any = Script(era="stateless").replies["server/discover"]
    rig.server("only").answers_own("server/discover", **discovered)
    rig.server("only").answers_own("initialize", **NOT_FOUND)
    assert "capabilities" in client.result(0)
    assert len(rig.server("only").take("tools/call")) == 1
    assert rig._eras["only"].only is None


def test_a_server_that_dies_of_a_question_that_it_does_not_know_is_asked_otherwise() -> None:
    rig = Rig({"only": Script(era="handshake").silent("server/discover")})
    began(rig, "stateless")
    rig.server("only").loses("the server ended (exit code 1)")
    assert tried(rig) == ["server/discover", "initialize"]
    assert rig._eras["only"].only is Era.HANDSHAKE


# --- what does not come ---------------------------------------------------------------------------------------------


@every_era
def test_a_server_that_cannot_be_started_is_told_of_and_tried_again_with_the_next_request(client_era: str) -> None:
    rig = Rig({"only": Script(era=client_era).silent("initialize", "server/discover")})
    client = began(rig, client_era)
    server = rig.server("only")
    server.refuses = "cannot start 'no-such-program': No such file or directory"
    server.loses(server.refuses)
    assert state(rig) is ContactState.FAILED
    for id in (0, 1):  # noqa: A001
        assert "no-such-program" in client.error(id)["message"]
    server.refuses, server.script.replies = "", Script(era=client_era).replies
    meta: Message = {} if client_era == "handshake" else {"_meta": META}
    client.asks(2, "tools/call", name="echo", arguments={}, **meta)
    (asked,) = server.take("tools/call")
    server.answers(asked["id"], text("hi"))
    assert client.result(2) == text("hi")
    assert server._contact.why == ""


def test_a_server_that_ends_in_its_handshake_is_not_asked_in_the_other_era_too() -> None:
    rig = Rig({"only": Script().silent("initialize")})
    client = began(rig, "handshake")
    rig.server("only").loses("the server ended (exit code 1)")
    assert tried(rig) == ["initialize"]
    assert "exit code 1" in client.error(1)["message"]


@every_era
def test_a_handshake_that_hangs_is_waited_for_as_long_as_is_said(client_era: str) -> None:
    rig = Rig({"only": Script().silent("initialize", "server/discover")})
    client = began(rig, client_era)
    rig.waits(greeting.GREETING_S - 0.1)
    assert not client.has_answer(1)
    rig.waits(0.2)
    assert "within 70 s" in client.error(1)["message"]
    assert state(rig) is ContactState.FAILED


def test_a_handshake_that_comes_too_late_is_taken_all_the_same() -> None:
    rig = Rig({"only": Script().silent("initialize")})
    client = began(rig, "handshake")
    rig.waits(greeting.GREETING_S + 1)
    client.take()
    client.calls(2, "echo")
    assert tried(rig) == ["initialize"]
    rig.server("only").answers_own("initialize", result=INITIALIZE_RESULT)
    (asked,) = rig.server("only").take("tools/call")
    rig.server("only").answers(asked["id"], text("hi"))
    assert client.result(2) == text("hi")


def test_who_asks_a_server_whose_handshake_hangs_is_told_again_in_time() -> None:
    rig = Rig({"only": Script().silent("initialize")})
    client = began(rig, "handshake")
    rig.waits(greeting.GREETING_S + 1)
    client.take()
    client.calls(2, "echo")
    rig.waits(greeting.GREETING_S - 1)
    assert client.take() == []
    rig.waits(2)
    assert "within 70 s" in client.error(2)["message"]


@every_era
@pytest.mark.parametrize("reply", [{"result": {}}, {"result": {"protocolVersion": 3}}, {"result": []}, NOT_FOUND, {}])
def test_what_is_no_answer_to_a_handshake_is_an_error_to_the_client(client_era: str, reply: Message) -> None:
    rig = Rig({"only": Script(initialize=reply, server__discover=reply)})
    client = began(rig, client_era)
    assert client.error(1)["code"] == -32000
    assert len(tried(rig)) == 4  # in both eras, for the handshake and for the call after it


def test_what_a_server_gives_as_the_reason_reaches_the_client() -> None:
    refusal = {"error": {"code": -32001, "message": "set API_KEY first"}}
    rig = Rig({"only": Script(initialize=refusal)})
    assert "set API_KEY first" in began(rig, "handshake").error(1)["message"]


# --- what waits -----------------------------------------------------------------------------------------------------


def test_what_a_server_says_before_it_is_met_reaches_the_client_in_the_clients_era_and_order() -> None:
    rig = Rig({"only": Script().silent("initialize")})
    client = rig.client().asks(0, "server/discover", _meta=META)
    server = rig.server("only")
    rig.waits(greeting.PATIENCE_S)
    server.asks(7, "roots/list").tells("notifications/message", level="info", data="early")
    assert client.take() == []
    server.answers_own("initialize", result=INITIALIZE_RESULT)
    assert not any(one.get("method") == "roots/list" for one in client.take())  # that era knows no such request
    client.asks(1, "tools/call", name="echo", arguments={}, _meta=META)
    assert client.result(1)["resultType"] == "input_required"


def test_more_than_enough_waiting_is_refused_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leg, "WAITING_MAX", 3)
    rig = Rig({"only": Script().silent("initialize")})
    client = rig.client().says(initialize(0), INITIALIZED)
    for number in range(1, 6):
        client.calls(number, "echo")
    assert [one["id"] for one in client.take()] == [4, 5]
    rig.server("only").answers_own("initialize", result=INITIALIZE_RESULT)
    assert [one["id"] for one in rig.server("only").take("tools/call")] == [1, 2, 3]


def test_what_is_only_notified_starts_no_server_that_could_not_be_met() -> None:
    rig = Rig({"only": Script().silent("initialize")})
    client = began(rig, "handshake")
    rig.server("only").loses("gone")
    for _ in range(3):
        client.tells("notifications/roots/list_changed").cancels("x")
    assert tried(rig) == ["initialize"]
    rig.server("only").script.replies["initialize"] = Script().replies["initialize"]
    client.calls(2, "echo")
    assert [one["method"] for one in rig.server("only").got] == ["notifications/initialized", "tools/call"]


def test_what_waits_goes_out_in_its_order_and_before_what_we_want_to_know() -> None:
    rig = Rig({"only": Script().silent("initialize")})
    client = rig.client().says(initialize(0), INITIALIZED, request(1, "tools/call", name="echo"))
    client.tells("notifications/roots/list_changed").calls(2, "echo")
    server = rig.server("only")
    server.raw.clear()
    server.answers_own("initialize", result=INITIALIZE_RESULT)
    said = [b"tools/call" in line for line in server.raw[1:4]]
    assert (said, b"initialized" in server.raw[0], b"tools/list" in server.raw[4]) == ([True, False, True], True, True)


# --- shared connections ---------------------------------------------------------------------------------------------


def shared(script: Script) -> Rig:
    return Rig({"only": script}, shared=("only",))


def test_a_second_client_need_not_wait_until_the_first_is_ready() -> None:
    rig = shared(Script())
    first = rig.client().says(initialize(0))
    assert "capabilities" in first.result(0)
    second = rig.client().says(initialize(0))
    assert "capabilities" in second.result(0)
    second.says(INITIALIZED).calls(1, "echo")
    assert len(rig.server("only").take("tools/call")) == 1


def test_a_client_that_says_all_with_each_request_waits_for_nobody_to_be_ready() -> None:
    rig = shared(Script())
    rig.client().says(initialize(0))
    client = rig.client().discovers()
    client.asks(1, "tools/call", name="echo", arguments={}, _meta=META)
    rig.waits(EARLY_PAUSE_S)  # it might ask for the roots first
    assert len(rig.server("only").take("tools/call")) == 1


def test_clients_of_both_eras_share_one_server() -> None:
    rig = shared(Script(era="both"))
    one, other = rig.client().initializes(), rig.client().discovers()
    one.calls(1, "echo")
    other.asks(1, "tools/call", name="echo", arguments={}, _meta=META)
    first, second = rig.server("only").take("tools/call")
    rig.server("only").answers(second["id"], text("for the other")).answers(first["id"], text("for one"))
    assert one.result(1) == text("for one")
    assert other.result(1) == {**text("for the other"), "resultType": "complete"}


def test_all_who_wait_for_a_shared_server_are_told_that_it_cannot_be_met() -> None:
    rig = shared(Script().silent("initialize"))
    clients = [began(rig, "handshake") for _ in range(3)]
    rig.server("only").loses("cannot start")
    for client in clients:
        assert "cannot start" in client.error(0)["message"]
        assert "cannot start" in client.error(1)["message"]
