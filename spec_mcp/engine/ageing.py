"""When a speculation is of no more use, or takes its next step, if nothing but time passes."""

from __future__ import annotations

from spec_mcp.engine.speculation import Awaits, Reversal, Speculation
from spec_mcp.engine.states import State

VALIDATION_LIMIT_S = 5.0
"""A validator that takes longer to read, on a lost network folder say, is of no use."""

SPECULATION_LIMIT_S = 120.0
"""A speculation without an answer for this long is given up; its place stays taken until the server answers."""

UNADOPTED_LIMIT_S = 30.0
"""How long a reversible speculation waits for its call: while it stands, whoever comes too near must wait for its
undo."""

STEP_LIMIT_S = 120.0
"""An undo, or a reading for it, that is not answered for this long: the server hangs."""

OF_SERVER = frozenset({Awaits.NOW, Awaits.PROBE, Awaits.UNDO, Awaits.RESTORED})
"""Answers of the server while something is taken back."""


def ends_at(speculation: Speculation) -> float | None:
    """When it is of no more use if nothing happens."""
    if speculation.reversal is not None and speculation.launched_at is not None:
        return _reversible_ends_at(speculation, speculation.reversal)
    if speculation.launched_at is None:
        return speculation.proposed_at + VALIDATION_LIMIT_S
    if speculation.state is State.JOINED:
        return None
    limits = [speculation.outdated_at] if speculation.outdated_at is not None else []
    if speculation.state is State.ADOPTED:
        limits.append(speculation.launched_at + speculation.policy.reuse_s)
    elif speculation.policy.lossy:
        limits.append(speculation.launched_at + UNADOPTED_LIMIT_S)
    elif speculation.state is State.LAUNCHED:
        limits.append(speculation.launched_at + SPECULATION_LIMIT_S)
    return min(limits, default=None)


def _reversible_ends_at(speculation: Speculation, reversal: Reversal) -> float | None:
    if speculation.state is State.READY and reversal.awaits is not Awaits.ADOPTION:
        return speculation.proposed_at + UNADOPTED_LIMIT_S
    return None


def steps_at(speculation: Speculation) -> float | None:
    """When a reversible one takes its next step."""
    reversal = speculation.reversal
    if reversal is None:
        return None
    if reversal.awaits in (Awaits.RETRY, Awaits.SETTLE_AGAIN):
        return reversal.retry_at
    if reversal.awaits is Awaits.EFFECT:
        return reversal.quiet_at
    if reversal.awaits is Awaits.ADOPTION and speculation.caller is not None:
        return reversal.asked_at + speculation.policy.undo_wait_s
    return reversal.asked_at + STEP_LIMIT_S if reversal.awaits in OF_SERVER else None
