"""From the author's form to what the engine decides by."""

from __future__ import annotations

from spec_mcp.engine.calls import Equivalence
from spec_mcp.engine.effects import (
    Before,
    FileValidator,
    FollowRule,
    Probe,
    ServerPolicy,
    Surrogate,
    ToolPolicy,
    ToolValidator,
    Undo,
)
from spec_mcp.engine.results import parse_path
from spec_mcp.manifest.forms import Fresh, Head, ManifestForm, ToolForm, names_result
from spec_mcp.manifest.proof import is_proved

UNDO_WAIT_S = 10.0
"""How long a conflicting call waits for an undo where the author does not say: about what a person waits for a tool."""


def server_policy(form: ManifestForm, source: str) -> ServerPolicy:
    """The engine's values for a manifest that was found good."""
    head = form.manifest
    return ServerPolicy(
        server=head.server,
        tools={name: _tool_policy(tool, head, is_proved(form, name)) for name, tool in form.tools.items()},
        stateless=head.stateless,
        concurrent=head.concurrent,
        cancel=head.cancel,
        source=source,
    )


def _tool_policy(form: ToolForm, head: Head, proved: bool) -> ToolPolicy:
    undo, probe, before, surrogate = form.undo, form.probe, form.before, form.surrogate
    return ToolPolicy(
        effect=form.effect,
        touches=None if form.touches is None else tuple(form.touches),
        ttl_s=form.ttl_s,
        fresh=_validator(form.fresh),
        exclusive=form.exclusive,
        cost_s=form.cost_s,
        open_world=head.open_world if form.open_world is None else form.open_world,
        hosts=tuple(host.lower() for host in (head.hosts if form.hosts is None else form.hosts)),
        open_world_per_minute=form.open_world_per_minute,
        adopt_errors=form.adopt_errors,
        reuse_s=form.reuse_s,
        settle_s=form.settle_s,
        fingerprint=form.fingerprint,
        equal={key: _equivalences(given) for key, given in form.equal.items() if not names_result(key)},
        equal_results={parse_path(key): _equivalences(given) for key, given in form.equal.items() if names_result(key)},
        followed_by=tuple(FollowRule(rule.tool, rule.arguments, rule.confidence) for rule in form.followed_by),
        surrogate=surrogate and Surrogate(surrogate.tool, surrogate.arguments, surrogate.k),
        before=before and Before(before.tool, before.arguments),
        undo=undo and Undo(undo.tool, undo.arguments, undo.idempotent),
        unless=form.unless,
        probe=probe and Probe(probe.tool, probe.arguments, probe.done),
        undo_wait_s=UNDO_WAIT_S if form.undo_wait_s is None else form.undo_wait_s,
        lossy=form.lossy is not None,
        proved=proved,
    )


def _validator(fresh: Fresh | None) -> FileValidator | ToolValidator | None:
    if fresh is None:
        return None
    if fresh.file is not None:
        return FileValidator(fresh.file)
    return ToolValidator(fresh.tool or "", fresh.arguments)


def _equivalences(given: str | list[str]) -> tuple[Equivalence, ...]:
    return tuple(Equivalence(word) for word in ([given] if isinstance(given, str) else given))
