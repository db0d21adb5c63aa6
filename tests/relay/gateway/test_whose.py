"""Several sessions over one connection: each hears its own alone, under its own ids and tokens."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from spec_mcp.relay.gateway import subscribed, whose
from spec_mcp.relay.gateway.whose import OneLeg, Switchboard
from tests.relay.gateway.rig import META, STREAM, Client, Message, Rig, Script, raw, request, text


def shared(count: int = 2, script: Script | None = None) -> tuple[Rig, list[Client]]:
    """Clients of one server that share a connection, and what they said in the beginning is forgotten."""
    rig = Rig({"only": script or Script()}, shared=("only",))
    clients = [rig.client().initializes() for _ in range(count)]
    rig.waits(2)
    rig.server("only").take()
    return rig, clients


# --- requests -------------------------------------------------------------------------------------------------------


def test_the_server_is_met_once() -> None:
    rig, clients = shared(5)
    assert len(rig.servers["only"]) == 1
    assert [one["method"] for one in rig.server("only").own].count("initialize") == 1
    for client in clients:
        client.calls(1, "echo")
    assert len(rig.server("only").take("tools/call")) == 5


def test_two_clients_may_use_one_id_and_each_gets_its_own_answer() -> None:
    rig, (one, other) = shared()
    one.calls(1, "echo", who="one")
    other.calls(1, "echo", who="other").calls("1", "echo", who="other again")
    first, second, third = rig.server("only").take()
    assert len({json.dumps(asked["id"]) for asked in (first, second, third)}) == 3
    for asked in (third, first, second):
        rig.server("only").answers(asked["id"], text(asked["params"]["arguments"]["who"]))
    assert one.take() == [{"jsonrpc": "2.0", "id": 1, "result": text("one")}]
    assert other.result(1) == text("other")
    assert other.result("1") == text("other again")
    assert other.take() == []


def test_an_answer_that_nobody_waits_for_is_nobodys() -> None:
    rig, (one, other) = shared()
    one.calls(1, "echo")
    (asked,) = rig.server("only").take()
    server = rig.server("only").answers(99, {}).answers(str(asked["id"]), {}).answers(1.5, {}).answers(None, {})
    assert (one.take(), other.take()) == ([], [])
    server.answers(asked["id"], text("hi")).answers(asked["id"], text("once more"))
    assert one.take() == [{"jsonrpc": "2.0", "id": 1, "result": text("hi")}]


@pytest.mark.parametrize("token", ["t", 7, "1"])
@pytest.mark.parametrize("name", [b'"progressToken"', b'"progress\\u0054oken"'])
def test_progress_reaches_its_asker_under_its_own_token(token: object, name: bytes) -> None:
    rig, (one, other) = shared()
    for client in (one, other):
        params = b'{"name":"echo","_meta":{"x":1,%s:%s}}' % (name, raw(token))
        client.says(b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":%s}' % params)
    first, second = rig.server("only").take()
    tokens = [asked["params"]["_meta"]["progressToken"] for asked in (first, second)]
    assert len({json.dumps(found) for found in tokens}) == 2
    assert first["params"]["_meta"]["x"] == 1
    rig.server("only").tells("notifications/progress", progressToken=tokens[1], progress=1)
    rig.server("only").tells("notifications/progress", progressToken=token if token != 7 else "7", progress=2)
    assert one.take() == []
    assert [told["params"] for told in other.take()] == [{"progressToken": token, "progress": 1}]


def test_progress_that_nobody_asked_for_is_nobodys() -> None:
    rig, (one, other) = shared()
    one.calls(1, "echo", progressToken=1)
    (asked,) = rig.server("only").take()
    assert asked["params"]["arguments"] == {"progressToken": 1}
    rig.server("only").tells("notifications/progress", progressToken=asked["id"], progress=1)
    assert (one.take(), other.take()) == ([], [])


def test_a_cancellation_names_the_request_as_the_server_knows_it() -> None:
    rig, (one, other) = shared()
    one.calls(1, "echo")
    other.calls(1, "echo").cancels(1).cancels(2)
    first, second, cancelled = rig.server("only").take()
    assert cancelled["params"] == {"requestId": second["id"]}
    rig.server("only").answers(second["id"], code=0, message="cancelled").answers(first["id"], text("hi"))
    assert one.result(1) == text("hi")


def test_the_messages_of_a_batch_are_asked_one_by_one_and_answered_together() -> None:
    rig, (one, _) = shared()
    one.says([request(1, "tools/call", name="echo"), request(2, "tools/call", name="echo")])
    first, second = rig.server("only").take()
    rig.server("only").says([{"jsonrpc": "2.0", "id": id, "result": {}} for id in (second["id"], first["id"])])  # noqa: A001
    (told,) = one.take()
    assert [answer["id"] for answer in told] == [2, 1]


def test_a_server_that_is_lost_is_lost_to_all_and_nothing_of_before_is_left() -> None:
    rig, (one, other) = shared()
    one.calls(1, "echo").calls(2, "echo").cancels(2)
    other.calls(1, "echo")
    server = rig.server("only")
    server.asks(5, "ping")
    server.loses("gone")
    for client in (one, other):
        assert "gone" in client.error(1)["message"]
    board = switchboard(rig)
    assert (len(board._asked), len(board._ours), len(board._askers), len(board._prompted)) == (0, 0, 0, 0)
    server.restarts()
    one.calls(3, "echo")
    server.answers(server.take()[-1]["id"], text("again"))
    assert one.result(3) == text("again")


# --- what the server asks -------------------------------------------------------------------------------------------


def test_a_question_goes_to_the_only_client_that_waits_for_the_server() -> None:
    rig, (one, other) = shared()
    other.calls(1, "echo")
    server = rig.server("only")
    server.asks("q", "elicitation/create", message="?")
    assert one.take() == []
    (asked,) = other.take()
    one.answers("q", {"action": "accept", "content": {"forged": True}})
    other.answers(asked["id"], {"action": "accept"})
    assert [said.get("result") for said in server.take()[1:]] == [{"action": "accept"}]


def test_a_question_that_could_be_meant_for_several_is_refused() -> None:
    rig, (one, other) = shared()
    for client in (one, other):
        client.calls(1, "echo")
    server = rig.server("only")
    server.take()
    server.asks("q", "elicitation/create", message="?")
    assert (one.take(), other.take()) == ([], [])
    assert server.take()[0]["error"]["code"] == -32603


def test_a_question_without_a_call_of_anybodys_goes_to_the_only_client_there_is() -> None:
    rig, (one, other) = shared()
    server = rig.server("only")
    server.asks(1, "roots/list")
    assert "error" in server.take()[0]
    one.leaves()
    server.asks(2, "roots/list")
    assert [asked["method"] for asked in other.take()] == ["roots/list"]


@pytest.mark.parametrize("method", ["logging/setLevel", "resources/subscribe"])
def test_who_waits_for_what_leads_to_no_question_is_not_asked(method: str) -> None:
    rig, (one, other) = shared()
    one.asks(1, method, level="info", uri="x://y")
    other.calls(1, "echo")
    rig.server("only").asks(1, "roots/list")
    assert one.take() == []
    assert [asked["method"] for asked in other.take()] == ["roots/list"]


def test_who_has_cancelled_does_not_wait() -> None:
    rig, (one, other) = shared()
    one.calls(1, "echo").cancels(1)
    other.calls(1, "echo")
    rig.server("only").asks(1, "roots/list")
    assert [asked["method"] for asked in other.take()] == ["roots/list"]


def test_a_question_that_the_server_takes_back_is_taken_back_from_whom_it_asked() -> None:
    rig, (one, other) = shared()
    other.calls(1, "echo")
    server = rig.server("only")
    server.asks("q", "elicitation/create", message="?")
    one.calls(1, "echo")
    other.take()
    server.tells("notifications/cancelled", requestId="q")
    assert one.take() == []
    assert [told["params"] for told in other.take()] == [{"requestId": "q"}]
    server.take()
    other.answers("q", {"action": "accept"})
    server.tells("notifications/cancelled", requestId="q")
    assert (server.take(), one.take(), other.take()) == ([], [], [])


def test_a_ping_of_the_server_is_answered_for_all() -> None:
    rig, (one, other) = shared()
    rig.server("only").asks("p", "ping")
    assert (one.take(), other.take()) == ([], [])
    assert rig.server("only").take() == [{"jsonrpc": "2.0", "id": "p", "result": {}}]


def test_clients_that_answer_nothing_keep_the_server_waiting_for_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(whose, "PROMPTS_MAX", 2)
    rig, (one, _) = shared()
    one.calls(1, "echo")
    server = rig.server("only")
    server.take()
    for number in range(4):
        server.asks(number, "roots/list")
    assert [(said["id"], "error" in said) for said in server.take()] == [(0, True), (1, True)]


@pytest.mark.parametrize("more", [{"id": "i" * 2000}, {"id": 1, "params": {"_meta": {"progressToken": "t" * 2000}}}])
def test_a_question_under_a_name_that_nobody_needs_so_long_is_refused(more: Message) -> None:
    rig, (one, _) = shared()
    one.calls(1, "echo")
    server = rig.server("only")
    server.take()
    server.says({"method": "roots/list", **more})
    (refused,) = server.take()
    assert "longer than" in refused["error"]["message"]
    assert one.take() == []


# --- what it tells --------------------------------------------------------------------------------------------------


def test_a_log_message_goes_to_the_only_client_that_waits_and_to_nobody_where_several_do() -> None:
    rig, (one, other) = shared()
    one.calls(1, "echo")
    rig.server("only").tells("notifications/message", level="info", data="for one")
    assert [told["params"]["data"] for told in one.take()] == ["for one"]
    other.calls(1, "echo")
    rig.server("only").tells("notifications/message", level="info", data="for whom?")
    assert (one.take(), other.take()) == ([], [])


def test_each_client_hears_as_much_of_the_log_as_it_wants() -> None:
    rig, (one, other) = shared()
    server = rig.server("only")
    for client, level, told in ((one, "warning", "warning"), (other, "debug", "debug"), (one, "error", None)):
        client.asks(1, "logging/setLevel", level=level)
        found = server.take("logging/setLevel")
        assert [asked["params"]["level"] for asked in found] == ([] if told is None else [told])
        for asked in found:
            server.answers(asked["id"])
        assert client.result(1) == {}
    one.calls(2, "echo")
    server.tells("notifications/message", level="info", data="quiet")
    server.tells("notifications/message", level="critical", data="loud")
    assert [told["params"]["data"] for told in one.take()] == ["loud"]
    other.leaves()
    one.asks(3, "logging/setLevel", level="notice")
    assert [asked["params"]["level"] for asked in server.take("logging/setLevel")] == ["notice"]


def test_a_level_that_there_is_not_is_the_servers_to_refuse() -> None:
    rig, (one, _) = shared()
    one.asks(1, "logging/setLevel", level="loud")
    (asked,) = rig.server("only").take()
    assert asked["params"] == {"level": "loud"}


def test_a_list_that_has_changed_is_told_to_all() -> None:
    rig, clients = shared(3)
    rig.server("only").tells("notifications/prompts/list_changed")
    for client in clients:
        assert [told["method"] for told in client.take()] == ["notifications/prompts/list_changed"]


# --- subscriptions --------------------------------------------------------------------------------------------------


def subscribe(client: Client, rig: Rig, uri: str, id: int = 1) -> int:  # noqa: A002
    """The client subscribes; how often the server was asked."""
    client.asks(id, "resources/subscribe", uri=uri)
    found = rig.server("only").take("resources/subscribe")
    for asked in found:
        rig.server("only").answers(asked["id"])
    assert client.result(id) == {}
    return len(found)


def test_each_client_hears_of_the_resources_that_it_subscribed_to() -> None:
    rig, (one, other) = shared()
    assert subscribe(one, rig, "x://both") == 1
    assert subscribe(other, rig, "x://both") == 0
    assert subscribe(other, rig, "x://other") == 1
    server = rig.server("only")
    server.tells("notifications/resources/updated", uri="x://both")
    server.tells("notifications/resources/updated", uri="x://other")
    assert [told["params"]["uri"] for told in one.take()] == ["x://both"]
    assert [told["params"]["uri"] for told in other.take()] == ["x://both", "x://other"]
    server.tells("notifications/resources/updated", uri="x://both/part")
    assert [len(client.take()) for client in (one, other)] == [1, 1]


def test_the_server_is_unsubscribed_by_the_last_that_wanted_it() -> None:
    rig, (one, other) = shared()
    subscribe(one, rig, "x://both")
    subscribe(other, rig, "x://both")
    assert one.asks(2, "resources/unsubscribe", uri="x://both").result(2) == {}
    server = rig.server("only")
    assert server.take() == []
    server.tells("notifications/resources/updated", uri="x://both")
    assert (len(one.take()), len(other.take())) == (0, 1)
    other.asks(2, "resources/unsubscribe", uri="x://both")
    (asked,) = server.take()
    server.answers(asked["id"])
    assert other.result(2) == {}
    assert switchboard(rig)._subscribed._legs == {}


def test_the_server_is_unsubscribed_when_the_last_that_wanted_it_leaves() -> None:
    rig, (one, other) = shared()
    subscribe(one, rig, "x://both")
    subscribe(other, rig, "x://both")
    other.leaves()
    assert rig.server("only").take() == []
    one.leaves()
    (asked,) = rig.server("only").take()
    assert (asked["method"], asked["params"]) == ("resources/unsubscribe", {"uri": "x://both"})


def test_a_subscription_that_the_server_refuses_is_nobodys_not_even_of_whom_asked_meanwhile() -> None:
    rig, (one, other) = shared()
    server = rig.server("only")
    one.asks(1, "resources/subscribe", uri="x://no")
    other.asks(1, "resources/subscribe", uri="x://no")
    first, second = server.take()
    server.answers(first["id"], code=-32002, message="no such resource")
    server.answers(second["id"], code=-32002, message="no such resource")
    assert [client.error(1)["code"] for client in (one, other)] == [-32002, -32002]
    assert switchboard(rig)._subscribed._legs == {}


def test_there_is_a_bound_on_what_is_subscribed_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subscribed, "URIS_MAX", 2)
    rig, (one, other) = shared()
    subscribe(one, rig, "x://1")
    subscribe(one, rig, "x://2")
    assert one.asks(1, "resources/subscribe", uri="x://3").error(1)["code"] == -32603
    assert subscribe(other, rig, "x://2") == 0


def test_what_has_too_long_a_name_cannot_be_subscribed_to() -> None:
    _, (one, _) = shared()
    assert "too long a name" in one.asks(1, "resources/subscribe", uri="x://" + "y" * 10_000).error(1)["message"]


# --- streams of the stateless era -----------------------------------------------------------------------------------


def streaming() -> tuple[Rig, Client, Client, list[Message]]:
    rig = Rig({"only": Script(era="stateless")}, shared=("only",))
    one, other = rig.client().discovers(), rig.client().discovers()
    rig.waits(2)
    rig.server("only").take()
    for client in (one, other):
        client.asks("s", "subscriptions/listen", notifications={"toolsListChanged": True}, _meta=META)
    return rig, one, other, rig.server("only").take("subscriptions/listen")


def test_what_is_said_on_a_stream_reaches_its_client_under_the_name_that_it_knows() -> None:
    rig, one, other, (first, second) = streaming()
    assert first["id"] != second["id"]
    server = rig.server("only")
    server.tells("notifications/subscriptions/acknowledged", notifications={}, _meta={STREAM: second["id"]})
    server.tells("notifications/tools/list_changed", _meta={STREAM: second["id"], "x": 1})
    assert one.take() == []
    assert [told["params"]["_meta"][STREAM] for told in other.take()] == ["s", "s"]
    server.tells("notifications/tools/list_changed", _meta={STREAM: 99})
    assert (one.take(), other.take()) == ([], [])


def test_the_end_of_a_stream_is_told_under_the_name_that_its_client_knows() -> None:
    rig, one, other, (first, second) = streaming()
    server = rig.server("only")
    server.answers(first["id"], {"resultType": "complete", "_meta": {STREAM: first["id"]}})
    assert one.result("s") == {"resultType": "complete", "_meta": {STREAM: "s"}}
    server.tells("notifications/cancelled", requestId=second["id"])
    assert [told["params"] for told in other.take()] == [{"requestId": "s"}]
    other.cancels("s")
    assert server.take()[-1]["params"] == {"requestId": second["id"]}


def test_words_that_only_look_like_a_streams_are_not_lost() -> None:
    rig, (one, other) = shared()
    other.calls(1, "echo")
    rig.server("only").tells("notifications/message", level="info", data="subscriptionId")
    assert (len(one.take()), len(other.take())) == (0, 1)


# --- who leaves -----------------------------------------------------------------------------------------------------


def test_who_leaves_cancels_what_it_asked_and_refuses_what_it_was_asked() -> None:
    rig, (one, other) = shared()
    one.calls(1, "echo")
    server = rig.server("only")
    server.asks("q", "elicitation/create", message="?")
    (asked,) = server.take()
    one.leaves()
    cancelled, refused = server.take()
    assert cancelled["params"] == {"requestId": asked["id"]}
    assert (refused["id"], "error" in refused) == ("q", True)
    server.answers(asked["id"], text("late"))
    other.calls(1, "echo")
    server.asks("r", "roots/list")
    assert [said["method"] for said in other.take()] == ["roots/list"]


def test_nothing_is_left_of_those_who_came_and_went() -> None:
    rig, (stays,) = shared(1)
    for number in range(50):
        client = rig.client().initializes()
        client.calls(1, "echo", number=number).asks(2, "logging/setLevel", level="debug").calls(3, "echo").cancels(3)
        client.asks(4, "resources/subscribe", uri=f"x://{number}")
        client.leaves()
    board = switchboard(rig)
    assert (len(board._legs), len(board._asked), len(board._ours), len(board._askers)) == (1, 0, 0, 0)
    assert (board._subscribed._legs, board._levels._levels) == ({}, {})
    stays.calls(1, "echo")
    rig.server("only").answers(rig.server("only").take()[-1]["id"], text("hi"))
    assert stays.result(1) == text("hi")


def switchboard(rig: Rig) -> Switchboard:
    lines = rig.server("only")._contact._lines
    assert isinstance(lines, Switchboard)
    return lines


def test_a_connection_of_ones_own_says_all_to_one() -> None:
    lines = OneLeg()
    assert lines.to_legs(b'{"jsonrpc":"2.0","id":1}\n') == []
    lines.lost()
    assert lines.detach(object()) == []  # pyright: ignore[reportArgumentType]


# --- any interleaving -----------------------------------------------------------------------------------------------

IDS = st.sampled_from([1, 2, "1", "a", 1.5, -7])
TOKENS = st.sampled_from([None, 1, "1", "t"])


class Interleavings(RuleBasedStateMachine):
    """Sessions that ask, cancel, answer and leave, and a server that answers in any order, reports and asks.

    Each call carries a word of its own; whatever comes back must hold the word, the id and the token of who gets it.
    """

    @initialize(count=st.integers(2, 4))
    def begin(self, count: int) -> None:
        self.rig, found = shared(count)
        self.clients = dict(enumerate(found))
        self.server = self.rig.server("only")
        self.words = 0
        self.open: dict[str, tuple[int, Any, Any]] = {}
        """By word: whose call, its id, its token. Those that were cancelled are not here."""
        self.at_server: dict[str, tuple[Any, Any]] = {}
        """By word: the id and the token that the server knows, of those that it has not answered."""
        self.cancelled: dict[str, int] = {}
        """By word: who did not want it any more."""
        self.prompts: dict[str, int] = {}
        """By the server's id: who was asked."""

    def _alive(self, data: st.DataObject) -> int:
        return data.draw(st.sampled_from(sorted(self.clients)))

    @precondition(lambda self: self.clients)
    @rule(data=st.data(), id_=IDS, token=TOKENS)
    def call(self, data: st.DataObject, id_: Any, token: Any) -> None:
        who = self._alive(data)
        mine = [(id_, token) for of, id_, token in self.open.values() if of == who]
        if any(json.dumps(other) == json.dumps(id_) for other, _ in mine):
            return
        if token is not None and any(json.dumps(other) == json.dumps(token) for _, other in mine):
            return
        self.words += 1
        word = f"word-{self.words}"
        meta = {} if token is None else {"_meta": {"progressToken": token}}
        self.clients[who].asks(id_, "tools/call", name="echo", arguments={"word": word}, **meta)
        (asked,) = self.server.take()
        assert asked["params"]["arguments"] == {"word": word}
        known = asked["params"].get("_meta", {}).get("progressToken")
        assert (known is None) == (token is None)
        assert not any(json.dumps(asked["id"]) == json.dumps(other) for other, _ in self.at_server.values())
        self.open[word] = (who, id_, token)
        self.at_server[word] = (asked["id"], known)

    @precondition(lambda self: self.at_server)
    @rule(data=st.data(), is_error=st.booleans())
    def answer(self, data: st.DataObject, is_error: bool) -> None:
        word = data.draw(st.sampled_from(sorted(self.at_server)))
        number, _ = self.at_server.pop(word)
        if is_error:
            self.server.answers(number, code=-1, message=word)
        else:
            self.server.answers(number, text(word))
        owner = self.open.pop(word, None)
        for who, client in self.clients.items():
            got = client.take()
            if owner is None or who != owner[0]:
                assert got == [] or (owner is None and len(got) <= 1 and self._is_of(who, got[0], word))
                continue
            (said,) = got
            assert json.dumps(said["id"]) == json.dumps(owner[1])
            assert (said["error"]["message"] if is_error else said["result"]["content"][0]["text"]) == word

    def _is_of(self, who: int, said: Message, word: str) -> bool:
        """An answer that crossed a cancellation may still come, to whom it belonged."""
        return word in json.dumps(said) and self.cancelled.get(word) == who

    @precondition(lambda self: self.at_server)
    @rule(data=st.data())
    def report(self, data: st.DataObject) -> None:
        word = data.draw(st.sampled_from(sorted(self.at_server)))
        _, known = self.at_server[word]
        if known is None:
            return
        self.server.tells("notifications/progress", progressToken=known, progress=1, message=word)
        owner = self.open.get(word)
        for who, client in self.clients.items():
            for said in client.take():
                assert said["params"]["message"] == word
                assert who == (owner[0] if owner is not None else self.cancelled.get(word))
                if owner is not None:
                    assert json.dumps(said["params"]["progressToken"]) == json.dumps(owner[2])

    @precondition(lambda self: self.open)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        word = data.draw(st.sampled_from(sorted(self.open)))
        who, id_, _ = self.open.pop(word)
        self.cancelled[word] = who
        self.clients[who].cancels(id_)
        (said,) = self.server.take()
        assert json.dumps(said["params"]["requestId"]) == json.dumps(self.at_server[word][0])

    @rule(id_=IDS)
    def ask(self, id_: Any) -> None:
        name = json.dumps(id_)
        if name in self.prompts:
            return
        waiting = {who for who, _, _ in self.open.values()}
        self.server.asks(id_, "elicitation/create", message=name)
        refused = self.server.take()
        got = {who: client.take() for who, client in self.clients.items()}
        asked = [who for who, said in got.items() if said]
        expected = list(self.clients) if len(self.clients) == 1 else sorted(waiting) if len(waiting) == 1 else []
        assert asked == expected
        assert len(refused) == (0 if asked else 1)
        if asked:
            self.prompts[name] = asked[0]

    @precondition(lambda self: self.prompts and self.clients)
    @rule(data=st.data())
    def reply(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(self.prompts)))
        who = self._alive(data)
        self.clients[who].answers(json.loads(name), {"by": who})
        said = self.server.take()
        if self.prompts[name] == who:
            del self.prompts[name]
            assert [one["result"] for one in said] == [{"by": who}]
        else:
            assert said == []

    @precondition(lambda self: len(self.clients) > 1)
    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        who = self._alive(data)
        self.clients.pop(who).leaves()
        gone = [word for word, (of, _, _) in self.open.items() if of == who]
        prompted = [name for name, of in self.prompts.items() if of == who]
        told = Counter("cancelled" if "method" in said else "refused" for said in self.server.take())
        assert told["refused"] == len(prompted)
        assert told["cancelled"] >= len(gone)
        for word in gone:
            del self.open[word]
        for name in prompted:
            del self.prompts[name]

    @rule()
    def lose(self) -> None:
        self.server.loses("gone")
        for who, client in self.clients.items():
            got = Counter(json.dumps(said["id"]) for said in client.take())
            mine = Counter(json.dumps(id_) for of, id_, _ in self.open.values() if of == who)
            assert not mine - got
        self.open.clear()
        self.at_server.clear()
        self.prompts.clear()
        self.server.restarts()
        self.server.take()

    @invariant()
    def nothing_is_said_unasked(self) -> None:
        assert all(client.lines == [] for client in self.clients.values())


def test_in_any_order_each_session_hears_its_own_alone() -> None:
    run_state_machine_as_test(Interleavings)
