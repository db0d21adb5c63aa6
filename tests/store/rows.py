"""Rows in short form."""

from __future__ import annotations

from typing import Any

from spec_mcp.engine.results import Difference
from spec_mcp.store.rows import (
    CallRow,
    ComparisonRow,
    DemotionRow,
    LearnedRow,
    PinRow,
    QuestionRow,
    Scope,
    SessionRow,
    SkipRow,
    SpeculationRow,
)

FILES = Scope.of("files", ["files-server", "/tmp"])
SHOP = Scope.of("shop", ["shop-server"])
NOW = 1_800_000_000.0
DAY_S = 86_400.0


def session(name: str = "s1", scope: Scope = FILES, **more: Any) -> SessionRow:
    values: dict[str, Any] = {"session": name, "scope": scope, "principal": "local", "started_at": NOW, "pid": 1}
    return SessionRow(**(values | more))


def call(number: int = 1, session: str = "s1", **more: Any) -> CallRow:
    values: dict[str, Any] = {
        "session": session,
        "number": number,
        "server": "files",
        "tool": "read",
        "arguments": b'{"path":"/a"}',
        "result": b'"text"',
        "is_error": False,
        "kind": "read",
        "batch": number,
        "t_start": NOW + number,
        "t_end": NOW + number + 0.5,
        "how": "miss",
        "wait_s": 0.5,
        "saved_s": 0.0,
    }
    return CallRow(**(values | more))


def speculation(number: int = 1, session: str = "s1", **more: Any) -> SpeculationRow:
    values: dict[str, Any] = {
        "session": session,
        "number": number,
        "server": "files",
        "tool": "read",
        "arguments": b'{"path":"/a"}',
        "state": "adopted",
        "reason": "",
        "q": 0.5,
        "source": "history",
        "launched_at": NOW + number,
        "returned_at": NOW + number + 0.2,
        "ended_at": NOW + number + 0.4,
        "call": number,
    }
    return SpeculationRow(**(values | more))


def comparison(tool: str = "read", verdict: str = "different", session: str = "s1", **more: Any) -> ComparisonRow:
    differs = verdict != "same"
    values: dict[str, Any] = {
        "session": session,
        "scope": FILES,
        "tool": tool,
        "entry": "entry",
        "arguments": b'{"path":"/a"}' if differs else None,
        "is_check": False,
        "how": "hit",
        "verdict": verdict,
        "differences": (Difference("result.at", verdict == "passing"),) if differs else (),
        "saved_s": 0.5,
        "at": NOW,
        "early": b'{"at":1}' if differs else None,
        "real": b'{"at":2}' if differs else None,
        "early_bytes": 8,
        "real_bytes": 8,
    }
    return ComparisonRow(**(values | more))


def demotion(tool: str = "read", entry: str = "entry", scope: Scope = FILES) -> DemotionRow:
    return DemotionRow(scope, tool, entry, NOW)


def skip(reason: str = "busy", count: int = 1, session: str = "s1", server: str = "files") -> SkipRow:
    return SkipRow(session, server, "read", reason, count)


def pin(tool: str = "read", fingerprint: str = "sha256:1", scope: Scope = FILES) -> PinRow:
    return PinRow(scope, tool, fingerprint, NOW)


def learned(
    data: bytes = b'{"n":1}', scope: Scope = FILES, kind: str = "history/1", at: float = NOW, principal: str = "local"
) -> LearnedRow:
    return LearnedRow(scope, principal, kind, data, at)


def question(session: str = "s1", **more: Any) -> QuestionRow:
    values: dict[str, Any] = {
        "session": session,
        "speculator": "small",
        "about": "next-call",
        "ending": "answered",
        "guesses": 2,
        "input_tokens": 1000,
        "cached_tokens": 400,
        "output_tokens": 50,
        "price": 0.002,
        "took_s": 0.5,
        "at": NOW + 1,
    }
    return QuestionRow(**(values | more))
