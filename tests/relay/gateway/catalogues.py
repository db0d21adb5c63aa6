"""Catalogues of servers, as tests need them, and JSON as other writers write it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from hypothesis import strategies as st

from spec_mcp.relay.gateway.catalogue import Catalogue, Kind
from spec_mcp.relay.gateway.names import ToolFilter
from spec_mcp.relay.gateway.view import View, merged

ALL: Mapping[str, Any] = {
    "tools": {},
    "prompts": {},
    "resources": {"subscribe": True},
    "completions": {},
    "logging": {},
    "tasks": {"list": {}, "cancel": {}, "requests": {"tools": {"call": {}}}},
}


def raw(value: object) -> bytes:
    """As most writers write it."""
    return json.dumps(value, separators=(",", ":")).encode()


def items(values: Sequence[object]) -> tuple[bytes, ...]:
    """A list's items."""
    return tuple(raw(value) for value in values)


def handshake(
    tools: Sequence[object] = (),
    prompts: Sequence[object] = (),
    resources: Sequence[object] = (),
    templates: Sequence[object] = (),
    capabilities: Mapping[str, Any] = ALL,
    **hello: object,
) -> Catalogue:
    """Of a server of the handshake era."""
    said = {
        "protocolVersion": "2025-11-25",
        "capabilities": capabilities,
        "serverInfo": {"name": "its own", "version": "7"},
        **hello,
    }
    lists = [items(values) for values in (tools, prompts, resources, templates)]
    return Catalogue("handshake", "2025-11-25", raw(said), *lists)


def stateless(tools: Sequence[object] = (), capabilities: Mapping[str, Any] = ALL, **hello: object) -> Catalogue:
    """Of a server of the stateless era."""
    said = {
        "resultType": "complete",
        "supportedVersions": ["2026-07-28"],
        "capabilities": capabilities,
        "ttlMs": 60000,
        "cacheScope": "public",
        "_meta": {"io.modelcontextprotocol/serverInfo": {"name": "its own", "version": "7"}, "x.y/z": 1},
        **hello,
    }
    return Catalogue("stateless", "2026-07-28", raw(said), items(tools), (), (), ())


def named(*names: str) -> list[dict[str, object]]:
    """Tools or prompts of these names."""
    return [{"name": name, "description": f"does {name}"} for name in names]


def at(*uris: str) -> list[dict[str, object]]:
    """Resources with these URIs."""
    return [{"uri": uri, "name": uri} for uri in uris]


def templates(*texts: str) -> list[dict[str, object]]:
    """Resource templates."""
    return [{"uriTemplate": text, "name": text} for text in texts]


def view(catalogues: Mapping[str, Catalogue | None], filters: Mapping[str, ToolFilter] | None = None) -> View:
    """The view of these servers; None for one that has never been met."""
    servers = {server: (filters or {}).get(server, ToolFilter()) for server in catalogues}
    return merged(servers, {server: one for server, one in catalogues.items() if one is not None})


def shown(of: View, kind: Kind) -> list[str]:
    """What a client sees in a list."""
    return [json.loads(item)[kind.key] for item in of.shown[kind]]


SPACES = st.text(alphabet=" \t", max_size=2)
TEXTS = st.text(alphabet=st.characters(codec=None, categories=["L", "N", "P", "S", "Z", "Cc", "Cs"]), max_size=12)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3), max_leaves=8
)


@st.composite
def written(draw: st.DrawFn, value: Any) -> bytes:
    """A value as some writer may write it: white space anywhere, any escapes."""

    def text_of(text: str) -> str:
        ascii_only = draw(st.booleans()) or any("\ud800" <= character <= "\udfff" for character in text)
        return json.dumps(text, ensure_ascii=ascii_only)

    def space() -> str:
        return draw(SPACES)

    def write(one: Any) -> str:
        if isinstance(one, dict):
            inner = ",".join(f"{space()}{text_of(name)}{space()}:{write(item)}" for name, item in one.items())
            return f"{space()}{{{inner}{space()}}}{space()}"
        if isinstance(one, list):
            return f"{space()}[{','.join(map(write, one))}{space()}]{space()}"
        return space() + (text_of(one) if isinstance(one, str) else json.dumps(one)) + space()

    return write(value).strip().encode() if draw(st.booleans()) else raw(value)


def styled(value: object, style: int) -> bytes:
    """A value as one of a few writers writes it: a quicker `written`."""
    spaced = (", ", " : ") if style & 1 else (",", ":")
    return json.dumps(value, separators=spaced, ensure_ascii=bool(style & 2) or _has_surrogates(value)).encode()


def _has_surrogates(value: object) -> bool:
    return "\\ud" in json.dumps(value)
