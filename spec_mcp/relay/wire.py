"""What is read of a line: its envelope, and the few members that safety and speculation need.

Lines are never made anew from what is read here: they travel as the bytes that came. The fast codec refuses a few
texts that the protocol allows or that servers send all the same (lone surrogates, broken UTF-8, thousands of levels);
for these a scanner finds the members of the outermost object, or the elements of an array, without looking into them.
Nothing here raises for what a line says.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import msgspec

from spec_mcp.engine.events import Answer, Outcome

Raw = msgspec.Raw
ABSENT = b""
NULL = b"null"

SCANNED_MAX_TOKENS = 1 << 20
"""A text that the fast codec refuses and that has more brackets and strings is passed on unread: some tenths of a
second are as long as others can be held up for it."""

RATE_LIMIT_CODES = frozenset({429, -32029})
RATE_LIMIT_WORDS = re.compile(rb"rate.?limit|too many requests|quota exceeded", re.IGNORECASE)
ERROR_LOOKED_AT_BYTES = 2000
"""How much of an error is searched for a word on rate limits."""

PLAIN_MAX_BYTES = 256 * 1024
"""A longer call that is not written in the shortest way is not searched for members that do not belong there."""

ID_MAX_BYTES = 1024
"""Of what names a request, its progress or a task. It is kept while that is under way, and nobody needs a longer one:
where many are remembered, a longer one is not."""

URI_MAX_CHARS = 8192
"""The same of what names a resource that is kept under its name."""

SHORT_ID_CHARS = 15
"""Digits of a whole number that is the same in every reader."""

SHORTEST_LINE = len(b'{"jsonrpc":"2.0","id":,"method":"tools/call","params":}')

TERMINAL_TASK_STATES = frozenset({"completed", "failed", "cancelled"})

# a string without its end is taken to the end of the text, so that no text is looked at twice
_TOKEN = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)|[{}\[\],:]', re.DOTALL)
_OBJECT = re.compile(rb"\s*\{")
_ARRAY = re.compile(rb"\s*\[")

_REFUSED = (msgspec.MsgspecError, RecursionError, UnicodeDecodeError)
"""How the fast codec says no."""


class Envelope(msgspec.Struct, frozen=True, gc=False):
    """The members of a JSON-RPC message as raw JSON; `ABSENT` where there is none, and for an error that is null."""

    id: bytes = ABSENT
    method: str = ""
    params: bytes = ABSENT
    result: bytes = ABSENT
    error: bytes = ABSENT

    @property
    def is_request(self) -> bool:
        """Does it want an answer?"""
        return bool(self.method) and self.id != ABSENT

    @property
    def is_response(self) -> bool:
        """Is it an answer?"""
        return not self.method and self.id != ABSENT


class Batch(msgspec.Struct, frozen=True, gc=False):
    """A JSON-RPC batch array."""

    members: tuple[Envelope, ...]
    texts: tuple[bytes, ...]
    """The members as they came."""


class Call(msgspec.Struct, frozen=True, gc=False):
    """The params of a `tools/call`."""

    tool: str
    """`?` where it is no string."""
    arguments: bytes = ABSENT
    meta: bytes = ABSENT
    is_plain: bool = False
    """Has it no other member, and none of these twice? Anything else is unlike every speculation (rule 5)."""


class _Fast(msgspec.Struct, gc=False):
    id: Raw = Raw(ABSENT)
    method: str = ""
    params: Raw = Raw(ABSENT)
    result: Raw = Raw(ABSENT)
    error: Raw = Raw(ABSENT)


class _Params(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    name: str
    arguments: Raw = Raw(ABSENT)
    meta: Raw = msgspec.field(default=Raw(ABSENT), name="_meta")


class _Task(msgspec.Struct):
    taskId: str = ""  # noqa: N815  the protocol's name
    status: str = ""


class _Result(msgspec.Struct):
    isError: bool = False  # noqa: N815
    resultType: str = "complete"  # noqa: N815
    task: Raw = Raw(ABSENT)
    taskId: Raw = Raw(ABSENT)  # noqa: N815


class _Error(msgspec.Struct):
    code: int = 0


_fast = msgspec.json.Decoder(_Fast)
_params = msgspec.json.Decoder(_Params)
_members = msgspec.json.Decoder(dict[str, Raw])
_elements = msgspec.json.Decoder(list[Raw])
_result = msgspec.json.Decoder(_Result)
_task = msgspec.json.Decoder(_Task)
_error = msgspec.json.Decoder(_Error)
_value = msgspec.json.Decoder()


# --- lines ----------------------------------------------------------------------------------------------------------


def read(line: bytes) -> Envelope | Batch | None:
    """The envelope of a line; None where it is no message, or too much to be worth a look."""
    try:
        fast = _fast.decode(line)
    except _REFUSED:
        if _ARRAY.match(line):
            return _batch(line)
        return _slow(line)
    if not fast.method and len(fast.id) == 0:
        return None
    error = bytes(fast.error)
    return Envelope(
        bytes(fast.id), fast.method, bytes(fast.params), bytes(fast.result), ABSENT if error == NULL else error
    )


def _slow(line: bytes) -> Envelope | None:
    found = scan(line)
    if found is None:
        return None
    method = lenient(found.get("method", NULL))
    error = found.get("error", ABSENT)
    envelope = Envelope(
        found.get("id", ABSENT),
        method if isinstance(method, str) else "" if method is None else "?",
        found.get("params", ABSENT),
        found.get("result", ABSENT),
        ABSENT if error == NULL else error,
    )
    return envelope if envelope.method or envelope.id else None


def _batch(line: bytes) -> Batch | None:
    texts = elements(line)
    if not texts:
        return None
    read_ones = (None if _ARRAY.match(text) else read(text) for text in texts)  # none holds another
    return Batch(tuple(one if isinstance(one, Envelope) else Envelope() for one in read_ones), tuple(texts))


def read_call(message: Envelope, line: bytes) -> Call:
    """The params of a request for a tool. `line` is where it came from."""
    try:
        found = _params.decode(message.params)
    except _REFUSED:
        slow = members(message.params)
        tool = lenient(slow.get("name", NULL))
        is_plain = isinstance(tool, str) and _is_plain(message, line)
        arguments, meta = slow.get("arguments", ABSENT), slow.get("_meta", ABSENT)
        return Call(tool if isinstance(tool, str) else "?", arguments, meta, is_plain)
    is_plain = _is_shortest(message, found, line) or _is_plain(message, line)
    return Call(found.name, bytes(found.arguments), bytes(found.meta), is_plain)


def _is_shortest(message: Envelope, params: _Params, line: bytes) -> bool:
    """Is the line, but for its end, as short as what was read of it? Then nothing else is in it."""
    if len(line) != SHORTEST_LINE + 1 + len(message.id) + len(message.params) or b'"jsonrpc":"2.0"' not in line:
        return False
    arguments, meta = len(params.arguments), len(params.meta)
    names = (arguments and len(b',"arguments":')) + (meta and len(b',"_meta":'))
    return len(message.params) == len(b'{"name":""}') + len(params.name.encode()) + names + arguments + meta


def _is_plain(message: Envelope, line: bytes) -> bool:
    return len(line) <= PLAIN_MAX_BYTES and (
        _has_once(line, {"jsonrpc", "id", "method", "params"})
        and _has_once(message.params, {"name", "arguments", "_meta"})
    )


def _has_once(text: bytes, allowed: set[str]) -> bool:
    """Are the members of an object among these, and none of them there twice?"""
    names = [name for name, _ in _scanned(text) or [("", ABSENT)]]
    return len(set(names)) == len(names) and allowed.issuperset(names)


# --- values ---------------------------------------------------------------------------------------------------------


def members(text: bytes) -> dict[str, bytes]:
    """The members of an object as raw JSON, the last where a name occurs twice; empty where it is none."""
    if text == ABSENT:
        return {}
    try:
        return {name: bytes(raw) for name, raw in _members.decode(text).items()}
    except _REFUSED:
        return scan(text) or {}


def elements(text: bytes) -> list[bytes]:
    """The elements of an array as raw JSON; empty where it is none."""
    try:
        return [bytes(raw) for raw in _elements.decode(text)]
    except _REFUSED:
        return _scanned_elements(text) or []


def value(text: bytes) -> object:
    """A decoded value; the bytes themselves where the fast codec refuses them."""
    try:
        return _value.decode(text)
    except _REFUSED:
        return text


def lenient(text: bytes) -> object:
    """A decoded value that may hold lone surrogates; the bytes themselves where no codec takes them."""
    decoded = value(text)
    if not isinstance(decoded, bytes):
        return decoded
    try:
        return json.loads(text.decode())
    except (ValueError, RecursionError):
        return text


def id_value(text: bytes) -> object:
    """An id as a value that equals another spelling of the same id, and that no id of another type equals."""
    if text.isdigit() and len(text) <= SHORT_ID_CHARS and text[:1] != b"0":  # as nearly all ids are
        return int(text)
    decoded = lenient(text)
    return ("bool", decoded) if isinstance(decoded, bool) else decoded if _is_scalar(decoded) else text


def _is_scalar(decoded: object) -> bool:
    return decoded is None or isinstance(decoded, str | int | float)


# --- answers --------------------------------------------------------------------------------------------------------


def outcome(envelope: Envelope, size_bytes: int, tainted: bool = False) -> Outcome:
    """What the engine needs to know of an answer."""
    if tainted:
        return Outcome(Answer.TAINTED, size_bytes)
    if envelope.error != ABSENT:
        return Outcome(Answer.ERROR, size_bytes, rate_limited=_tells_rate_limit(envelope.error))
    try:
        result = _result.decode(envelope.result)
    except _REFUSED:
        result = _slow_result(envelope.result)
    if result is None:
        return Outcome(Answer.OTHER, size_bytes)
    if result.resultType == "input_required":
        return Outcome(Answer.INPUT_REQUIRED, size_bytes)
    if result.resultType == "task" or _OBJECT.match(result.task):
        task = value(bytes(result.taskId) if result.resultType == "task" else members(result.task).get("taskId", NULL))
        return Outcome(Answer.TASK, size_bytes, task=task if isinstance(task, str) else None)
    if result.resultType != "complete":
        return Outcome(Answer.OTHER, size_bytes)
    if result.isError:
        return Outcome(Answer.TOOL_ERROR, size_bytes, rate_limited=_tells_rate_limit(envelope.result))
    return Outcome(Answer.RESULT, size_bytes)


def is_error(envelope: Envelope) -> bool:
    """Did the call fail, in the protocol's sense or in the tool's?"""
    return outcome(envelope, 0).answer is not Answer.RESULT


def ended_task(text: bytes) -> str | None:
    """The task that a task object (a result or a notification's params) says is terminal."""
    try:
        task = _task.decode(text)
    except _REFUSED:
        return None
    return task.taskId if task.taskId and task.status in TERMINAL_TASK_STATES else None


def _slow_result(text: bytes) -> _Result | None:
    found = scan(text)
    if found is None:
        return None
    kind = value(found.get("resultType", b'"complete"'))
    return _Result(
        found.get("isError", b"false") != b"false",
        kind if isinstance(kind, str) else "?",
        Raw(found.get("task", ABSENT)),
        Raw(found.get("taskId", ABSENT)),
    )


def _tells_rate_limit(text: bytes) -> bool:
    try:
        code = _error.decode(text).code
    except _REFUSED:
        code = 0
    return code in RATE_LIMIT_CODES or RATE_LIMIT_WORDS.search(text[:ERROR_LOOKED_AT_BYTES]) is not None


# --- the scanner ----------------------------------------------------------------------------------------------------


def scan(text: bytes) -> dict[str, bytes] | None:
    """The members of the outermost object as raw JSON, by brackets and strings alone; None where it is no object."""
    found = _scanned(text)
    return None if found is None else dict(found)


def spans(text: bytes) -> list[tuple[str, int, int]] | None:
    """Name, begin and end of each member's value in the outermost object, in their order; None where it is none."""
    parts = _parts(text) if _OBJECT.match(text) else None
    if parts is None:
        return None
    found: list[tuple[str, int, int]] = []
    for begin, colon, end in parts:
        if colon < 0:
            return None
        name = _name(text[begin:colon].strip())
        if name is None:
            return None
        spaced = text[colon + 1 : end]
        found.append((name, end - len(spaced.lstrip()), colon + 1 + len(spaced.rstrip())))
    return found


def _scanned(text: bytes) -> list[tuple[str, bytes]] | None:
    found = spans(text)
    return None if found is None else [(name, text[begin:end]) for name, begin, end in found]


def _scanned_elements(text: bytes) -> list[bytes] | None:
    parts = _parts(text) if _ARRAY.match(text) else None
    return None if parts is None else [text[begin:end].strip() for begin, _, end in parts]


def _parts(text: bytes) -> list[tuple[int, int, int]] | None:
    """Where each part of the outermost object or array begins, has its first colon (or -1), and ends."""
    parts: list[tuple[int, int, int]] = []
    depth = 0
    begin, colon = -1, -1
    for token in _tokens(text):
        at = token.start()
        first = text[at]
        if first in b"{[":
            depth += 1
            if depth == 1:
                begin = at + 1
        elif first in b"}]":
            depth -= 1
            if depth == 0:
                if parts or text[begin:at].strip():
                    parts.append((begin, colon, at))
                return None if text[at + 1 :].strip() else parts
        elif depth == 1 and first == ord(","):
            parts.append((begin, colon, at))
            begin, colon = at + 1, -1
        elif depth == 1 and first == ord(":") and colon < 0:
            colon = at
    return None


def _tokens(text: bytes) -> Iterator[re.Match[bytes]]:
    for count, token in enumerate(_TOKEN.finditer(text)):
        if count >= SCANNED_MAX_TOKENS:
            return
        yield token


def _name(text: bytes) -> str | None:
    """A member's name; None where it is no string."""
    if len(text) < 2 or text[:1] != b'"' or text[-1:] != b'"':
        return None
    decoded = lenient(text)
    return decoded if isinstance(decoded, str) else text[1:-1].decode("utf-8", "surrogateescape")
