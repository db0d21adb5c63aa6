"""The server dies: calls in flight learn of it at once, and the next request has a server again."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.pipes import Line, eventually
from tests.robustness.conftest import SPEC_MCP, MakeWrapped, Wrapped

HOWS = pytest.mark.parametrize("how", ["mid-line", "exit", "kill"])


def assert_clear_error(answer: Line) -> None:
    """An error of JSON-RPC that says that the server is gone."""
    error = answer.message["error"]
    assert isinstance(error["code"], int)
    assert "server" in error["message"].lower()


def initialized(client: Wrapped) -> Wrapped:
    client.initialize(capabilities={"roots": {"listChanged": True}})
    return client


@HOWS
def test_calls_in_flight_get_a_clear_error(wrap: MakeWrapped, how: str) -> None:
    client = initialized(wrap())
    waiting = client.begin_call("never")
    client.wait_mark("never")
    dying = client.begin_call("die", {"how": how})
    for request in (waiting, dying):
        assert_clear_error(client.answer(request))
    assert all(line.message is not None for line in client.lines), "half a line reached the client"


@HOWS
def test_the_next_request_restarts_the_server_and_replays_the_handshake(wrap: MakeWrapped, how: str) -> None:
    client = initialized(wrap())
    first = client.wait_mark("started")["pid"]
    assert_clear_error(client.answer(client.begin_call("die", {"how": how})))
    assert int(client.call("pid").text) != first
    assert client.marks("started")[-1]["pid"] != first
    hello = [line for line in client.received.splitlines() if b'"initialize"' in line]
    assert len(hello) == 2
    assert b'"roots":{"listChanged":true}' in hello[1]
    assert client.received.count(b"notifications/initialized") == 2
    answers = [line.message["id"] for line in client.lines if line.is_answer]
    assert len(answers) == len(set(answers)) == 3, "the client saw an answer that was ours"


def test_a_server_that_is_gone_is_not_restarted_before_it_is_needed(wrap: MakeWrapped) -> None:
    client = initialized(wrap())
    client.answer(client.begin_call("die", {"how": "exit"}))
    client.close_input()
    client.wait_exit()
    assert len(client.marks("started")) == 1


def test_a_server_that_dies_at_every_start_is_tried_again_later_and_not_at_once(
    wrap: MakeWrapped, tmp_path: Path
) -> None:
    broken = tmp_path / "broken"
    client = initialized(wrap("--die-at-start", str(broken)))
    broken.touch()
    client.answer(client.begin_call("die", {"how": "exit"}))
    for _ in range(20):
        assert_clear_error(client.call("pid"))
    assert len(client.marks("died-at-start")) <= 12, "a spawn storm"
    broken.unlink()
    eventually(lambda: "error" not in client.call("pid").message, "the server is there again", 30)


def test_a_client_of_the_stateless_era_needs_no_handshake_after_a_restart(wrap: MakeWrapped) -> None:
    meta = {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
    }
    client = wrap()
    client.ask("server/discover", {"_meta": meta})
    client.answer(client.begin_call("die", {"how": "exit"}, _meta=meta))
    assert client.call("read", {"key": "k"}, _meta=meta).text == "null"
    assert b'"initialize"' not in client.received


def test_what_a_write_did_before_the_crash_is_not_answered_from_before_it(wrap: MakeWrapped) -> None:
    client = initialized(wrap())
    client.list_tools()
    client.call("write", {"key": "k", "value": 1})
    assert client.call("read", {"key": "k"}).text == "1"
    client.answer(client.begin_call("die", {"how": "kill"}))
    assert client.call("read", {"key": "k"}).text == "null"


def test_a_command_that_does_not_exist_is_said_in_one_line(tmp_path: Path) -> None:
    done = subprocess.run(
        [str(SPEC_MCP), "wrap", "--", str(tmp_path / "no-such-server")],
        input=b'{"jsonrpc":"2.0","id":1,"method":"ping"}\n',
        capture_output=True,
        timeout=30,
        check=False,
    )
    assert done.returncode in (1, 2)
    assert b"no-such-server" in done.stderr
    assert b"Traceback" not in done.stderr
