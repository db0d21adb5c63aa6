"""A client's own transcripts as recorded sessions: the tool calls of MCP servers, and nothing else of them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, cast

from spec_mcp.engine.calls import Json
from spec_mcp.records import CallEvent, Session

PREFIX = "mcp__"
"""Claude Code names a tool `mcp__SERVER__TOOL`."""

MAX_TRANSCRIPT_BYTES = 256 * 2**20
"""A larger transcript is left out: it is read whole."""


@dataclass(slots=True)
class _Open:
    """A call of a transcript, before its answer is met."""

    server: str
    event: CallEvent


@dataclass(slots=True)
class Transcripts:
    """What was found: sessions by server, and what was looked at."""

    by_server: dict[str, list[Session]] = field(default_factory=dict[str, list[Session]])
    files: int = 0
    calls: int = 0
    skipped_files: int = 0


def claude_code(folder: Path) -> Transcripts:
    """The MCP calls in Claude Code's transcripts, under `projects` of this folder; other lines are skipped."""
    found = Transcripts()
    for path in sorted((folder / "projects").glob("**/*.jsonl")):
        try:
            if path.stat().st_size > MAX_TRANSCRIPT_BYTES:
                found.skipped_files += 1
                continue
            lines = path.read_bytes().splitlines()
        except OSError:
            found.skipped_files += 1
            continue
        found.files += 1
        for server, events in _calls(lines).items():
            found.calls += len(events)
            found.by_server.setdefault(server, []).append(
                Session(session=path.stem, source="claude-code", events=tuple(events), task=path.stem)
            )
    return found


def _calls(lines: list[bytes]) -> dict[str, list[CallEvent]]:
    """The answered calls of one transcript, by server, in the order in which they were made."""
    made: dict[str, _Open] = {}
    answers: dict[str, tuple[Json, bool, float | None]] = {}
    batches: dict[str, int] = {}
    for line in lines:
        for block, message, at_s in _blocks(line):
            kind = block.get("type")
            if kind == "tool_use" and (named := _named(block.get("name"))) is not None:
                server, tool = named
                turn = batches.setdefault(message, len(batches))
                arguments = block.get("input")
                event = CallEvent(
                    tool=tool,
                    arguments=cast("dict[str, Json]", arguments) if isinstance(arguments, dict) else {},
                    result=None,
                    batch=turn,
                    t_start=at_s,
                )
                made[str(block.get("id"))] = _Open(server, event)
            elif kind == "tool_result":
                answers[str(block.get("tool_use_id"))] = (
                    _text(block.get("content")), bool(block.get("is_error")), at_s,
                )  # fmt: skip
    by_server: dict[str, list[CallEvent]] = {}
    for number, call in made.items():
        if number not in answers:
            continue
        result, is_error, at_s = answers[number]
        event = call.event
        by_server.setdefault(call.server, []).append(
            CallEvent(
                event.tool, event.arguments, result, is_error, None, event.batch, event.t_start, at_s
            )
        )  # fmt: skip
    return by_server


def _blocks(line: bytes) -> Iterator[tuple[dict[str, Any], str, float | None]]:
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        return
    if not isinstance(entry, dict) or not isinstance(message := entry.get("message"), dict):  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
        return
    told = cast("dict[str, Any]", message)
    content = told.get("content")
    if isinstance(content, list):
        of = cast("dict[str, Any]", entry)
        name = str(told.get("id") or of.get("uuid") or "")
        for block in cast("list[Any]", content):
            if isinstance(block, dict):
                yield cast("dict[str, Any]", block), name, _seconds(of.get("timestamp"))


def _named(name: object) -> tuple[str, str] | None:
    if not isinstance(name, str) or not name.startswith(PREFIX):
        return None
    server, separator, tool = name.removeprefix(PREFIX).partition("__")
    return (server, tool) if separator and tool else None


def _text(content: Any) -> Json:
    if isinstance(content, list):
        blocks = [cast("dict[str, Any]", b) for b in cast("list[Any]", content) if isinstance(b, dict)]
        return "\n".join(str(block["text"]) for block in blocks if isinstance(block.get("text"), str))
    return content if isinstance(content, str) else None


def _seconds(timestamp: object) -> float | None:
    if not isinstance(timestamp, str):
        return None
    try:
        return datetime.fromisoformat(timestamp.replace("Z", "+00:00")).timestamp()
    except ValueError:
        return None
