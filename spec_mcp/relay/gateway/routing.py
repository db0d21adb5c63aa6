"""Which server gets a request, and how it is put to that server.

With one server every request is its own, as it came, but for tools that the configuration denies. With several, what
a request names says whose it is; what belongs to all of them goes to all.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from spec_mcp.relay import wire
from spec_mcp.relay.gateway.catalogue import Kind
from spec_mcp.relay.gateway.presenting import TASKS, TASKS_EXTENSION
from spec_mcp.relay.gateway.refusal import INVALID_PARAMS, METHOD_NOT_FOUND, RESOURCE_NOT_FOUND, Refusal
from spec_mcp.relay.gateway.splicing import spliced, written
from spec_mcp.relay.gateway.tasks import Tasks, read_cursors
from spec_mcp.relay.gateway.view import Named, View

SHOWN_MAX_CHARS = 200
"""Of what a client named, in an error."""

LIST_FLAGS = {
    "toolsListChanged": "tools",
    "promptsListChanged": "prompts",
    "resourcesListChanged": "resources",
}
"""Members of a `subscriptions/listen`, and the capability that each needs."""


@dataclass(frozen=True, slots=True)
class Route:
    """One server's part of a request."""

    server: str
    params: bytes


@dataclass(frozen=True, slots=True)
class Routed:
    """Who gets a request: one server mostly; several for what is all of theirs; nobody for what is ours alone."""

    routes: tuple[Route, ...]
    honored: bytes = b""
    """For a `subscriptions/listen` that was split: what the client is told of as agreed to."""


@dataclass(frozen=True, slots=True)
class _Request:
    view: View
    tasks: Tasks
    method: str
    params: bytes
    is_stateless: bool

    def text(self, member: str) -> str | None:
        """A member that is a string."""
        found = wire.lenient(wire.members(self.params).get(member, wire.NULL))
        return found if isinstance(found, str) else None

    def without(self, member: str) -> Refusal:
        return Refusal(INVALID_PARAMS, f"{self.method} needs a {member}")

    def to(self, server: str) -> Routed:
        return Routed((Route(server, self.params),))


def route(view: View, tasks: Tasks, method: str, params: bytes, is_stateless: bool) -> Routed | Refusal:
    """Who gets this request of the client's. `tasks` tells whose each task is."""
    request = _Request(view, tasks, method, params, is_stateless)
    if view.is_single:
        return _to_the_only(request)
    find = _ROUTES.get(method)
    return find(request) if find else Refusal(METHOD_NOT_FOUND, f"no server is known to take {_shown(method)}")


def _to_the_only(request: _Request) -> Routed | Refusal:
    ((server, tools),) = request.view.servers.items()
    name = request.text("name") if request.method == "tools/call" else None
    why = tools.refusal(server, name) if name is not None else ""
    return Refusal(INVALID_PARAMS, why) if why else request.to(server)


# --- by name --------------------------------------------------------------------------------------------------------


def _call(request: _Request) -> Routed | Refusal:
    return _by_name(request, Kind.TOOLS, "tool")


def _prompt(request: _Request) -> Routed | Refusal:
    return _by_name(request, Kind.PROMPTS, "prompt")


def _by_name(request: _Request, kind: Kind, word: str) -> Routed | Refusal:
    name = request.text("name")
    if name is None:
        return request.without("name")
    found = _find(request.view, kind, name, word)
    if isinstance(found, Refusal):
        return found
    params = spliced(request.params, "name", found.raw)
    if params is request.params and name != found.name:
        return Refusal(INVALID_PARAMS, "the params are too large to be read")
    return Routed((Route(found.server, params),))


def _find(view: View, kind: Kind, name: str, word: str) -> Named | Refusal:
    found = view.find(kind, name)
    if found is None:
        return Refusal(INVALID_PARAMS, f"Unknown {word}: {_shown(name)}")
    if kind is Kind.TOOLS and (why := view.servers[found.server].refusal(found.server, found.name)):
        return Refusal(INVALID_PARAMS, why)
    return found


def _complete(request: _Request) -> Routed | Refusal:
    ref = wire.members(request.params).get("ref", wire.ABSENT)
    members = wire.members(ref)
    name, uri = (wire.lenient(members.get(member, wire.NULL)) for member in ("name", "uri"))
    if members.get("type") == b'"ref/prompt"' and isinstance(name, str):
        found = _find(request.view, Kind.PROMPTS, name, "prompt")
        if isinstance(found, Refusal):
            return found
        return Routed((Route(found.server, spliced(request.params, "ref", spliced(ref, "name", found.raw))),))
    if members.get("type") == b'"ref/resource"' and isinstance(uri, str):
        server = request.view.owners.templates.get(uri, request.view.owner(uri))
        return _no_resource(request, uri) if server is None else request.to(server)
    return request.without("ref to a prompt or a resource")


# --- by URI ---------------------------------------------------------------------------------------------------------


def _resource(request: _Request) -> Routed | Refusal:
    uri = request.text("uri")
    if uri is None:
        return request.without("uri")
    server = request.view.owner(uri)
    return _no_resource(request, uri) if server is None else request.to(server)


def _no_resource(request: _Request, uri: str) -> Refusal:
    code = INVALID_PARAMS if request.is_stateless else RESOURCE_NOT_FOUND
    shown = _shown(uri)
    return Refusal(code, f"Resource not found: {shown}", json.dumps({"uri": shown}).encode())


# --- to all ---------------------------------------------------------------------------------------------------------


def _set_level(request: _Request) -> Routed | Refusal:
    able = request.view.having("logging")
    if not able:
        return Refusal(METHOD_NOT_FOUND, "no server sends log messages")
    return Routed(tuple(Route(server, request.params) for server in able))


def _listen(request: _Request) -> Routed | Refusal:
    raw = wire.members(request.params).get("notifications", wire.ABSENT)
    if not raw.startswith(b"{"):
        return request.without("notifications member")
    wanted = wire.members(raw)
    parts: dict[str, dict[str, bytes]] = {server: {} for server in request.view.servers}
    honored: dict[str, bytes] = {}
    for name, value in wanted.items():
        agreed = b""
        if name in LIST_FLAGS:
            able = request.view.having(LIST_FLAGS[name]) if value == b"true" else []
            shares = dict.fromkeys(able, value)
        elif name in ("resourceSubscriptions", "taskIds"):
            shares, agreed = _shares(request, name, value)
        else:  # of an extension that some server may know
            shares = dict.fromkeys(parts, value)
        for server, share in shares.items():
            parts[server][name] = share
        if name in LIST_FLAGS and shares:
            honored[name] = b"true"
        elif name in ("resourceSubscriptions", "taskIds") and shares:
            honored[name] = agreed
    routes = (
        Route(server, spliced(request.params, "notifications", written(part))) for server, part in parts.items() if part
    )
    return Routed(tuple(routes), written(honored))


def _shares(request: _Request, name: str, value: bytes) -> tuple[dict[str, bytes], bytes]:
    """Of a list of URIs or tasks, what is each server's, as lists, and all that is anybody's, as written."""
    found: dict[str, list[tuple[bytes, bytes]]] = {}
    for raw in wire.elements(value):
        one = wire.lenient(raw)
        if isinstance(one, str):
            server, own = (request.view.owner(one), raw) if name == "resourceSubscriptions" else _task_at(request, one)
            if server is not None:
                found.setdefault(server, []).append((own or raw, raw))
    shares = {server: b"[%s]" % b",".join(own for own, _ in pairs) for server, pairs in found.items()}
    return shares, b"[%s]" % b",".join(raw for pairs in found.values() for _, raw in pairs)


# --- tasks ----------------------------------------------------------------------------------------------------------


def _task(request: _Request) -> Routed | Refusal:
    task = request.text("taskId")
    if task is None:
        return request.without("taskId")
    server, own = _task_at(request, task)
    if server is None:
        return Refusal(INVALID_PARAMS, f"Task not found: {_shown(task)}")
    return Routed((Route(server, spliced(request.params, "taskId", own) if own else request.params),))


def _task_at(request: _Request, task: str) -> tuple[str | None, bytes]:
    """Who made it, and its raw id there where that is another; of a task that is not remembered, the only server that
    makes any."""
    owned = request.tasks.find(task)
    if owned is not None and owned.server in request.view.servers:
        return owned.server, b"" if owned.task == task else json.dumps(owned.task).encode()
    able = [server for server in request.view.servers if _makes_tasks(request.view, server)]
    return (able[0] if len(able) == 1 else None), b""


def _makes_tasks(view: View, server: str) -> bool:
    catalogue = view.catalogues.get(server)
    if catalogue is None:
        return False
    able = catalogue.capabilities
    return TASKS in able or TASKS_EXTENSION in wire.members(able.get("extensions", wire.ABSENT))


def _list_tasks(request: _Request) -> Routed | Refusal:
    able = [server for server in request.view.servers if _lists_tasks(request.view, server)]
    if not able:
        return Refusal(METHOD_NOT_FOUND, "no server lists tasks")
    cursor = wire.members(request.params).get("cursor", wire.NULL)
    if cursor == wire.NULL:
        return Routed(tuple(Route(server, request.params) for server in able))
    left = read_cursors(cursor)
    if not left or not set(left) <= set(able):
        return Refusal(INVALID_PARAMS, "the cursor is not of this list: begin anew")
    return Routed(tuple(Route(server, spliced(request.params, "cursor", raw)) for server, raw in left.items()))


def _lists_tasks(view: View, server: str) -> bool:
    catalogue = view.catalogues.get(server)
    return catalogue is not None and "list" in wire.members(catalogue.capabilities.get(TASKS, wire.ABSENT))


def _shown(text: str) -> str:
    return text if len(text) <= SHOWN_MAX_CHARS else text[:SHOWN_MAX_CHARS] + "…"


_ROUTES: Mapping[str, Callable[[_Request], Routed | Refusal]] = {
    "tools/call": _call,
    "prompts/get": _prompt,
    "completion/complete": _complete,
    "resources/read": _resource,
    "resources/subscribe": _resource,
    "resources/unsubscribe": _resource,
    "logging/setLevel": _set_level,
    "subscriptions/listen": _listen,
    "tasks/get": _task,
    "tasks/result": _task,
    "tasks/update": _task,
    "tasks/cancel": _task,
    "tasks/list": _list_tasks,
}
