"""Attach mode: what goes along with a reply, and what never does."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from spec_mcp.engine.effects import Effect, ToolPolicy
from spec_mcp.engine.events import Candidate, Mode
from spec_mcp.relay import extras, wire
from spec_mcp.store.rows import SpeculationRow
from tests.relay.rig import SERVER, SETTINGS, Rig, answer, call, request

VERSION = "2025-11-25"
SHOP = b'{"content":[{"type":"text","text":"two \\"lines\\"\\nof it"}]}'
READ = ToolPolicy(Effect.READ, ("thing:{id}",), exclusive=True, open_world=False)
TOOLS = {"get": READ, "look": READ, "put": ToolPolicy(Effect.UNSAFE, ("thing:{id}",), open_world=False)}


def a_rig(monkeypatch: pytest.MonkeyPatch, version: str = VERSION, attach: bool = True, mode: Mode = Mode.ON) -> Rig:
    rig = Rig(monkeypatch, mode, TOOLS, settings=replace(SETTINGS, attach=attach))
    about = f'{{"protocolVersion":"{version}","capabilities":{{}},"clientInfo":{{"name":"c","version":"1"}}}}'
    hello = b'{"protocolVersion":"%s","capabilities":{},"serverInfo":{"name":"s","version":"1"}}' % version.encode()
    rig.client(request(0, "initialize", about)).server(answer(0, hello))
    rig.lists(TOOLS)
    _ = rig.to_client, rig.to_server
    return rig


def likely(*calls: tuple[str, dict[str, Any]], q: float = 0.99) -> list[Candidate]:
    return [Candidate(SERVER, tool, arguments, q, "script", True) for tool, arguments in calls]


def with_one_held(rig: Rig, result: bytes = SHOP, q: float = 0.99) -> Rig:
    """The client has looked at 1, and now calls for 2; meanwhile 3 has been read for it."""
    rig.client(call(1, "look", '{"id":1}')).server(answer(1))
    rig.predictor.says = likely(("get", {"id": 3}), q=q)
    (own,) = [json.dumps(json.loads(line)["id"]).encode() for line in rig.quiet().to_server if b"spec" in line]
    rig.server(answer(own, result))
    rig.client(call(2, "look", '{"id":2}'))
    _ = rig.to_client, rig.to_server
    return rig


def items(line: bytes) -> list[dict[str, Any]]:
    return json.loads(line)["result"]["content"]


def test_a_likely_read_that_is_held_goes_along_with_the_servers_answer(monkeypatch: pytest.MonkeyPatch):
    rig = with_one_held(a_rig(monkeypatch))
    (line,) = rig.server(answer(2, b'{"content" : [ {"type":"text","text":"its own"} ] , "x":1e400}')).to_client
    assert line.startswith(b'{"jsonrpc": "2.0", "id": 2,  "result": {"content" : [ {"type":"text","text":"its own"} ')
    assert line.endswith(b'] , "x":1e400}}')
    own, extra = items(line.replace(b"1e400", b"1"))
    assert own == {"type": "text", "text": "its own"}
    assert extra["_meta"] == {"spec-mcp/attached": True}
    label, _, body = extra["text"].partition("\n")
    assert "spec-mcp" in label
    assert "ahead of the call" in label
    assert "get" in label
    assert json.loads(body) == {"tool": "get", "arguments": {"id": 3}, "content": ['two "lines"\nof it']}


def test_the_client_may_call_all_the_same_and_both_are_counted(monkeypatch: pytest.MonkeyPatch):
    rig = with_one_held(a_rig(monkeypatch))
    assert len(items(rig.server(answer(2)).to_client[0])) == 1
    rig.client(call(3, "get", '{"id":3}'))
    assert json.loads(rig.to_client[0])["result"] == json.loads(SHOP)
    rig.quiet()
    assert [(row.tool, row.how, row.was_attached) for row in rig.recorder.calls][-1] == ("get", "hit", True)
    (ended,) = [row for row in rig.recorder.rows if isinstance(row, SpeculationRow)]
    assert (ended.state, ended.attached_to is not None, ended.attached_bytes > 100) == ("adopted", True, True)


def test_it_goes_along_with_an_adopted_answer_too_and_once_only(monkeypatch: pytest.MonkeyPatch):
    rig = a_rig(monkeypatch)
    rig.client(call(1, "look", '{"id":1}')).server(answer(1))
    rig.predictor.says = likely(("get", {"id": 2}), ("get", {"id": 3}))
    for line in rig.quiet().to_server:
        if b"spec" in line:
            rig.server(answer(json.dumps(json.loads(line)["id"]).encode(), SHOP))
    _ = rig.to_client
    (line,) = rig.client(call(2, "get", '{"id":2}')).to_client
    assert ['"id":3' in one["text"] for one in items(line)] == [False, True]
    rig.client(call(3, "look", '{"id":9}')).server(answer(3))
    assert items(rig.to_client[-1]) == []


def test_the_predictor_and_the_record_hear_the_answer_alone_and_then_what_was_attached(monkeypatch: pytest.MonkeyPatch):
    rig = with_one_held(a_rig(monkeypatch))
    rig.server(answer(2, b'{"content":[{"type":"text","text":"its own"}]}')).quiet()
    assert rig.recorder.calls[-1].result == b'{"content":[{"type":"text","text":"its own"}]}'
    (given,) = rig.predictor.given
    assert (given.tool, given.arguments, given.result) == ("get", {"id": 3}, {"text": 'two "lines"\nof it'})


@pytest.mark.parametrize(
    "reply",
    [
        b'{"content":[],"isError":true}',
        b'{"content":[],"isError" : true}',
        b'{"structuredContent":{}}',
        b'{"content":"none"}',
        b'{"content":[],"content":[]}',
        b'{"content":[],"resultType":"task","taskId":"t"}',
        b'{"content":[],"resultType":"input_required"}',
        b'{"task":{"taskId":"t","status":"working"},"content":[]}',
    ],
)
def test_nothing_is_attached_to_what_is_no_plain_good_result(monkeypatch: pytest.MonkeyPatch, reply: bytes):
    rig = with_one_held(a_rig(monkeypatch))
    line = answer(2, reply)
    assert rig.server(line).to_client == [line]


@pytest.mark.parametrize("q", [0.5, 0.79])
def test_what_is_less_than_very_likely_is_not_attached(monkeypatch: pytest.MonkeyPatch, q: float):
    rig = with_one_held(a_rig(monkeypatch), q=q)
    assert rig.server(answer(2)).to_client == [answer(2)]


@pytest.mark.parametrize("version", ["2024-11-05", "2025-03-26", "2099-01-01"])
def test_a_client_whose_version_knows_no_such_items_gets_none(monkeypatch: pytest.MonkeyPatch, version: str):
    rig = with_one_held(a_rig(monkeypatch, version))
    assert rig.server(answer(2)).to_client == [answer(2)]


@pytest.mark.parametrize(("attach", "mode"), [(False, Mode.ON), (True, Mode.SHADOW)])
def test_without_being_switched_on_every_byte_is_as_it_came(monkeypatch: pytest.MonkeyPatch, attach: bool, mode: Mode):
    rig = with_one_held(a_rig(monkeypatch, attach=attach, mode=mode))
    assert rig.server(answer(2)).to_client == [answer(2)]


def test_what_a_write_has_spoiled_is_not_attached(monkeypatch: pytest.MonkeyPatch):
    rig = with_one_held(a_rig(monkeypatch))
    rig.client(call(5, "put", '{"id":3}'))
    assert rig.server(answer(2)).to_client == [answer(2)]


@pytest.mark.parametrize(
    "result",
    [
        b'{"content":[{"type":"image","data":"x","mimeType":"image/png"}]}',
        b'{"content":[{"type":"text","text":"\\ud800"}]}',
        b'{"content":[{"type":"text","text":"%s"}]}' % (b"x" * 20_000),
        b'{"structuredContent":{"a":1}}',
    ],
)
def test_a_result_that_no_text_can_tell_is_not_attached(monkeypatch: pytest.MonkeyPatch, result: bytes):
    rig = with_one_held(a_rig(monkeypatch), result)
    assert rig.server(answer(2)).to_client == [answer(2)]


def test_structured_content_is_told_where_the_text_says_something_else():
    same = extras.item("t", {}, b'{"content":[{"type":"text","text":"{\\"a\\":1}"}],"structuredContent":{"a":1}}')
    other = extras.item("t", {}, b'{"content":[{"type":"text","text":"one"}],"structuredContent":{"a":1}}')
    assert b"structuredContent" not in same
    assert b"structuredContent" in other


def test_items_go_behind_those_that_are_there_and_into_an_empty_list():
    for text in (b'{"id":1,"result":{"content":[ ]}}', b'{"id":1,"result":{"a":"]","content":[{"b":"]"} ]}}'):
        message = wire.read(text)
        assert isinstance(message, wire.Envelope)
        place = extras.place_in(message, text)
        assert place is not None
        before = json.loads(text)["result"]["content"]
        assert json.loads(extras.with_items(text, place, [b"1", b"2"]))["result"]["content"] == [*before, 1, 2]
