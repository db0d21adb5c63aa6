"""The agents that the parity tests let work: the SDK's client and a raw one, each keeping every line of the wire.

Both offer the same few verbs, so that one test body serves them all. What an agent saw is read from the lines, never
from what a client library made of them; `think` waits until a speculating arm has had its chance.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import anyio
import mcp_types
from anyio.streams.buffered import BufferedByteReceiveStream
from mcp import Client
from mcp.shared.exceptions import MCPError
from mcp.shared.message import SessionMessage

from tests.pipes import Line, RawClient, decode_line, eventually

MAX_LINE_BYTES = 64 << 20
EXIT_S = 10.0
CALL_S = 30.0
SAMPLED = {"role": "assistant", "content": {"type": "text", "text": "sampled"}, "model": "m"}
ELICITED = {"action": "accept", "content": {"name": "N", "a": "A"}}
ROOTS = {"roots": [{"uri": "file:///root-one", "name": "one"}]}
ANSWERS: dict[str, Any] = {
    "sampling/createMessage": {"result": SAMPLED},
    "elicitation/create": {"result": ELICITED},
    "roots/list": {"result": ROOTS},
    "ping": {"result": {}},
    "x-unknown/question": {"error": {"code": -32601, "message": "what?", "data": [1]}},
}


class Thinker(Protocol):
    """Waits until speculation has had its chance."""

    def wait_listed(self) -> None:
        """After the client's look at the tools."""
        ...

    def wait(self, ended: int, ready: bool) -> None:
        """Between two calls; `ended` counts those answered. Without `ready`, a speculation need only be launched."""
        ...


class NoThinker:
    """Nothing is to be waited for."""

    def wait_listed(self) -> None:
        return

    def wait(self, ended: int, ready: bool) -> None:
        return


@dataclass(slots=True)
class Wire:
    """All lines of one session, in order, each way."""

    sent: list[Line] = field(default_factory=list[Line])
    received: list[Line] = field(default_factory=list[Line])


class Agent(Protocol):
    """What a test body does with a server."""

    async def list_tools(self) -> Any: ...
    async def call(self, tool: str, arguments: Mapping[str, Any] | None = None, progress: bool = False) -> Any: ...
    async def together(self, calls: Sequence[tuple[str, Mapping[str, Any]]]) -> None: ...
    async def ask(self, method: str, params: Mapping[str, Any] | None = None) -> Any: ...
    async def think(self, ready: bool = True) -> None: ...
    async def until_asked(self, method: str) -> None: ...


class RawAgent:
    """Lines over pipes. It blocks, which is fine: nothing else runs in its loop."""

    def __init__(self, client: RawClient, thinker: Thinker) -> None:
        self.client = client
        self._thinker = thinker
        self._ended = 0

    async def list_tools(self) -> Any:
        tools = self.client.list_tools()
        self._thinker.wait_listed()
        return tools

    async def call(self, tool: str, arguments: Mapping[str, Any] | None = None, progress: bool = False) -> Any:
        extra = {"_meta": {"progressToken": f"p{self._ended}"}} if progress else {}
        answer = self.client.answer(self.client.begin_call(tool, arguments, **extra), CALL_S)
        self._ended += 1
        return answer.message["result"] if "result" in answer.message else answer.message["error"]

    async def together(self, calls: Sequence[tuple[str, Mapping[str, Any]]]) -> None:
        requests = [self.client.begin_call(tool, arguments) for tool, arguments in calls]
        for request in requests:
            self.client.answer(request, CALL_S)
        self._ended += len(requests)

    async def ask(self, method: str, params: Mapping[str, Any] | None = None) -> Any:
        answer = self.client.ask(method, params)
        return answer.message["result"] if "result" in answer.message else answer.message["error"]

    async def think(self, ready: bool = True) -> None:
        self._thinker.wait(self._ended, ready)

    async def until_asked(self, method: str) -> None:
        self.client.wait(lambda line: line.method == method)


class SdkAgent:
    """The SDK's client. What it makes of an answer or an error is kept in `seen`, for comparison too."""

    def __init__(self, client: Client, thinker: Thinker, wire: Wire) -> None:
        self._client = client
        self._wire = wire
        self._thinker = thinker
        self._ended = 0
        self.seen: list[str] = []

    async def list_tools(self) -> Any:
        listed = await self._client.list_tools()
        await anyio.to_thread.run_sync(self._thinker.wait_listed)
        return self._saw(listed)["tools"]

    async def call(self, tool: str, arguments: Mapping[str, Any] | None = None, progress: bool = False) -> Any:
        async def reported(progress: float, total: float | None, message: str | None) -> None:
            self.seen.append(f"progress {progress} {total} {message}")

        try:
            with anyio.fail_after(CALL_S):
                result = await self._client.call_tool(
                    tool, dict(arguments or {}), progress_callback=reported if progress else None
                )
            return self._saw(result)
        except MCPError as error:
            self.seen.append(f"error {error.error.code} {error.error.message} {error.error.data}")
            return {"code": error.error.code, "message": error.error.message}
        finally:
            self._ended += 1

    async def together(self, calls: Sequence[tuple[str, Mapping[str, Any]]]) -> None:
        async with anyio.create_task_group() as group:
            for tool, arguments in calls:
                group.start_soon(self.call, tool, arguments)
                await anyio.lowlevel.checkpoint()

    async def ask(self, method: str, params: Mapping[str, Any] | None = None) -> Any:
        client, wanted = self._client, dict(params or {})
        try:
            match method:
                case "resources/list":
                    return self._saw(await client.list_resources())
                case "resources/templates/list":
                    return self._saw(await client.list_resource_templates())
                case "resources/read":
                    return self._saw(await client.read_resource(wanted["uri"]))
                case "prompts/list":
                    return self._saw(await client.list_prompts())
                case "prompts/get":
                    return self._saw(await client.get_prompt(wanted["name"], wanted.get("arguments")))
                case "completion/complete":
                    reference = mcp_types.PromptReference(type="ref/prompt", name=wanted["ref"]["name"])
                    return self._saw(await client.complete(reference, wanted["argument"]))
                case _:
                    raise NotImplementedError(method)
        except MCPError as error:
            self.seen.append(f"error {error.error.code} {error.error.message} {error.error.data}")
            return {"code": error.error.code, "message": error.error.message}

    async def think(self, ready: bool = True) -> None:
        await anyio.to_thread.run_sync(self._thinker.wait, self._ended, ready)

    async def until_asked(self, method: str) -> None:
        def asked() -> bool:
            return any(line.method == method for line in self._wire.received)

        await anyio.to_thread.run_sync(eventually, asked, f"{method} was asked")

    def _saw(self, result: Any) -> Any:
        dumped = result.model_dump(mode="json", by_alias=True, exclude_none=True)
        self.seen.append(json.dumps(dumped, sort_keys=True))
        return dumped


@asynccontextmanager
async def raw_agent(
    command: Sequence[str], env: Mapping[str, str], cwd: Path, thinker: Thinker, wire: Wire, has_roots: bool
) -> AsyncGenerator[RawAgent]:
    """A raw client after the handshake of 2025-11-25."""
    with RawClient(command, env=env, cwd=cwd, answers=ANSWERS, sent=wire.sent) as client:
        roots = {"roots": {"listChanged": True}} if has_roots else {}
        client.initialize(capabilities={**roots, "sampling": {}, "elicitation": {}})
        yield RawAgent(client, thinker)
    wire.received.extend(client.lines)


@asynccontextmanager
async def sdk_agent(
    command: Sequence[str],
    env: Mapping[str, str],
    cwd: Path,
    thinker: Thinker,
    wire: Wire,
    has_roots: bool,
    mode: str,
) -> AsyncGenerator[SdkAgent]:
    """The SDK's client, in `legacy` or `auto` mode, with every callback that a server may ask for."""

    async def sample(context: Any, params: Any) -> mcp_types.CreateMessageResult:
        return mcp_types.CreateMessageResult.model_validate(SAMPLED)

    async def elicit(context: Any, params: Any) -> mcp_types.ElicitResult:
        return mcp_types.ElicitResult.model_validate(ELICITED)

    async def roots(context: Any) -> mcp_types.ListRootsResult:
        return mcp_types.ListRootsResult.model_validate(ROOTS)

    async def logged(params: Any) -> None:
        agent.seen.append(f"log {params.level} {params.data}")

    client = Client(
        recording_transport(command, env, cwd, wire),
        mode=mode,
        cache=None,
        sampling_callback=sample,
        elicitation_callback=elicit,
        list_roots_callback=roots if has_roots else None,
        logging_callback=logged,
    )
    agent = SdkAgent(client, thinker, wire)
    async with client:
        yield agent


@asynccontextmanager
async def recording_transport(
    command: Sequence[str], env: Mapping[str, str], cwd: Path, wire: Wire
) -> AsyncGenerator[tuple[Any, Any]]:
    """A stdio transport for the SDK that keeps each line as it was."""
    process = await anyio.open_process(
        list(command),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=None,
        env=dict(env),
        cwd=cwd,
        start_new_session=True,
    )
    assert process.stdin
    assert process.stdout
    stdin, stdout = process.stdin, BufferedByteReceiveStream(process.stdout)
    to_client, from_server = anyio.create_memory_object_stream[SessionMessage | Exception](64)
    from_client, to_server = anyio.create_memory_object_stream[SessionMessage](64)

    async def read() -> None:
        async with to_client:
            while True:
                try:
                    raw = await stdout.receive_until(b"\n", MAX_LINE_BYTES)
                except (anyio.EndOfStream, anyio.IncompleteRead, anyio.ClosedResourceError):
                    return
                wire.received.append(decode_line(raw))
                try:
                    message = mcp_types.jsonrpc_message_adapter.validate_json(raw, by_name=False)
                except ValueError as error:
                    await to_client.send(error)
                    continue
                await to_client.send(SessionMessage(message))

    async def write() -> None:
        async with to_server:
            async for message in to_server:
                raw = message.message.model_dump_json(by_alias=True, exclude_unset=True).encode()
                wire.sent.append(Line(raw, json.loads(raw), time.monotonic()))
                await stdin.send(raw + b"\n")

    async with anyio.create_task_group() as group:
        group.start_soon(read)
        group.start_soon(write)
        try:
            yield from_server, from_client
        finally:
            with anyio.CancelScope(shield=True):
                await stdin.aclose()
                with anyio.move_on_after(EXIT_S):
                    await process.wait()
                try:
                    os.killpg(process.pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass  # it went with all its group, as it should
                await process.aclose()
                from_server.close()
                from_client.close()
            group.cancel_scope.cancel()
