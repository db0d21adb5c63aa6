"""Tools that a server itself calls read-only, where the user trusts that server's word (`trust_annotations`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

from spec_mcp.engine.effects import Effect, ServerPolicy, ToolPolicy
from spec_mcp.manifest.forms import TRUSTED_READ_TTL_S


def with_trusted_annotations(policy: ServerPolicy, tools: Sequence[Mapping[str, Any]]) -> ServerPolicy:
    """The policy with the unlisted `readOnlyHint` tools as reads of everything; what a manifest lists stays."""
    trusted: dict[str, ToolPolicy] = {}
    for tool in tools:
        name, annotations = tool.get("name"), tool.get("annotations")
        if not isinstance(name, str) or name in policy.tools or not isinstance(annotations, dict):
            continue
        hints = cast("dict[str, Any]", annotations)
        if hints.get("readOnlyHint") is True:
            open_world = hints.get("openWorldHint") is not False
            trusted[name] = ToolPolicy(effect=Effect.READ, ttl_s=TRUSTED_READ_TTL_S, open_world=open_world)
    return replace(policy, tools={**policy.tools, **trusted}) if trusted else policy
