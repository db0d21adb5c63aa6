"""A raw server whose answers are not what its manifest says: a clock, and a level that somebody else changes.

The folder that DRIFTING_FOLDER names holds `level`, and gets a line in `calls` when a call has been answered.
"""

from __future__ import annotations

import json
import os
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

FOLDER = Path(os.environ["DRIFTING_FOLDER"])
LATENCY_S = 0.05
TOOLS = ("menu", "clock", "level", "fixed", "other")


def answer(tool: str) -> dict[str, Any]:
    """What a tool says."""
    time.sleep(LATENCY_S)  # else nothing would be worth foretelling
    if tool == "clock":
        return {"now": datetime.now(UTC).isoformat(), "zone": "UTC"}
    if tool == "level":
        return {"level": int((FOLDER / "level").read_text()), "api_key": "s3cret"}
    return {"tool": tool}


def main() -> None:
    """Serve the older era until the input ends."""
    for line in sys.stdin:
        message = json.loads(line)
        if "id" not in message:
            continue
        reply: dict[str, Any] = {"jsonrpc": "2.0", "id": message["id"]}
        if message["method"] == "initialize":
            info = {"name": "drifting", "version": "1"}
            reply["result"] = {"protocolVersion": "2025-06-18", "capabilities": {"tools": {}}, "serverInfo": info}
        elif message["method"] == "tools/list":
            reply["result"] = {"tools": [{"name": name, "inputSchema": {"type": "object"}} for name in TOOLS]}
        elif message["method"] == "tools/call":
            told = json.dumps(answer(message["params"]["name"]))
            reply["result"] = {"content": [{"type": "text", "text": told}]}
        else:
            reply["error"] = {"code": -32601, "message": "no such method"}
        print(json.dumps(reply), flush=True)
        if message["method"] == "tools/call":
            with (FOLDER / "calls").open("a") as calls:
                calls.write(message["params"]["name"] + "\n")


main()
