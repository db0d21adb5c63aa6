"""`spec-mcp run` over standard input and output, with real servers behind it."""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from spec_mcp.__main__ import run
from tests.cli.gateways import Gated, Unread, configured, over_stdio, python, said
from tests.pipes import MODERN, RawClient, eventually, is_alive

META = {
    "io.modelcontextprotocol/protocolVersion": MODERN,
    "io.modelcontextprotocol/clientCapabilities": {},
    "io.modelcontextprotocol/clientInfo": {"name": "raw", "version": "0"},
}
CHANGED = "notifications/tools/list_changed"


@pytest.fixture
def gated(tmp_path: Path) -> Gated:
    return Gated(tmp_path / "gated")


def names(client: RawClient) -> list[str]:
    return [tool["name"] for tool in client.list_tools()]


# --- the command line -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--only", "lite"), "--only lite: there is no such server in"),
        (("--http", "localhost"), "--http localhost: write HOST:PORT"),
        (("--http", "localhost:99999"), "write HOST:PORT"),
        (("--http", "0.0.0.0:0"), "SPEC_MCP_TOKEN"),
        (("--mode", "loud"), "--mode"),
        (("--config", "/no/such/file.toml"), "/no/such/file.toml"),
    ],
)
def test_what_cannot_be_served_is_said_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], told: str
) -> None:
    config = configured(tmp_path, {"light": python("light")})
    assert run(["run", "--config", str(config), *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert told in captured.err
    assert captured.err.count("\n") == 1


def test_a_server_that_is_almost_named_is_offered(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = configured(tmp_path, {"light": python("light")})
    run(["run", "--config", str(config), "--only", "ligth"])
    assert "light?" in capsys.readouterr().err


def test_a_file_without_servers_is_said_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["run", "--config", str(configured(tmp_path, {}))]) == 2
    assert "no servers" in capsys.readouterr().err


# --- names ----------------------------------------------------------------------------------------------------------


def test_one_server_keeps_its_names(tmp_path: Path, gated: Gated) -> None:
    with over_stdio(configured(tmp_path, {"files": gated.entry})) as client:
        assert client.initialize().message["result"]["serverInfo"] == {"name": "gated", "version": "1"}
        assert names(client) == ["echo"]
        assert said(client.call("echo", {"x": 1}))["arguments"] == {"x": 1}


def test_several_servers_put_theirs_before_them(tmp_path: Path, gated: Gated) -> None:
    servers = {"one": gated.entry, "two": python("light"), "three": gated.entry}
    with over_stdio(configured(tmp_path, servers)) as client:
        client.initialize()
        assert names(client) == ["one__echo", "two__echo", "three__echo"]
        assert client.call("two__echo", {"text": "hi"}).text == "hi"
        first, third = said(client.call("one__echo")), said(client.call("three__echo"))
        assert first["pid"] != third["pid"]


def test_only_some_are_served_where_they_are_named(tmp_path: Path, gated: Gated) -> None:
    config = configured(tmp_path, {"one": gated.entry, "two": python("light"), "three": python("light")})
    with over_stdio(config, "--only", "two") as client:
        client.initialize()
        assert names(client) == ["echo"]
    with over_stdio(config, "--only", "three", "--only", "two") as client:
        client.initialize()
        assert names(client) == ["two__echo", "three__echo"]
    assert gated.pids == []


def test_what_is_not_allowed_or_denied_is_neither_listed_nor_called(tmp_path: Path, gated: Gated) -> None:
    gated.has_tools("read_a", "read_b", "write")
    entries = {"one": {**gated.entry, "allow": ["read_*"], "deny": ["*_b"]}, "two": python("light")}
    for only, prefix in ((("--only", "one"), ""), ((), "one__")):
        with over_stdio(configured(tmp_path, entries), *only) as client:
            client.initialize()
            assert [name for name in names(client) if name != "two__echo"] == [prefix + "read_a"]
            for tool in ("read_b", "write"):
                assert client.call(prefix + tool).message["error"]["code"] == -32602
            assert said(client.call(prefix + "read_a"))["tool"] == "read_a"
    assert {one["params"]["name"] for one in gated.told if one["method"] == "tools/call"} == {"read_a"}


# --- first and second start -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("others", [0, 1])
@pytest.mark.parametrize("era", ["handshake", "stateless"])
def test_a_second_start_is_answered_from_memory_before_a_slow_server_is_up(
    tmp_path: Path, gated: Gated, others: int, era: str
) -> None:
    more = {"light": python("light")} if others else {}
    config = configured(tmp_path, {"slow": gated.has_tools("old").entry, **more})
    prefix = "slow__" if others else ""
    with over_stdio(config) as client:
        client.initialize()
        assert prefix + "old" in names(client)
    gated.shut().has_tools("new")
    with over_stdio(config) as client:
        meta: dict[str, Any] = {} if era == "handshake" else {"_meta": META}
        if era == "handshake":
            client.initialize()
        else:
            assert client.ask("server/discover", meta).message["result"]["supportedVersions"]
        assert prefix + "old" in json.dumps(client.ask("tools/list", meta).message)
        call = client.begin_call(prefix + "new", {"x": 1}, **meta)
        gated.open()
        assert said(client.answer(call))["tool"] == "new"
        if era == "handshake":
            client.wait(lambda line: line.method == CHANGED)
        eventually(
            lambda: prefix + "new" in json.dumps(client.ask("tools/list", meta).message), "the list as it is now"
        )


def test_a_change_is_told_once_and_no_change_not_at_all(tmp_path: Path, gated: Gated) -> None:
    config = configured(tmp_path, {"slow": gated.entry, "light": python("light")})
    for _ in range(2):
        with over_stdio(config) as client:
            client.initialize()
            assert names(client) == ["slow__echo", "light__echo"]
            client.call("slow__echo")
            client.call("light__echo", {"text": ""})
            assert client.notifications() == []


# --- servers that fail ----------------------------------------------------------------------------------------------


def test_a_dead_server_beside_a_good_one_is_an_error_of_its_own_calls_alone(tmp_path: Path, gated: Gated) -> None:
    servers = {
        "missing": {"command": "no-such-program"},
        "ending": {"command": "false"},
        "needy": {"command": "echo", "env": {"KEY": "${NO_SUCH_VARIABLE}"}},
        "good": gated.entry,
    }
    with over_stdio(configured(tmp_path, servers)) as client:
        client.initialize()
        assert names(client) == ["good__echo"]
        for server, told in (("missing", "no-such-program"), ("ending", "ending"), ("needy", "NO_SUCH_VARIABLE")):
            error = client.call(f"{server}__anything").message["error"]
            assert (error["code"], told in error["message"]) == (-32000, True), error
            assert said(client.call("good__echo"))["tool"] == "echo"


def test_an_only_server_that_cannot_be_started_is_told_at_the_handshake(tmp_path: Path) -> None:
    with over_stdio(configured(tmp_path, {"missing": {"command": "no-such-program"}})) as client:
        error = client.initialize().message["error"]
        assert "no-such-program" in error["message"]


def test_a_server_that_hangs_holds_up_neither_lists_nor_calls_of_another(tmp_path: Path, gated: Gated) -> None:
    config = configured(tmp_path, {"hangs": gated.entry, "light": python("light")})
    with over_stdio(config) as client:
        client.initialize()
        names(client)
        gated.shut()
        waiting = client.begin_call("hangs__echo")
        level = client.request("tools/list")
        for _ in range(20):
            assert client.call("light__echo", {"text": "hi"}).text == "hi"
        assert client.answer(level).message["result"]["tools"]
        gated.open()
        assert said(client.answer(waiting))["tool"] == "echo"


def test_what_a_server_says_that_is_no_message_never_reaches_the_client(tmp_path: Path) -> None:
    servers = {"hostile": python("hostile", "--banner"), "light": python("light")}
    for only in (("--only", "hostile"), ()):
        with over_stdio(configured(tmp_path, servers), *only) as client:
            client.initialize()
            tool = "echo" if only else "hostile__echo"
            assert tool in names(client)
            client.call(tool, {"key": "k"})
        assert all(b"Welcome" not in line.raw for line in client.lines)


def test_a_server_that_is_killed_again_and_again_loses_only_what_it_was_asked(tmp_path: Path, gated: Gated) -> None:
    config = configured(tmp_path, {"dies": gated.entry, "light": python("light")})
    kills = 4  # after more of them in a row the server is left alone for a while
    with over_stdio(config) as client:
        client.initialize()
        names(client)

        def kill() -> None:
            for number in range(1, kills + 1):
                eventually(lambda: len(gated.pids) >= number, "one more process", 60)  # noqa: B023
                begun = len(gated.told)
                eventually(lambda: len(gated.told) > begun, "something that it is asked", 60)  # noqa: B023
                os.kill(gated.pids[-1], signal.SIGKILL)

        killer = threading.Thread(target=kill)
        killer.start()
        good = lost = 0
        while killer.is_alive():
            mine = client.begin_call("dies__echo", {"n": good + lost})
            assert client.call("light__echo", {"text": str(mine)}).text == str(mine)
            answer = client.answer(mine).message
            if "error" in answer:
                assert answer["error"]["code"] == -32000
                lost += 1
            else:
                assert json.loads(answer["result"]["content"][0]["text"])["arguments"] == {"n": good + lost}
                good += 1
        killer.join()
        assert good >= 1
        assert lost <= 2 * kills
        eventually(lambda: "error" not in client.call("dies__echo").message, "the server is there again")
        answered = [line.message["id"] for line in client.lines if line.is_answer]
        assert len(answered) == len(set(answered))
        assert len(gated.pids) == kills + 1
    eventually(lambda: not any(map(is_alive, gated.pids)), "no process is left")


# --- leaving --------------------------------------------------------------------------------------------------------


def test_a_client_that_only_closes_its_input_still_gets_its_answers(tmp_path: Path, gated: Gated) -> None:
    with over_stdio(configured(tmp_path, {"one": gated.entry, "two": python("light")})) as client:
        client.initialize()
        slow = client.begin_call("one__slow", {"x": 1})
        gated.wait_begun()
        client.close_input()
        gated.go()
        assert said(client.answer(slow))["arguments"] == {"x": 1}
        assert client.wait_exit() == 0
    assert not any(map(is_alive, gated.pids))


def test_what_is_said_in_one_breath_is_answered(tmp_path: Path, gated: Gated) -> None:
    with over_stdio(configured(tmp_path, {"one": gated.entry})) as client:
        handshake = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "raw", "version": "0"}}
        lines = [
            {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": handshake},
            {"jsonrpc": "2.0", "method": "notifications/initialized"},
            {"jsonrpc": "2.0", "id": 2, "method": "tools/list"},
            {"jsonrpc": "2.0", "id": 3, "method": "tools/call", "params": {"name": "echo", "arguments": {}}},
        ]
        client.send_bytes(b"".join(json.dumps(line).encode() + b"\n" for line in lines))
        client.close_input()
        assert client.wait_exit() == 0
        assert sorted(line.message["id"] for line in client.lines if line.is_answer) == [1, 2, 3]


@pytest.fixture
def heeded() -> Iterator[None]:
    """Who runs the tests in the background has them, and all that they start, ignore an interrupt."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("heeded")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_at_once_with_all_its_servers(tmp_path: Path, gated: Gated, number: signal.Signals) -> None:
    with over_stdio(configured(tmp_path, {"one": gated.entry, "two": gated.entry})) as client:
        client.initialize()
        client.begin_call("one__slow")
        gated.wait_begun()
        client.process.send_signal(number)
        assert client.wait_exit() == 128 + number
        assert client.stderr.count(b"Traceback") == 0
    assert len(gated.pids) == 2
    eventually(lambda: not any(map(is_alive, gated.pids)), "no process is left")


def test_a_client_that_reads_no_more_ends_it(tmp_path: Path, gated: Gated) -> None:
    config = configured(tmp_path, {"one": gated.entry, "two": python("light")})
    with Unread(config) as client:
        client.begin()
        eventually(lambda: gated.told, "its server is met")
        client.output.close()
        client.call(1, "two__echo", text="x")  # the input stays open
        assert client.process.wait(20) == 0
    eventually(lambda: not any(map(is_alive, gated.pids)), "no process is left")


def test_a_client_that_does_not_read_fills_no_memory(tmp_path: Path) -> None:
    big, count = 4_000_000, 100
    with Unread(configured(tmp_path, {"busy": python("busy")})) as client:
        client.begin()
        for number in range(1, count + 1):
            client.call(number, "large", bytes=big)
        eventually(lambda: client.is_steady, "nobody takes any more")
        before = client.most_bytes
        lines = [json.loads(client.output.readline()) for _ in range(count + 1)]
        assert {line["id"] for line in lines} == set(range(count + 1))
        assert all(len(line["result"]["content"][0]["text"]) == big for line in lines if line["id"])
        assert max(before, client.most_bytes) < 250 * 2**20


def test_what_happened_is_on_record_when_it_has_ended(
    tmp_path: Path, gated: Gated, capsys: pytest.CaptureFixture[str]
) -> None:
    with over_stdio(configured(tmp_path, {"one": gated.entry, "two": python("light")})) as client:
        client.initialize()
        client.call("one__echo")
        client.call("two__echo", {"text": "hi"})
    assert run(["sessions", "--json"]) == 0
    (session,) = json.loads(capsys.readouterr().out)
    assert session["calls"] == 2
    assert run(["stats", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["calls"] == 2
