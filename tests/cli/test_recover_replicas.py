"""`spec-mcp recover` on a store that several replicas share: it names those that are silent, and strikes one out."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from spec_mcp.__main__ import run
from spec_mcp.store.board import Process
from spec_mcp.store.place import Remote
from spec_mcp.store.postgres.board import PostgresBoard
from spec_mcp.store.postgres.connecting import Database
from tests import postgres

pytestmark = pytest.mark.postgres


@pytest.fixture
def database() -> Iterator[Database]:
    with postgres.database() as url:
        database = Database(Remote(url))
        yield database
        database.close()


@pytest.fixture
def config(tmp_path: Path, database: Database) -> str:
    path = tmp_path / "config.toml"
    path.write_text(f'[store]\nurl = "{database.remote.url}"\n')
    return str(path)


def test_a_silent_replica_is_named_and_struck_out_when_a_person_says_so(
    database: Database, config: str, spec_mcp_home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    board = PostgresBoard(database)
    silent = board.join(Process("left", pid=7), (), 0.001)
    alive = board.join(Process("alive"), (), 60.0)
    assert board.renew(alive)
    assert run(["recover", "--config", config]) == 0
    said = capsys.readouterr().out
    assert "Replica left (process 7) has been silent" in said
    assert "Replica alive" not in said
    assert run(["recover", "--config", config, "--bury", "left"]) == 0
    assert "Struck out left" in capsys.readouterr().out
    assert [member.process.replica for member in board.members()] == ["alive"]
    assert not board.renew(silent)
    board.close()


def test_a_living_replica_or_one_that_is_not_there_is_not_struck_out(
    database: Database, config: str, spec_mcp_home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    board = PostgresBoard(database)
    alive = board.join(Process("alive"), (), 60.0)
    assert board.renew(alive)
    assert run(["recover", "--config", config, "--bury", "alive"]) == 1
    assert "end its process first" in capsys.readouterr().err
    assert run(["recover", "--config", config, "--bury", "nobody"]) == 1
    assert "no replica is called nobody: alive" in capsys.readouterr().err
    assert board.renew(alive)
    board.close()


def test_a_file_has_no_replicas(spec_mcp_home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["recover", "--bury", "any"]) == 1
    assert "has no replicas" in capsys.readouterr().err
