"""A server over stdio without any SDK that works on several calls at once: `musing.py PAUSE_S LOG`.

`think` answers slowly which move it makes; `glance` guesses that at once: the right move second, wrong ones beside it.
The log has a line for each thought's beginning and end.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from pathlib import Path
from typing import Any

MOVES = {"type": "array", "items": {"type": "string"}}
INPUT = {"type": "object", "properties": {"moves": MOVES}, "required": ["moves"]}
TOOLS = [{"name": name, "inputSchema": INPUT} for name in ("think", "glance")]


class Server:
    """One process."""

    def __init__(self, pause_s: float, log: Path) -> None:
        self.pause_s, self.log = pause_s, log
        self.lock = threading.Lock()

    def answer(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        """The result of a request."""
        if method == "initialize":
            about = {"name": "musing", "version": "0"}
            return {"protocolVersion": "2025-06-18", "capabilities": {"tools": {}}, "serverInfo": about}
        if method == "tools/list":
            return {"tools": TOOLS}
        if method != "tools/call":
            return {}
        moves = params["arguments"]["moves"]
        found = self.think(moves) if params["name"] == "think" else glance(moves)
        return {"content": [{"type": "text", "text": json.dumps(found)}], "structuredContent": found}

    def think(self, moves: list[str]) -> dict[str, Any]:
        """A move, and what else is known after long thought."""
        self.note("begins", moves)
        time.sleep(self.pause_s)
        self.note("ends", moves)
        return {"move": f"m{len(moves)}", "depth": 20 + len(moves)}

    def note(self, what: str, moves: list[str]) -> None:
        with self.lock, self.log.open("a") as log:
            log.write(f"{what} {' '.join(moves)}\n")

    def serve(self, message: dict[str, Any]) -> None:
        """Answer one request."""
        result = self.answer(message["method"], message.get("params", {}))
        line = json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": result})
        with self.lock:
            print(line, flush=True)


def glance(moves: list[str]) -> dict[str, Any]:
    """Three moves: the second likeliest is the one that is made."""
    likely = [("x", 0.5), (f"m{len(moves)}", 0.4), ("y", 0.1)]
    return {"guesses": [{"result": {"move": move}, "confidence": q} for move, q in likely]}


def main() -> None:
    server = Server(float(sys.argv[1]), Path(sys.argv[2]))
    for line in sys.stdin:
        message = json.loads(line)
        if "id" in message and "method" in message:
            threading.Thread(target=server.serve, args=(message,), daemon=True).start()


if __name__ == "__main__":
    main()
