"""An echo server over stdio without any SDK that answers when it is let: `python gated.py FOLDER [--modern]`.

While there is a file `gate` in its folder it answers nothing. Its tools are the words in the file `tools` there, or
`echo`; each answers with its arguments, its own name and its process id. `slow` waits until there is a file `go`. It
notes its process id in `started`, and what it is told in `told`.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

POLL_S = 0.005
MODERN = "2026-07-28"
FOLDER = Path(sys.argv[1])
IS_MODERN = "--modern" in sys.argv
ABOUT = {"name": "gated", "version": "1"}
CAPABILITIES = {"tools": {"listChanged": True}}


def wait_for(path: Path, is_there: bool) -> None:
    while path.exists() is not is_there:
        time.sleep(POLL_S)


def tools() -> list[str]:
    path = FOLDER / "tools"
    return path.read_text().split() if path.exists() else ["echo"]


def answer(method: str, params: dict[str, Any]) -> dict[str, Any]:
    """The members of an answer beside its id."""
    if method == "initialize" and not IS_MODERN:
        version = params["protocolVersion"]
        return {"result": {"protocolVersion": version, "capabilities": CAPABILITIES, "serverInfo": ABOUT}}
    if method == "server/discover" and IS_MODERN:
        meta = {"io.modelcontextprotocol/serverInfo": ABOUT}
        result = {"resultType": "complete", "supportedVersions": [MODERN], "capabilities": CAPABILITIES, "_meta": meta}
        return {"result": {**result, "ttlMs": 0, "cacheScope": "private"}}
    if method == "ping":
        return {"result": {}}
    if method == "tools/list":
        listed = [{"name": name, "inputSchema": {"type": "object"}} for name in tools()]
        return {"result": {"tools": listed, "resultType": "complete", "ttlMs": 0, "cacheScope": "private"}}
    if method == "tools/call" and params["name"] in [*tools(), "slow"]:
        if params["name"] == "slow":
            (FOLDER / "begun").touch()
            wait_for(FOLDER / "go", True)
        said = {"tool": params["name"], "arguments": params.get("arguments"), "pid": os.getpid()}
        return {"result": {"content": [{"type": "text", "text": json.dumps(said)}], "resultType": "complete"}}
    return {"error": {"code": -32601, "message": f"no {method} here"}}


def main() -> None:
    with (FOLDER / "started").open("a") as started:
        started.write(f"{os.getpid()}\n")
    for line in sys.stdin:
        wait_for(FOLDER / "gate", False)
        message = json.loads(line)
        with (FOLDER / "told").open("a") as told:
            told.write(line)
        if "id" in message and "method" in message:
            reply = {"jsonrpc": "2.0", "id": message["id"], **answer(message["method"], message.get("params", {}))}
            os.write(1, json.dumps(reply).encode() + b"\n")


if __name__ == "__main__":
    main()
