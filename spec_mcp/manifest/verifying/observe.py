"""The state of a server, as the reads of its manifest show it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from spec_mcp.engine.calls import Json
from spec_mcp.engine.effects import Effect, ServerPolicy
from spec_mcp.engine.resources import Footprint, footprint
from spec_mcp.manifest.verifying.generate import Generator, Pool, noun
from spec_mcp.manifest.verifying.scratch import Answer, Call

LOOKS_PER_READ = 2
"""Of a read with arguments: more show more of the state, and every trial makes them three times."""

LOOKS_MAX = 16
"""In all, so that a server with fifty reads can be tried as well."""


@dataclass(frozen=True, slots=True)
class Difference:
    """A read that shows two states differently."""

    look: Call
    before: Json
    after: Json


def looks_at(reads: Sequence[str], about: Call, generator: Generator) -> list[Call]:
    """Reads that together show the state around a call; `reads` are those that may be made here."""
    near = Pool({})
    near.learn(dict(about.arguments), noun(about.tool))
    looks: list[Call] = []
    for tool in reads:
        if generator.needs_arguments(tool):
            made = [Call(tool, generator.arguments(tool, near)) for _ in range(LOOKS_PER_READ)]
        else:
            made = [Call(tool, {})]
        looks += [look for look in made if look not in looks]
    return sorted(looks, key=lambda look: len(look.arguments) > 0)[:LOOKS_MAX]


def differences(looks: Sequence[Call], before: Sequence[Answer], after: Sequence[Answer]) -> list[Difference]:
    """What the reads show differently afterwards."""
    return [
        Difference(look, first.result, second.result)
        for look, first, second in zip(looks, before, after, strict=True)
        if first.text != second.text
    ]


def touched(policy: ServerPolicy, call: Call) -> Footprint:
    """What the manifest says that a call touches."""
    tool = policy.tool(call.tool)
    return footprint(policy.server, tool.touches, call.arguments, tool.equal)


def reads_of(policy: ServerPolicy, there: frozenset[str]) -> list[str]:
    """The reads that may be made here: those that the server has and that reach nowhere outside."""
    return [
        name
        for name, tool in policy.tools.items()
        if tool.effect is Effect.READ and name in there and not tool.open_world
    ]
