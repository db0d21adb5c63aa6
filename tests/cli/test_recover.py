"""`spec-mcp recover` after a kill, in front of the memory server."""

from __future__ import annotations

import json
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from spec_mcp.__main__ import run
from tests.pipes import RawClient
from tests.relay.graph import Graph

COLUMNS = "200"


@pytest.fixture
def graph(tmp_path: Path, spec_mcp_home: Path, monkeypatch: pytest.MonkeyPatch) -> Graph:
    monkeypatch.setenv("COLUMNS", COLUMNS)
    graph = Graph(tmp_path, spec_mcp_home)
    for name, value in graph.env.items():
        monkeypatch.setenv(name, value)
    return graph


@pytest.fixture
def killed(graph: Graph) -> Graph:
    """A process of ours was killed with an early write that nobody had used."""
    with graph.wrapped() as client:
        graph.made_early(client)
        client.process.kill()
        client.wait_exit()
    assert graph.names() == ["old", "early"]
    return graph


@pytest.fixture
def living(graph: Graph) -> Generator[tuple[Graph, RawClient]]:
    """A process of ours that has an early write under way."""
    with graph.wrapped() as client:
        graph.made_early(client)
        yield graph, client


def told(capsys: pytest.CaptureFixture[str], *arguments: str, status: int = 0) -> tuple[str, str]:
    assert run(["recover", *arguments]) == status
    captured = capsys.readouterr()
    return captured.out, captured.err


def objects(capsys: pytest.CaptureFixture[str], *arguments: str, status: int = 0) -> list[dict[str, Any]]:
    return json.loads(told(capsys, "--json", *arguments, status=status)[0])


def test_without_a_crash_there_is_nothing_to_do(capsys: pytest.CaptureFixture[str], spec_mcp_home: Path) -> None:
    assert told(capsys)[0] == "Nothing is open: no early write is left behind.\n"
    assert objects(capsys) == []
    assert not spec_mcp_home.exists()


def test_what_a_kill_left_is_taken_back(killed: Graph, capsys: pytest.CaptureFixture[str]) -> None:
    out, _ = told(capsys)
    assert "settled: nothing of it is left" in out
    assert killed.names() == ["old"]
    assert killed.entries() == []
    assert told(capsys)[0].startswith("Nothing is open")


def test_a_dry_run_lists_and_changes_nothing(killed: Graph, capsys: pytest.CaptureFixture[str]) -> None:
    out, _ = told(capsys, "--dry-run")
    for part in ("memory", "create_entities", '"early"', "made, not used", "taken back, if it is there"):
        assert part in out
    (entry,) = objects(capsys, "--dry-run")
    assert (entry["server"], entry["tool"], entry["running"], entry["end"]) == (
        "memory",
        "create_entities",
        False,
        None,
    )
    assert entry["arguments"]["entities"][0]["name"] == "early"
    assert killed.names() == ["old", "early"]
    assert len(killed.entries()) == 1


def test_on_a_narrow_terminal_nothing_of_it_is_left_out(
    killed: Graph, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    out, _ = told(capsys, "--dry-run")
    assert max(len(line.rstrip()) for line in out.splitlines()) <= 60
    (entry,) = killed.entries()
    text = " ".join(out.split())
    for part in (entry.id, "memory create_entities", '"early"', "made, not used", "nothing else has changed"):
        assert part in text


def test_a_program_gets_what_came_of_each(killed: Graph, capsys: pytest.CaptureFixture[str]) -> None:
    (entry,) = objects(capsys)
    assert (entry["end"], entry["why"]) == ("settled", "")
    assert killed.names() == ["old"]


def test_another_server_is_left_alone(killed: Graph, capsys: pytest.CaptureFixture[str]) -> None:
    assert told(capsys, "--server", "other")[0].startswith("Nothing is open")
    assert killed.names() == ["old", "early"]


def test_what_something_else_has_changed_is_stuck_until_a_person_closes_it(
    killed: Graph, capsys: pytest.CaptureFixture[str]
) -> None:
    line = '\n{"type":"entity","name":"foreign","entityType":"thing","observations":[]}'
    killed.file.write_text(killed.file.read_text() + line)
    out, err = told(capsys, status=1)
    assert "STUCK: something else has changed there since" in out
    assert "1 entry is still open" in err
    assert killed.names() == ["old", "early", "foreign"]
    (entry,) = killed.entries()
    assert "tried again (stuck" in told(capsys, "--dry-run")[0]

    assert f"Closed {entry.id}" in told(capsys, "--forget", entry.id)[0]
    assert killed.entries() == []
    assert killed.names() == ["old", "early", "foreign"]


def test_a_stuck_one_is_settled_once_a_person_has_put_things_right(
    killed: Graph, capsys: pytest.CaptureFixture[str]
) -> None:
    before, foreign = (
        killed.file.read_text(),
        '\n{"type":"entity","name":"foreign","entityType":"thing","observations":[]}',
    )
    killed.file.write_text(before + foreign)
    told(capsys, status=1)
    killed.file.write_text(before)
    assert "settled" in told(capsys)[0]
    assert killed.names() == ["old"]


def test_a_missing_variable_is_named_and_nothing_is_done(
    killed: Graph, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MEMORY_FILE_PATH")
    out, _ = told(capsys, status=1)
    assert "MEMORY_FILE_PATH not set" in " ".join(out.split())
    assert killed.names() == ["old", "early"]
    assert len(killed.entries()) == 1


def test_a_variable_may_be_given_by_the_configuration(
    killed: Graph, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MEMORY_FILE_PATH")
    killed.configuration.write_text(
        f'[servers.memory]\ncommand = "node"\nenv = {{ MEMORY_FILE_PATH = {json.dumps(str(killed.file))} }}\n'
    )
    assert "settled" in told(capsys, "--config", str(killed.configuration))[0]
    assert killed.names() == ["old"]


def test_another_value_of_a_variable_is_another_store(
    killed: Graph, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("MEMORY_FILE_PATH", str(tmp_path / "another.jsonl"))
    assert "other values" in " ".join(told(capsys, status=1)[0].split())
    assert killed.names() == ["old", "early"]


def test_the_journal_never_holds_the_value_of_a_variable(killed: Graph) -> None:
    assert str(killed.file).encode() not in killed.store.read_bytes()
    assert b"MEMORY_FILE_PATH" in killed.entries()[0].launch


def test_what_a_running_process_has_is_shown_and_left_alone(
    living: tuple[Graph, RawClient], capsys: pytest.CaptureFixture[str]
) -> None:
    graph, _ = living
    out, _ = told(capsys)
    assert "left alone: in use by a running spec-mcp" in out
    assert graph.names() == ["old", "early"]
    (entry,) = graph.entries()
    assert "a running spec-mcp has it" in told(capsys, "--forget", entry.id, status=1)[1].replace(entry.id, "it")


def test_an_unknown_entry_is_an_error_that_names_those_that_are_open(
    killed: Graph, capsys: pytest.CaptureFixture[str]
) -> None:
    _, err = told(capsys, "--forget", "nothing", status=1)
    assert killed.entries()[0].id in err
