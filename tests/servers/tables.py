"""A server over stdio that answers from a table, without any SDK: `python tests/servers/tables.py TABLE.json`.

The table names the server and its tools: `{"name": "tracker", "tools": {"get_issue": {"by": "number", "answers":
{"1": {...}}}}}`. An answer that is a text comes as text, any other as structured content; what the table does not hold
is answered with the arguments. The file is read again for each call, so that a test may change it.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

VERSION = "2025-11-25"


def answer(table: dict[str, Any], method: str, params: dict[str, Any]) -> dict[str, Any]:
    """The result of a request."""
    match method:
        case "initialize":
            about = {"name": table["name"], "version": "0"}
            return {"protocolVersion": VERSION, "capabilities": {"tools": {}}, "serverInfo": about}
        case "tools/list":
            return {"tools": [listed(name, tool) for name, tool in table["tools"].items()]}
        case "tools/call":
            tool, arguments = table["tools"][params["name"]], params.get("arguments", {})
            found = tool.get("answers", {}).get(str(arguments.get(tool["by"])), arguments)
            if isinstance(found, str):
                return {"content": [{"type": "text", "text": found}]}
            return {"content": [], "structuredContent": found}
        case _:
            return {}


def listed(name: str, tool: dict[str, Any]) -> dict[str, Any]:
    """A tool as it is listed."""
    return {"name": name, "inputSchema": {"type": "object", "properties": {tool["by"]: {}}}}


def main() -> None:
    for line in sys.stdin:
        message = json.loads(line)
        if "id" in message and "method" in message:
            table = json.loads(Path(sys.argv[1]).read_text())
            result = answer(table, message["method"], message.get("params", {}))
            print(json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": result}), flush=True)


if __name__ == "__main__":
    main()
