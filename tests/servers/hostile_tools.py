"""The tools of the hostile server: some behave, some answer with what is hard to carry, some misbehave."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from collections.abc import Callable
from typing import Any

from hostile_wire import Wire, encode, wait_for_gate

Params = dict[str, Any]
BIG_BYTES = 5_000_000
EXTRAS: Params = {"x-future": {"n": 9007199254740993, "list": [None, 1.0, 1e300]}, "_meta": {"example.org/kept": [1]}}


BLOCKING = frozenset({"slow", "ask", "unknown_method", "after_cancel", "partial"})
"""Tools that wait for somebody."""


class Stop(Exception):  # noqa: N818  a way out, no error
    """The call ends without an answer."""


class Tools:
    """What the server keeps and what its tools do with it. `cancelled` holds an event for each request in flight."""

    def __init__(self, wire: Wire) -> None:
        self.wire = wire
        self.state: dict[str, Any] = {}
        self.count = 0
        self.added: list[str] = []
        self.tasks: dict[str, Params] = {}
        self.cancelled: dict[Any, threading.Event] = {}
        self.subscribed: set[str] = set()
        self.by_name: dict[str, Callable[[Any, Params, Params], Any]] = {
            name.removeprefix("tool_"): getattr(self, name) for name in dir(self) if name.startswith("tool_")
        }

    def names(self) -> list[str]:
        """The names of all tools in the order of the list."""
        return [*self.by_name, *self.added]

    def call(self, request: Any, params: Params, line: bytes) -> Any:
        name, arguments = params["name"], params.get("arguments") or {}
        if name not in self.by_name and name not in self.added:
            raise ToolFault({"code": -32602, "message": f"no tool {name}", "data": [name]})
        self.count += 1
        if "task" in params:
            return self.begin_task(params)
        if name in self.added:
            return text(f"{name} was added later")
        if name == "echo":
            return {**text(line.decode("utf-8", "surrogatepass")), "structuredContent": {"arguments": arguments}}
        return self.by_name[name](request, arguments, params)

    def begin_task(self, params: Params) -> Params:
        identity = f"task-{len(self.tasks) + 1}"
        task = {
            "taskId": identity,
            "status": "working",
            "ttl": params["task"].get("ttl"),
            "createdAt": "2026-01-01T00:00:00Z",
        }
        self.tasks[identity] = task
        return {"task": task, **EXTRAS}

    def notify(self, method: str, params: Params) -> None:
        self.wire.send({"jsonrpc": "2.0", "method": method, "params": params})

    # --- tools that behave ------------------------------------------------------------------------------------------

    def tool_echo(self, _request: Any, arguments: Params, _params: Params) -> Any:
        return {"structuredContent": arguments}

    def tool_read(self, request: Any, arguments: Params, params: Params) -> Any:
        """Read a value. `gate`: wait for that file first; `progress`: report so often; `log`: log so often."""
        self.wire.mark("reading", key=arguments.get("key"), id=request)
        value = self.state.get(arguments["key"])
        for number in range(arguments.get("progress", 0)):
            self.progress(params, number + 1)
        if "gate" in arguments and not wait_for_gate(arguments["gate"], self.cancelled[request]):
            self.wire.mark("cancelled", id=request)
            raise Stop
        return {**text(json.dumps(value)), "structuredContent": {"key": arguments["key"], "value": value}}

    def tool_write(self, _request: Any, arguments: Params, _params: Params) -> Any:
        self.wire.mark("writing", key=arguments["key"], value=arguments["value"])
        self.state[arguments["key"]] = arguments["value"]
        return text("written")

    def tool_keys(self, _request: Any, _arguments: Params, _params: Params) -> Any:
        return {**text("keys"), "structuredContent": {"keys": sorted(self.state)}}

    def tool_count(self, _request: Any, _arguments: Params, _params: Params) -> Any:
        return text(str(self.count))

    def tool_pid(self, _request: Any, _arguments: Params, _params: Params) -> Any:
        return text(str(os.getpid()))

    def tool_is_error(self, _request: Any, arguments: Params, _params: Params) -> Any:
        return {**text(arguments.get("text", "boom")), "isError": True}

    def tool_error(self, _request: Any, arguments: Params, _params: Params) -> Any:
        error = {"code": -32042, "message": "custom", "data": {"d": [1, {"e": None}]}, "x-more": True}
        raise ToolFault({**error, **arguments}, {"x-beside": 1})

    def tool_progress(self, request: Any, arguments: Params, params: Params) -> Any:
        for number in range(arguments.get("n", 3)):
            self.progress(params, number + 1)
        return text("done")

    def tool_log(self, _request: Any, arguments: Params, _params: Params) -> Any:
        for number in range(arguments.get("n", 1)):
            self.notify("notifications/message", {"level": "warning", "logger": "L", "data": {"n": number}, "x": 1})
        return text("logged")

    def tool_ask(self, _request: Any, arguments: Params, _params: Params) -> Any:
        """Ask the client: `method` and `params`; the result holds its answer."""
        answer = json.loads(self.wire.ask(arguments["method"], arguments.get("params", {})))
        return text(json.dumps({name: value for name, value in answer.items() if name != "id"}))

    def tool_input_required(self, _request: Any, _arguments: Params, params: Params) -> Any:
        if "inputResponses" in params:
            return {**text(json.dumps(params["inputResponses"], sort_keys=True)), "resultType": "complete"}
        schema = {"type": "object", "properties": {"a": {"type": "string"}}}
        question = {
            "method": "elicitation/create",
            "params": {"mode": "form", "message": "q", "requestedSchema": schema},
        }
        return {"resultType": "input_required", "inputRequests": {"q": question}, "requestState": "s-1"}

    def tool_change_lists(self, _request: Any, arguments: Params, _params: Params) -> Any:
        self.added.append(arguments.get("name", f"added_{len(self.added) + 1}"))
        for kind in ("tools", "prompts", "resources"):
            self.notify(f"notifications/{kind}/list_changed", {})
        return text("changed")

    def tool_touch_resource(self, _request: Any, arguments: Params, _params: Params) -> Any:
        self.notify("notifications/resources/updated", {"uri": arguments.get("uri", "h://a"), "title": "T"})
        return text(",".join(sorted(self.subscribed)))

    def tool_end_task(self, _request: Any, arguments: Params, _params: Params) -> Any:
        task = self.tasks[arguments["taskId"]]
        task["status"] = "completed"
        self.notify("notifications/tasks/status", task)
        return text("ended")

    def tool_slow(self, request: Any, arguments: Params, _params: Params) -> Any:
        """Wait for the file `gate`, or until cancelled: then there is no answer."""
        self.wire.mark("slow-began", id=request)
        if not wait_for_gate(arguments["gate"], self.cancelled[request]):
            self.wire.mark("slow-cancelled", id=request)
            raise Stop
        return text("slow is done")

    # --- tools that answer with what is hard to carry ---------------------------------------------------------------

    def tool_big(self, _request: Any, arguments: Params, _params: Params) -> Any:
        return text("x" * arguments.get("bytes", BIG_BYTES))

    def tool_surrogate(self, _request: Any, _arguments: Params, _params: Params) -> Any:
        return {**text("a\ud800b"), "structuredContent": {"\udfff": "\ud83d"}}

    def tool_numbers(self, request: Any, _arguments: Params, _params: Params) -> Any:
        numbers = b'"a":9007199254740993,"b":123456789012345678901234567890,"c":1.0,"d":1e400,"e":-0.0,"e":1'
        body = b'{"content":[],"structuredContent":{' + numbers + b"}}"
        self.wire.write(b'{"jsonrpc":"2.0","id":' + json.dumps(request).encode() + b',"result":' + body + b"}\n")
        raise Stop

    def tool_deep(self, request: Any, arguments: Params, _params: Params) -> Any:
        depth = arguments.get("depth", 300)
        body = b'{"content":[],"structuredContent":{"v":' + b"[" * depth + b"]" * depth + b"}}"
        self.wire.write(b'{"jsonrpc":"2.0","id":' + json.dumps(request).encode() + b',"result":' + body + b"}\n")
        raise Stop

    def tool_unknown_content(self, _request: Any, arguments: Params, _params: Params) -> Any:
        """Content of an unknown type; `arguments` become members of the result."""
        item = {"type": "hologram", "frames": [1, 2], "annotations": {"x-new": 1}, "_meta": {"a/b": 1}}
        return {"content": [item], "structuredContent": [1, "no object"], **EXTRAS, **arguments}

    def tool_unknown_method(self, _request: Any, _arguments: Params, _params: Params) -> Any:
        self.notify("notifications/x-unknown", {"n": 1, "deep": {"_meta": {"k": [1]}}})
        answer = json.loads(self.wire.ask("x-unknown/question", {"n": 9007199254740993}))
        return text(json.dumps({name: value for name, value in answer.items() if name != "id"}))

    # --- tools that misbehave ---------------------------------------------------------------------------------------

    def tool_emit(self, _request: Any, arguments: Params, _params: Params) -> Any:
        """Write these lines as they are, then answer."""
        for line in arguments["lines"]:
            self.wire.write(line.encode() + b"\n")
        return text("emitted")

    def tool_flood(self, _request: Any, arguments: Params, params: Params) -> Any:
        for number in range(arguments.get("n", 10_000)):
            self.notify("notifications/message", {"level": "info", "data": number})
        return text("flooded")

    def tool_twice(self, request: Any, _arguments: Params, _params: Params) -> Any:
        self.wire.answer(request, text("first"))
        self.wire.answer(request, text("second"))
        raise Stop

    def tool_after_cancel(self, request: Any, _arguments: Params, _params: Params) -> Any:
        self.wire.mark("waiting-for-cancel", id=request)
        self.cancelled[request].wait()
        self.wire.mark("answering-after-cancel", id=request)
        return text("too late")

    def tool_never(self, request: Any, _arguments: Params, _params: Params) -> Any:
        self.wire.mark("never", id=request)
        raise Stop

    def tool_die(self, request: Any, arguments: Params, _params: Params) -> Any:
        """Die: `mid-line` after half an answer, `exit` with a code, `kill` by a signal."""
        self.wire.mark("dying", id=request)
        if arguments.get("how") == "mid-line":
            self.wire.write(b'{"jsonrpc":"2.0","id":' + json.dumps(request).encode() + b',"result":{"cont')
        if arguments.get("how") == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        os._exit(7)

    def tool_partial(self, request: Any, arguments: Params, _params: Params) -> Any:
        line = encode({"jsonrpc": "2.0", "id": request, "result": text("in pieces " + "y" * 200)})
        self.wire.write_slowly(line, arguments.get("chunk_bytes", 7), arguments.get("gap_s", 0.001))
        raise Stop

    def tool_wrong_id(self, request: Any, _arguments: Params, _params: Params) -> Any:
        """Answer under ids that nobody asked for first: another, the same as text, null."""
        for wrong in (987654, str(request), None):
            self.wire.answer(wrong, text("wrong"))
        return text("right")

    def tool_stderr(self, _request: Any, arguments: Params, _params: Params) -> Any:
        sys.stderr.write(arguments["text"] + "\n")
        sys.stderr.flush()
        return text("said")

    def progress(self, params: Params, number: int) -> None:
        token = (params.get("_meta") or {}).get("progressToken")
        if token is not None:
            self.notify("notifications/progress", {"progressToken": token, "progress": number, "total": 3, "x": "y"})


class ToolFault(Exception):  # noqa: N818  it carries an answer
    """A JSON-RPC error to answer with, and members beside it."""

    def __init__(self, error: Params, beside: Params | None = None) -> None:
        super().__init__(error["message"])
        self.error = error
        self.beside = beside or {}


def text(value: str) -> Params:
    """A result with one text item."""
    return {"content": [{"type": "text", "text": value}]}


def definition(name: str) -> Params:
    """A tool's definition; what they claim of themselves is a lie for most."""
    return {
        "name": name,
        "description": f"The tool {name}",
        "inputSchema": {"type": "object", "properties": {"key": {}, "value": {}}, "x-keyword": {"y": 1}},
        "outputSchema": {"type": "object", "properties": {"never": {"type": "integer"}}},
        "annotations": {"readOnlyHint": True, "x-hint": "kept"},
        "execution": {"taskSupport": "optional"},
        "_meta": {"example.org/tool": 1},
    }


def tool_of(message: Params) -> str | None:
    """The tool that a request names."""
    params = message.get("params")
    return params.get("name") if isinstance(params, dict) and message["method"] == "tools/call" else None


def may_block(message: Params) -> bool:
    """May answering this request have to wait for another message?"""
    if message["method"] == "subscriptions/listen":
        return True
    arguments = message["params"].get("arguments") if tool_of(message) else None
    return tool_of(message) in BLOCKING or (isinstance(arguments, dict) and "gate" in arguments)
