"""The way of a call through the bridge: hits, joins and misses, ids and cancellations."""

from __future__ import annotations

import json

import pytest

from spec_mcp.engine.events import Mode
from spec_mcp.relay import asked
from spec_mcp.store.rows import SpeculationRow
from tests.relay.rig import Rig, answer, call, cancelled, notification, own_id, progress, request

# --- misses ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "line",
    [
        call(1, "get"),
        call("1", "put"),
        b'{ "method" : "tools/call" , "id":  7e0, "params" : {"name":"get"} , "x" : 1e400 , "jsonrpc":"2.0"}',
        b'{"jsonrpc":"2.0","id":"\\ud800","method":"x/unknown","params":{"a":"\\udfff","a":"\xff"}}',
        b'{"jsonrpc":"2.0","id":null,"method":"ping"}',
        b"not JSON at all",
        b"",
        b'[{"jsonrpc":"2.0","id":1,"method":"ping"}, {"jsonrpc":"2.0","method":"notifications/x"}]',
        b"[]",
        b"[1, 2]",
        b'{"jsonrpc":"2.0","id":"never asked","result":{}}',
        b'{"jsonrpc":"2.0","id":9,"method":"a","params":' + b"[" * 3000 + b"]" * 3000 + b"}",
    ],
)
@pytest.mark.parametrize("mode", list(Mode))
def test_what_the_client_says_reaches_the_server_byte_for_byte(
    monkeypatch: pytest.MonkeyPatch, mode: Mode, line: bytes
) -> None:
    rig = Rig(monkeypatch, mode)
    assert rig.client(line).to_server == [line]


@pytest.mark.parametrize(
    "line",
    [
        answer(1),
        b'{"jsonrpc":"2.0","id":1,"error":{"code":-1,"message":"\\ud800","data":{"a":1,"a":2}}}',
        b'{"jsonrpc":"2.0","id":1,"method":null,"result":{}, "error" :null}',
        b"a banner",
        b'{"jsonrpc":"2.0","id":"never asked","result":{}}',
        notification("notifications/message", '{"level":"info","data":"\\ud800"}'),
        b'[{"jsonrpc":"2.0","id":5,"result":{}} , {"jsonrpc":"2.0","method":"notifications/x"}]',
        b'[{"jsonrpc":"2.0","id":5,"result":"\\ud800"},7]',
        request("from the server", "sampling/createMessage"),
    ],
)
def test_what_the_server_says_reaches_the_client_byte_for_byte(rig: Rig, line: bytes) -> None:
    rig.client(call(1, "get"))
    assert rig.server(line).to_client == [line]


def test_what_the_client_says_keeps_its_order(rig: Rig) -> None:
    lines = [call(1, "get"), notification("notifications/x"), b"no JSON", call(2, "put"), request(3, "ping")]
    for line in lines:
        rig.client(line)
    assert rig.to_server == lines


def test_an_answered_call_leaves_nothing_behind(rig: Rig) -> None:
    rig.client(call(1, "get")).client(request(2, "ping")).server(answer(2)).server(answer(1)).quiet()
    assert rig.is_empty()
    assert [(row.tool, row.how) for row in rig.recorder.calls] == [("get", "miss")]


# --- hits -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("id_", [7, "seven", "", b"7.0", b'"\\u0037\\ud800"', b"null", b"true"])
def test_a_held_result_is_the_servers_own_bytes_under_the_calls_id(rig: Rig, id_: object) -> None:
    result = b'{"content" : [ {"type":"text","text":"\xc3\xa9 \\ud800"} ], "n":12345678901234567890}'
    rig.held(result=result)
    assert rig.client(call(id_, "get")).to_client == [answer(id_, result)]
    assert rig.to_server == []
    assert rig.is_empty()


def test_a_held_result_answers_one_call(rig: Rig) -> None:
    rig.held()
    assert len(rig.client(call(1, "get")).to_client) == 1
    assert rig.client(call(2, "get")).to_server == [call(2, "get")]


def test_a_reusable_result_answers_again_with_its_progress(rig: Rig) -> None:
    own = rig.launched("again")
    rig.server(progress(own, 1)).server(answer(own))
    for number in (1, 2):
        rig.client(call(number, "again", meta=f'{{"progressToken":{number}}}'))
        assert rig.to_client == [progress(b"%d" % number, 1), answer(number)]


@pytest.mark.parametrize(
    "unlike",
    [
        call(1, "get", more=',"task":{"ttl":1}'),
        call(1, "get", more=',"inputResponses":{}'),
        call(1, "get", '{"id":1.0}'),
        call(1, "get", '{"id":1,"id":1}'),
        call(1, "get", '{"id":1,"more":null}'),
        call(1, "get", meta='{"x":1}'),
        call(1, "get").replace(b'"params":', b'"params":{"name":"put","arguments":{}},"params":'),
        call(1, "get").replace(b'"name":"get"', b'"name":"put","name":"get"'),
        call(1, "get").replace(b'"name":"get"', b'"name":"put", "name":"get"'),
        call(1, "get").replace(b'"jsonrpc":"2.0"', b'"extra":"mem"'),
        call("x" * 5000, "get"),
    ],
)
def test_a_call_that_is_not_the_same_is_made_for_real(rig: Rig, unlike: bytes) -> None:
    rig.held()
    assert rig.client(unlike).to_server == [unlike]
    assert rig.to_client == []


@pytest.mark.parametrize(
    "same",
    [
        call(1, "get", '{ "id" : 1 }'),
        call(1, "get").replace(b":", b" : ").replace(b",", b" , "),
        b'{"method":"tools/call","params":{"arguments":{"id":1},"name":"get"},"jsonrpc":"2.0","id":1}',
        call(1, "get", meta='{"progressToken":1,"traceparent":"t"}'),
        call(1, "get", meta='{"progressToken":{"odd":"\\ud800"}}'),
        call(1, "get").replace(b'"get"', b'"g\\u0065t"'),
    ],
)
def test_a_call_that_is_the_same_in_other_words_is_answered(rig: Rig, same: bytes) -> None:
    rig.held()
    assert rig.client(same).to_client == [answer(1)]


def test_progress_of_a_held_result_comes_before_it_and_under_the_calls_token(rig: Rig) -> None:
    own = rig.launched()
    rig.server(progress(own, 1)).server(progress(own, 2, ',"message": "half"')).server(answer(own))
    assert rig.to_client == []
    rig.client(call(1, "get", meta='{"progressToken":"t\\u0031"}'))
    token = b'"t\\u0031"'
    assert rig.to_client == [progress(token, 1), progress(token, 2, ',"message": "half"'), answer(1)]


def test_progress_goes_to_nobody_who_did_not_ask_for_it(rig: Rig) -> None:
    own = rig.launched()
    rig.server(progress(own, 1)).server(answer(own))
    assert rig.client(call(1, "get")).to_client == [answer(1)]


@pytest.mark.parametrize("count", [300, 20])
def test_a_flood_of_progress_is_not_held_and_its_result_not_used(rig: Rig, count: int) -> None:
    own = rig.launched()
    for number in range(count):
        rig.server(progress(own, number, f',"message":"{"x" * (6_000_000 // count // 20)}"'))
    rig.server(answer(own))
    assert rig.client(call(1, "get")).to_server == [call(1, "get")]


@pytest.mark.parametrize(
    "bad",
    [
        b'{"jsonrpc":"2.0","id":OWN,"error":{"code":-1,"message":"no"}}',
        b'{"jsonrpc":"2.0","id":OWN}',
        answer(b"OWN", b'{"content":[],"isError":true}'),
        answer(b"OWN", b'{"content":[],"isError":null}'),
        answer(b"OWN", b'{"content":["\\ud800"],"is\\u0045rror":true}'),
        answer(b"OWN", b'{"content":[],"resultType":"input_required"}'),
        answer(b"OWN", b'{"content":[],"status":5,"taskId":6,"resultType":"input_required"}'),
        answer(b"OWN", b'{"content":[],"resultType":"x-novel"}'),
        answer(b"OWN", b'{"task":{"taskId":"t"}}'),
        answer(b"OWN", b'{"content":[OWN]}'),
        answer(b"OWN", b"5"),
        answer(b"OWN", b"null"),
        answer(b"ODD"),
        b'[{"jsonrpc":"2.0","id":OWN,"error":{"code":-1,"message":"no"}}]',
    ],
)
def test_an_answer_that_is_not_good_is_never_adopted(rig: Rig, bad: bytes) -> None:
    own = rig.launched()
    rig.server(bad.replace(b"OWN", own).replace(b"ODD", own.replace(b"spec", b"\\u0073pec")))
    assert rig.to_client == []
    assert rig.client(call(1, "get")).to_server == [call(1, "get")]
    assert rig.server(answer(1)).to_client == [answer(1)]
    assert rig.is_empty()


# --- joins ----------------------------------------------------------------------------------------------------------


def test_a_call_joins_a_running_speculation_and_gets_its_answer_once(rig: Rig) -> None:
    own = rig.launched()
    assert rig.client(call(1, "get")).to_server == []
    rig.server(answer(own)).server(answer(own))
    assert rig.to_client == [answer(1)]
    assert rig.is_empty()


def test_a_join_that_fails_is_made_for_real_and_answered_once(rig: Rig) -> None:
    own = rig.launched()
    rig.client(call(1, "get"))
    rig.server(answer(own, b'{"content":[],"isError":true}'))
    assert rig.to_server == [call(1, "get")]
    assert rig.server(answer(1)).to_client == [answer(1)]
    assert rig.is_empty()


def test_a_join_that_lasts_too_long_is_made_for_real_and_the_late_answer_swallowed(rig: Rig) -> None:
    own = rig.launched()
    rig.client(call(1, "get")).waits(60)
    assert rig.to_server[0] == call(1, "get")
    rig.server(answer(1)).server(progress(own, 1)).server(answer(own))
    assert rig.to_client == [answer(1)]
    assert rig.is_empty()


def test_a_write_sends_the_joined_read_before_it(rig: Rig) -> None:
    rig.launched()
    rig.client(call(1, "get")).client(call(2, "put"))
    sent = [line for line in rig.to_server if b"cancelled" not in line]
    assert sent == [call(1, "get"), call(2, "put")]


# --- ids ------------------------------------------------------------------------------------------------------------


def test_a_number_and_the_same_digits_as_a_string_are_two_ids(rig: Rig) -> None:
    rig.launched()
    rig.client(call("1", "get")).client(call(1, "put", '{"id":2}'))
    assert rig.server(answer(1)).to_client == [answer(1)]
    assert [one.id_raw for one in rig.bridge.asked] == [b'"1"']


def test_equal_ids_in_flight_are_both_answered_also_where_one_joined(rig: Rig) -> None:
    own = rig.launched()
    rig.client(call(1, "get"))
    rig.client(call(1, "look", '{"id":9}'))
    assert rig.to_server == [call(1, "look", '{"id":9}')]
    assert rig.server(answer(1)).to_client == [answer(1)]
    assert rig.server(answer(own, b'{"content":[1]}')).to_client == [answer(1, b'{"content":[1]}')]
    assert rig.is_empty()


def test_a_client_whose_ids_look_like_ours_is_served_all_the_same(rig: Rig) -> None:
    stolen = json.loads(rig.held())[:-1] + "77"
    rig.client(call(stolen, "put"))
    assert rig.to_server == [call(stolen, "put")]
    assert rig.server(answer(stolen)).to_client == [answer(stolen)]


def test_a_server_that_answers_our_id_again_and_again_tells_the_client_nothing(rig: Rig) -> None:
    own = rig.held()
    rig.server(answer(own)).server(answer(own.replace(b"-", b"\\u002d")))
    rig.server(b'{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":%s}}' % own)
    rig.server(b"[%s, %s]" % (answer(own), answer(own)))
    rig.server(b"debug: answering " + own)
    assert rig.to_client == []


def test_our_answer_in_a_batch_is_cut_out_of_it(rig: Rig) -> None:
    own = rig.launched()
    rig.client(call(1, "look", '{"id":9}'))
    rig.server(b"[%s ,%s, 7]" % (answer(own), answer(1)))
    assert rig.to_client == [b"[%s,7]" % answer(1)]
    assert rig.client(call(2, "get")).to_client == [answer(2)]
    assert rig.is_empty()


def test_requests_without_an_answer_are_bounded(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asked, "ASKED_MAX", 10)
    for number in range(50):
        rig.client(request(number, "ping"))
    assert len(rig.bridge.asked) == 10
    assert rig.server(answer(0)).to_client == [answer(0)]


# --- cancellations --------------------------------------------------------------------------------------------------


def test_cancelling_a_joined_call_is_told_to_nobody_and_answered_by_nobody(rig: Rig) -> None:
    own = rig.launched()
    rig.client(call(1, "get")).client(cancelled(1))
    assert not [line for line in rig.to_server if b'"requestId":1,' in line]
    rig.server(answer(own))
    assert rig.to_client == []
    assert rig.is_empty()


def test_cancelling_an_adopted_call_late_is_told_to_nobody_until_its_id_is_used_again(rig: Rig) -> None:
    rig.held()
    rig.client(call(1, "get")).client(cancelled(1))
    assert rig.to_server == []
    rig.client(call(1, "put")).server(answer(1)).client(cancelled(1))
    assert rig.to_server == [call(1, "put"), cancelled(1)]


def test_a_cancellation_reaches_the_server_with_its_reason_each_time_and_the_answer_the_client(rig: Rig) -> None:
    rig.client(call(1, "put")).client(cancelled(1, "a")).client(cancelled(1, "b"))
    assert rig.to_server == [call(1, "put"), cancelled(1, "a"), cancelled(1, "b")]
    assert rig.server(answer(1)).to_client == [answer(1)]
    assert rig.is_empty()


def test_cancelling_what_nobody_asked_reaches_the_server(rig: Rig) -> None:
    assert rig.client(cancelled("what?")).to_server == [cancelled("what?")]


def test_cancelling_one_of_a_batch_leaves_the_others_awaited(rig: Rig) -> None:
    batch = b"[%s,%s]" % (call(1, "put"), request(2, "ping"))
    rig.client(batch).client(cancelled(1))
    assert rig.to_server == [batch, cancelled(1)]
    assert rig.bridge.awaited == 1
    assert rig.server(b"[%s,%s]" % (answer(2), answer(1))).to_client == [b"[%s,%s]" % (answer(2), answer(1))]
    assert rig.is_empty()


def test_cancelled_requests_that_are_never_answered_are_bounded(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asked, "CANCELLED_MAX", 10)
    for number in range(50):
        rig.client(request(number, "x/slow")).client(cancelled(number))
    assert len(rig.bridge.asked) == 10


# --- batches and tasks ----------------------------------------------------------------------------------------------


def test_a_batch_spoils_what_it_writes_and_is_answered_by_the_server(rig: Rig) -> None:
    rig.held()
    batch = b"[%s,%s]" % (call(1, "get"), call(2, "put"))
    rig.client(batch)
    assert rig.to_server == [batch]
    rig.server(b"[%s]" % answer(1))
    assert rig.bridge.awaited == 1
    rig.server(answer(2))
    assert rig.is_empty()
    assert rig.client(call(3, "get")).to_server == [call(3, "get")]


def test_a_task_holds_back_speculation_until_it_has_ended(rig: Rig) -> None:
    rig.client(call(1, "put", more=',"task":{}')).server(answer(1, b'{"task":{"taskId":"t","status":"working"}}'))
    _ = rig.to_server
    rig.predicts("get", id=1)
    assert rig.to_server == []
    rig.server(notification("notifications/tasks/status", '{"taskId":"t","status":"completed"}'))
    rig.client(call(2, "unheard-of", '{"id":2}')).server(answer(2)).quiet()
    assert b'"get"' in rig.to_server[-1]


# --- shadow mode ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("real", "verdict"),
    [
        (b'{"content":[], "a":{"b":1,"c":2}}', "same"),
        (b'{"content":[], "a":{"b":1,"c":2.0}}', "different"),
        (b'{"content":["' + b"x" * 2_000_000 + b'"]}', "different"),
    ],
)
@pytest.mark.parametrize("real_first", [True, False])
def test_shadow_mode_answers_with_the_real_call_and_compares(
    monkeypatch: pytest.MonkeyPatch, real: bytes, verdict: str, real_first: bool
) -> None:
    rig = Rig(monkeypatch, Mode.SHADOW)
    own = rig.launched()
    speculated = answer(own, b'{"a":{"c":2,"b":1},"content":[]}')
    if not real_first:
        rig.server(speculated)
    assert rig.client(call(1, "get")).to_server == [call(1, "get")]
    assert rig.server(answer(1, real)).to_client == [answer(1, real)]
    if real_first:
        rig.server(speculated)
    assert rig.recorder.comparisons == [], "something is compared while somebody may have something to say"
    (row,) = rig.quiet().recorder.comparisons
    assert (row.tool, row.verdict, row.is_check, row.how) == ("get", verdict, False, "join" if real_first else "hit")
    assert (row.early is not None) == (verdict == "different")
    assert (row.real is not None) == (verdict == "different" and len(real) < 2**15)
    assert rig.is_empty()
    assert [row.reason for row in rig.recorder.rows if isinstance(row, SpeculationRow)] == ["compared"]


def test_switching_off_sends_what_waits_and_forgets_what_is_held(rig: Rig) -> None:
    rig.launched()
    rig.client(call(1, "get"))
    rig.bridge.on_client_left()
    assert rig.to_server[0] == call(1, "get")
    assert not rig.bridge.has_unsent
    assert rig.server(answer(1)).to_client == [answer(1)]


def test_an_own_id_is_new_each_time(rig: Rig) -> None:
    assert len({rig.launched(id=1), rig.launched(id=2), own_id(rig.client(call(3, "put")).to_server[-1])}) == 3
