"""Context hints from a real client through the real program, in front of a real server."""

from __future__ import annotations

import sys
from pathlib import Path

import anyio
import pytest
from mcp import ClientSession, StdioServerParameters, stdio_client

from spec_mcp.hints import Hints

SERVER = """
import json, os, sys, time
log = open(sys.argv[1], "ab", buffering=0)
for line in sys.stdin.buffer:
    log.write(line)
    m = json.loads(line)
    if "id" not in m:
        continue
    if m["method"] == "initialize":
        version = m["params"]["protocolVersion"]
        about = {"name": "orders", "version": "1"}
        r = {"protocolVersion": version, "capabilities": {"tools": {}}, "serverInfo": about}
    elif m["method"] == "tools/list":
        schema = {"type": "object", "properties": {"order_id": {"type": "string"}}}
        r = {"tools": [{"name": "get_order", "inputSchema": schema}]}
    else:
        time.sleep(0.1)
        r = {"content": [{"type": "text", "text": "{}"}]}
    os.write(1, (json.dumps({"jsonrpc": "2.0", "id": m["id"], "result": r}) + "\\n").encode())
"""

MANIFEST = """
[manifest]
version = 1
server = "orders"
concurrent = true
[tools.get_order]
effect = "read"
touches = ["order:{order_id}"]
exclusive = true
open_world = false
"""


async def seen(order: str, log: Path) -> None:
    while order.encode() not in log.read_bytes():  # noqa: ASYNC110, ASYNC240  a file tells nobody
        await anyio.sleep(0.01)


@pytest.mark.parametrize("kind", ["wrap", "run"])
@pytest.mark.anyio
async def test_an_order_that_only_the_user_named_is_read_ahead_and_no_server_sees_the_words(tmp_path: Path, kind: str):
    log, manifest, config = tmp_path / "log", tmp_path / "orders.toml", tmp_path / "config.toml"
    log.touch()
    manifest.write_text(MANIFEST)
    server = tmp_path / "server.py"
    server.write_text(SERVER)
    program = [sys.executable, str(server), str(log)]
    config.write_text(
        "[speculation]\nwasted_call_s = 0.0\n"
        f"[servers.orders]\ncommand = {program[0]!r}\nargs = {program[1:]!r}\nmanifest = {str(manifest)!r}\n"
    )
    behind = ["--name", "orders", "--", *program] if kind == "wrap" else []
    arguments = ["-m", "spec_mcp", kind, "--config", str(config), *behind]
    environ = {"SPEC_MCP_HOME": str(tmp_path / "home"), "PATH": "/usr/bin:/bin"}
    parameters = StdioServerParameters(command=sys.executable, args=arguments, env=environ)
    hints = Hints()
    with anyio.fail_after(100):
        async with stdio_client(parameters) as streams, ClientSession(*streams) as client:
            await client.initialize()
            for number in range(10, 19):
                first, second = f"W{number}01", f"W{number}02"
                hints.say("user", f"please look at {first} and {second}")
                await client.call_tool("get_order", {"order_id": first}, meta=hints.meta())
                if number < 18:
                    await client.call_tool("get_order", {"order_id": second}, meta=hints.meta())
                else:
                    await seen(second, log)
                if number == 18:  # the next words come while the user still waits, before any call
                    hints.say("user", "please look at W1901 and W1902")
                    await hints.tell(client)
                    await seen("W1901", log)
    assert b"please look" not in log.read_bytes()
    assert b"spec-mcp/hints" not in log.read_bytes()
