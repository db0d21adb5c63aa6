"""A stdio server without any SDK that answers everything: what a request held comes back, however odd it was.

It speaks the handshake era. It knows tools, prompts, resources and completion, refuses nothing that has a method and an
id, and survives every line: what goes wrong in front of it is not its doing.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

NAME = "permissive"
VERSION = "2025-11-25"
SCHEMA = {"type": "object", "properties": {"text": {}}}
CAPABILITIES = {
    "tools": {"listChanged": True},
    "prompts": {"listChanged": True},
    "resources": {"subscribe": True, "listChanged": True},
    "completions": {},
    "logging": {},
}
LISTS: dict[str, dict[str, Any]] = {
    "tools/list": {"tools": [{"name": "echo", "description": "Give all back.", "inputSchema": SCHEMA}]},
    "prompts/list": {"prompts": [{"name": "say", "description": "Say it.", "arguments": [{"name": "text"}]}]},
    "resources/list": {"resources": [{"uri": "anything://one", "name": "one"}]},
    "resources/templates/list": {"resourceTemplates": [{"uriTemplate": "anything://{which}", "name": "which"}]},
    "initialize": {
        "protocolVersion": VERSION,
        "capabilities": CAPABILITIES,
        "serverInfo": {"name": NAME, "version": "1"},
    },
}
EMPTY = frozenset({"ping", "logging/setLevel", "resources/subscribe", "resources/unsubscribe"})


def result_of(method: str, params: Any) -> dict[str, Any]:
    """What this kind of request is answered with; the parameters are in it as they came."""
    if method in LISTS:
        return LISTS[method]
    if method in EMPTY:
        return {}
    words = json.dumps(params)
    match method:
        case "prompts/get":
            return {"messages": [{"role": "user", "content": {"type": "text", "text": words}}]}
        case "resources/read":
            uri = params.get("uri") if isinstance(params, dict) else None
            return {"contents": [{"uri": str(uri), "text": words}]}
        case "completion/complete":
            return {"completion": {"values": [words[:100]]}}
        case _:
            return {"content": [{"type": "text", "text": words}]}


def answer(line: bytes) -> dict[str, Any] | None:
    """The answer to a line; None where it asks for none."""
    try:
        message = json.loads(line.decode("utf-8", "surrogateescape"))
    except (ValueError, RecursionError) as error:
        return {"id": None, "error": {"code": -32700, "message": str(error)}}
    if not isinstance(message, dict) or "id" not in message or not isinstance(message.get("method"), str):
        return None
    if message["method"] == "server/discover":
        return {"id": message["id"], "error": {"code": -32601, "message": "no method server/discover"}}
    return {"id": message["id"], "result": result_of(message["method"], message.get("params"))}


def main() -> None:
    for line in sys.stdin.buffer:
        if (said := answer(line)) is not None:
            os.write(1, json.dumps({"jsonrpc": "2.0", **said}).encode() + b"\n")


if __name__ == "__main__":
    main()
