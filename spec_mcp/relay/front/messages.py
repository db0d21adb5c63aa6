"""What the body of a POST says: one JSON-RPC message or a batch, as lines that are passed on as they came.

A line ends with its only newline; a body may be written over several. Between its tokens white space is white space,
so the other line ends become blanks; within strings JSON has none.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

import msgspec

from spec_mcp.relay import wire
from spec_mcp.relay.front import sdk
from spec_mcp.relay.front.http import Refusal
from spec_mcp.relay.wire import ABSENT, Envelope

BATCH_MAX_MESSAGES = 256
"""Each is a request of its own."""

_BLANKS = bytes.maketrans(b"\n\r", b"  ")


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a client."""

    envelope: Envelope
    line: bytes


class _Version(msgspec.Struct, gc=False):
    jsonrpc: str = ""


class _Error(msgspec.Struct, gc=False):
    code: int = 0


_version = msgspec.json.Decoder(_Version)
_elements = msgspec.json.Decoder(list[msgspec.Raw])
_error = msgspec.json.Decoder(_Error)
_REFUSED = (msgspec.MsgspecError, RecursionError, UnicodeDecodeError)


def read_messages(body: bytes) -> Message | list[Message]:
    """The message in a body, or those of a batch.

    Raises:
        Refusal: it is no JSON, or no JSON-RPC.
    """
    try:
        version = _version.decode(body).jsonrpc
    except _REFUSED:
        return _read_slowly(body)
    return _message(body, version)


def error_body(code: int, message: str, id_raw: bytes = wire.NULL, data: object = None) -> bytes:
    """A JSON-RPC error, as the line of an answer without its newline."""
    error: dict[str, object] = {"code": code, "message": message}
    if data is not None:
        error["data"] = data
    return b'{"jsonrpc":"2.0","id":' + id_raw + b',"error":' + msgspec.json.encode(error) + b"}"


def error_code(error: bytes) -> int:
    """The code in a JSON-RPC error object; 0 where it has none."""
    try:
        return _error.decode(error).code
    except _REFUSED:
        code = wire.lenient(wire.members(error).get("code", wire.NULL))
        return code if isinstance(code, int) else 0


def _message(text: bytes, version: str) -> Message:
    envelope = wire.read(text)
    if not isinstance(envelope, Envelope) or version != "2.0":
        raise Refusal(400, 'No JSON-RPC message: it has no "jsonrpc": "2.0", or neither a method nor an id')
    if envelope.id != ABSENT and not _is_id(envelope.id):
        raise Refusal(400, "No JSON-RPC message: its id is neither a string nor a number")
    id_raw = envelope.id or wire.NULL
    if envelope.is_response and envelope.result == ABSENT and envelope.error == ABSENT:
        raise Refusal(400, "No JSON-RPC message: it has neither a method nor a result nor an error", id_raw=id_raw)
    if envelope.method == "?" or envelope.params[:1] not in (b"{", b"n", ABSENT):
        raise Refusal(400, "No JSON-RPC message: its method is no string, or its params no object", id_raw=id_raw)
    return Message(envelope, _line(text))


def _is_id(text: bytes) -> bool:
    return len(text) <= wire.ID_MAX_BYTES and (text[0] == ord('"') or text[0] in b"-0123456789")


def _line(text: bytes) -> bytes:
    if b"\n" in text or b"\r" in text:
        text = text.translate(_BLANKS)
    return text + b"\n"


def _read_slowly(body: bytes) -> Message | list[Message]:
    """A batch, or a text that the fast codec refuses and that may be JSON all the same."""
    if body.lstrip()[:1] == b"[":
        return _batch(body)
    _require_json(body)
    version = wire.lenient(wire.members(body).get("jsonrpc", wire.NULL))
    return _message(body, version if isinstance(version, str) else "")


def _batch(body: bytes) -> list[Message]:
    try:
        texts = [bytes(raw) for raw in _elements.decode(body)]
    except _REFUSED:
        _require_json(body)
        texts = wire.elements(body)
    if not 0 < len(texts) <= BATCH_MAX_MESSAGES:
        raise Refusal(400, f"A batch holds 1 to {BATCH_MAX_MESSAGES} messages")
    messages: list[Message] = []
    for text in texts:
        message = read_messages(text) if text[:1] == b"{" else None
        if not isinstance(message, Message):
            raise Refusal(400, "A batch holds messages alone")
        messages.append(message)
    return messages


def _require_json(text: bytes) -> None:
    """Refuse what no reader takes for JSON.

    The fast codec refuses lone surrogates and thousands of levels, and takes bytes that are no UTF-8 within strings:
    so do we in the end, since servers say all of these to each other.
    """
    try:
        json.loads(text.decode("utf-8", "surrogateescape"), parse_constant=_no_constant)
    except RecursionError:
        return
    except ValueError as error:
        raise Refusal(400, "Parse error", code=sdk.PARSE_ERROR) from error


def _no_constant(name: str) -> None:
    raise ValueError(name)  # NaN and Infinity, which Python alone takes
