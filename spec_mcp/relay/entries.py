"""What stands of a reversible speculation in the undo journal, and what is made of it again.

An entry must do without the manifest: by the time that it is needed, the manifest may say something else.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import cast

import msgspec

from spec_mcp.engine.calls import Arguments, Equivalence, Json, Unmatchable, canonical, decode_strict
from spec_mcp.engine.effects import Before, Effect, Probe, ToolPolicy, Undo
from spec_mcp.engine.events import Inheritance, SpeculationId
from spec_mcp.manifest.evaluate import result_of
from spec_mcp.store.journal import Entry

STATE_MAX_BYTES = 2**20
"""A state that takes more is not read: decoding it would hold up the loop, and it is written down before a launch."""


class BadEntry(ValueError):  # noqa: N818  named for what it is
    """The journal holds something that this version cannot read; the message says what."""


class Written(msgspec.Struct, frozen=True):
    """`Entry.reversal`: how the speculation is taken back."""

    before_digest: str
    before: Before
    undo: Undo
    fingerprints: dict[str, str]
    """Of the definitions of all tools that are involved, as they were at the launch."""
    probe: Probe | None = None
    touches: tuple[str, ...] | None = None
    equal: dict[str, tuple[Equivalence, ...]] = {}
    settle_s: float = 0.0
    undo_wait_s: float = 10.0


@dataclass(slots=True)
class Reversible:
    """A reversible speculation that is neither adopted nor taken back, or inherited as such."""

    number: SpeculationId
    session: str
    tool: str
    arguments: Arguments
    policy: ToolPolicy
    entry: str = ""
    """The id of its entry in the journal, from the moment at which there may be one."""
    before: Json = None
    """The state before it, as expressions see it."""
    before_digest: str = ""
    result: bytes = b""
    """The answer's raw `result`, where it is a good one."""
    fingerprints: dict[str, str] = field(default_factory=dict[str, str])
    is_adopting: bool = False
    """It is about to be adopted, and its entry to go."""
    left: str = ""
    """The digest of the state that it left."""

    @property
    def tools(self) -> list[str]:
        """All that are involved."""
        policy = self.policy
        called = [step.tool for step in (policy.before, policy.undo, policy.probe) if step is not None]
        return [self.tool, *called]

    def seen_result(self) -> Json:
        """The answer as expressions see it; None where it is not known."""
        return result_of(cast("Json", json.loads(self.result))) if self.result else None


def reversal_of(held: Reversible) -> bytes:
    """What is written of how it is taken back."""
    policy = held.policy
    assert policy.before is not None, "a state was read before it"
    assert policy.undo is not None, "what cannot be undone is not recorded"
    return msgspec.json.encode(
        Written(
            held.before_digest,
            policy.before,
            policy.undo,
            held.fingerprints,
            policy.probe,
            policy.touches,
            dict(policy.equal),
            policy.settle_s,
            policy.undo_wait_s,
        )
    )


def reversible_of(entry: Entry, number: SpeculationId) -> Reversible:
    """What an entry tells.

    Raises:
        BadEntry: it cannot be read.
    """
    try:
        written = msgspec.json.decode(entry.reversal, type=Written)
        arguments = json.loads(entry.arguments)
        before = None if entry.before is None else json.loads(entry.before)
    except (ValueError, msgspec.DecodeError) as error:
        raise BadEntry(f"the undo journal: {entry.id}: {error}") from error
    policy = ToolPolicy(
        Effect.REVERSIBLE,
        touches=written.touches,
        exclusive=True,
        open_world=False,
        settle_s=written.settle_s,
        equal=written.equal,
        before=written.before,
        undo=written.undo,
        probe=written.probe,
        undo_wait_s=written.undo_wait_s,
    )
    return Reversible(
        number,
        entry.session,
        entry.tool,
        arguments,
        policy,
        entry.id,
        before,
        written.before_digest,
        (entry.result or b"") if entry.outcome == "result" else b"",
        written.fingerprints,
        left=entry.left,
    )


def inheritance_of(entry: Entry, held: Reversible, stuck: str) -> Inheritance:
    """What the engine is told of it."""
    return Inheritance(
        held.number,
        held.session,
        held.tool,
        held.arguments,
        held.policy,
        held.before_digest,
        entry.left or None,
        entry.state == "compensating" or (entry.state == "stuck" and not stuck),
        entry.undo_sent > 0,
        stuck,
    )


def state_of(result: bytes) -> tuple[str, Json] | None:
    """The digest of a state that a tool's raw `result` shows, and the state as expressions see it; None where two
    readings of it could not be compared."""
    if len(result) > STATE_MAX_BYTES:
        return None
    try:
        state = result_of(decode_strict(result))
        return hashlib.sha256(canonical(state).encode()).hexdigest(), state
    except Unmatchable:
        return None
