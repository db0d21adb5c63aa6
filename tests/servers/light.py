"""An echo server over stdio without any SDK, in the handshake era: two hundred of them start in seconds.

`echo` gives its `text` back after `pause_s` seconds; one call at a time, as most servers over stdio work.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

VERSIONS = ("2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25")
ECHO = {
    "name": "echo",
    "description": "Give the text back.",
    "inputSchema": {
        "type": "object",
        "properties": {"text": {"type": "string"}, "pause_s": {"type": "number"}},
        "required": ["text"],
    },
}


def answer(method: str, params: dict[str, Any]) -> dict[str, Any] | None:
    """The result of a request; None where there is no such method."""
    match method:
        case "initialize":
            asked = params.get("protocolVersion")
            return {
                "protocolVersion": asked if asked in VERSIONS else VERSIONS[-1],
                "capabilities": {"tools": {}},
                "serverInfo": {"name": "echo", "version": "0"},
            }
        case "ping":
            return {}
        case "tools/list":
            return {"tools": [ECHO]}
        case "tools/call":
            arguments = params.get("arguments", {})
            time.sleep(arguments.get("pause_s", 0))
            return {"content": [{"type": "text", "text": arguments.get("text", "")}]}
        case _:
            return None


def main() -> None:
    for line in sys.stdin:
        message = json.loads(line)
        if "id" not in message or "method" not in message:
            continue
        result = answer(message["method"], message.get("params", {}))
        outcome = {"result": result} if result is not None else {"error": {"code": -32601, "message": "no such method"}}
        print(json.dumps({"jsonrpc": "2.0", "id": message["id"], **outcome}), flush=True)


if __name__ == "__main__":
    main()
