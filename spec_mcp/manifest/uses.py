"""What a tool's table speaks of: the expressions in it, and the other tools that it would have us call."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from spec_mcp.manifest.forms import Call, Expressions, ToolForm

ARGUMENTS = frozenset({"arguments"})
WITH_BEFORE = frozenset({"arguments", "before"})
WITH_RESULT = frozenset({"arguments", "before", "result"})


@dataclass(frozen=True, slots=True)
class ExpressionUse:
    """An expression and the values that are at hand where it is evaluated."""

    key: str
    text: str
    at_hand: frozenset[str]


@dataclass(frozen=True, slots=True)
class CallUse:
    """Another tool that is called because of this one."""

    key: str
    tool: str
    arguments: Expressions
    at_hand: frozenset[str]
    must_read: bool
    """It is called on our own account, so the manifest must state that it is a read."""


def calls(form: ToolForm) -> Iterator[CallUse]:
    """The other tools that a table names."""
    if form.fresh is not None and form.fresh.tool is not None:
        yield CallUse("fresh", form.fresh.tool, form.fresh.arguments, ARGUMENTS, must_read=True)
    if form.before is not None:
        yield _use("before", form.before, ARGUMENTS, must_read=True)
    if form.undo is not None:
        yield _use("undo", form.undo, WITH_RESULT, must_read=False)
    if form.probe is not None:
        yield _use("probe", form.probe, WITH_BEFORE, must_read=True)
    if form.surrogate is not None:
        yield _use("surrogate", form.surrogate, ARGUMENTS, must_read=True)
    for index, follow in enumerate(form.followed_by):
        yield _use(f"followed_by[{index}]", follow, WITH_RESULT, must_read=False)


def expressions(form: ToolForm) -> Iterator[ExpressionUse]:
    """The expressions in a table."""
    for call in calls(form):
        for name, text in call.arguments.items():
            yield ExpressionUse(f"{call.key}.arguments.{name}", text, call.at_hand)
    if form.unless is not None:
        yield ExpressionUse("unless", form.unless, WITH_BEFORE)
    if form.probe is not None:
        yield ExpressionUse("probe.done", form.probe.done, WITH_RESULT)


def _use(key: str, call: Call, at_hand: frozenset[str], *, must_read: bool) -> CallUse:
    return CallUse(key, call.tool, call.arguments, at_hand, must_read)
