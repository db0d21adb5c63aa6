"""Whatever comes over HTTP, the gateway answers it, lives on, and gives nobody what is another's.

`SPEC_MCP_FUZZ=5000` tries so many examples of each kind.
"""

from __future__ import annotations

import os
import random
import re
from collections.abc import Generator
from typing import Any

import anyio
import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.gateway.running import OVER_HTTP, Program, gateway, server, serving
from tests.conformance.fuzzing import (
    ANSWER_S,
    LEGACY,
    META,
    MODERN,
    Client,
    client,
    configuration,
    foreign_tokens,
    fuzzed,
    raw_requests,
    send_raw,
    shots,
)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.xdist_group("fuzz"),
]

CLIENTS = 12
CALLS = 25
STATUS = re.compile(rb"HTTP/1\.[01] (\d{3}) ")


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Generator[Program]:
    """The gateway in front of a server that answers everything, and of one on the SDK."""
    folder = tmp_path_factory.mktemp("fuzz")
    env = {**os.environ, "SPEC_MCP_HOME": str(folder / "home")}
    with (
        serving(server("conformance_fixture.py", "--http", "0")) as decent,
        serving(gateway(configuration(folder, decent.url), *OVER_HTTP), env) as program,
    ):
        yield program


@pytest.fixture(scope="module")
def odd(running: Program) -> Generator[Client]:
    """The client that sends what no decent client sends."""
    with client(running.url, "odd") as one:
        yield one


@pytest.fixture(autouse=True)
def lives_on(running: Program) -> Generator[None]:
    """Whatever a test sent: the gateway runs, nothing went wrong inside it, and a decent client gets its answer."""
    yield
    assert running.running(), running.text()
    assert "Traceback" not in running.text(), running.text()
    with client(running.url, "decent") as decent:
        answer = decent.call("odd__echo", decent.token)
        assert decent.token in answer["result"]["content"][0]["text"], answer


@fuzzed
@given(data=st.data())
def test_any_request_gets_an_answer_of_its_own(data: st.DataObject, odd: Client, running: Program) -> None:
    shot = data.draw(shots(odd.token))
    reply = odd.shoot(shot, data.draw(st.booleans(), label="in its session"))
    assert reply.status < 500, (reply, running.text())
    assert foreign_tokens(odd, reply.body) == set()
    if shot.verb == "HEAD":
        return
    messages = reply.messages()
    if shot.verb == "POST" and shot.id is not None and not shot.listens:
        answers = [message for message in messages if isinstance(message, dict) and "method" not in message]
        assert len(answers) == 1, (shot, reply)
        assert answers[0]["id"] == shot.id or (answers[0]["id"] is None and "error" in answers[0]), (shot, reply)
    if shot.verb == "DELETE" or reply.status == 404:
        odd.connect()  # its session may have been ended


@fuzzed
@given(pieces=raw_requests())
def test_bytes_that_are_no_http_are_refused_and_the_connection_ends(pieces: list[bytes], running: Program) -> None:
    statuses = [int(found) for found in STATUS.findall(send_raw(running.url, pieces))]
    assert [status for status in statuses if status >= 500] == [], (statuses, running.text())


def test_clients_that_use_the_same_ids_at_once_never_get_each_others_answers(running: Program) -> None:
    """Some in sessions, some without state; now and then one hangs up before its answer comes."""
    chance = random.Random(os.environ.get("SPEC_MCP_FUZZ_SEED", "1"))
    with_session = [chance.random() < 0.6 for _ in range(CLIENTS)]
    got = anyio.run(_all_at_once, running.url, with_session, chance.random())
    assert sum(got) > CLIENTS * CALLS / 2, "most calls were answered, and every answer was the caller's own"


async def _all_at_once(url: str, with_session: list[bool], seed: float) -> list[int]:
    answered = [0] * len(with_session)

    async def work(number: int, has_session: bool) -> None:
        chance = random.Random(f"{seed}-{number}")
        async with httpx2.AsyncClient(timeout=ANSWER_S) as http:
            headers = await _session(http, url) if has_session else {"MCP-Protocol-Version": MODERN}
            for call in range(CALLS):
                if await _one_call(http, url, headers, f"tok-{number}-{call}", call, chance):
                    answered[number] += 1

    async with anyio.create_task_group() as group:
        for number, has_session in enumerate(with_session):
            group.start_soon(work, number, has_session)
    return answered


ACCEPT = {"Accept": "application/json, text/event-stream", "Content-Type": "application/json"}


async def _session(http: httpx2.AsyncClient, url: str) -> dict[str, str]:
    params = {"protocolVersion": LEGACY, "capabilities": {}, "clientInfo": {"name": "c", "version": "0"}}
    message = {"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params}
    response = await http.post(url, json=message, headers=ACCEPT)
    headers = {"Mcp-Session-Id": response.headers["mcp-session-id"], "MCP-Protocol-Version": LEGACY}
    notification = {"jsonrpc": "2.0", "method": "notifications/initialized"}
    await http.post(url, json=notification, headers={**ACCEPT, **headers})
    return headers


async def _one_call(
    http: httpx2.AsyncClient, url: str, headers: dict[str, str], token: str, identity: int, chance: random.Random
) -> bool:
    """Call under an id that all the others use too; whether its own answer came, and was waited for."""
    params: dict[str, Any] = {"name": "odd__echo", "arguments": {"text": token}}
    if headers["MCP-Protocol-Version"] == MODERN:
        headers = {**headers, "Mcp-Method": "tools/call", "Mcp-Name": "odd__echo"}
        params["_meta"] = META
    message = {"jsonrpc": "2.0", "id": identity, "method": "tools/call", "params": params}
    with anyio.move_on_after(chance.choice([0.001, 0.003, ANSWER_S, ANSWER_S, ANSWER_S])) as patience:
        response = await http.post(url, json=message, headers={**ACCEPT, **headers})
        tokens = set(re.findall(r"tok-\d+-\d+", response.text))
        assert tokens == {token}, response.text
        assert f'"id":{identity}' in response.text.replace(" ", ""), response.text
    return not patience.cancelled_caught


def test_a_body_that_never_ends_and_one_that_never_comes_hold_up_nobody(running: Program) -> None:
    head = b"POST /mcp HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: 1000000\r\n\r\n"

    def while_it_waits(_: object) -> None:
        with client(running.url, "meanwhile") as one:
            assert one.token in one.call("odd__echo", one.token)["result"]["content"][0]["text"]

    said = send_raw(running.url, [head, b'{"jsonrpc": '], while_it_waits)
    assert not said or 400 <= int(STATUS.findall(said)[0]) < 500
