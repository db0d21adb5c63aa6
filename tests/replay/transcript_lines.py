"""Entries of Claude Code's transcripts, as version 2.1 writes them, in short form."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

BEGAN = datetime(2026, 9, 1, 12, tzinfo=UTC).timestamp()

Entry = dict[str, Any]


def entry(kind: str, message: Entry, at_s: float, **more: Any) -> Entry:
    at = datetime.fromtimestamp(BEGAN + at_s, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return {
        "parentUuid": None,
        "isSidechain": False,
        "userType": "external",
        "cwd": "/home/user/project",
        "sessionId": "s1",
        "version": "2.1.280",
        "gitBranch": "main",
        "type": kind,
        "message": message,
        "uuid": f"{kind}-{at_s}-{json.dumps(message, sort_keys=True)}",
        "timestamp": at,
        **more,
    }


def use(number: str, tool: str, at_s: float, turn: str = "", arguments: Entry | None = None, **more: Any) -> Entry:
    """The assistant calls a tool."""
    block = {"type": "tool_use", "id": number, "name": tool, "input": {} if arguments is None else arguments}
    message = {"id": turn or f"msg-{number}", "type": "message", "role": "assistant", "content": [block]}
    return entry("assistant", message, at_s, **more)


def answer(number: str, content: Any, at_s: float, is_error: bool | None = None, **more: Any) -> Entry:
    """The tool's answer; a text stands for a list of one text block, as Claude Code writes it."""
    blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
    block: Entry = {"type": "tool_result", "tool_use_id": number, "content": blocks}
    if is_error is not None:
        block["is_error"] = is_error
    return entry("user", {"role": "user", "content": [block]}, at_s, **more)


def said(text: str, at_s: float, **more: Any) -> Entry:
    """What the user typed, or Claude Code put in as if."""
    return entry("user", {"role": "user", "content": text}, at_s, **more)


def pair(number: str, tool: str, at_s: float, result: str = "ok", **more: Any) -> list[Entry]:
    """A call and its answer a second later."""
    return [use(number, tool, at_s, **more), answer(number, result, at_s + 1)]


def write(folder: Path, name: str, entries: list[Entry], end: bytes = b"") -> Path:
    """A transcript under `projects` of this folder."""
    path = folder / "projects" / "-home-user-project" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps(line, separators=(",", ":")).encode() + b"\n" for line in entries]
    path.write_bytes(b"".join(lines) + end)
    return path
