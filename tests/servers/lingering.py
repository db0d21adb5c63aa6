"""A small server with a list of things in a file. What it has begun it ends, whoever tells it to stop, and that takes
its time: `lingering.py FILE MARK SECONDS`, where MARK is made when it begins to add something."""

from __future__ import annotations

import json
import signal
import sys
import time
from pathlib import Path
from typing import Any

FILE, MARK, LINGERS_S = Path(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3])
TOOLS = {"list_things": [], "add_thing": ["name"], "remove_thing": ["name"]}


def call(tool: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """What the tool answers."""
    things = json.loads(FILE.read_text())
    if tool == "add_thing":
        MARK.touch()
        time.sleep(LINGERS_S)
        things.append(arguments["name"])
    elif tool == "remove_thing":
        things.remove(arguments["name"])
    FILE.write_text(json.dumps(things))
    return {"content": [{"type": "text", "text": json.dumps({"things": things})}]}


def answer(method: str, params: dict[str, Any]) -> dict[str, Any]:
    """The result of a request."""
    if method == "initialize":
        info = {"name": "lingering", "version": "1"}
        return {"protocolVersion": params["protocolVersion"], "capabilities": {"tools": {}}, "serverInfo": info}
    if method == "tools/list":
        schemas = {
            name: {"type": "object", "properties": {key: {"type": "string"} for key in keys}, "required": keys}
            for name, keys in TOOLS.items()
        }
        return {"tools": [{"name": name, "inputSchema": schema} for name, schema in schemas.items()]}
    return call(params["name"], params.get("arguments", {}))


signal.signal(signal.SIGTERM, signal.SIG_IGN)
for line in sys.stdin:
    message = json.loads(line)
    if "id" in message:
        result = answer(message["method"], message.get("params", {}))
        try:
            print(json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": result}), flush=True)
        except BrokenPipeError:
            break
