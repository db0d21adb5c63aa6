"""What there is to be changed: values by name, and the same world as it would be without speculation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from spec_mcp.engine.calls import Arguments, Json
from spec_mcp.engine.effects import Before, Effect, Probe, ToolPolicy, Undo

NAMES = 3

Values = dict[str, int]

State = tuple[tuple[str, int], ...]
"""What a reading of some names shows."""


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool: what it does, and what its manifest says of it."""

    name: str
    act: Callable[[Values, Arguments], Json]
    """Does it, and returns its result."""
    policy: ToolPolicy
    writes: bool = True
    undo: Callable[[Arguments, Json, State], tuple[str, Arguments] | None] | None = None
    """From arguments, result and the state before: the call that takes it back; None where that cannot be said."""


def name_of(arguments: Arguments) -> str:
    return f"k{arguments['id']}"


def state_of(values: Mapping[str, int], names: list[str]) -> State:
    return tuple((name, values[name]) for name in sorted(names) if name in values)


def _get(values: Values, arguments: Arguments) -> Json:
    return values.get(name_of(arguments))


def _all(values: Values, arguments: Arguments) -> Json:
    return [list(pair) for pair in sorted(values.items())]


def _put(values: Values, arguments: Arguments) -> Json:
    values[name_of(arguments)] = int(str(arguments["value"]))
    return "put"


def _make(values: Values, arguments: Arguments) -> Json:
    if name_of(arguments) in values:
        return []
    values[name_of(arguments)] = 1
    return [arguments["id"]]


def _drop(values: Values, arguments: Arguments) -> Json:
    return values.pop(name_of(arguments), None)


def _add(values: Values, arguments: Arguments) -> Json:
    name = name_of(arguments)
    values[name] = values.get(name, 0) + int(str(arguments["by"]))
    return values[name]


def _read(touches: str) -> ToolPolicy:
    return ToolPolicy(Effect.READ, (touches,), exclusive=True, open_world=False)


def _reversible(undo: str, *, idempotent: bool, probe: bool) -> ToolPolicy:
    return ToolPolicy(
        Effect.REVERSIBLE,
        ("k:{id}",),
        exclusive=True,
        open_world=False,
        proved=True,
        before=Before("get", {}),
        undo=Undo(undo, {}, idempotent),
        probe=Probe("get", {}, "") if probe else None,
        undo_wait_s=10.0,
    )


def _undo_put(arguments: Arguments, result: Json, before: State) -> tuple[str, Arguments] | None:
    values = dict(before)
    if name_of(arguments) not in values:
        return "drop", {"id": arguments["id"]}
    return "put", {"id": arguments["id"], "value": values[name_of(arguments)]}


def _undo_make(arguments: Arguments, result: Json, before: State) -> tuple[str, Arguments] | None:
    return ("drop", {"id": arguments["id"]}) if name_of(arguments) not in dict(before) else None


def _undo_add(arguments: Arguments, result: Json, before: State) -> tuple[str, Arguments] | None:
    return "add", {"id": arguments["id"], "by": -int(str(arguments["by"]))}


TOOLS = {
    tool.name: tool
    for tool in (
        Tool("get", _get, _read("k:{id}"), writes=False),
        Tool("all", _all, _read("k:*"), writes=False),
        Tool("put", _put, _reversible("put", idempotent=True, probe=True), undo=_undo_put),
        Tool("make", _make, _reversible("drop", idempotent=False, probe=True), undo=_undo_make),
        Tool("add", _add, _reversible("add", idempotent=False, probe=False), undo=_undo_add),
        Tool("drop", _drop, ToolPolicy(Effect.UNSAFE, ("k:{id}",), open_world=False)),
        Tool("set", _put, ToolPolicy(Effect.UNSAFE, ("k:{id}",), open_world=False)),
    )
}


def names(tool: str, arguments: Arguments) -> list[str]:
    """What a call of this tool touches."""
    return [f"k{number}" for number in range(NAMES)] if tool == "all" else [name_of(arguments)]
