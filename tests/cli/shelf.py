"""A small raw server with a shelf of things on disk, and planted faults: what `manifest verify` must catch."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

FLAGS = frozenset(sys.argv[1:])
FILE = Path(os.environ["SHELF_FILE"])
NAME = {"type": "string", "minLength": 1}
TOOLS = {
    "list_things": {},
    "get_thing": {"name": NAME},
    "put_thing": {"name": NAME, "colour": {"enum": ["red", "green"]}},
    "take_thing": {"name": NAME},
    "paint_thing": {"name": NAME, "colour": {"enum": ["red", "green"]}},
}


def answer(tool: str, arguments: dict[str, Any], state: dict[str, Any]) -> Any:
    """What the tool answers; it changes the state."""
    things: dict[str, str] = state["things"]
    name = arguments.get("name", "")
    if tool == "list_things":
        return state
    if tool == "get_thing":
        if "--logs-access" in FLAGS:
            state["seen"] = state.get("seen", 0) + 1
        if "--marks-read" in FLAGS and name in things:
            state["marked"] = sorted({*state.get("marked", ()), name})
        if "--counts" in FLAGS:
            count = state["hidden"] = state.get("hidden", 0) + 1
            return {"colour": things.get(name), "count": count}
        return {"colour": things.get(name)}
    if tool == "put_thing":
        if name in things and "--refuses" in FLAGS:
            raise ValueError(f"{name} is there already")
        created = name not in things
        things.setdefault(name, arguments["colour"])
        return {"created": [name] if created else []}
    if tool == "paint_thing":
        former = things[name]
        things[name] = arguments["colour"]
        return {"former": former}
    for gone in arguments.get("names", [name]):
        if gone not in things and "--strict" in FLAGS:
            raise ValueError(f"there is no {gone}")
        things.pop(gone, None)
        if "--keeps-count" in FLAGS:
            state["taken"] = state.get("taken", 0) + 1
    return {}


def called(params: dict[str, Any]) -> dict[str, Any]:
    """The result of a call; a refused one changes nothing."""
    state = json.loads(FILE.read_text()) if FILE.exists() else {"things": {}}
    try:
        told = answer(params["name"], params.get("arguments", {}), state)
    except (ValueError, KeyError) as error:
        return {"content": [{"type": "text", "text": f"no: {error}"}], "isError": True}
    FILE.write_text(json.dumps(state))
    shown = {key: value for key, value in told.items() if key != "hidden"}
    return {"content": [{"type": "text", "text": json.dumps(shown)}]}


def definition(name: str, properties: dict[str, Any]) -> dict[str, Any]:
    """An element of the tool list."""
    if name == "take_thing":
        properties = {"names": {"type": "array", "items": NAME}}
    schema = {"type": "object", "properties": properties, "required": list(properties)}
    return {"name": name, "inputSchema": schema}


def main() -> None:
    """Serve the older era until the input ends."""
    for line in sys.stdin:
        message = json.loads(line)
        if "id" not in message:
            continue
        reply: dict[str, Any] = {"jsonrpc": "2.0", "id": message["id"]}
        if message["method"] == "initialize":
            info = {"name": "shelf", "version": "1"}
            reply["result"] = {"protocolVersion": "2025-06-18", "capabilities": {"tools": {}}, "serverInfo": info}
        elif message["method"] == "tools/list":
            reply["result"] = {"tools": [definition(name, properties) for name, properties in TOOLS.items()]}
        elif message["method"] == "tools/call" and "--dies" in FLAGS:
            sys.exit("the shelf fell down")
        elif message["method"] == "tools/call":
            reply["result"] = called(message["params"])
        else:
            reply["error"] = {"code": -32601, "message": "no such method"}
        print(json.dumps(reply), flush=True)  # noqa: T201


main()
