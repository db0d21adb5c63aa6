"""A stdio MCP server without any SDK that does everything a server may do, and much that it must not.

    python tests/servers/hostile.py [--received FILE] [--marks FILE] [--banner] [--child FILE] [--ignore-term] ...

It speaks both protocol eras on one pipe. Its tools, listed in hostile_tools.py, are steered by their arguments.
`--received` keeps every byte that arrives, `--marks` a line of JSON for each thing that happened (a call begun, a
cancellation with its reason), so that a test can compare what went through byte for byte and wait without sleeping.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hostile_tools import EXTRAS, Params, Stop, ToolFault, Tools, definition, may_block, text, tool_of
from hostile_wire import Wire, encode

LEGACY = "2025-11-25"
MODERN = "2026-07-28"
SUPPORTED = ["2024-11-05", "2025-03-26", "2025-06-18", LEGACY]
CAPABILITIES: Params = {
    "tools": {"listChanged": True, "futureFlag": {"x": 1}},
    "resources": {"subscribe": True, "listChanged": True},
    "prompts": {"listChanged": True},
    "logging": {},
    "completions": {},
    "tasks": {"list": {}, "cancel": {}, "requests": {"tools": {"call": {}}}},
    "experimental": {"x-spec/unknown": {"deep": [1, 2, 3]}},
}


class Hostile:
    """The server: one thread reads and answers in the client's order; what may block has a thread of its own."""

    def __init__(self, wire: Wire, options: argparse.Namespace) -> None:
        self.wire = wire
        self.options = options
        self.tools = Tools(wire)
        self.tasks = self.tools.tasks
        self.cancelled = self.tools.cancelled
        self.methods: dict[str, Callable[[Any, Params], Any]] = {
            "initialize": self.initialize,
            "server/discover": self.discover,
            "ping": lambda _id, _p: {},
            "tools/list": self.list_tools,
            "logging/setLevel": lambda _id, p: {"level-was": p.get("level")},
            "resources/list": lambda _id, _p: {"resources": [{"uri": "h://a", "name": "a", **EXTRAS}]},
            "resources/templates/list": lambda _id, _p: {
                "resourceTemplates": [{"uriTemplate": "h://{x}", "name": "t", **EXTRAS}]
            },
            "resources/read": lambda _id, p: {
                "contents": [{"uri": p["uri"], "text": f"resource {p['uri']}", **EXTRAS}]
            },
            "resources/subscribe": self.subscribe,
            "resources/unsubscribe": self.unsubscribe,
            "prompts/list": lambda _id, _p: {"prompts": [{"name": "p", "arguments": [{"name": "x"}], **EXTRAS}]},
            "prompts/get": lambda _id, p: {
                "messages": [{"role": "user", "content": {"type": "text", "text": json.dumps(p.get("arguments"))}}]
            },
            "completion/complete": lambda _id, p: {"completion": {"values": ["v-" + p["argument"]["value"]], "x": 1}},
            "subscriptions/listen": self.listen,
            "tasks/get": lambda _id, p: self.tasks[p["taskId"]],
            "tasks/list": lambda _id, _p: {"tasks": list(self.tasks.values())},
            "tasks/cancel": self.cancel_task,
            "tasks/result": lambda _id, p: text(f"result of {p['taskId']}"),
        }

    # --- requests ---------------------------------------------------------------------------------------------------

    def serve(self) -> None:
        for line in self.wire.lines():
            try:
                message = json.loads(line)
            except ValueError as error:
                self.wire.mark("no-json", bytes=len(line))
                self.wire.send({"jsonrpc": "2.0", "id": None, "error": {"code": -32700, "message": str(error)}})
                continue
            if isinstance(message, list):
                threading.Thread(target=self.batch, args=(message,), daemon=True).start()
            elif not isinstance(message, dict):
                self.wire.send({"jsonrpc": "2.0", "id": None, "error": {"code": -32600, "message": "no object"}})
            elif "method" not in message:
                if not self.wire.answered(message.get("id"), line):
                    self.wire.mark("stray-answer", id=message.get("id"))
            elif "id" not in message:
                self.notified(message)
            else:
                self.wire.mark("request", method=message["method"], id=message["id"], tool=tool_of(message))
                self.cancelled[message["id"]] = threading.Event()
                if may_block(message):
                    threading.Thread(target=self.respond, args=(message, line), daemon=True).start()
                else:
                    self.respond(message, line)

    def respond(self, message: Params, line: bytes) -> None:
        """Answer one request, unless it decides not to."""
        request = message["id"]
        if (reply := self.reply_to(message, line)) is not None:
            self.wire.send({"jsonrpc": "2.0", "id": request, **reply})

    def reply_to(self, message: Params, line: bytes) -> Params | None:
        """The members of the answer to one request; None where there is none."""
        request, method = message["id"], message["method"]
        params = message.get("params") or {}
        try:
            if method == "tools/call":
                result = self.tools.call(request, params, line)
            elif method in self.methods:
                result = self.methods[method](request, params)
            elif method.startswith("x/"):
                result = {"echo": params, "method": method}
            else:
                return {"error": {"code": -32601, "message": f"no method {method}", "data": {"method": method}}}
        except Stop:
            return None
        except ToolFault as fault:
            return {"error": fault.error, **fault.beside}
        finally:
            self.cancelled.pop(request, None)
        return {"result": result}

    def batch(self, messages: list[Params]) -> None:
        """A batch is answered with a batch, in its own order."""
        replies: list[Params] = []
        for message in messages:
            if "id" in message and (reply := self.reply_to(message, encode(message))) is not None:
                replies.append({"jsonrpc": "2.0", "id": message["id"], **reply})
        if replies:
            self.wire.write(encode(replies))

    def notified(self, message: Params) -> None:
        method, params = message["method"], message.get("params") or {}
        self.wire.mark("notified", method=method, params=params)
        if method == "notifications/cancelled" and (event := self.cancelled.get(params.get("requestId"))):
            event.set()

    def initialize(self, _request: Any, params: Params) -> Params:
        wanted = params.get("protocolVersion")
        return {
            "protocolVersion": wanted if wanted in SUPPORTED else LEGACY,
            "capabilities": CAPABILITIES,
            "serverInfo": {"name": self.options.name, "version": "1.0", "x-build": 7},
            "instructions": "Be hostile.",
            **EXTRAS,
        }

    def discover(self, _request: Any, _params: Params) -> Params:
        if self.options.legacy_only:
            raise ToolFault({"code": -32601, "message": "no method server/discover"})
        return {
            "supportedVersions": [MODERN],
            "capabilities": CAPABILITIES,
            "serverInfo": {"name": self.options.name, "version": "1.0"},
            "instructions": "Be hostile.",
            "resultType": "complete",
            "ttlMs": 0,
            "cacheScope": "private",
            "_meta": {"io.modelcontextprotocol/serverInfo": {"name": self.options.name, "version": "1.0"}},
        }

    def list_tools(self, _request: Any, params: Params) -> Params:
        """Two pages, so that a reader of the list must follow the cursor."""
        names = self.tools.names()
        half = len(names) // 2
        page = names[half:] if params.get("cursor") == "2" else names[:half]
        result: Params = {"tools": [definition(name) for name in page], "resultType": "complete", **EXTRAS}
        if params.get("cursor") != "2":
            result["nextCursor"] = "2"
        return result

    def subscribe(self, _request: Any, params: Params) -> Params:
        self.tools.subscribed.add(params["uri"])
        return {}

    def unsubscribe(self, _request: Any, params: Params) -> Params:
        self.tools.subscribed.discard(params["uri"])
        return {}

    def listen(self, request: Any, params: Params) -> Params:
        """The stream stays open until it is cancelled; each of its notifications names the id of this request."""
        event = self.cancelled[request]
        subscription = {"io.modelcontextprotocol/subscriptionId": request}
        acknowledged = {"notifications": params.get("notifications"), "_meta": subscription}
        self.tools.notify("notifications/subscriptions/acknowledged", acknowledged)
        self.tools.notify("notifications/tools/list_changed", {"_meta": subscription})
        event.wait()
        self.wire.mark("listen-ended", id=request)
        raise Stop

    def cancel_task(self, _request: Any, params: Params) -> Params:
        task = self.tasks[params["taskId"]]
        task["status"] = "cancelled"
        self.tools.notify("notifications/tasks/status", task)
        return task


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--name", default="hostile")
    parser.add_argument("--received", type=Path)
    parser.add_argument("--marks", type=Path)
    parser.add_argument("--banner", action="store_true", help="print what is no JSON to standard output first")
    parser.add_argument("--legacy-only", action="store_true", help="know nothing of server/discover")
    parser.add_argument("--ignore-term", action="store_true", help="ignore SIGTERM and the end of standard input")
    parser.add_argument("--child", type=Path, help="start a child that sleeps, and write its process id here")
    parser.add_argument("--die-at-start", type=Path, help="exit at once while this file exists")
    options = parser.parse_args()
    quiet = "HOSTILE_QUIET" in os.environ
    wire = Wire(None, None) if quiet else Wire(options.received, options.marks)
    if options.die_at_start and options.die_at_start.exists():
        wire.mark("died-at-start")
        sys.exit(9)
    if options.ignore_term:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if options.child:
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], stdin=subprocess.DEVNULL)
        options.child.write_text(str(child.pid))
    if options.banner:
        wire.write(b"Welcome to the hostile server!\n\n   \n{not json}\n")
    wire.mark("started", pid=os.getpid())
    Hostile(wire, options).serve()
    wire.mark("input-ended")
    if options.ignore_term:
        time.sleep(600)
    os._exit(0)


if __name__ == "__main__":
    main()
