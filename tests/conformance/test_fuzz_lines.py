"""Whatever line comes over stdio, the gateway lives on and answers the next decent one."""

from __future__ import annotations

import os
from collections.abc import Generator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.gateway.running import gateway, server, serving
from tests.conformance.fuzzing import bodies, configuration, fuzzed
from tests.pipes import RawClient

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("fuzz")]
TOKEN = "tok-odd-"


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> Generator[RawClient]:
    """The client that sends what no decent client sends, after a decent handshake."""
    folder = tmp_path_factory.mktemp("fuzz")
    env = {**os.environ, "SPEC_MCP_HOME": str(folder / "home")}
    with (
        serving(server("conformance_fixture.py", "--http", "0")) as decent,
        RawClient(gateway(configuration(folder, decent.url)), env=env) as client,
    ):
        client.initialize()
        yield client


@fuzzed
@given(data=st.data())
def test_any_line_is_survived_and_the_next_decent_call_is_answered(data: st.DataObject, odd: RawClient) -> None:
    line, _ = data.draw(bodies(TOKEN, data.draw(st.booleans(), label="of the stateless era")))
    odd.send_line(line.replace(b"\n", b" ").replace(b"\r", b" "))
    identity = f"decent-{len(odd.sent)}"
    params = {"name": "odd__echo", "arguments": {"text": f"for {identity}"}}
    odd.request("tools/call", params, identity)
    assert f"for {identity}" in odd.answer(identity).text
    assert b"Traceback" not in odd.stderr
