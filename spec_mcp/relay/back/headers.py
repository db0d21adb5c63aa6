"""What a request of the stateless era says in its headers besides in its body (2026-07-28).

A tool may want some of its arguments there too: which ones is known once it has been listed over this connection.
"""

from __future__ import annotations

import re
from typing import Any, cast

import msgspec
from mcp.shared.inbound import (
    MCP_METHOD_HEADER,
    MCP_NAME_HEADER,
    NAME_BEARING_METHODS,
    encode_header_value,
    find_invalid_x_mcp_header,
    mcp_param_headers,
    x_mcp_header_map,
)

from spec_mcp.relay import wire
from spec_mcp.relay.identity import PROTOCOL_META

VERSION = b"Mcp-Protocol-Version"

TOOLS_MAX = 4096
"""Tools whose arguments are put into headers; of more, the first are forgotten."""

HEADER_MISMATCH = -32020
"""The server did not find in the headers what the tool wants there."""

VISIBLE_MAX_CHARS = 1024
_VISIBLE = re.compile(rb"[\x21-\x7e]+")
_MARK = b"x-mcp-header"

Pairs = list[tuple[bytes, bytes]]


def stateless_version(params: bytes) -> bytes:
    """The version that a request says it is made in, as it stands in a header; empty in the handshake era."""
    if b"protocolVersion" not in params:  # nearly all of the handshake era, at no cost
        return b""
    version = wire.value(wire.members(wire.members(params).get("_meta", b"")).get(PROTOCOL_META, wire.NULL))
    return visible(version.encode()) if isinstance(version, str) else b""


def is_header_mismatch(body: bytes) -> bool:
    """Does the server miss something in the headers?"""
    return wire.value(wire.members(wire.members(body).get("error", b"")).get("code", wire.NULL)) == HEADER_MISMATCH


def visible(text: bytes) -> bytes:
    """A text that a header can hold as it is; empty where it cannot."""
    return text if len(text) <= VISIBLE_MAX_CHARS and _VISIBLE.fullmatch(text) else b""


class StatelessHeaders:
    """Of one connection."""

    def __init__(self) -> None:
        self._tools: dict[str, dict[tuple[str, ...], str]] = {}

    def of(self, version: bytes, method: str, params: bytes) -> Pairs:
        """What a request must say."""
        headers: Pairs = [(VERSION, version)]
        if name := visible(method.encode("utf-8", "replace")):
            headers.append((MCP_METHOD_HEADER.encode(), name))
        key = NAME_BEARING_METHODS.get(method)
        if key is None:
            return headers
        members = wire.members(params)
        named = wire.lenient(members.get(key, wire.NULL))
        if not isinstance(named, str):
            return headers
        headers.append((MCP_NAME_HEADER.encode(), encode_header_value(_utf8(named)).encode()))
        if method == "tools/call" and (places := self._tools.get(named)):
            headers += _arguments(places, members.get("arguments", b""))
        return headers

    def learn(self, result: bytes) -> None:
        """Note a page of the tool list."""
        if _MARK not in result and not self._tools:
            return
        tools = wire.value(wire.members(result).get("tools", wire.NULL))
        if not isinstance(tools, list):
            return
        for tool in cast("list[Any]", tools):
            if isinstance(tool, dict):
                self._learn(cast("dict[str, Any]", tool))

    def _learn(self, tool: dict[str, Any]) -> None:
        name, schema = tool.get("name"), tool.get("inputSchema")
        if not isinstance(name, str):
            return
        self._tools.pop(name, None)
        if (
            isinstance(schema, dict)
            and find_invalid_x_mcp_header(schema) is None
            and (found := x_mcp_header_map(schema))
        ):
            self._tools[name] = found
            if len(self._tools) > TOOLS_MAX:
                del self._tools[next(iter(self._tools))]


def _arguments(places: dict[tuple[str, ...], str], arguments: bytes) -> Pairs:
    try:
        decoded = msgspec.json.decode(arguments)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        decoded = wire.lenient(arguments)
    if not isinstance(decoded, dict):
        return []
    found = mcp_param_headers(places, cast("dict[str, Any]", decoded))
    return [(name.encode(), _utf8(value).encode()) for name, value in found.items()]


def _utf8(text: str) -> str:
    """A lone surrogate stands in no header."""
    return text.encode("utf-8", "replace").decode()
