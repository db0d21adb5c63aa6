"""A manifest as a person reviews it: what the form shows, what a review would write, and writing just that.

A review is shown as a difference before it is written, and names each line by which spec-mcp would trust more. It is
written only with the digest of what was shown and with a yes to each of those lines.
"""

from __future__ import annotations

import datetime
import difflib
import hashlib
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import msgspec

from spec_mcp.dashboard.coverage import Found, Seen, standing
from spec_mcp.engine.effects import Effect
from spec_mcp.errors import UserError
from spec_mcp.manifest import Manifest, ManifestError, parse_manifest, shipped_folder
from spec_mcp.manifest.check import meaningless
from spec_mcp.manifest.forms import ToolForm
from spec_mcp.manifest.locking import CannotLock, Value, edited
from spec_mcp.manifest.writing import write

MAX_TOOLS = 500
MAX_TOUCHES = 32


class Decision(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a person says of one tool; what is absent stays as it is."""

    effect: Literal["read", "reversible", "unsafe"] | None = None
    ttl_s: float | None = None
    touches: list[str] | None = None
    """An empty list: everything of the server."""
    lock: bool = False
    """Its definition as it was seen is the one that was read."""


class Review(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the form sends."""

    manifest: str
    server: str = ""
    tools: dict[str, Decision] = {}
    reviewed: bool = False
    """What all of its tools do was read: today's date is noted."""
    digest: str = ""
    """Of what was shown; empty to be shown it."""
    widen: list[str] = []
    """The lines that were said yes to."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a review would write."""

    text: str
    target: Path
    difference: tuple[str, ...]
    widened: tuple[str, ...]
    """Each line says what would be trusted more."""
    digest: str


def form(found: Found, seen: Seen, server: str) -> dict[str, Any]:
    """What the form shows: all tools that the manifest lists, and those of the server that it does not."""
    listed = found.manifest.form.tools if found.manifest else {}
    unlisted = [tool for tool in seen.tools if tool not in listed]
    return {
        "name": found.name,
        "server": server,
        "speaks_for": found.server,
        "file": str(found.path),
        "shipped": found.shipped,
        "fault": found.fault,
        "tools": [_line(tool, seen, found.manifest) for tool in (*listed, *unlisted)],
    }


def outcome(found: Found, seen: Seen, review: Review, home: Path, today: datetime.date) -> Outcome:
    """What a review would make of a manifest.

    Raises:
        UserError: it asks for something that a manifest cannot say.
    """
    if found.manifest is None:
        raise UserError(f"{found.fault}: mend the file first")
    before = found.path.read_bytes().decode("utf-8")
    keys = {tool: _keys(tool, decision, found.manifest, seen) for tool, decision in review.tools.items()}
    keys = {tool: values for tool, values in keys.items() if values}
    target = home / "manifests" / f"{found.path.stem}.toml" if found.path.parent == shipped_folder() else found.path
    try:
        text = edited(before, keys, today if review.reviewed else None)
    except CannotLock as error:
        raise UserError(f"{found.path}: cannot be edited here: {error}") from error
    after = _parsed(text, target)
    difference = difflib.unified_diff(
        before.splitlines(), text.splitlines(), str(found.path), str(target), lineterm="", n=2
    )
    digest = hashlib.sha256("\0".join((str(target), before, text)).encode()).hexdigest()
    return Outcome(text, target, tuple(difference), tuple(widened(found.manifest, after)), digest)


def save(result: Outcome, review: Review) -> None:
    """Write what was shown.

    Raises:
        UserError: something else was shown, or a line that trusts more was not said yes to.
    """
    if review.digest != result.digest:
        raise UserError("the manifest has changed since this was shown: look at it again")
    if missing := [line for line in result.widened if line not in review.widen]:
        raise UserError(f"not confirmed: {missing[0]}")
    try:
        result.target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{result.target.parent}: cannot be made: {error.strerror or error}") from error
    write(result.target, result.text, force=True)


def widened(before: Manifest, after: Manifest) -> Iterator[str]:
    """What the second trusts more than the first, a line each, in plain words."""
    for name, new in after.form.tools.items():
        old = before.form.tools.get(name, ToolForm())
        if new.effect is not old.effect and new.effect is not Effect.UNSAFE:
            what = "may be made early and taken back" if new.effect is Effect.REVERSIBLE else "may be made early"
            yield f"{name}: calls of it {what} ({old.effect} → {new.effect})"
        if new.effect is Effect.UNSAFE and old.effect is Effect.UNSAFE:
            yield from _touches(name, old, new)
            continue
        if new.ttl_s is not None and old.ttl_s is not None and new.ttl_s > old.ttl_s:
            yield f"{name}: its answers may be older ({old.ttl_s:g} s → {new.ttl_s:g} s)"
        yield from _touches(name, old, new)
        if old.fingerprint is not None and new.fingerprint != old.fingerprint:
            yield f"{name}: its definition has changed, and is taken as reviewed"


def _touches(name: str, old: ToolForm, new: ToolForm) -> Iterator[str]:
    """Fewer resources: fewer writes conflict with it, and it spoils less."""
    if new.touches is None or new.touches == old.touches:
        return
    if old.touches is None or not set(old.touches) <= set(new.touches):
        was = "everything of the server" if old.touches is None else ", ".join(old.touches) or "nothing"
        yield f"{name}: it touches only {', '.join(new.touches) or 'nothing'} (before: {was})"


def _line(tool: str, seen: Seen, manifest: Manifest | None) -> dict[str, Any]:
    given = manifest.form.tools.get(tool) if manifest else None
    return {
        **standing(tool, seen, manifest),
        "ttl_s": given.ttl_s if given else None,
        "touches": given.touches if given else None,
        "exclusive": bool(given and given.exclusive),
        "can_reverse": bool(given and given.undo and given.before and given.exclusive),
        "can_lock": len(seen.pins.get(tool, ())) == 1,
    }


def _keys(tool: str, decision: Decision, manifest: Manifest, seen: Seen) -> dict[str, Value]:
    """The keys that change."""
    given = manifest.form.tools.get(tool)
    old = given or ToolForm()
    keys: dict[str, Value] = {}
    effect = Effect(decision.effect) if decision.effect is not None else old.effect
    if given is None and effect is Effect.UNSAFE and not decision.lock:
        return {}
    if given is None or effect is not old.effect:
        keys |= {"effect": str(effect), **dict.fromkeys(meaningless(effect))}
    if decision.ttl_s is not None and decision.ttl_s != old.ttl_s and effect is not Effect.UNSAFE:
        keys["ttl_s"] = int(decision.ttl_s) if decision.ttl_s == int(decision.ttl_s) else decision.ttl_s
    if decision.touches is not None and (decision.touches or None) != old.touches:
        keys["touches"] = decision.touches[:MAX_TOUCHES] or None
    if keys.get("touches", "") is None and old.touches is None:
        del keys["touches"]
    if decision.lock:
        keys |= _lock(tool, old, seen)
    return keys


def _lock(tool: str, old: ToolForm, seen: Seen) -> dict[str, Value]:
    pins = sorted(seen.pins.get(tool, ()))
    if len(pins) != 1:
        how = "several definitions of it were seen" if pins else "its definition was not seen yet"
        raise UserError(f"{tool}: {how}: use `spec-mcp manifest lock`")
    return {} if pins[0] == old.fingerprint else {"fingerprint": pins[0]}


def _parsed(text: str, target: Path) -> Manifest:
    try:
        return parse_manifest(tomllib.loads(text), target.name)
    except ManifestError as error:
        raise UserError(str(error)) from error


def decoded(body: bytes) -> Review:
    """What was sent.

    Raises:
        UserError: it is no review.
    """
    try:
        review = msgspec.json.decode(body, type=Review)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UserError(f"no review: {error}") from error
    if len(review.tools) > MAX_TOOLS:
        raise UserError(f"a review of more than {MAX_TOOLS} tools is not taken")
    return review


def seen_of(servers: Mapping[str, Seen], server: str) -> Seen:
    """What the record knows of a server; nothing where it does not know it."""
    return servers.get(server) or Seen({}, {})
