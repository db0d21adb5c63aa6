"""What `manifest verify` has seen to hold, in a form that any change voids.

A proof is a digest of all that was tried: what the manifest says of the tool, the definitions of every tool that was
involved, and the verifier's version. It stands in the manifest beside the fingerprints, so it holds only where these
are pinned too; that the server still has the pinned definitions is seen to wherever fingerprints are.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping

import msgspec

from spec_mcp.engine.effects import Effect
from spec_mcp.manifest.forms import ManifestForm, ToolForm

VERIFIER_VERSION = 1
"""Raised whenever the verifier looks for more: proofs by an older one hold no longer."""

_TRIED = ("effect", "touches", "exclusive", "equal", "before", "undo", "unless", "probe")
"""What a proof is about. How long a result is good, or what follows a call, is not tried."""


def involved(form: ToolForm, name: str) -> list[str]:
    """The tools that are called where this one is speculated: itself, and those that read, probe and undo."""
    named = (form.before, form.undo, form.probe)
    return sorted({name, *(call.tool for call in named if call is not None)})


def proof_of(form: ToolForm, name: str, pins: Mapping[str, str]) -> str | None:
    """The proof that this tool would have; None where the definition of a tool that is involved is not pinned."""
    tools = involved(form, name)
    if not all(tool in pins for tool in tools):
        return None
    entry = msgspec.to_builtins(form)
    tried = {
        "verifier": VERIFIER_VERSION,
        "entry": {key: entry[key] for key in _TRIED},
        "tools": {tool: pins[tool] for tool in tools},
    }
    text = json.dumps(tried, sort_keys=True, separators=(",", ":"))
    return "sha256:" + hashlib.sha256(text.encode("ascii")).hexdigest()


def is_proved(form: ManifestForm, name: str) -> bool:
    """Does the proof that the manifest holds for this tool speak of what the manifest says now?"""
    tool = form.tools[name]
    if tool.proved is None or tool.effect is not Effect.REVERSIBLE:
        return False
    pins = {other: its.fingerprint for other, its in form.tools.items() if its.fingerprint is not None}
    return proof_of(tool, name, pins) == tool.proved
