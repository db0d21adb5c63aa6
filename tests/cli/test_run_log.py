"""What `spec-mcp run` writes to standard error."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from spec_mcp.relay import saying
from spec_mcp.relay.saying import LogFormat, LogLevel
from tests.cli.gateways import SERVERS, Gated, configured, over_stdio, python
from tests.pipes import eventually

SECRET = "s3cret-4711"
TALKS = f"echo 'words of its own' >&2; exec {sys.executable} -W ignore {SERVERS / 'light.py'}"


def test_a_log_of_objects_names_sessions_servers_and_calls_and_no_secret(tmp_path: Path) -> None:
    gated = Gated(tmp_path / "gated")
    servers = {
        "one": {**gated.entry, "env": {"TOKEN": SECRET}},
        "two": {"command": "sh", "args": ["-c", TALKS]},
        "parked": {"command": "echo", "env": {"KEY": "${NO_SUCH_VARIABLE}"}},
        "needy": {"url": f"https://{SECRET}:x@127.0.0.1:1/mcp", "headers": {"Authorization": f"Bearer {SECRET}"}},
    }
    options = ("--log-format", "json", "--log-level", "debug")
    with over_stdio(configured(tmp_path, servers), *options) as client:
        client.initialize()
        client.call("one__echo", {"password": SECRET})
        client.call("two__echo", {"text": SECRET})
        client.call(f"no_such_tool_{SECRET}")
        os.kill(gated.pids[-1], signal.SIGKILL)
        eventually(lambda: b"signal 9" in client.stderr, "word of its end")
        client.close_input()
        assert client.wait_exit() == 0
        text = client.stderr.decode()
    lines: list[dict[str, Any]] = [json.loads(line) for line in text.splitlines()]
    assert all({"time", "level", "message"} <= line.keys() for line in lines)
    said = {line["message"]: line for line in lines}
    session = said["a session begins"]["session"]
    calls = [line for line in lines if line["message"] == "a call is answered"]
    assert [(line["session"], line["server"], line["tool"]) for line in calls] == [
        (session, "one", "echo"),
        (session, "two", "echo"),
    ]
    assert len({line["request"] for line in calls}) == 2
    assert {line["server"] for line in lines if line["message"] == "a server is up"} >= {"one", "two"}
    assert (said["words of its own"]["server"], said["words of its own"]["source"]) == ("two", "stderr")
    (lost,) = (line for line in lines if "signal 9" in line["message"])
    assert (lost["server"], lost["level"]) == ("one", "warning")
    assert said["a session ends"]["session"] == session
    (parked,) = (line for line in lines if line.get("server") == "parked")
    assert "NO_SUCH_VARIABLE" in parked["message"]
    assert SECRET not in text


def test_people_are_told_what_matters_and_hear_servers_as_they_speak(tmp_path: Path) -> None:
    with over_stdio(configured(tmp_path, {"two": {"command": "sh", "args": ["-c", TALKS]}})) as client:
        client.initialize()
        client.call("echo", {"text": "x"})
        client.close_input()
        assert client.wait_exit() == 0
        text = client.stderr.decode()
    assert "words of its own\n" in text
    assert "a session begins" not in text
    assert "a call is answered" not in text


@pytest.mark.parametrize("line", ["x" * 100_000, "\x00" * 100_000, "\ud800" * 10_000, "\U0001f600" * 10_000])
def test_a_long_line_is_still_an_object_that_goes_out_at_once(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], line: str
) -> None:
    monkeypatch.setattr(saying._Log, "format", LogFormat.JSON)
    saying.say(line, LogLevel.WARNING, server=line, request=1)
    (said,) = capfd.readouterr().err.splitlines()
    assert len(said.encode()) <= saying.SAID_MAX_BYTES * 2
    assert json.loads(said)["request"] == 1


def test_nothing_less_than_was_asked_for_is_said(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(saying._Log, "level", LogLevel.WARNING)
    saying.say("nothing", LogLevel.INFO)
    saying.say("something", LogLevel.ERROR, server="x")
    assert capfd.readouterr().err == "spec-mcp: something\n"


@pytest.mark.parametrize("option", [("--log-format", "xml"), ("--log-level", "loud")])
def test_a_log_that_there_is_not_is_a_usage_error(tmp_path: Path, option: tuple[str, str]) -> None:
    with over_stdio(configured(tmp_path, {"light": python("light")}), *option) as client:
        assert client.wait_exit() == 2
