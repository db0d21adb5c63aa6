"""`spec-mcp run` over HTTP that is told to end: what a load balancer, a client and a server see of that."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

from spec_mcp.__main__ import run
from tests.cli.gateways import Gated, OverHttp
from tests.pipes import LEGACY, WAIT_S, eventually, is_alive
from tests.relay.graph import CONFIGURATION, MEMORY, Graph, entity

FORETELLING = [sys.executable, "-m", "tests.relay.foretelling_gateway", "create_entities", json.dumps(entity("early"))]


class HttpClient:
    """A client of the handshake era."""

    def __init__(self, url: str, http: httpx2.Client) -> None:
        self.stderr = b""
        self.root = url.removesuffix("/mcp")
        self._url = url
        self._http = http
        self._asked = 0
        self._headers = {"accept": "application/json, text/event-stream"}
        about = {"name": "client", "version": "0"}
        met = self.post("initialize", {"protocolVersion": LEGACY, "capabilities": {}, "clientInfo": about})
        self._headers["mcp-session-id"] = met.headers["mcp-session-id"]
        self._post({"jsonrpc": "2.0", "method": "notifications/initialized"})
        self.post("tools/list", {})

    def _post(self, message: dict[str, Any]) -> httpx2.Response:
        return self._http.post(self._url, json=message, headers=self._headers)

    def post(self, method: str, params: dict[str, Any]) -> httpx2.Response:
        self._asked += 1
        return self._post({"jsonrpc": "2.0", "id": self._asked, "method": method, "params": params})

    def call(self, tool: str, /) -> httpx2.Response:
        return self.post("tools/call", {"name": tool, "arguments": {}})

    def status(self, path: str) -> int:
        return self._http.get(self.root + path).status_code


@contextmanager
def client_of(gateway: OverHttp) -> Generator[HttpClient]:
    with httpx2.Client(timeout=WAIT_S, trust_env=False) as http:
        yield HttpClient(gateway.url, http)


def gated_gateway(folder: Path, gated: Gated, **listen: float) -> OverHttp:
    entry = gated.entry
    config = folder / "servers.toml"
    lines = ["[servers.gated]", f"command = {json.dumps(entry['command'])}", f"args = {json.dumps(entry['args'])}"]
    lines += ["[listen]", *(f"{key} = {value}" for key, value in listen.items())]
    config.write_text("\n".join(lines))
    return OverHttp(config)


@pytest.fixture
def gated(tmp_path: Path) -> Gated:
    return Gated(tmp_path / "gated")


def test_told_to_end_it_says_so_first_serves_for_a_while_and_gives_every_answer(tmp_path: Path, gated: Gated) -> None:
    with (
        ThreadPoolExecutor() as threads,
        gated_gateway(tmp_path, gated, notice_s=3600, drain_s=3600) as gateway,
        client_of(gateway) as client,
    ):
        slow = threads.submit(client.call, "slow")
        gated.wait_begun()
        assert (client.status("/readyz"), client.status("/healthz")) == (200, 200)
        gateway.process.send_signal(signal.SIGTERM)
        eventually(lambda: client.status("/readyz") == 503, "it is not ready")
        assert client.status("/healthz") == 200
        gated.go()
        assert "result" in slow.result(WAIT_S).json()
        assert "result" in client.call("slow").json()
        gateway.process.send_signal(signal.SIGTERM)
        assert gateway.process.wait(WAIT_S) == 128 + signal.SIGTERM
    eventually(lambda: not any(map(is_alive, gated.pids)), "no server is left")


def test_a_call_in_flight_gets_its_answer_and_a_late_one_a_reason_to_ask_again(tmp_path: Path, gated: Gated) -> None:
    with (
        ThreadPoolExecutor() as threads,
        gated_gateway(tmp_path, gated, drain_s=3600) as gateway,
        client_of(gateway) as client,
    ):
        slow = threads.submit(client.call, "slow")
        gated.wait_begun()
        gateway.process.send_signal(signal.SIGTERM)
        eventually(lambda: client.status("/readyz") == 503, "it is not ready")
        late = client.call("echo")
        assert (late.status_code, late.headers["retry-after"]) == (503, "1")
        assert "try again" in late.json()["error"]["message"]
        gated.go()
        assert json.loads(slow.result(WAIT_S).json()["result"]["content"][0]["text"])["tool"] == "slow"
        assert gateway.process.wait(WAIT_S) == 0
    eventually(lambda: not any(map(is_alive, gated.pids)), "no server is left")
    assert "echo" not in [one["params"]["name"] for one in gated.told if one["method"] == "tools/call"]


def test_an_early_write_that_nobody_used_is_taken_back_before_it_ends(
    tmp_path: Path, spec_mcp_home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    graph = Graph(tmp_path, spec_mcp_home)
    before = graph.file.read_bytes()
    server = ["[servers.memory]", 'command = "node"', f"args = [{json.dumps(str(MEMORY))}]"]
    server += [f"env = {{ MEMORY_FILE_PATH = {json.dumps(str(graph.file))} }}", 'manifest = "manifest.toml"']
    server += ["[listen]", "notice_s = 3600"]
    graph.configuration.write_text(CONFIGURATION + 'mode = "on"\n' + "\n".join(server))
    with OverHttp(graph.configuration, program=FORETELLING) as gateway, client_of(gateway) as client:
        graph.made_early(client)
        gateway.process.send_signal(signal.SIGTERM)
        eventually(lambda: "early" not in graph.file.read_text(), "it is taken back while clients are still served")
        assert "early" not in client.call("read_graph").text
        gateway.process.send_signal(signal.SIGTERM)
        gateway.process.wait(WAIT_S)
    assert graph.file.read_bytes() == before
    assert graph.entries() == []
    assert run(["trace", "last"]) == 0
    told = capsys.readouterr().out.splitlines()
    assert "switched-off" in [line for line in told if "create_entities" in line][-1]  # the last that was made early
