"""How the gateway introduces itself: as its only server does, or as one that can all that its servers can."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import metadata

from spec_mcp.relay import wire
from spec_mcp.relay.gateway.catalogue import Kind
from spec_mcp.relay.gateway.names import SEPARATOR
from spec_mcp.relay.gateway.pages import STATELESS_MEMBERS
from spec_mcp.relay.gateway.splicing import written
from spec_mcp.relay.gateway.view import View

SERVER_META = "io.modelcontextprotocol/serverInfo"
TASKS = "tasks"
"""The capability of 2025-11-25."""
TASKS_EXTENSION = "io.modelcontextprotocol/tasks"
"""The same later, with other requests: neither is of use to a client of the other era."""

INSTRUCTIONS_MAX_CHARS = 8000
"""Of one server; a client puts them into each conversation."""
ALL_INSTRUCTIONS_MAX_CHARS = 32_000

PREFACE = (
    "Several servers are served here as one. Each says below how it is used, with the names that its tools have there; "
    "here the name of each begins as the heading says."
)
CUT_MARK = "\n[…]"

UNKNOWN_CAPABILITIES: Mapping[str, bytes] = {
    "tools": b"{}",
    "prompts": b"{}",
    "resources": b'{"subscribe":true}',
    "completions": b"{}",
    "logging": b"{}",
}
"""Of a server that has never been met: a client never asks again what there is, so it is told of what may be."""

_ALWAYS = {"listChanged": b"true"}
"""The lists that clients get are remembered ones, so we say when they change even where a server does not."""


def initialize_result(view: View, version: str) -> bytes:
    """The answer to `initialize`, in this version of the protocol."""
    members = {
        **_rest(view, is_stateless=False),
        "protocolVersion": json.dumps(version).encode(),
        "capabilities": written(capabilities(view, is_stateless=False)),
        "serverInfo": _about(view),
    }
    return written(members | _instructions_member(view))


def discover_result(view: View, versions: Sequence[str]) -> bytes:
    """The answer to `server/discover`; `versions` are those that we take without a handshake."""
    rest = _rest(view, is_stateless=True)
    members = {
        **rest,
        **STATELESS_MEMBERS,
        "supportedVersions": json.dumps(list(versions)).encode(),
        "capabilities": written(capabilities(view, is_stateless=True)),
        "_meta": written(wire.members(rest.get("_meta", wire.ABSENT)) | {SERVER_META: _about(view)}),
    }
    return written(members | _instructions_member(view))


def result_meta(view: View) -> bytes:
    """The `_meta` of a result of our own in the stateless era."""
    return written({SERVER_META: _about(view)})


def capabilities(view: View, is_stateless: bool) -> dict[str, bytes]:
    """What any of the servers can."""
    found: dict[str, bytes] = {}
    for server in view.servers:
        catalogue = view.catalogues.get(server)
        its = dict(UNKNOWN_CAPABILITIES) if catalogue is None else catalogue.capabilities
        if catalogue is not None and catalogue.is_stateless != is_stateless:
            its = _without_tasks(its)
        found = _united(found, its)
    for kind in Kind:
        if kind.capability in found:
            found[kind.capability] = written(wire.members(found[kind.capability]) | _ALWAYS)
    return found


def _without_tasks(its: Mapping[str, bytes]) -> dict[str, bytes]:
    left = {name: raw for name, raw in its.items() if name != TASKS}
    if "extensions" in left:
        extensions = wire.members(left["extensions"])
        extensions.pop(TASKS_EXTENSION, None)
        left["extensions"] = written(extensions)
    return left


def _united(one: Mapping[str, bytes], other: Mapping[str, bytes]) -> dict[str, bytes]:
    """The members of both; where both have one, objects are united, true wins, and else the first's stays."""
    found = dict(one)
    for name, raw in other.items():
        before = found.get(name)
        if before is None or (before == b"false" and raw == b"true"):
            found[name] = raw
        elif before.startswith(b"{") and raw.startswith(b"{"):
            found[name] = written(_united(wire.members(before), wire.members(raw)))
    return found


def _instructions_member(view: View) -> dict[str, bytes]:
    if view.is_single:
        raw = _only_hello(view).get("instructions", wire.ABSENT)
        return {"instructions": raw} if raw.startswith(b'"') else {}
    text = instructions(view)
    return {"instructions": json.dumps(text).encode()} if text else {}


def instructions(view: View) -> str:
    """What each of several servers says of its use, under its name; empty where none says anything."""
    parts: list[str] = []
    for label, server in view.by_label.items():
        catalogue = view.catalogues.get(server)
        raw = wire.members(catalogue.hello).get("instructions", wire.NULL) if catalogue else wire.NULL
        text = wire.lenient(raw)
        if isinstance(text, str) and text.strip():
            parts.append(f"# {server} ({label}{SEPARATOR}…)\n\n{_cut(text.strip(), INSTRUCTIONS_MAX_CHARS)}")
    return _cut("\n\n".join([PREFACE, *parts]), ALL_INSTRUCTIONS_MAX_CHARS) if parts else ""


def _cut(text: str, max_chars: int) -> str:
    return text if len(text) <= max_chars else text[: max_chars - len(CUT_MARK)] + CUT_MARK


def _only_hello(view: View) -> dict[str, bytes]:
    """What the only server said of itself."""
    if not view.is_single or not view.catalogues:
        return {}
    return wire.members(next(iter(view.catalogues.values())).hello)


def _rest(view: View, is_stateless: bool) -> dict[str, bytes]:
    """What else the only server said of itself, where the client is of its era."""
    only = _only_hello(view)
    return only if only and next(iter(view.catalogues.values())).is_stateless == is_stateless else {}


def _about(view: View) -> bytes:
    """Who answers: the only server, or we."""
    only = _only_hello(view)
    said = only.get("serverInfo") or wire.members(only.get("_meta", wire.ABSENT)).get(SERVER_META) or wire.ABSENT
    return said if said.startswith(b"{") else our_info()


@cache
def our_info() -> bytes:
    """How we call ourselves."""
    return json.dumps({"name": "spec-mcp", "version": metadata.version("spec-mcp")}).encode()
