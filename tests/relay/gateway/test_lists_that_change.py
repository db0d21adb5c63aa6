"""A client that has changed a server's list through a call sees the new list, however slowly the server lists it."""

from __future__ import annotations

import json
from pathlib import Path

from benchmarks.gateway.running import gateway, server
from tests.pipes import RawClient
from tests.relay.running import server as server_of

CHANGING = """
tools = ["change"]
while (m := hear()) is not None:
    if m.get("method") == "initialize":
        answer(m, {"protocolVersion": "2025-11-25", "capabilities": {"tools": {"listChanged": True}},
                   "serverInfo": {"name": "changing", "version": "1"}})
    elif m.get("method") == "tools/list":
        if len(tools) > 1: time.sleep(0.5)
        answer(m, {"tools": [{"name": name, "inputSchema": {"type": "object"}} for name in tools]})
    elif m.get("method") == "tools/call":
        tools.append("added")
        say(method="notifications/tools/list_changed")
        answer(m, {"content": []})
    elif "id" in m and "method" in m:
        answer(m)
"""


def test_a_list_that_was_asked_for_after_a_change_is_the_changed_one(tmp_path: Path) -> None:
    with RawClient(gateway(_configuration(tmp_path, slow=server_of(CHANGING), other=server("light.py")))) as client:
        client.initialize()
        assert _names(client) == {"slow__change", "other__echo"}
        client.call("slow__change")
        assert _names(client) == {"slow__change", "slow__added", "other__echo"}


def _configuration(folder: Path, **servers: list[str]) -> Path:
    lines: list[str] = []
    for name, command in servers.items():
        lines += [f"[servers.{name}]", f"command = {json.dumps(command[0])}", f"args = {json.dumps(command[1:])}"]
    config = folder / "spec-mcp.toml"
    config.write_text("\n".join(lines))
    return config


def _names(client: RawClient) -> set[str]:
    return {tool["name"] for tool in client.ask("tools/list").message["result"]["tools"]}


SILENT = CHANGING.replace('{"listChanged": True}', "{}").replace(
    'say(method="notifications/tools/list_changed")', "pass"
)


def test_a_list_is_looked_at_again_where_the_server_does_not_tell_of_changes(tmp_path: Path) -> None:
    assert "pass" in SILENT
    assert "listChanged" not in SILENT
    with RawClient(gateway(_configuration(tmp_path, slow=server_of(SILENT), other=server("light.py")))) as client:
        client.initialize()
        assert _names(client) == {"slow__change", "other__echo"}
        client.call("slow__change")
        assert _names(client) == {"slow__change", "slow__added", "other__echo"}


def test_a_server_that_stops_listing_hides_no_other(tmp_path: Path) -> None:
    stuck = SILENT.replace("if len(tools) > 1: time.sleep(0.5)", "if len(tools) > 1: continue")
    assert "continue" in stuck
    with RawClient(gateway(_configuration(tmp_path, slow=server_of(stuck), other=server("light.py")))) as client:
        client.initialize()
        client.list_tools()
        client.call("slow__change")
        assert _names(client) == {"slow__change", "other__echo"}, "what was known before, after a while"
        assert client.call("other__echo", {"text": "still here"}).text == "still here"
