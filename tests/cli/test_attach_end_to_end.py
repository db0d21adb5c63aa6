"""Attach mode from a real client through the real program, in front of a real server."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import anyio
import pytest
from mcp import ClientSession, StdioServerParameters, stdio_client

SERVER = """
import json, os, sys, threading, time
TOOLS = {"find": "of", "check": "of", "get": "id"}
def answer(m):
    if m["method"] == "initialize":
        version = m["params"]["protocolVersion"]
        about = {"name": "shelf", "version": "1"}
        r = {"protocolVersion": version, "capabilities": {"tools": {}}, "serverInfo": about}
    elif m["method"] == "tools/list":
        schemas = {t: {"type": "object", "properties": {a: {"type": "string"}}} for t, a in TOOLS.items()}
        r = {"tools": [{"name": t, "inputSchema": s} for t, s in schemas.items()]}
    else:
        name, (value,) = m["params"]["name"], m["params"]["arguments"].values()
        time.sleep(0.15 if name == "check" else 0.02)
        text = {"find": json.dumps({"id": "id-" + value}), "check": "fine", "get": "the book " + value}[name]
        r = {"content": [{"type": "text", "text": text}]}
    os.write(1, (json.dumps({"jsonrpc": "2.0", "id": m["id"], "result": r}) + "\\n").encode())
for line in sys.stdin.buffer:
    m = json.loads(line)
    if "id" in m:
        threading.Thread(target=answer, args=(m,)).start()
"""

MANIFEST = """
[manifest]
version = 1
server = "shelf"
concurrent = true
open_world = false
""" + "".join(
    f'[tools.{tool}]\neffect = "read"\ntouches = ["book:*"]\nexclusive = true\n' for tool in ("find", "check", "get")
)


@pytest.mark.parametrize("kind", ["wrap", "run"])
@pytest.mark.parametrize("attach", [True, False])
@pytest.mark.anyio
async def test_a_very_likely_read_comes_along_with_a_reply_where_the_user_switched_that_on(
    tmp_path: Path, kind: str, attach: bool
) -> None:
    manifest, config, server = tmp_path / "shelf.toml", tmp_path / "config.toml", tmp_path / "server.py"
    manifest.write_text(MANIFEST)
    server.write_text(SERVER)
    program = [sys.executable, str(server)]
    config.write_text(
        f"[speculation]\nwasted_call_s = 0.0\nattach = {json.dumps(attach)}\n"
        f"[servers.shelf]\ncommand = {program[0]!r}\nargs = {program[1:]!r}\nmanifest = {str(manifest)!r}\n"
    )
    behind = ["--name", "shelf", "--", *program] if kind == "wrap" else []
    arguments = ["-m", "spec_mcp", kind, "--config", str(config), *behind]
    environ = {"SPEC_MCP_HOME": str(tmp_path / "home"), "PATH": "/usr/bin:/bin"}
    parameters = StdioServerParameters(command=sys.executable, args=arguments, env=environ)
    came_along: list[str] = []
    with anyio.fail_after(100):
        async with stdio_client(parameters) as streams, ClientSession(*streams) as client:
            await client.initialize()
            for number in range(40):
                found = await client.call_tool("find", {"of": f"book-{number}"})
                checked = await client.call_tool("check", {"of": f"book-{number}"})
                for result in (found, checked):
                    assert not result.is_error
                    came_along += [item.text for item in result.content[1:] if item.type == "text"]
                if came_along:
                    break
                await client.call_tool("get", {"id": f"id-book-{number}"})
    if attach:
        assert "spec-mcp" in came_along[0]
        assert "the book id-book-" in came_along[0], "the answer that the call would have had"
    else:
        assert not came_along
