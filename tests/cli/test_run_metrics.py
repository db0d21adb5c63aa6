"""What Prometheus fetches from `spec-mcp run` over HTTP."""

from __future__ import annotations

import json
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2
import pytest
from prometheus_client.parser import text_string_to_metric_families

from spec_mcp.__main__ import run
from tests.cli.gateways import Gated, OverHttp, python
from tests.cli.test_run_leaving import client_of
from tests.pipes import WAIT_S, eventually

SECRET = "nobody-but-the-servers-business"


class Fetched:
    """The metrics of a gateway."""

    def __init__(self, said: bytes) -> None:
        self.url = next(word for word in said.decode().split() if word.endswith("/metrics"))

    @property
    def text(self) -> str:
        return httpx2.get(self.url, timeout=WAIT_S, trust_env=False).text

    def value(self, name: str, **labels: str) -> float | None:
        """The sum of the samples of this name with these labels; None where there are none."""
        found = [
            sample.value
            for family in text_string_to_metric_families(self.text)
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        ]
        return sum(found) if found else None


def gateway_of(folder: Path, gated: Gated, metrics: str) -> OverHttp:
    config = folder / "servers.toml"
    command, args = json.dumps(gated.entry["command"]), json.dumps(gated.entry["args"])
    config.write_text(f"""[servers.gated]
command = {command}
args = {args}
[listen]
metrics = "{metrics}"
""")
    return OverHttp(config)


@pytest.fixture
def gated(tmp_path: Path) -> Gated:
    return Gated(tmp_path / "gated")


@pytest.fixture
def gateway(tmp_path: Path, gated: Gated) -> Generator[OverHttp]:
    with gateway_of(tmp_path, gated, "127.0.0.1:0") as found:
        yield found


def test_calls_sessions_and_what_is_under_way_can_be_fetched_elsewhere_than_clients_call(
    gateway: OverHttp, gated: Gated
) -> None:
    fetched = Fetched(gateway.said)
    assert (fetched.value("spec_mcp_sessions"), fetched.value("spec_mcp_calls_in_flight")) == (0, 0)
    assert (fetched.value("process_resident_memory_bytes") or 0) > 2**20
    with ThreadPoolExecutor() as threads, client_of(gateway) as client:
        try:
            assert client.status("/metrics") == 404
            assert fetched.value("spec_mcp_sessions") == 1
            slow = threads.submit(client.post, "tools/call", {"name": "slow", "arguments": {"secret": SECRET}})
            gated.wait_begun()
            assert fetched.value("spec_mcp_calls_in_flight") == 1
        finally:
            gated.go()
        slow.result(WAIT_S)
        assert fetched.value("spec_mcp_calls_in_flight") == 0
        assert fetched.value("spec_mcp_calls_total", mcp_server="gated", gen_ai_tool_name="slow") == 1
        assert fetched.value("spec_mcp_call_wait_seconds_count", spec_mcp_how="miss") == 1
        eventually(lambda: (fetched.value("spec_mcp_store_written_total") or 0) > 0, "the store takes what happened")
        assert SECRET not in fetched.text
    assert gateway.terminate() == 0


def test_an_address_that_is_none_or_taken_is_said_in_one_line(
    tmp_path: Path, gateway: OverHttp, capfd: pytest.CaptureFixture[str]
) -> None:
    taken = Fetched(gateway.said).url.removeprefix("http://").removesuffix("/metrics")
    config = tmp_path / "other.toml"
    light = python("light")
    server = f"[servers.light]\ncommand = {json.dumps(light['command'])}\nargs = {json.dumps(light['args'])}\n"
    for metrics, code, told in (("nowhere", 2, "write HOST:PORT"), (taken, 1, "Address already in use")):
        config.write_text(f'{server}[listen]\nmetrics = "{metrics}"\n')
        assert run(["run", "--config", str(config), "--http", "127.0.0.1:0"]) == code
        error = capfd.readouterr().err
        assert f"[listen] metrics = {metrics}: " in error
        assert told in error
        assert error.count("\n") == 1
