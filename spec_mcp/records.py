"""The recorded-session format: one session a line of JSON, `.gz` too, and a catalogue of the tools beside it.

Unknown keys and event types are skipped, so that other people's records can carry more. What is known must have its
shape: a fault names the file and the line.
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import IO, Any, Literal, cast

import msgspec

from spec_mcp.engine.calls import Arguments, Json
from spec_mcp.errors import UserError

MAX_LINE_BYTES = 256_000_000
"""A longer line is no session, and would fill the memory."""

Kind = Literal["read", "write"]


class RecordError(UserError, ValueError):
    """A file of recorded sessions that cannot be read; its text is the one line to show."""

    def __init__(self, file: str, line: int | None, fault: str) -> None:
        self.file = file
        self.line = line
        super().__init__(f"{file}:{line}: {fault}" if line else f"{file}: {fault}")


@dataclass(frozen=True, slots=True)
class TextEvent:
    """What the user or the assistant said; `t` in seconds, None where it was not recorded."""

    type: Literal["user", "assistant"]
    text: str
    t: float | None = None


@dataclass(frozen=True, slots=True)
class CallEvent:
    """A call and its answer; times in seconds, None where they were not recorded."""

    tool: str
    arguments: Arguments
    result: Json
    is_error: bool = False
    kind: Kind | None = None
    """A guess where the record comes from others: a manifest decides, where there is one."""
    batch: int | None = None
    """Calls of one batch were made in one turn."""
    t_start: float | None = None
    t_end: float | None = None


Event = TextEvent | CallEvent


@dataclass(frozen=True, slots=True)
class Session:
    """A recorded session."""

    session: str
    source: str
    events: tuple[Event, ...]
    task: Json = None
    model: Json = None
    reward: Json = None

    def calls(self) -> Iterator[CallEvent]:
        """The calls alone, in their order."""
        return (event for event in self.events if isinstance(event, CallEvent))


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool of the catalogue."""

    name: str
    description: str = ""
    input_schema: dict[str, Json] = field(default_factory=dict[str, Json])
    kind: Kind | None = None


class _Event(msgspec.Struct):
    """Any event as it stands in a file."""

    type: str
    text: str = ""
    t: float | None = None
    tool: str | None = None
    arguments: dict[str, Any] | None = None
    result: Any = None
    is_error: bool | None = None
    kind: Kind | None = None
    batch: int | None = None
    t_start: float | None = None
    t_end: float | None = None


class _Session(msgspec.Struct):
    session: str
    events: list[_Event]
    source: str = ""
    task: Any = None
    model: Any = None
    reward: Any = None


class _Tool(msgspec.Struct):
    name: str
    description: str | None = None
    inputSchema: dict[str, Any] | None = None  # noqa: N815  the format's own spelling
    kind: Kind | None = None


class _Catalogue(msgspec.Struct):
    tools: list[_Tool]
    source: str = ""


_KNOWN_TYPES = ("user", "assistant", "call")
_SESSION = msgspec.json.Decoder(_Session)


def read_sessions(path: Path) -> Iterator[Session]:
    """The sessions of a file, one at a time.

    Raises:
        RecordError: the file cannot be read, or a line is no session.
    """
    number = 0
    try:
        with _open(path, "rb") as lines:
            while line := lines.readline(MAX_LINE_BYTES):
                number += 1
                if line.strip():
                    yield parse_session(line, str(path), number)
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise RecordError(str(path), number + 1 if number else None, f"cannot be read: {reason}") from error


def parse_session(line: bytes, file: str, number: int) -> Session:
    """One line as a session.

    Raises:
        RecordError: it is none.
    """
    try:
        try:
            raw = _SESSION.decode(line)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            # lone surrogates, and event types of which we know nothing with members of another shape
            raw = _decode_tolerantly(line)
        return Session(
            session=raw.session,
            source=raw.source,
            events=tuple(_event(event) for event in raw.events if event.type in _KNOWN_TYPES),
            task=raw.task,
            model=raw.model,
            reward=raw.reward,
        )
    except (ValueError, RecursionError) as error:
        raise RecordError(file, number, f"no recorded session: {error}") from error


def write_sessions(path: Path, sessions: Iterable[Session]) -> None:
    """Write sessions to a file, packed where its name ends in `.gz`; what was there is replaced.

    Raises:
        OSError: the file cannot be written.
    """
    with _open(path, "wb") as file:
        for session in sessions:
            file.write(session_line(session))


def session_line(session: Session, more: Mapping[str, object] = MappingProxyType({})) -> bytes:
    """A session as a line of a file, its end included. `more` are members of other names, which readers skip."""
    value: dict[str, Any] = {"session": session.session, "source": session.source}
    for key in ("task", "model", "reward"):
        if (given := getattr(session, key)) is not None:
            value[key] = given
    value |= more
    value["events"] = [
        {"type": "call", **_members(event)} if isinstance(event, CallEvent) else _members(event)
        for event in session.events
    ]
    try:
        return msgspec.json.encode(value) + b"\n"
    except UnicodeEncodeError:  # a lone surrogate, which only an escape can hold
        return json.dumps(value, separators=(",", ":")).encode("ascii") + b"\n"


def tools_beside(path: Path) -> Path | None:
    """The catalogue that lies beside a file of sessions: `X.tools.json` for `X.jsonl` and `X.jsonl.gz`."""
    stem = path.name.removesuffix(".gz").removesuffix(".jsonl").removesuffix(".json")
    catalogue = path.with_name(f"{stem}.tools.json")
    return catalogue if catalogue.is_file() else None


def read_tools(path: Path) -> list[Tool]:
    """The tools of a catalogue.

    Raises:
        RecordError: the file cannot be read, or is no catalogue.
    """
    try:
        with _open(path, "rb") as file:
            catalogue = msgspec.json.decode(file.read(MAX_LINE_BYTES), type=_Catalogue)
    except (OSError, EOFError, zlib.error) as error:
        raise RecordError(str(path), None, f"cannot be read: {getattr(error, 'strerror', None) or error}") from error
    except (ValueError, RecursionError) as error:
        raise RecordError(str(path), None, f"no tool catalogue: {error}") from error
    return [Tool(tool.name, tool.description or "", tool.inputSchema or {}, tool.kind) for tool in catalogue.tools]


def write_tools(path: Path, tools: Iterable[Tool], source: str = "") -> None:
    """Write a catalogue.

    Raises:
        OSError: the file cannot be written.
    """
    form = _Catalogue([_Tool(tool.name, tool.description, tool.input_schema, tool.kind) for tool in tools], source)
    with _open(path, "wb") as file:
        file.write(msgspec.json.format(msgspec.json.encode(form), indent=1) + b"\n")


def halves(sessions: Sequence[Session]) -> tuple[list[Session], list[Session]]:
    """A file's sessions by its distinct tasks in file order: those of the first half, and those of the rest.

    Sessions of one task are never parted; one without a task is a task of its own.
    """
    tasks = list(dict.fromkeys(_task(session) for session in sessions))
    first = set(tasks[: len(tasks) // 2])
    return (
        [session for session in sessions if _task(session) in first],
        [session for session in sessions if _task(session) not in first],
    )


def seen_result(result: Json) -> Json:
    """A recorded result as an expression or a predictor sees it: a text is the JSON that it holds, else its text.

    A record keeps the text that the client got, or the JSON that a tool gave as `structuredContent`.
    """
    if not isinstance(result, str):
        return result
    try:
        return cast("Json", msgspec.json.decode(result))
    except (ValueError, RecursionError):
        return {"text": result}


def _decode_tolerantly(line: bytes) -> _Session:
    value: object = json.loads(line)
    if isinstance(value, dict) and isinstance(events := cast("dict[str, Any]", value).get("events"), list):
        known = [event for event in cast("list[Any]", events) if not _is_foreign(event)]
        value = {**cast("dict[str, Any]", value), "events": known}
    return msgspec.convert(value, _Session)


def _is_foreign(event: object) -> bool:
    """An event of a type that we do not know; what is no event at all stays, to be found faulty."""
    if not isinstance(event, dict):
        return False
    kind = cast("dict[str, Any]", event).get("type")
    return isinstance(kind, str) and kind not in _KNOWN_TYPES


def _event(raw: _Event) -> Event:
    if raw.type != "call":
        return TextEvent("user" if raw.type == "user" else "assistant", raw.text, raw.t)
    if raw.tool is None:
        raise ValueError("a call without a tool")
    return CallEvent(
        tool=raw.tool,
        arguments=raw.arguments or {},
        result=raw.result,
        is_error=bool(raw.is_error),
        kind=raw.kind,
        batch=raw.batch,
        t_start=raw.t_start,
        t_end=raw.t_end,
    )


def _members(event: Event) -> dict[str, Any]:
    return {name: getattr(event, name) for name in event.__dataclass_fields__}


def _task(session: Session) -> Hashable:
    if session.task is None:
        return ("session", session.session)
    return ("task", session.task if isinstance(session.task, str) else json.dumps(session.task, sort_keys=True))


def _open(path: Path, mode: Literal["rb", "wb"]) -> IO[bytes]:
    if path.suffix == ".gz":
        return cast("IO[bytes]", gzip.open(path, mode))
    return path.open(mode)
