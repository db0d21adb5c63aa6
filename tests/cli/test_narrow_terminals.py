"""Help and lists on a terminal of 80 columns."""

from __future__ import annotations

from pathlib import Path

import pytest

from spec_mcp.__main__ import run
from spec_mcp.store.place import STORE_NAME
from spec_mcp.store.sqlite import SqliteStore
from tests.store.rows import NOW, call, session


@pytest.fixture(autouse=True)
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")


def test_a_paragraph_of_help_runs_to_the_edge_of_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["replay", "--help"]) == 0
    lines = [line.strip() for line in capsys.readouterr().out.splitlines()]
    begun = lines.index("The real engine, policy and predictor run in virtual time. Nothing looks")
    assert len(lines[begun + 1]) > 70


def test_a_list_of_sessions_cuts_no_number_and_no_name(spec_mcp_home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    SqliteStore(spec_mcp_home / STORE_NAME).write([session("20261122-062726-42d135", client_name="a long name" * 5)])
    assert run(["sessions"]) == 0
    heading, row = capsys.readouterr().out.splitlines()
    assert (heading.split()[0], heading.split()[-1]) == ("session", "saved")
    assert row.startswith("20261122-062726-42d135  ")
    assert "…" not in heading + row


def test_a_timeline_cuts_what_a_call_was_given_and_no_time(
    spec_mcp_home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    long = b'{"text": "%s"}' % (b"x" * 200)
    SqliteStore(spec_mcp_home / STORE_NAME).write(
        [
            session("s1"),
            call(1, session="s1", tool="get", arguments=long, t_start=NOW + 1234.5, t_end=NOW + 1235.75, saved_s=1.0),
        ]
    )
    assert run(["trace", "s1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(len(line.rstrip()) for line in lines) <= 80
    (line,) = (line for line in lines if line.startswith("1234.50  1.25 s  "))
    assert " get text=" in line
    assert "…" in line
