"""Messages and their members as bytes: made, or changed in their outermost members while all else stays as it came."""

from __future__ import annotations

import json
from collections.abc import Mapping

import msgspec

from spec_mcp.relay import wire
from spec_mcp.relay.gateway.splicing import written

_members = msgspec.json.Decoder(dict[str, msgspec.Raw])
_REFUSED = (msgspec.MsgspecError, RecursionError, UnicodeDecodeError)


def quoted(value: object) -> bytes:
    """A value as JSON. Lone surrogates are written as escapes, the one form in which they travel."""
    try:
        return msgspec.json.encode(value)
    except UnicodeEncodeError:
        return json.dumps(value, separators=(",", ":")).encode()


def changed(text: bytes, members: Mapping[str, bytes]) -> bytes:
    """The object with these members set, and those left out that are empty; what cannot be read stays as it is.

    The values of all others stay byte for byte. New members come first, the others keep their order.
    """
    try:
        found: Mapping[str, bytes | msgspec.Raw] = _members.decode(text)
    except _REFUSED:
        scanned = wire.scan(text)
        if scanned is None:
            return text
        found = scanned
    new = [(name, raw) for name, raw in members.items() if raw and name not in found]
    old = [(name, members.get(name, raw)) for name, raw in found.items()]
    return b"{%s}" % b",".join(b"%s:%s" % (quoted(name), raw) for name, raw in (*new, *old) if len(raw))


def with_first(text: bytes, members: Mapping[str, bytes]) -> bytes:
    """The object with members that it does not have put before its own, all of which stay byte for byte."""
    begin = text.find(b"{") + 1
    if not members or text[:begin].strip() != b"{":
        return text
    more = b"" if text[begin:].lstrip()[:1] == b"}" else b","
    return b"".join((text[:begin], written(members)[1:-1], more, text[begin:]))


def is_object(text: bytes) -> bool:
    """Does it begin as an object does?"""
    return text[:1] == b"{" or text.lstrip()[:1] == b"{"


def text_of(raw: bytes) -> str:
    """A string; empty where it is none."""
    value = wire.lenient(raw) if raw else None
    return value if isinstance(value, str) else ""


# --- messages -------------------------------------------------------------------------------------------------------


def request(id_raw: bytes, method: str, params: bytes = b"") -> bytes:
    """A request."""
    body = b',"params":' + params if params else b""
    return b'{"jsonrpc":"2.0","id":%s,"method":%s%s}\n' % (id_raw, quoted(method), body)


def notification(method: str, params: bytes = b"") -> bytes:
    """A notification."""
    body = b',"params":' + params if params else b""
    return b'{"jsonrpc":"2.0","method":%s%s}\n' % (quoted(method), body)


def answer(id_raw: bytes, result: bytes = b"{}") -> bytes:
    """An answer with a result."""
    return b'{"jsonrpc":"2.0","id":%s,"result":%s}\n' % (id_raw, result)


def failure(id_raw: bytes, error: bytes) -> bytes:
    """An answer with an error that somebody else made."""
    return b'{"jsonrpc":"2.0","id":%s,"error":%s}\n' % (id_raw, error)


def error(code: int, message: str, data: bytes = b"") -> bytes:
    """An error of our own making."""
    more = b',"data":' + data if data else b""
    return b'{"code":%d,"message":%s%s}' % (code, quoted(f"spec-mcp: {message}"), more)


def cancellation(id_raw: bytes, reason: bytes = b"") -> bytes:
    """Word that nobody waits for an answer any more; the reason is a raw string."""
    more = b',"reason":' + reason if reason else b""
    return notification("notifications/cancelled", b'{"requestId":%s%s}' % (id_raw, more))
