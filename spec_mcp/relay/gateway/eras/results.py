"""Results and errors of one era as the other writes them."""

from __future__ import annotations

import msgspec

from spec_mcp.relay import wire
from spec_mcp.relay.gateway.eras import words
from spec_mcp.relay.gateway.eras.text import changed, error, quoted, text_of, with_first

_COMPLETE = b'"complete"'
_HELD_BY_NOBODY = {"ttlMs": b"0", "cacheScope": b'"private"'}


class _Result(msgspec.Struct, gc=False):
    resultType: msgspec.Raw = msgspec.Raw(b"")  # noqa: N815  the protocol's names
    ttlMs: msgspec.Raw = msgspec.Raw(b"")  # noqa: N815
    cacheScope: msgspec.Raw = msgspec.Raw(b"")  # noqa: N815
    structuredContent: msgspec.Raw = msgspec.Raw(b"")  # noqa: N815

    def has(self, name: str) -> bool:
        return len(getattr(self, name)) > 0


class _Error(msgspec.Struct, gc=False):
    code: int = 0
    data: msgspec.Raw = msgspec.Raw(b"")


_result = msgspec.json.Decoder(_Result)
_error = msgspec.json.Decoder(_Error)
_REFUSED = (msgspec.MsgspecError, RecursionError, UnicodeDecodeError)


def _read(result: bytes) -> _Result:
    try:
        return _result.decode(result)
    except _REFUSED:
        found = wire.scan(result) or {}
        return _Result(**{name: msgspec.Raw(found.get(name, b"")) for name in _Result.__struct_fields__})


def result_type(result: bytes) -> str:
    """`complete`, `input_required`, or another that an extension has brought."""
    raw = bytes(_read(result).resultType)
    return text_of(raw) or "complete"


def result_for_stateless(method: str, result: bytes) -> bytes:
    """A handshake server's result as a client of the stateless era expects it."""
    found = _read(result)
    wanted = {"resultType": _COMPLETE, **(_HELD_BY_NOBODY if method in words.CACHEABLE else {})}
    result = with_first(result, {name: raw for name, raw in wanted.items() if not found.has(name)})
    if found.has("resultType") and bytes(found.resultType) != _COMPLETE:  # it has no meaning in that server's era
        result = changed(result, {"resultType": _COMPLETE})
    return result


def result_for_handshake(method: str, result: bytes) -> bytes:
    """A stateless server's complete result as a client of the handshake era expects it."""
    found = _read(result)
    names = ["resultType", *(_HELD_BY_NOBODY if method in words.CACHEABLE else ())]
    if method == "tools/call" and bytes(found.structuredContent).lstrip()[:1] not in (b"", b"{"):
        names.append("structuredContent")  # only objects, in this era; the content says the same as text
    dropped = dict.fromkeys((name for name in names if found.has(name)), b"")
    if method == "tools/list" and (tools := _listed_for_handshake(result)):
        dropped["tools"] = tools
    return changed(result, dropped) if dropped else result


def _listed_for_handshake(result: bytes) -> bytes:
    """The tools without output schemas that are not of an object, which clients of this era refuse with the whole
    list; empty where all may stay."""
    tools = wire.elements(wire.members(result).get("tools", b"[]"))
    fit = [_tool_for_handshake(tool) for tool in tools]
    return b"[%s]" % b",".join(fit) if fit != tools else b""


def _tool_for_handshake(tool: bytes) -> bytes:
    schema = wire.members(tool).get("outputSchema", b"") if b'"outputSchema"' in tool else b""
    if not schema or wire.value(wire.members(schema).get("type", b"")) == "object":
        return tool
    return changed(tool, {"outputSchema": b""})


# --- errors ---------------------------------------------------------------------------------------------------------


def error_code(raw: bytes) -> int:
    """An error's code; 0 where it has none."""
    try:
        return _error.decode(raw).code
    except _REFUSED:
        code = wire.value((wire.scan(raw) or {}).get("code", b"0"))
        return code if isinstance(code, int) else 0


def error_for_stateless(method: str, raw: bytes) -> bytes:
    """A handshake server's error as the stateless era numbers it."""
    code = error_code(raw)
    if code == words.RESOURCE_NOT_FOUND and method == "resources/read":
        return changed(raw, {"code": quoted(words.INVALID_PARAMS)})
    if code == words.URL_ELICITATION_REQUIRED:  # retired there; what can carry a question has been made one
        return changed(raw, {"code": quoted(words.INTERNAL_ERROR)})
    return raw


def error_for_handshake(method: str, params: bytes, raw: bytes) -> bytes:
    """A stateless server's error as the handshake era numbers it."""
    if method == "resources/read" and error_code(raw) == words.INVALID_PARAMS:
        uri = wire.lenient(wire.members(wire.members(raw).get("data", b"")).get("uri", wire.NULL))
        if uri is not None and uri == wire.lenient(wire.members(params).get("uri", wire.NULL)):
            return changed(raw, {"code": quoted(words.RESOURCE_NOT_FOUND)})
    return raw


NO_RESULT = error(words.INTERNAL_ERROR, "the server's answer is neither a result nor an error")
