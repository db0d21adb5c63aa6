"""Programs of several machines on one PostgreSQL database: what one of them does the commands of another one show."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import pytest

from spec_mcp.__main__ import run
from tests import postgres
from tests.pipes import eventually
from tests.relay.running import ECHO, server

pytestmark = pytest.mark.postgres

Spoken = Callable[..., tuple[int, str]]

BOUND_S = 60.0
CALLS = 5


@pytest.fixture
def url() -> Iterator[str]:
    with postgres.database() as made:
        yield made


def machine(folder: Path, url: str) -> dict[str, str]:
    """The environment of a machine whose store is that database."""
    folder.mkdir()
    (folder / "config.toml").write_text('[store]\nurl = "${STORE}"\n')
    return {**os.environ, "SPEC_MCP_HOME": str(folder), "STORE": url}


@pytest.fixture
def spec_mcp(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Spoken:
    """Carries out a command as on that machine; its status and what it says."""

    def spoken(environment: dict[str, str], *arguments: str) -> tuple[int, str]:
        for name in ("SPEC_MCP_HOME", "STORE"):
            monkeypatch.setenv(name, environment[name])
        capsys.readouterr()
        status = run(list(arguments))
        return status, capsys.readouterr().out

    return spoken


@contextlib.contextmanager
def calling(environment: dict[str, str]) -> Generator[subprocess.Popen[str]]:
    """A client that has its calls answered and stays; which they were is checked."""
    command = [sys.executable, "-m", "spec_mcp", "wrap", "--name", "echo", "--", *server(ECHO)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, env=environment, stdin=pipe, stdout=pipe, stderr=pipe, text=True) as wrapped:
        assert wrapped.stdin is not None
        assert wrapped.stdout is not None
        for number in range(CALLS):
            call = {"jsonrpc": "2.0", "id": number, "method": "tools/call", "params": {"name": "look"}}
            wrapped.stdin.write(json.dumps(call) + "\n")
        wrapped.stdin.flush()
        assert [json.loads(wrapped.stdout.readline())["id"] for _ in range(CALLS)] == list(range(CALLS))
        yield wrapped


def test_what_one_machine_records_another_one_shows_and_forgets(tmp_path: Path, url: str, spec_mcp: Spoken) -> None:
    one, other = machine(tmp_path / "one", url), machine(tmp_path / "other", url)

    def counted() -> bool:
        return json.loads(spec_mcp(other, "stats", "--json")[1])["calls"] == CALLS

    with calling(one):
        eventually(counted, "the calls in the database", BOUND_S)
    assert spec_mcp(other, "off")[0] == 0
    assert "switched by hand" in " ".join(spec_mcp(one, "doctor")[1].split())
    assert "sessions: 1" in spec_mcp(other, "forget", "--all")[1]
    assert json.loads(spec_mcp(one, "stats", "--json")[1])["calls"] == 0


def test_calls_go_through_where_the_database_does_not_answer(tmp_path: Path, spec_mcp: Spoken) -> None:
    alone = machine(tmp_path / "alone", f"postgresql://me:hidden@127.0.0.1:{postgres.free_port()}/db")
    with calling(alone) as wrapped:
        assert wrapped.stderr is not None
        said: list[str] = []
        while not said or "calls go on unrecorded meanwhile" not in said[-1]:
            said.append(wrapped.stderr.readline())
            assert said[-1], "it goes on, and says so"
    assert "hidden" not in "".join(said)
    status, looked = spec_mcp(alone, "doctor")
    assert status == 1
    assert "see whether it runs and lets us in" in " ".join(looked.split())
