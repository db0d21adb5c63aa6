"""The words to the person who reads the log: one line each, and nothing in them that a terminal obeys."""

from __future__ import annotations

import json

import pytest

from spec_mcp.__main__ import run
from spec_mcp.errors import UserError
from spec_mcp.relay import saying, wrap
from spec_mcp.relay.saying import LogFormat, LogLevel

FORGED = "delete_all\nspec-mcp: all is well\r\x1b[2J\x1b]0;x\x07\x9b31m\u202eeman\u2028x"
"""What a server may call its tool: another line of the log, and what clears, renames or turns a terminal."""


def assert_is_one_harmless_line(text: str) -> str:
    line = text.removesuffix("\n")
    assert line.isprintable(), line
    return line


@pytest.mark.parametrize("level", [LogLevel.WARNING, LogLevel.DEBUG])
def test_words_of_a_server_begin_no_line_and_are_obeyed_by_no_terminal(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], level: LogLevel
) -> None:
    monkeypatch.setattr(saying._Log, "level", LogLevel.DEBUG)
    saying.say(f"{FORGED} is another tool now", level, tool=FORGED)
    line = assert_is_one_harmless_line(capfd.readouterr().err)
    assert line.startswith("spec-mcp: delete_all")
    assert "is another tool now" in line


def test_in_a_log_of_objects_they_are_there_as_they_were_and_just_as_harmless(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(saying._Log, "format", LogFormat.JSON)
    saying.say("a tool is another one", tool=FORGED)
    assert json.loads(assert_is_one_harmless_line(capfd.readouterr().err))["tool"] == FORGED


def test_an_error_that_repeats_them_is_as_harmless(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object) -> int:
        raise UserError(FORGED)

    monkeypatch.setattr(wrap, "serve", fail)
    assert wrap.main(["--", "server"]) == 2
    assert_is_one_harmless_line(capfd.readouterr().err)
    monkeypatch.setattr(wrap, "main", fail)
    assert run(["wrap", "--", "server"]) == 2
    assert_is_one_harmless_line(capfd.readouterr().err)
