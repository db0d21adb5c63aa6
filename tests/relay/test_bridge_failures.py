"""What the bridge does when the server dies or asks, and when a part of ours fails."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest

from spec_mcp.engine import commands as do
from spec_mcp.engine.events import Mode
from spec_mcp.engine.servers import LISTED_MAX
from spec_mcp.relay import link as link_module
from spec_mcp.relay.prompts import PASSED_ON_MAX
from tests.relay.rig import TOOLS, Rig, answer, call, cancelled, notification, own_id, progress, request

INITIALIZE = request(0, "initialize", '{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"c"}}')
INITIALIZED = notification("notifications/initialized")
HELLO = b'{"protocolVersion":"2025-11-25","capabilities":{},"serverInfo":{"name":"s"}}'


def errors(lines: list[bytes]) -> list[object]:
    """The ids of the errors among the lines; nothing else is there."""
    messages = [json.loads(line) for line in lines]
    assert all(message["error"]["message"].startswith("spec-mcp: ") for message in messages)
    return [message["id"] for message in messages]


def initialized(rig: Rig) -> Rig:
    """The handshake is done."""
    rig.client(INITIALIZE).server(answer(0, HELLO)).client(INITIALIZED)
    _ = rig.to_server, rig.to_client
    return rig


def restarted(rig: Rig) -> Rig:
    """The server has been started anew; what it was told first stays to be looked at."""
    count = len(rig.processes)
    rig.waits(0.1)
    assert len(rig.processes) == count + 1
    return rig


# --- the server dies ------------------------------------------------------------------------------------------------


def test_what_is_in_flight_gets_an_error_and_what_joined_is_made_for_real(rig: Rig) -> None:
    rig.launched()
    rig.client(call(1, "get")).client(call(2, "put", '{"id":2}')).client(b"[%s]" % request("b", "ping"))
    rig.client(call(3, "look", '{"id":5}')).client(cancelled(3)).dies()
    assert errors(rig.to_client) == [2, "b"]
    assert restarted(rig).to_server == [call(1, "get")]
    assert rig.server(answer(1)).to_client == [answer(1)]
    assert rig.is_empty()


def test_the_next_process_is_told_what_the_last_one_knew(rig: Rig) -> None:
    initialized(rig)
    rig.client(request(1, "logging/setLevel", '{"level":"debug"}')).server(answer(1))
    rig.client(request(2, "resources/subscribe", '{"uri":"a"}')).server(answer(2))
    rig.client(request(3, "resources/subscribe", '{"uri":"b"}')).server(answer(3))
    rig.client(request(4, "resources/unsubscribe", '{"uri":"a"}')).server(answer(4))
    rig.client(request(5, "resources/subscribe", '{"uri":"refused"}'))
    rig.server(b'{"jsonrpc":"2.0","id":5,"error":{"code":-1,"message":""}}').dies()
    _ = rig.to_client
    rig.client(call(6, "put"))
    (hello,) = restarted(rig).to_server
    assert json.loads(hello)["params"] == json.loads(INITIALIZE)["params"]
    rig.server(answer(own_id(hello), HELLO))
    told = rig.to_server
    assert told[0] == INITIALIZED
    assert [json.loads(line)["method"] for line in told[1:3]] == ["logging/setLevel", "resources/subscribe"]
    assert json.loads(told[2])["params"] == {"uri": "b"}
    assert told[3:] == [call(6, "put")]
    for line in told[1:3]:
        rig.server(answer(own_id(line)))
    assert rig.to_client == []


def test_a_handshake_of_which_the_client_has_not_said_the_end_is_ended_when_it_does(rig: Rig) -> None:
    rig.client(INITIALIZE).server(answer(0, HELLO)).dies()
    rig.client(request(1, "ping"))
    _ = rig.to_server, rig.to_client
    (hello,) = restarted(rig).to_server
    rig.client(INITIALIZED)
    rig.server(answer(own_id(hello), HELLO))
    assert rig.to_server == [INITIALIZED, request(1, "ping")]


def test_a_handshake_that_the_client_makes_anew_is_not_made_before_it_as_well(rig: Rig) -> None:
    initialized(rig).dies()
    discover = request(7, "server/discover")
    rig.client(discover).client(INITIALIZE)
    assert restarted(rig).to_server == [discover, INITIALIZE]


def test_a_call_that_only_speaks_of_a_handshake_is_none(rig: Rig) -> None:
    initialized(rig).dies()
    rig.client(call(1, "put", '{"method":"initialize"}'))
    (hello,) = restarted(rig).to_server
    assert json.loads(hello)["method"] == "initialize"


def test_a_handshake_that_was_never_answered_is_not_made_for_the_client(rig: Rig) -> None:
    rig.client(INITIALIZE).dies()
    assert errors(rig.to_client) == [0]
    rig.client(request(1, "server/discover"))
    assert restarted(rig).to_server == [request(1, "server/discover")]


def test_a_server_that_dies_in_the_middle_of_the_replay_fails_what_waits(rig: Rig) -> None:
    initialized(rig).dies()
    rig.client(call(1, "put"))
    (hello,) = restarted(rig).to_server
    rig.dies()
    assert errors(rig.to_client) == [1]
    rig.server(answer(own_id(hello), HELLO))
    assert rig.to_client == []
    assert rig.is_empty()


def test_what_is_said_while_requests_wait_keeps_its_place_and_a_cancellation_goes_with_its_request(rig: Rig) -> None:
    rig.dies()
    lines = [call(1, "put"), notification("notifications/x"), cancelled(1), call(2, "put")]
    for line in lines:
        rig.client(line)
    assert restarted(rig).to_server == lines


def test_what_needs_no_answer_starts_no_server(rig: Rig) -> None:
    rig.dies().client(notification("notifications/x")).client(cancelled(1)).client(b"").waits(60)
    assert len(rig.processes) == 1


def test_a_server_that_keeps_dying_is_started_after_longer_pauses_and_calls_meanwhile_fail(rig: Rig) -> None:
    rig.dies()
    starts: list[float] = []
    for number in range(150):
        rig.client(call(number, "put"))
        if rig.link.start_at_s is None:
            rig.now_s += 1.0
        else:
            while rig.link.process is None:
                rig.waits(0.05)
            starts.append(rig.now_s)
            rig.dies()
        assert errors(rig.to_client) == [number]
    pauses = [later - earlier for earlier, later in pairwise(starts)]
    assert all(earlier <= later + 3.1 for earlier, later in pairwise(pauses))
    assert pauses[0] < 1.0
    assert link_module.BACK_OFF_MAX_S - 3.1 <= pauses[-1] <= link_module.BACK_OFF_MAX_S + 0.1
    assert rig.is_empty()


def test_a_back_off_never_overflows() -> None:
    assert link_module.back_off_s(1) == 0.0
    assert link_module.back_off_s(100_000) == link_module.BACK_OFF_MAX_S


def test_a_server_that_ran_well_is_started_at_once(rig: Rig) -> None:
    for _ in range(5):
        rig.now_s += link_module.STABLE_S
        rig.dies().client(request(1, "ping"))
        restarted(rig)
        _ = rig.to_client, rig.to_server


def test_requests_that_wait_for_a_server_are_bounded_and_the_rest_refused(rig: Rig) -> None:
    rig.dies()
    for number in range(link_module.WAITING_MAX + 5):
        rig.client(request(number, "ping"))
    assert len(errors(rig.to_client)) == 5


def test_nothing_held_crosses_a_restart(rig: Rig) -> None:
    own = rig.held()
    rig.dies().client(call(1, "get"))
    restarted(rig)
    assert rig.to_server == [call(1, "get")]
    rig.server(answer(own)).server(progress(own, 1))
    assert rig.to_client == []


def test_one_process_is_gone_before_the_next_is_started(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    rig.dies().client(request(1, "ping"))

    class Alive:
        alive = True

        def is_alive(self) -> bool:
            return self.alive

        def join(self) -> None:
            """It is waited for elsewhere."""

    monkeypatch.setattr(rig.link, "_enders", [Alive()])
    rig.waits(1.0)
    assert len(rig.processes) == 1
    Alive.alive = False
    assert restarted(rig).to_server == [request(1, "ping")]


# --- the server asks ------------------------------------------------------------------------------------------------


def test_a_prompt_while_a_call_runs_passes_and_its_answer_too(rig: Rig) -> None:
    rig.client(call(1, "put"))
    rig.server(request("p", "elicitation/create"))
    assert rig.to_client == [request("p", "elicitation/create")]
    _ = rig.to_server
    assert rig.client(answer("p")).to_server == [answer("p")]


def test_a_prompt_for_a_speculation_is_refused(rig: Rig) -> None:
    rig.launched()
    rig.server(request(5, "elicitation/create"))
    assert rig.to_client == []
    refusals = [json.loads(line) for line in rig.to_server if b'"error"' in line]
    assert [refusal["id"] for refusal in refusals] == [5]


def test_what_names_a_speculation_never_reaches_the_client_even_while_a_call_runs(rig: Rig) -> None:
    own = rig.launched()
    rig.client(call(1, "put", '{"id":2}'))
    _ = rig.to_server
    about = f'{{"about":{own.decode()}}}'
    rig.server(request(5, "sampling/createMessage", about))
    rig.server(notification("notifications/message", f'{{"level":"info","data":{own.decode()}}}'))
    rig.server(b"[%s]" % request(6, "sampling/createMessage", about))
    assert rig.to_client == []
    assert [json.loads(line)["id"] for line in rig.to_server if b'"error"' in line] == [5, 6]


def test_an_answer_for_a_process_that_is_gone_does_not_reach_the_next(rig: Rig) -> None:
    rig.client(call(1, "put")).server(request(1, "elicitation/create")).dies()
    rig.client(request(2, "ping"))
    restarted(rig)
    rig.server(request(1, "roots/list"))
    _ = rig.to_server, rig.to_client
    assert rig.client(answer(1, b'{"action":"accept"}')).to_server == []
    assert rig.client(answer(1, b'{"roots":[]}')).to_server == [answer(1, b'{"roots":[]}')]


def test_a_server_that_asks_and_asks_is_bounded_and_the_answers_pass(rig: Rig) -> None:
    for number in range(PASSED_ON_MAX * 2):
        rig.server(request(number, "roots/list"))
    assert len(rig.to_client) == PASSED_ON_MAX * 2
    assert rig.client(answer(0)).to_server == [answer(0)]


def test_what_a_server_asks_under_a_very_long_id_passes_and_is_not_remembered(rig: Rig) -> None:
    long = "i" * 2000
    rig.server(request(long, "roots/list"))
    assert len(rig.to_client) == 1
    assert not rig.bridge.prompts._passed_on
    assert rig.client(answer(json.dumps(long).encode())).to_server == [answer(json.dumps(long).encode())]


def test_a_listing_that_is_void_at_once_is_not_made_again_until_the_client_is_served(rig: Rig) -> None:
    rig.bridge.listing.wanted = True
    rig.client(request(1, "tools/list")).server(answer(1, b'{"tools":[]}'))
    asked = rig.to_server
    assert [json.loads(line)["method"] for line in asked] == ["tools/list", "tools/list"]
    for _ in range(5):
        rig.server(notification("notifications/tools/list_changed"))
    rig.server(answer(own_id(asked[1]), b'{"tools":[]}'))
    assert rig.to_server == []


@pytest.mark.parametrize(
    "nonsense",
    [b'{"tools":5}', b'{"tools":[5,{"name":7},{"name":"get","inputSchema":[[]]}]}', b'{"tools":["\\ud800"]}', b"[]"],
)
def test_nonsense_in_answer_to_our_look_at_the_tools_costs_no_call(rig: Rig, nonsense: bytes) -> None:
    rig.bridge.connected()
    rig.bridge.listing.wanted = True
    rig.client(request(1, "tools/list")).server(answer(1, b'{"tools":[]}'))
    rig.server(answer(own_id(rig.to_server[1]), nonsense))
    assert rig.to_client == [answer(1, b'{"tools":[]}')]
    assert rig.client(call(2, "get")).server(answer(2)).to_client == [answer(2)]


def test_a_server_with_more_tools_than_are_looked_at_is_a_plain_server(rig: Rig) -> None:
    seen: list[int] = []
    rig.bridge.listing.on_tools = lambda tools: frozenset(seen.append(len(tools)) or ())
    rig.bridge.connected()
    rig.bridge.listing.wanted = True
    rig.client(request(1, "tools/list")).server(answer(1, b'{"tools":[]}'))
    tools = b",".join(b'{"name":"t%d"}' % number for number in range(LISTED_MAX + 1))
    rig.server(answer(own_id(rig.to_server[1]), b'{"tools":[%s]}' % tools))
    assert seen == []
    assert rig.client(call(2, "get")).server(answer(2)).to_client[-1] == answer(2)


# --- a part of ours fails -------------------------------------------------------------------------------------------


def break_engine(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(event: object, now_s: float) -> Any:
        raise RuntimeError("a fault of ours")

    monkeypatch.setattr(rig.engine, "decide", fail)


def test_a_call_that_has_its_answer_keeps_it_when_the_engine_fails_over_the_rest(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = rig.launched()
    rig.server(answer(own))

    def fail() -> Any:
        raise RuntimeError("a fault of ours")

    monkeypatch.setattr(rig.engine, "settle", fail)
    rig.client(call(1, "get"))
    assert rig.to_client == [answer(1)]
    rig.client(call(2, "get"))
    assert rig.to_server[-1:] == [call(2, "get")]
    assert rig.server(answer(2)).to_client == [answer(2)]


def test_when_the_engine_fails_every_call_is_answered_once(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    own = rig.launched()
    rig.client(call(1, "get")).client(call(2, "look", '{"id":7}'))
    _ = rig.to_server
    break_engine(rig, monkeypatch)
    rig.client(call(3, "put"))
    assert rig.to_server == [call(1, "get"), call(3, "put")]
    rig.server(answer(own)).server(progress(own, 1))
    for number in (1, 2, 3):
        rig.server(answer(number))
    assert rig.to_client == [answer(1), answer(2), answer(3)]
    assert rig.client(call(4, "get")).client(cancelled(4)).to_server == [call(4, "get"), cancelled(4)]
    assert rig.client(b"[%s]" % request(5, "ping")).to_server == [b"[%s]" % request(5, "ping")]
    rig.server(request("p", "sampling/createMessage")).client(answer("p"))
    assert rig.to_client == [request("p", "sampling/createMessage")]
    assert rig.to_server == [answer("p")]
    rig.dies()
    assert errors(rig.to_client) == [5]


def test_when_the_engine_fails_on_a_cancellation_the_server_is_told(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    rig.client(call(1, "put"))
    break_engine(rig, monkeypatch)
    assert rig.client(cancelled(1)).to_server == [call(1, "put"), cancelled(1)]


def test_when_the_engine_fails_on_a_prompt_or_a_notification_the_client_gets_it(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    break_engine(rig, monkeypatch)
    lines = [request("p", "sampling/createMessage"), notification("notifications/message")]
    for line in lines:
        rig.server(line)
    assert rig.to_client == lines


@pytest.mark.parametrize("command", [do.Reply, do.Invoke])
def test_when_a_command_fails_the_call_is_still_answered_once(rig: Rig, command: type) -> None:
    rig.held()
    original = rig.bridge.commands[command]

    def fail_after(it: object) -> None:
        original(it)
        raise RuntimeError("a fault of ours")

    rig.bridge.commands[command] = fail_after
    for number, tool in ((1, "get"), (2, "put")):
        rig.client(call(number, tool))
        if rig.to_server:
            rig.server(answer(number))
        assert rig.to_client == [answer(number)]


def test_a_predictor_that_fails_costs_no_call_and_is_left_alone_in_the_end(rig: Rig) -> None:
    rig.predictor.raises = ValueError("no idea")
    for number in range(60):
        rig.client(call(number, "put")).server(answer(number)).quiet()
    assert len(rig.to_client) == 60
    assert rig.learner.faults == 20
    assert rig.bridge.engine is not None


def test_a_record_without_end_is_bounded(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("spec_mcp.relay.recording.RECORDS_MAX", 10)
    monkeypatch.setattr("spec_mcp.relay.learning.QUEUE_MAX", 10)
    for number in range(50):
        rig.client(call(number, "put"))
    assert len(rig.recording._records) == 10
    assert len(rig.learner._tasks) == 10


def test_large_calls_and_results_are_not_kept_for_learning_or_the_record(rig: Rig) -> None:
    large = '{"id":"%s"}' % ("x" * 3_000_000)
    rig.client(call(1, "put", large)).server(answer(1, large.encode()))
    assert rig.learner._task_bytes == 0
    assert [(row.arguments, row.result) for row in rig.recorder.calls] == [(None, None)]


# --- validators -----------------------------------------------------------------------------------------------------


def test_a_file_that_changed_is_read_for_real(rig: Rig) -> None:
    rig.validators.values = {"/f": "one"}
    rig.held("cat", path="/f")
    rig.validators.values = {"/f": "two"}
    assert rig.client(call(1, "cat", '{"path":"/f"}')).to_server == [call(1, "cat", '{"path":"/f"}')]


def test_a_file_that_did_not_change_is_answered_from_what_is_held(rig: Rig) -> None:
    rig.validators.values = {"/f": "one"}
    rig.held("cat", path="/f")
    assert rig.client(call(1, "cat", '{"path":"/f"}')).to_client == [answer(1)]


def test_a_call_does_not_wait_long_for_a_validator_that_is_slow_and_is_answered_once(rig: Rig) -> None:
    cat = call(1, "cat", '{"path":"/f"}')
    rig.validators.values = {"/f": "one"}
    rig.held("cat", path="/f")
    rig.validators.is_slow = True
    assert rig.client(cat).to_server == []
    assert rig.waits(1.0).to_server == [cat]
    for late in rig.validators.late:
        late()
    assert rig.server(answer(1)).to_client == [answer(1)]
    assert rig.is_empty()


def test_modes_differ_in_what_they_launch(monkeypatch: pytest.MonkeyPatch) -> None:
    rig = Rig(monkeypatch, Mode.OFF, TOOLS)
    rig.client(call(1, "get")).server(answer(1)).predicts("get", id=2)
    assert rig.to_server == [call(1, "get")]
