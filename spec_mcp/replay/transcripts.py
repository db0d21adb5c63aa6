"""A client's own transcripts as recorded sessions: the tool calls of MCP servers, and nothing else of them.

Claude Code writes a line for each entry of a conversation, under `projects/FOLDER/SESSION.jsonl`, and those of its
subagents under `SESSION/subagents/`. What makes them more than a list of calls:

- Calls made at once are entries of their own that share `message.id`; each answer is an entry of type `user`.
- A resumed, forked or compacted session holds copies of earlier entries, in the same file or in another, with their
  own ids: a call counts once, and files that share one are one conversation.
- A subagent is a conversation of its own, marked `isSidechain`: by `agentId`, or in older files by whose child it is.
- A call that was denied, or that named no tool, is answered by the client: the server never saw it.
- Long answers are shown cut, put into a file, or cleared later: such a call was made, but what it answered is unknown.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import IO, Any, cast

from spec_mcp.engine.calls import Json
from spec_mcp.records import CallEvent, Session

SOURCE = "claude-code"

PREFIX = "mcp__"
"""Claude Code names a tool `mcp__SERVER__TOOL`."""

MAX_LINE_BYTES = 64 * 2**20
"""A longer line is left out: an entry with several pictures stays below it."""

MAX_RESULT_CHARACTERS = 256 * 1024
"""What a store keeps of a result at most: a longer one counts as cut."""

_NOT_IN_A_NAME = re.compile(r"[^a-zA-Z0-9_-]")

_PUT_ELSEWHERE = re.compile(
    r"\s*(?:<persisted-output>|\[Old tool result content cleared\]"
    r"|(?:Error: )?result \([\d,]+ characters\) exceeds maximum"
    r"|(?:Error: )?MCP tool \"[^\"\n]*\" response \([\d,]+ tokens\) exceeds maximum)"
)
"""What a client puts in the place of a long result."""

_CUT_SHORT = re.compile(
    r"\[(?:output |result |response )?truncated\b[^\n]{0,200}\]|\[[\d,]+ (?:more )?characters? (?:truncated|omitted)\]",
    re.IGNORECASE,
)
"""What a client puts in the place of a result's end."""

NOTICE_CHARACTERS = 1_000
"""So far from a result's end stands the notice that it was cut: further up it is the tool's own text."""

_REFUSED = re.compile(
    r"\A\s*(?:<tool_use_error>|The user doesn't want to |\[Request interrupted by user|User rejected tool use"
    r"|Permission to use |Permission for this tool use was denied|Claude requested permissions to "
    r"|Error: No such tool available)"
)
"""How an answer begins that the client gave in the server's place."""


@dataclass(slots=True)
class Skipped:
    """What was met and not learned from."""

    files: list[str] = field(default_factory=list[str])
    """Transcripts that could not be read, each with the reason."""
    broken_lines: int = 0
    repeated: int = 0
    """Copies of calls, from sessions that were resumed, forked or compacted."""
    unanswered: int = 0
    refused: int = 0
    """Calls that a person or the client denied: no server saw them."""
    cut: int = 0
    """Results that the client did not keep whole; their calls count."""


@dataclass(slots=True)
class Transcripts:
    """What was found: sessions by server, and what was looked at."""

    by_server: dict[str, list[Session]] = field(default_factory=dict[str, list[Session]])
    files: int = 0
    conversations: int = 0
    calls: int = 0
    skipped: Skipped = field(default_factory=Skipped)


@dataclass(slots=True)
class _Made:
    """A call as it was met."""

    server: str
    event: CallEvent
    answered: bool = False
    refused: bool = False


_Conversation = dict[str, _Made]
"""Calls by their ids, in the order in which they were met."""


def claude_code(folder: Path, known: Collection[str] = ()) -> Transcripts:
    """The MCP calls in Claude Code's transcripts, under `projects` of this folder; other entries are skipped.

    `known` are servers' names as tools carry them: they tell where a name ends that holds `__` itself.
    """
    reading = _Reading(tuple(sorted(known, key=len, reverse=True)))
    for path in sorted((folder / "projects").glob("**/*.jsonl")):
        reading.read(path)
    return reading.finish()


def carried_name(server: str) -> str:
    """A server's name as the names of its tools carry it."""
    return _NOT_IN_A_NAME.sub("_", server)


class _Reading:
    """Reads transcripts one after the other, and puts together what belongs to one conversation."""

    def __init__(self, known: tuple[str, ...]) -> None:
        self._known = known
        self._found = Transcripts()
        self._conversation_of: dict[str, _Conversation] = {}
        """By the id of a call."""
        self._turns: dict[str, int] = {}

    def read(self, path: Path) -> None:
        skipped = self._found.skipped
        agents: dict[str, str] = {}
        threads: dict[str, _Conversation] = {}
        try:
            with path.open("rb") as file:
                for line in _lines(file):
                    entry = _entry(line)
                    if entry is None:
                        # a line without its end is being written just now
                        skipped.broken_lines += line.endswith(b"\n")
                    else:
                        self._take(entry, threads, _agent(entry, agents))
        except OSError as error:
            skipped.files.append(f"{path}: {error.strerror or error}")
            return
        self._found.files += 1

    def finish(self) -> Transcripts:
        found = self._found
        conversations = {id(whole): whole for whole in self._conversation_of.values()}
        for calls in conversations.values():
            for server, session in self._sessions(calls):
                found.by_server.setdefault(server, []).append(session)
        for sessions in found.by_server.values():
            sessions.sort(key=lambda session: next(session.calls()).t_start or 0.0)
            found.calls += sum(len(session.events) for session in sessions)
        found.conversations = len(conversations)
        return found

    def _take(self, entry: dict[str, Any], threads: dict[str, _Conversation], agent: str) -> None:
        message = _table(entry.get("message"))
        at_s = _seconds(entry.get("timestamp"))
        content = message.get("content")
        for block in map(_table, cast("list[Any]", content) if isinstance(content, list) else []):
            kind = block.get("type")
            if kind == "tool_use" and entry.get("type") == "assistant":
                turn = str(message.get("id") or entry.get("uuid") or "")
                self._call(block, turn, at_s, threads, agent)
            elif kind == "tool_result" and entry.get("type") == "user":
                self._answer(block, entry, at_s)

    def _call(
        self, block: dict[str, Any], turn: str, at_s: float | None, threads: dict[str, _Conversation], agent: str
    ) -> None:
        named, number, arguments = self._named(block.get("name")), block.get("id"), block.get("input")
        if named is None or not isinstance(number, str):
            return
        known = self._conversation_of.get(number)
        if known is not None:
            self._found.skipped.repeated += 1
            threads[agent] = known
            return
        calls = threads.setdefault(agent, {})
        server, tool = named
        calls[number] = _Made(
            server,
            CallEvent(
                tool=tool,
                arguments=cast("dict[str, Json]", arguments) if isinstance(arguments, dict) else {},
                result=None,
                batch=self._turns.setdefault(turn, len(self._turns)),
                t_start=at_s,
            ),
        )
        self._conversation_of[number] = calls

    def _answer(self, block: dict[str, Any], entry: dict[str, Any], at_s: float | None) -> None:
        number = block.get("tool_use_id")
        calls = self._conversation_of.get(number) if isinstance(number, str) else None
        if calls is None:
            return
        made = calls[str(number)]
        if made.answered and made.event.result is not None:
            return
        text = _text(block.get("content"))
        is_error = bool(block.get("is_error"))
        made.refused = entry.get("toolDenialKind") is not None or (is_error and _REFUSED.match(text) is not None)
        cut = _is_cut(text)
        structured = _table(entry.get("mcpMeta")).get("structuredContent")
        made.event = replace(
            made.event,
            result=None if cut else text if structured is None else structured,
            is_error=is_error and not cut,
            t_end=made.event.t_end if made.answered else at_s,
        )
        made.answered = True

    def _named(self, name: object) -> tuple[str, str] | None:
        """Server and tool, None where it is no tool of an MCP server."""
        if not isinstance(name, str) or not name.startswith(PREFIX):
            return None
        rest = name.removeprefix(PREFIX)
        for server in self._known:
            if rest.startswith(server + "__") and len(rest) > len(server) + 2:
                return server, rest[len(server) + 2 :]
        server, separator, tool = rest.partition("__")
        return (server, tool) if server and separator and tool else None

    def _sessions(self, calls: _Conversation) -> Iterator[tuple[str, Session]]:
        """A conversation by server: the calls that were answered, in the order in which they were made."""
        skipped = self._found.skipped
        by_server: dict[str, dict[str, CallEvent]] = {}
        for number, made in calls.items():
            if made.refused or not made.answered:
                skipped.refused += made.refused
                skipped.unanswered += not made.answered
                continue
            skipped.cut += made.event.result is None
            by_server.setdefault(made.server, {})[number] = made.event
        for server, events in by_server.items():
            # forks were met one after the other: their times say what came first
            order = sorted(events, key=lambda number: events[number].t_start or 0.0)
            name = f"{SOURCE}/{order[0]}"
            yield server, Session(name, SOURCE, tuple(events[number] for number in order), task=name)


def _lines(file: IO[bytes]) -> Iterator[bytes]:
    """The lines that may matter; one that is too long is left out."""
    while line := file.readline(MAX_LINE_BYTES):
        if len(line) == MAX_LINE_BYTES and not line.endswith(b"\n"):
            while (rest := file.readline(MAX_LINE_BYTES)) and not rest.endswith(b"\n"):
                pass
            continue
        # of a subagent every entry matters: in older files it is told by whose child it is
        of_subagent = b"isSidechain" in line and b'"isSidechain":false' not in line
        if of_subagent or b"tool_use" in line or b"tool_result" in line:
            yield line


def _entry(line: bytes) -> dict[str, Any] | None:
    try:
        entry: object = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return _table(entry)


def _agent(entry: dict[str, Any], agents: dict[str, str]) -> str:
    """Who speaks: empty for the session's own agent. `agents` remembers it by the entries' ids."""
    if not entry.get("isSidechain"):
        return ""
    agent = entry.get("agentId") or agents.get(str(entry.get("parentUuid"))) or entry.get("uuid") or "subagent"
    agents[str(entry.get("uuid"))] = str(agent)
    return str(agent)


def _is_cut(text: str) -> bool:
    return (
        len(text) > MAX_RESULT_CHARACTERS
        or _PUT_ELSEWHERE.match(text) is not None
        or _CUT_SHORT.search(text, max(0, len(text) - NOTICE_CHARACTERS)) is not None
    )


def _text(content: object) -> str:
    if isinstance(content, list):
        blocks = [_table(block) for block in cast("list[Any]", content)]
        return "\n".join(block["text"] for block in blocks if isinstance(block.get("text"), str))
    return content if isinstance(content, str) else ""


def _table(value: object) -> dict[str, Any]:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def _seconds(timestamp: object) -> float | None:
    if not isinstance(timestamp, str):
        return None
    try:
        return datetime.fromisoformat(timestamp.replace("Z", "+00:00")).timestamp()
    except (ValueError, OverflowError):
        return None
