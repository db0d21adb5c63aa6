"""`spec-mcp wrap` in front of the memory server, writing early: adopted, taken back, killed and begun again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.pipes import WAIT_S, eventually
from tests.relay.graph import ROOT, Graph, entity


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


class Plain:
    """A client that reads only when it asks, so that both its ends can be closed at once, as a kill does."""

    def __init__(self, graph: Graph) -> None:
        self.stderr = b""
        self._asked = 0
        self.process = subprocess.Popen(
            graph.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={**os.environ, **graph.env}, cwd=ROOT
        )
        params = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "plain", "version": "0"}}
        self.ask("initialize", params)
        self._say({"jsonrpc": "2.0", "method": "notifications/initialized"})
        self.ask("tools/list", {})

    def _say(self, message: dict[str, Any]) -> None:
        assert self.process.stdin
        self.process.stdin.write(json.dumps(message).encode() + b"\n")
        self.process.stdin.flush()

    def ask(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        self._asked += 1
        self._say({"jsonrpc": "2.0", "id": self._asked, "method": method, "params": params})
        assert self.process.stdout
        while True:
            told = json.loads(self.process.stdout.readline())
            if told.get("id") == self._asked:
                return told

    def call(self, tool: str) -> None:
        self.ask("tools/call", {"name": tool, "arguments": {}})

    def is_killed(self) -> None:
        for pipe in (self.process.stdout, self.process.stdin):
            assert pipe
            pipe.close()


def test_when_the_client_is_killed_what_it_did_not_use_is_taken_back(graph: Graph) -> None:
    before = graph.file.read_bytes()
    client = Plain(graph)
    graph.made_early(client)
    client.is_killed()
    client.process.wait(WAIT_S)
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
