"""What no SDK would send or take: the raw client against the hostile server, in every arm."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, cast

import pytest

from tests.parity.agent import Agent, RawAgent
from tests.parity.rig import ClientKind, Rig, Run, assert_same
from tests.pipes import MODERN, RawClient, eventually

MakeRig = Callable[[str, ClientKind], Rig]

MODERN_META = {
    "io.modelcontextprotocol/protocolVersion": MODERN,
    "io.modelcontextprotocol/clientCapabilities": {"elicitation": {}},
    "io.modelcontextprotocol/clientInfo": {"name": "raw", "version": "0"},
}


@pytest.fixture
def hostile(rig: MakeRig) -> Rig:
    return rig("hostile", "raw")


def with_client(body: Callable[[RawAgent, RawClient], Awaitable[None]]) -> Callable[[Agent], Awaitable[None]]:
    """A body that needs the raw client itself."""

    async def run(agent: Agent) -> None:
        raw = cast("RawAgent", agent)
        await body(raw, raw.client)

    return run


def marks(world_folder: Path, what: str) -> list[Any]:
    """What the server noted of one kind."""
    path = world_folder / "marks"
    lines = path.read_text().splitlines() if path.exists() else []
    return [mark for line in lines if line.endswith("}") and (mark := json.loads(line))["what"] == what]


def answered(run: Run) -> int:
    assert run.statistics
    return run.statistics.hits + run.statistics.joins


HARD_RESULTS = [
    ("big", {}),
    ("surrogate", {}),
    ("numbers", {}),
    ("deep", {"depth": 300}),
    ("unknown_content", {}),
    ("partial", {}),
    ("read", {"key": "k"}),
]


@pytest.mark.parametrize(("tool", "arguments"), HARD_RESULTS, ids=[tool for tool, _ in HARD_RESULTS])
def test_a_result_that_is_hard_to_carry_keeps_its_bytes_also_when_it_was_held(
    hostile: Rig, tool: str, arguments: dict[str, Any]
) -> None:
    async def body(agent: Agent) -> None:
        await agent.list_tools()
        await agent.call("keys")
        await agent.think()
        await agent.call(tool, arguments)

    runs = hostile.compare_all(body)
    assert answered(runs["right"]) == 1


def test_errors_and_results_of_unknown_types_are_never_adopted_and_keep_code_data_and_unknown_members(
    hostile: Rig,
) -> None:
    async def body(agent: Agent) -> None:
        await agent.list_tools()
        await agent.call("keys")
        for tool, arguments in (
            ("error", {}),
            ("is_error", {"text": "no"}),
            ("error", {"code": -1, "data": None}),
            ("unknown_content", {"resultType": "x-novel"}),
        ):
            await agent.think()
            await agent.call(tool, arguments)

    runs = hostile.compare_all(body)
    assert answered(runs["right"]) == 0
    assert len(runs["right"].speculated) >= 3


def test_what_the_client_sends_reaches_the_server_byte_for_byte(hostile: Rig) -> None:
    lines = [
        rb'{"jsonrpc":"2.0","id":901,"method":"tools/call","params":{"name":"echo","arguments":{"a":"\ud800"}}}',
        b'{"jsonrpc":"2.0","id":902,"method":"tools/call","params":{"name":"echo","arguments":{"n":9007199254740993}}}',
        b'{"jsonrpc":"2.0","id":903,"method":"tools/call","params":{"name":"echo","arguments":{"a":1,"a":2,"e":1e400}}}',
        b'{"jsonrpc":"2.0","id":904,"method":"tools/call","params":{"name":"echo","arguments":{"deep":'
        + b"[" * 300
        + b"]" * 300
        + b"}}}",
        b' { "id" : "905" , "method":"tools/call",  "params":{"name":"echo","x-new":[1]} , "jsonrpc":"2.0"}',
        b'{"jsonrpc":"2.0","id":906,"method":"x/unknown","params":{"_meta":{"a/b":[1]},"v":1.0},"x-beside":true}',
        b'{"jsonrpc":"2.0","method":"notifications/x-unknown","params":{"k":"\\u00e9\xc3\xa9"}}',
        b'{"jsonrpc":"2.0","id":1.5,"method":"ping"}',
        b'{"jsonrpc":"2.0","id":907,"method":"y/unknown"}\r',
    ]

    async def body(agent: RawAgent, client: RawClient) -> None:
        await agent.list_tools()
        await agent.call("keys")
        for line in lines:
            await agent.think()
            before = len(client.lines)
            client.send_line(line)
            if b'"id"' in line:
                client.wait(lambda got: got.is_answer, start=before)
        await agent.call("log", {"n": 0})

    runs = hostile.compare_all(with_client(body))
    for run in runs.values():
        got = [line.raw for line in run.tapped.to_server]
        assert [line for line in got if line in lines] == lines, run.arm


def test_requests_and_notifications_of_the_server_reach_the_client(hostile: Rig) -> None:
    async def body(agent: RawAgent, client: RawClient) -> None:
        await agent.list_tools()
        await agent.call("keys")
        await agent.think()
        await agent.call("log", {"n": 3})
        await agent.call("change_lists", {"name": "later"})
        await agent.list_tools()
        await agent.call("later")
        await agent.ask("resources/subscribe", {"uri": "h://a"})
        await agent.call("touch_resource", {"uri": "h://a"})
        await agent.ask("logging/setLevel", {"level": "debug"})
        await agent.call("flood", {"n": 500})

    runs = hostile.compare_all(with_client(body))
    assert len(runs["right"].transcript.notifications) == 3 + 3 + 1 + 500


def test_a_speculation_never_prompts_and_a_call_may(hostile: Rig) -> None:
    async def body(agent: Agent) -> None:
        await agent.list_tools()
        await agent.call("keys")
        await agent.think()
        await agent.call("ask", {"method": "sampling/createMessage", "params": {"maxTokens": 1}})
        await agent.call("ask", {"method": "elicitation/create", "params": {"message": "m"}})
        await agent.call("unknown_method")

    direct = hostile.run("direct", body)
    right = hostile.run("right", body, direct.calls)
    assert_same(direct, right)
    assert right.statistics
    assert right.statistics.ends == {"prompted": 2}
    assert [method for method, _ in right.transcript.asked] == [
        "sampling/createMessage",
        "elicitation/create",
        "x-unknown/question",
    ]


def test_progress_of_a_held_result_comes_with_the_call_and_before_its_answer(hostile: Rig) -> None:
    async def body(agent: Agent) -> None:
        await agent.list_tools()
        await agent.call("keys")
        await agent.think()
        await agent.call("read", {"key": "a", "progress": 3}, progress=True)
        await agent.think()
        await agent.call("progress", {"n": 2})

    runs = hostile.compare_all(body)
    assert [len(reports) for _, reports in runs["direct"].transcript.progress] == [3]


def test_a_write_spoils_what_was_read_early_and_nothing_else(hostile: Rig) -> None:
    async def body(agent: Agent) -> None:
        await agent.list_tools()
        await agent.call("write", {"key": "a", "value": 1})
        await agent.call("keys")
        await agent.think()
        await agent.call("write", {"key": "a", "value": 2})
        await agent.call("read", {"key": "a"})
        await agent.think()
        await agent.call("read", {"key": "b"})

    runs = hostile.compare_all(body)
    right = runs["right"].statistics
    assert right
    assert right.ends.get("spoiled", 0) >= 1
    assert right.hits + right.joins >= 1


def test_a_call_that_finds_its_speculation_running_joins_it(hostile: Rig, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    arguments = {"key": "slow", "gate": str(gate)}

    async def body(agent: RawAgent, client: RawClient) -> None:
        gate.unlink(missing_ok=True)
        await agent.list_tools()
        await agent.call("keys")
        await agent.think(ready=False)
        request = client.begin_call("read", arguments)
        client.ask("ping")
        eventually(lambda: marks(hostile.world.folder, "reading"), "the read has begun")
        gate.touch()
        client.answer(request)

    runs = hostile.compare_all(with_client(body))
    assert runs["right"].statistics
    assert runs["right"].statistics.joins == 1


def test_cancelling_a_call_that_joined_is_never_told_to_the_server(hostile: Rig, tmp_path: Path) -> None:
    gate = tmp_path / "gate"

    async def body(agent: RawAgent, client: RawClient) -> None:
        gate.unlink(missing_ok=True)
        await agent.list_tools()
        await agent.call("keys")
        await agent.think(ready=False)
        request = client.begin_call("read", {"key": "slow", "gate": str(gate)})
        eventually(lambda: marks(hostile.world.folder, "reading"), "the read has begun")
        client.ask("ping")
        client.notify("notifications/cancelled", {"requestId": request, "reason": "changed my mind"})
        client.ask("ping")
        gate.touch()
        await agent.call("log", {"n": 0})
        assert not [line for line in client.lines if line.is_answer and line.message["id"] == request]

    runs = [hostile.run("direct", with_client(body))]
    script = runs[0].calls
    runs.append(hostile.run("right", with_client(body), script))
    cancelled = [
        line.message["params"]["requestId"]
        for line in runs[1].tapped.to_server
        if line.method == "notifications/cancelled"
    ]
    known = {line.message["id"] for line in runs[1].tapped.to_server if line.method and "id" in line.message}
    assert set(cancelled) <= known
    assert runs[1].transcript.answers == runs[0].transcript.answers


def test_a_cancellation_reaches_the_server_with_its_reason(hostile: Rig, tmp_path: Path) -> None:
    async def body(agent: RawAgent, client: RawClient) -> None:
        await agent.list_tools()
        request = client.begin_call("slow", {"gate": str(tmp_path / "never")})
        eventually(lambda: marks(hostile.world.folder, "slow-began"), "the slow call has begun")
        client.notify("notifications/cancelled", {"requestId": request, "reason": "too slow, \u00e9", "x-more": 1})
        eventually(lambda: marks(hostile.world.folder, "slow-cancelled"), "the slow call was cancelled")
        told = [m["params"] for m in marks(hostile.world.folder, "notified") if m["method"].endswith("cancelled")]
        assert told == [{"requestId": request, "reason": "too slow, \u00e9", "x-more": 1}]
        await agent.call("log", {"n": 0})

    hostile.compare_all(with_client(body))


def test_tasks_pass_and_a_call_with_a_task_is_never_answered_from_a_held_result(hostile: Rig) -> None:
    async def body(agent: RawAgent, client: RawClient) -> None:
        await agent.list_tools()
        await agent.call("keys")
        await agent.think()
        task = client.call("read", {"key": "a"}, task={"ttl": 60000}).message["result"]["task"]["taskId"]
        await agent.ask("tasks/get", {"taskId": task})
        await agent.ask("tasks/list")
        await agent.call("end_task", {"taskId": task})
        await agent.ask("tasks/result", {"taskId": task})

    runs = hostile.compare_all(with_client(body))
    assert answered(runs["right"]) == 0


def test_both_eras_work_on_one_pipe(hostile: Rig) -> None:
    async def body(agent: RawAgent, client: RawClient) -> None:
        await agent.ask("server/discover", {"_meta": MODERN_META})
        await agent.list_tools()
        client.call("read", {"key": "a"}, _meta=MODERN_META)
        await agent.call("read", {"key": "a"})
        first = client.call("input_required", _meta=MODERN_META).message["result"]
        client.call(
            "input_required",
            _meta=MODERN_META,
            inputResponses={"q": {"action": "accept", "content": {"a": "A"}}},
            requestState=first["requestState"],
        )
        stream = client.request(
            "subscriptions/listen", {"_meta": MODERN_META, "notifications": {"toolsListChanged": True}}
        )
        client.wait(lambda line: line.method == "notifications/tools/list_changed")
        client.notify("notifications/cancelled", {"requestId": stream, "_meta": MODERN_META})
        eventually(lambda: marks(hostile.world.folder, "listen-ended"), "the subscription has ended")
        await agent.call("log", {"n": 0})

    runs = hostile.compare_all(with_client(body))
    (_, acknowledged), *_ = runs["right"].transcript.notifications
    assert acknowledged
    assert b"subscriptionId" in acknowledged


def test_a_batch_passes_and_is_answered_by_the_server(hostile: Rig) -> None:
    async def body(agent: RawAgent, client: RawClient) -> None:
        await agent.list_tools()
        await agent.call("keys")
        await agent.think()
        client.send(
            [
                {
                    "jsonrpc": "2.0",
                    "id": "b1",
                    "method": "tools/call",
                    "params": {"name": "read", "arguments": {"key": "a"}},
                },
                {"jsonrpc": "2.0", "method": "notifications/x-unknown"},
                {"jsonrpc": "2.0", "id": "b2", "method": "ping"},
            ]
        )
        client.wait(lambda line: isinstance(line.message, list))
        await agent.call("read", {"key": "a"})

    runs = hostile.compare_all(with_client(body))
    assert len(runs["right"].transcript.other) == 1
