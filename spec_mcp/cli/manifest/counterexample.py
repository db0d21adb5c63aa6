"""How a counter-example is told: what was called, and what was different afterwards."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from spec_mcp.cli.text import shorten
from spec_mcp.engine.calls import Json
from spec_mcp.manifest.evaluate import result_of
from spec_mcp.manifest.verifying import Call, Fault

WIDTH = 150
"""Of a value in a line."""

CHANGES_MAX = 6
"""Places shown of one answer that differs; the rest is counted."""

_ABSENT = object()


def lines_of(fault: Fault) -> Iterator[str]:
    """The counter-example, line by line."""
    yield f"{fault.tool}: {fault.line}"
    for call in fault.setup:
        yield f"  first    {_call_text(call)}"
    for step in fault.steps:
        said = "  -> an error" if step.answer.is_error else ""
        yield f"  {step.role:<8} {_call_text(step.call)}{said}"
        if step.role in ("call", "undo") or step.answer.is_error:
            yield f"           = {_value_text(result_of(step.answer.result))}"
    for difference in fault.differences:
        yield f"  differs  {_call_text(difference.look)}"
        yield from (f"           {line}" for line in _changes_text(difference.before, difference.after))


def members_of(fault: Fault) -> dict[str, Any]:
    """The counter-example for a program."""
    return {
        "wrong": fault.wrong.value,
        "text": fault.line,
        "setup": [_call_members(call) for call in fault.setup],
        "call": _call_members(fault.call),
        "steps": [
            {"role": step.role, **_call_members(step.call), "result": step.answer.result} for step in fault.steps
        ],
        "differences": [
            {**_call_members(difference.look), "before": difference.before, "after": difference.after}
            for difference in fault.differences
        ],
    }


def _call_members(call: Call) -> dict[str, Any]:
    return {"tool": call.tool, "arguments": call.arguments}


def _call_text(call: Call) -> str:
    return f"{call.tool} {_value_text(call.arguments)}"


def _value_text(value: object) -> str:
    return "nothing" if value is _ABSENT else shorten(json.dumps(value, ensure_ascii=False), WIDTH)


def _changes_text(before: Json, after: Json) -> Iterator[str]:
    """What is different within the two answers."""
    changes = list(_changes(result_of(before), result_of(after), ""))
    if not changes:  # such as the order of keys, which only the text itself shows
        changes = list(_changes(before, after, ""))
    for path, was, now in changes[:CHANGES_MAX]:
        if isinstance(was, str) and isinstance(now, str):
            was, now = _around_the_difference(was, now)
        yield f"{path or 'all of it'}: {_value_text(was)}, then {_value_text(now)}"
    if len(changes) > CHANGES_MAX:
        yield f"and at {len(changes) - CHANGES_MAX} other places"


def _around_the_difference(was: str, now: str) -> tuple[str, str]:
    """What of two long texts shows where they part."""
    pairs = enumerate(zip(was, now, strict=False))
    start = next((index for index, (one, other) in pairs if one != other), min(len(was), len(now)))
    begin = max(0, start - WIDTH // 3) if len(was) > WIDTH or len(now) > WIDTH else 0
    mark = "…" if begin else ""
    return mark + was[begin:], mark + now[begin:]


def _changes(before: object, after: object, path: str) -> Iterator[tuple[str, object, object]]:
    if isinstance(before, dict) and isinstance(after, dict):
        for key in {**before, **after}:  # pyright: ignore[reportUnknownVariableType]
            yield from _changes(before.get(key, _ABSENT), after.get(key, _ABSENT), f"{path}.{key}".lstrip("."))  # pyright: ignore[reportUnknownMemberType, reportUnknownArgumentType]
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):  # pyright: ignore[reportUnknownArgumentType]
        for index, (was, now) in enumerate(zip(before, after, strict=True)):  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
            yield from _changes(was, now, f"{path}[{index}]")  # pyright: ignore[reportUnknownArgumentType]
    elif json.dumps(before, default=str) != json.dumps(after, default=str):
        yield path, before, after
