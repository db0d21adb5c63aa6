"""`spec-mcp wrap` in front of the memory server, writing early: adopted, taken back, killed and begun again."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.pipes import eventually
from tests.relay.graph import Graph, entity


@pytest.fixture
def graph(tmp_path: Path, spec_mcp_home: Path) -> Graph:
    return Graph(tmp_path, spec_mcp_home)


def test_an_early_write_is_adopted_by_its_call_and_done_once(graph: Graph) -> None:
    with graph.wrapped() as client:
        graph.made_early(client)
        answer = client.call("create_entities", entity("early")).message["result"]
        assert [made["name"] for made in answer["structuredContent"]["entities"]] == ["early"]
        assert graph.names() == ["old", "early"]
        # the next of its kind would create nothing, so it must not be taken for this one's
        client.close_input()
        assert client.wait_exit() == 0
    assert graph.names() == ["old", "early"]
    assert graph.entries() == []


def test_an_early_write_that_was_not_wanted_is_taken_back_before_anybody_looks(graph: Graph) -> None:
    before = graph.file.read_bytes()
    with graph.wrapped() as client:
        graph.made_early(client)
        text = client.call("search_nodes", {"query": "e"}).text
        assert "early" not in text
        client.close_input()
        assert client.wait_exit() == 0
    assert graph.file.read_bytes() == before
    assert graph.entries() == []


@pytest.mark.parametrize("way", ["closes", "stops"])
def test_when_the_client_leaves_what_it_did_not_use_is_taken_back(graph: Graph, way: str) -> None:
    before = graph.file.read_bytes()
    with graph.wrapped() as client:
        graph.made_early(client)
        if way == "closes":
            client.close_input()
        else:
            client.process.send_signal(signal.SIGTERM)
        client.wait_exit()
    assert graph.file.read_bytes() == before
    assert graph.entries() == []


def test_after_a_kill_the_next_start_takes_it_back_before_a_call_goes_out(graph: Graph) -> None:
    with graph.wrapped() as client:
        graph.made_early(client)
        client.process.kill()
        client.wait_exit()
    assert graph.names() == ["old", "early"]
    with graph.wrapped() as client:
        assert "early" not in client.call("search_nodes", {"query": "e"}).text
        eventually(lambda: not [entry for entry in graph.entries() if entry.state == "compensating"], "settled")
        client.close_input()
        client.wait_exit()
    assert graph.names() == ["old"]
    assert graph.entries() == []
