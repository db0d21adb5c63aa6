"""What is read of a line: its envelope, and the few members that safety and speculation need.

Lines are never made anew from what is read here: they travel as the bytes that came. The fast codec refuses a few
texts that the protocol allows or that servers send all the same (lone surrogates, broken UTF-8, thousands of levels);
for these a scanner finds the members of the outermost object without looking into them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import msgspec

from spec_mcp.engine.events import Answer, Outcome

Raw = msgspec.Raw
ABSENT = b""

SCANNED_MAX_BYTES = 8 * 2**20
"""A longer line that the fast codec refuses is passed on unread: scanning it would hold up the others."""

RATE_LIMIT_CODES = frozenset({429, -32029})
RATE_LIMIT_WORDS = re.compile(rb"rate.?limit|too many requests|quota exceeded", re.IGNORECASE)
ERROR_LOOKED_AT_BYTES = 2000
"""How much of an error is searched for a word on rate limits."""

TERMINAL_TASK_STATES = frozenset({"completed", "failed", "cancelled"})

_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"|[{}\[\],:]|[^\s{}\[\],:"]+', re.DOTALL)


@dataclass(frozen=True, slots=True)
class Envelope:
    """The members of a JSON-RPC message as raw JSON; `ABSENT` where there is none."""

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


@dataclass(frozen=True, slots=True)
class Batch:
    """A JSON-RPC batch array."""

    members: tuple[Envelope, ...]


class _Fast(msgspec.Struct, gc=False):
    id: Raw = Raw(ABSENT)
    method: str = ""
    params: Raw = Raw(ABSENT)
    result: Raw = Raw(ABSENT)
    error: Raw = Raw(ABSENT)


class _Task(msgspec.Struct):
    taskId: str = ""  # noqa: N815  the protocol's name
    status: str = ""


class _Result(msgspec.Struct):
    isError: bool = False  # noqa: N815
    resultType: str = "complete"  # noqa: N815
    task: _Task | None = None
    taskId: str = ""  # noqa: N815
    status: str = ""


class _Error(msgspec.Struct):
    code: int = 0


_fast = msgspec.json.Decoder(_Fast)
_fast_batch = msgspec.json.Decoder(list[_Fast])
_members = msgspec.json.Decoder(dict[str, Raw])
_result = msgspec.json.Decoder(_Result)
_error = msgspec.json.Decoder(_Error)
_value = msgspec.json.Decoder()


def read(line: bytes) -> Envelope | Batch | None:
    """The envelope of a line; None where it is no JSON object or array, or too large to be worth a look."""
    try:
        return _envelope(_fast.decode(line))
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        pass
    if line.lstrip()[:1] == b"[":
        try:
            return Batch(tuple(_envelope(member) for member in _fast_batch.decode(line)))
        except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
            return None
    found = scan(line)
    if found is None:
        return None
    method = value(found.get("method", b'""'))
    return Envelope(
        found.get("id", ABSENT),
        method if isinstance(method, str) else "?",
        found.get("params", ABSENT),
        found.get("result", ABSENT),
        found.get("error", ABSENT),
    )


def members(text: bytes) -> dict[str, bytes]:
    """The members of an object as raw JSON; empty where it is none."""
    if text == ABSENT:
        return {}
    try:
        return {name: bytes(raw) for name, raw in _members.decode(text).items()}
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return scan(text) or {}


def value(text: bytes) -> object:
    """A decoded value; the bytes themselves where the codec refuses them."""
    try:
        return _value.decode(text)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return text


def id_value(text: bytes) -> object:
    """An id as a value that equals another spelling of the same id, and that no id of another type equals."""
    decoded = value(text)
    return ("bool", decoded) if isinstance(decoded, bool) else decoded if _is_scalar(decoded) else text


def outcome(envelope: Envelope, size_bytes: int, tainted: bool = False) -> Outcome:
    """What the engine needs to know of an answer."""
    if tainted:
        return Outcome(Answer.TAINTED, size_bytes)
    if envelope.error != ABSENT:
        return Outcome(Answer.ERROR, size_bytes, rate_limited=_tells_rate_limit(envelope.error))
    try:
        result = _result.decode(envelope.result)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return Outcome(Answer.RESULT if b"isError" not in envelope.result else Answer.TOOL_ERROR, size_bytes)
    if result.resultType == "input_required":
        return Outcome(Answer.INPUT_REQUIRED, size_bytes)
    if result.task is not None or result.resultType == "task":
        task = result.task.taskId if result.task is not None else result.taskId
        return Outcome(Answer.TASK, size_bytes, task=task)
    if result.resultType != "complete":
        return Outcome(Answer.OTHER, size_bytes)
    if result.isError:
        return Outcome(Answer.TOOL_ERROR, size_bytes, rate_limited=_tells_rate_limit(envelope.result))
    return Outcome(Answer.RESULT, size_bytes)


def ended_task(text: bytes) -> str | None:
    """The task that a task object (a result or a notification's params) says is terminal."""
    try:
        task = _result.decode(text)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return None
    return task.taskId if task.taskId and task.status in TERMINAL_TASK_STATES else None


def scan(text: bytes) -> dict[str, bytes] | None:
    """The members of the outermost object as raw JSON, by brackets and strings alone; None where it is no object."""
    if len(text) > SCANNED_MAX_BYTES or text.lstrip()[:1] != b"{":
        return None
    found: dict[str, bytes] = {}
    depth = 0
    name: str | None = None
    begin = 0
    for token in _TOKEN.finditer(text):
        first = token.group()[:1]
        if depth == 1 and first in b",}" and name is not None:
            found[name] = text[begin : token.start()].strip()
            name = None
        if first in b"{[":
            depth += 1
        elif first in b"}]":
            depth -= 1
            if depth == 0:
                return found if not text[token.end() :].strip() else None
        elif depth == 1 and name is None and first == b'"':
            name = token.group()[1:-1].decode("utf8", "replace")
        elif depth == 1 and first == b":" and name is not None and begin <= token.start() and name not in found:
            begin = token.end()
    return None


def _envelope(fast: _Fast) -> Envelope:
    return Envelope(bytes(fast.id), fast.method, bytes(fast.params), bytes(fast.result), bytes(fast.error))


def _is_scalar(decoded: object) -> bool:
    return decoded is None or isinstance(decoded, str | int | float)


def _tells_rate_limit(text: bytes) -> bool:
    try:
        code = _error.decode(text).code
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        code = 0
    return code in RATE_LIMIT_CODES or RATE_LIMIT_WORDS.search(text[:ERROR_LOOKED_AT_BYTES]) is not None
