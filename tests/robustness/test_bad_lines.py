"""Bad input from either side goes through as it is, and harms nothing after it."""

from __future__ import annotations

import json

import pytest

from tests.pipes import RawClient
from tests.robustness.conftest import MakeWrapped

LARGE_BYTES = 50_000_000
LARGE_S = 60.0
MODES = pytest.mark.parametrize("mode", ["off", "on"])


def works(client: RawClient) -> None:
    """The session goes on as if nothing had been."""
    assert client.call("write", {"key": "still", "value": "works"}).text == "written"
    assert client.call("read", {"key": "still"}).text == '"works"'


@MODES
@pytest.mark.parametrize(
    "line", [b"this is no JSON", b'{"jsonrpc":"2.0","id":5,', b"\xff\xfe\x00", b"[]", b'"text"', b"7"]
)
def test_a_client_line_that_is_no_request_reaches_the_server_and_its_answer_the_client(
    wrap: MakeWrapped, mode: str, line: bytes
) -> None:
    client = wrap(wrap_options=["--mode", mode])
    client.initialize()
    client.send_line(line)
    works(client)
    assert line + b"\n" in client.received
    if line != b"[]":
        client.wait(lambda got: got.is_answer and got.message["id"] is None and "error" in got.message)


@MODES
def test_empty_lines_are_no_reason_to_stop(wrap: MakeWrapped, mode: str) -> None:
    client = wrap(wrap_options=["--mode", mode])
    client.send_bytes(b"\n\n  \n")
    client.initialize()
    works(client)


def test_a_line_of_50_mb_passes_each_way(wrap: MakeWrapped) -> None:
    client = wrap(wrap_options=["--mode", "on"])
    client.initialize()
    large = "x" * LARGE_BYTES
    assert client.answer(client.begin_call("write", {"key": "large", "value": large}), LARGE_S).text == "written"
    assert len(client.received) > LARGE_BYTES
    answer = client.answer(client.begin_call("big", {"bytes": LARGE_BYTES}), LARGE_S)
    assert len(answer.text) == LARGE_BYTES
    works(client)


@MODES
def test_an_answer_that_nobody_asked_for_passes_and_is_ignored(wrap: MakeWrapped, mode: str) -> None:
    client = wrap(wrap_options=["--mode", mode])
    client.initialize()
    client.send({"jsonrpc": "2.0", "id": "never-asked", "result": {"x": 1}})
    assert client.wait_mark("stray-answer")["id"] == "never-asked"
    works(client)


@MODES
def test_two_requests_under_one_id_are_both_answered(wrap: MakeWrapped, mode: str) -> None:
    client = wrap(wrap_options=["--mode", mode])
    client.initialize()
    for key in ("a", "b"):
        client.request("tools/call", {"name": "read", "arguments": {"key": key}}, request="twin")
    works(client)
    answers = [line for line in client.lines if line.is_answer and line.message["id"] == "twin"]
    assert [line.message["result"]["structuredContent"]["key"] for line in answers] == ["a", "b"]


@MODES
def test_a_banner_on_standard_output_passes_and_the_handshake_works(wrap: MakeWrapped, mode: str) -> None:
    client = wrap("--banner", wrap_options=["--mode", mode])
    client.initialize()
    works(client)
    assert [line.raw for line in client.lines[:4]] == [b"Welcome to the hostile server!", b"", b"   ", b"{not json}"]


@MODES
def test_a_flood_of_notifications_arrives_whole_and_in_order(wrap: MakeWrapped, mode: str) -> None:
    client = wrap(wrap_options=["--mode", mode])
    client.initialize()
    client.list_tools()
    client.answer(client.begin_call("flood", {"n": 30_000}), LARGE_S)
    flood = client.notifications("notifications/message")
    assert [line.message["params"]["data"] for line in flood] == list(range(30_000))
    works(client)


@MODES
def test_a_second_answer_passes_as_it_would_without_us(wrap: MakeWrapped, mode: str) -> None:
    client = wrap(wrap_options=["--mode", mode])
    client.initialize()
    request = client.begin_call("twice")
    works(client)
    answers = [line.text for line in client.lines if line.is_answer and line.message["id"] == request]
    assert answers == ["first", "second"]


@MODES
def test_an_answer_after_the_cancellation_passes_as_it_would_without_us(wrap: MakeWrapped, mode: str) -> None:
    client = wrap(wrap_options=["--mode", mode])
    client.initialize()
    request = client.begin_call("after_cancel")
    client.wait_mark("waiting-for-cancel")
    client.notify("notifications/cancelled", {"requestId": request, "reason": "r"})
    assert client.answer(request).text == "too late"
    works(client)


@MODES
def test_a_call_that_is_never_answered_holds_up_nothing(wrap: MakeWrapped, mode: str) -> None:
    client = wrap(wrap_options=["--mode", mode])
    client.initialize()
    request = client.begin_call("never")
    client.wait_mark("never")
    works(client)
    assert not [line for line in client.lines if line.is_answer and line.message["id"] == request]
    client.close_input()
    assert client.wait_exit() == 0


@MODES
def test_answers_under_ids_that_nobody_gave_pass_and_confuse_nothing(wrap: MakeWrapped, mode: str) -> None:
    client = wrap(wrap_options=["--mode", mode])
    client.initialize()
    assert client.call("wrong_id").text == "right"
    wrong = [line.message["id"] for line in client.lines if line.is_answer and "wrong" in json.dumps(line.message)]
    assert wrong == [987654, "2", None]
    works(client)


@MODES
def test_a_line_that_comes_in_pieces_is_one_line(wrap: MakeWrapped, mode: str) -> None:
    client = wrap(wrap_options=["--mode", mode])
    client.initialize()
    assert client.call("partial", {"chunk_bytes": 3}).text.startswith("in pieces")
    for piece in (b'{"jsonrpc":"2.0",', b'"id":"pieces","me', b'thod":"ping"}', b"\n"):
        client.send_bytes(piece)
    client.answer("pieces")


def test_a_last_line_without_its_end_still_reaches_the_server(wrap: MakeWrapped) -> None:
    client = wrap()
    client.initialize()
    client.send_bytes(b'{"jsonrpc":"2.0","method":"notifications/last"}')
    client.close_input()
    assert client.wait_exit() == 0
    assert client.received.endswith(b'{"jsonrpc":"2.0","method":"notifications/last"}')
