"""Drafting a manifest from what a server says of itself: a file that trusts nothing, for a person to review.

Each line that would widen trust stands there switched off, with what speaks for it and against it: `#effect = "read"`
is switched on by removing its `#`. Any choice of them gives a manifest without faults, but that an effect needs its
`ttl_s`. Narrowing `touches` widens trust too: a write then throws less away. What follows what (`followed_by`) is no
matter of trust, since only reads are made early: where sessions were recorded it stands there as it was measured.
"""

from __future__ import annotations

import datetime
import textwrap
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import tomlkit

from spec_mcp.manifest.advised import Advised
from spec_mcp.manifest.against import is_possible
from spec_mcp.manifest.fingerprint import fingerprint
from spec_mcp.manifest.flows import Flow
from spec_mcp.manifest.forms import TRUSTED_READ_TTL_S, FollowForm
from spec_mcp.manifest.hints import Hints, hints, taken_back_by
from spec_mcp.manifest.schema import SCHEMA_LINE

WIDTH = 80
"""Of what is wrapped; a line with a fingerprint is longer."""

DESCRIPTION_CHARS = 240
"""Of a description: to recognise the tool by. Who reviews it reads its source."""

NAME_CHARS = 128
"""A tool's name, by the protocol, is no longer. Longer ones are left out, which leaves the tools unsafe."""


@dataclass(frozen=True, slots=True)
class Subject:
    """Whom the draft is about."""

    server: str
    """serverInfo.name; empty where it gives none."""
    version: str
    fallback: str
    """What to write in place of a name that is missing or that TOML cannot hold."""


def draft(
    subject: Subject,
    tools: Sequence[Mapping[str, Any]],
    today: datetime.date,
    *,
    trust_annotations: bool = False,
    flows: Mapping[str, Sequence[Flow]] = MappingProxyType({}),
    advised: Mapping[str, Advised] = MappingProxyType({}),
) -> str:
    """The text of a manifest for these tools, which are the `tools` of a complete `tools/list`.

    Nothing in it is above `unsafe`, but where `trust_annotations` says that the user takes the server's word. `flows`
    is what was measured in recorded sessions, `advised` what a model says of some tools: it changes comments alone.
    """
    # of two tools of one name the last counts, here as in the relay
    by_name = {tool["name"]: tool for tool in tools if isinstance(tool.get("name"), str)}
    listed = {name: tool for name, tool in by_name.items() if _can_be_listed(name)}
    lines = [*_head(subject, today, trust_annotations)]
    if left_out := len(by_name) - len(listed):
        lines += ["", *_prose(f"{left_out} of its tools cannot be listed, for their names' sake: they stay unsafe.")]
    for name, tool in listed.items():
        lines += ["", *_tool(name, tool, listed, trust_annotations, advised.get(name))]
        lines += _follows(tool, flows.get(name, ()), listed)
    return "\n".join(lines) + "\n"


def _head(subject: Subject, today: datetime.date, trust_annotations: bool) -> Iterator[str]:
    known = bool(subject.server) and _is_text(subject.server)
    version = _plain(subject.version, NAME_CHARS)
    yield SCHEMA_LINE
    yield from _prose(f"A draft, made on {today} from the server's own tool list{version and f', version {version}'}.")
    yield ""
    yield "[manifest]"
    yield "version = 1"
    # near the top: a manifest is found by it, and only the beginning of each file is read for that
    yield f"server = {_quoted(subject.server if known else subject.fallback)}"
    if not known:
        yield from _prose("The server gives itself no name that can be written here: use --manifest FILE.")
    yield ""
    if trust_annotations:
        yield from _prose(
            "The server's annotations are taken at their word (--trust-annotations). The lines that begin with # and a "
            "key would trust more:"
        )
    else:
        yield from _prose(
            "Nothing is trusted yet: as it stands, spec-mcp is a plain proxy for this server. The lines that begin "
            "with # and a key would trust more:"
        )
    yield from _prose(
        "remove the # where the server's source says so. A tool that no line calls a read is unsafe, and that costs "
        "speed alone. What the keys mean: docs/manifests.md."
    )
    yield ""
    yield from _prose("REVIEW what only its source tells:")
    yield "#stateless = true     # it keeps nothing per connection"
    yield "#concurrent = true    # it works on several calls at once"
    yield "#cancel = true        # it bears notifications/cancelled"
    yield "#open_world = false   # its tools reach nothing outside"
    yield f"#reviewed = {_quoted(str(today))}   # the day on which you read what its tools do"


def _tool(
    name: str, tool: Mapping[str, Any], listed: Collection[str], trust_annotations: bool, advised: Advised | None
) -> Iterator[str]:
    found = hints(tool)
    trusted = trust_annotations and found.says_read
    if description := _plain(tool.get("description"), DESCRIPTION_CHARS):
        yield from _prose(f'"{description}"')
    yield f"[tools.{_key(name)}]"
    if trusted:
        yield 'effect = "read"       # the server says so'
        yield f"ttl_s = {TRUSTED_READ_TTL_S:g}"
        yield from _doubts(found)
    elif found.read is not None:
        yield from _prose(f"REVIEW effect: {found.read.reason}.")
        yield from _doubts(found)
        yield '#effect = "read"'
        yield f"#ttl_s = {TRUSTED_READ_TTL_S:g}            # how old an answer may be, in seconds"
    else:
        yield f'effect = "unsafe"     # {found.unsafe}'
    yield from _resources(found)
    if found.says_closed:
        if trusted:
            yield "open_world = false    # the server says so"
        else:
            yield from _prose("REVIEW open_world: the server says openWorldHint: false.")
            yield "#open_world = false"
    if undo := taken_back_by(tool, listed):
        yield from _prose(
            f"REVIEW undo: the server names {_plain(undo, NAME_CHARS)} as what takes it back. Only if that restores "
            f"exactly what was there, for everyone who looks: effect = 'reversible', with undo, before, touches and "
            f"exclusive, and a proof by `spec-mcp manifest verify`."
        )
    if advised is not None:
        yield from _advice(advised)
    yield f"fingerprint = {_quoted(fingerprint(tool))}"


def _advice(advised: Advised) -> Iterator[str]:
    """What a model said, as prose: none of it is a line that could be switched on."""
    touches = ", ".join(_plain(template, NAME_CHARS) for template in advised.touches)
    ttl = f", ttl_s {advised.ttl_s:g}" if advised.ttl_s else ""
    yield from _prose(
        f"REVIEW what a model said ({_plain(advised.model, NAME_CHARS)}, from the tool's definition alone): "
        f"{advised.effect}{touches and f', touches {touches}'}{ttl}, because "
        f'"{_plain(advised.reason, DESCRIPTION_CHARS)}".'
    )


def _follows(tool: Mapping[str, Any], flows: Sequence[Flow], listed: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """What was seen to follow a tool's answer: reads alone, since nothing else is ever made early."""
    for flow in flows:
        rule = FollowForm(tool=flow.rule.tool, arguments=dict(flow.rule.arguments), confidence=flow.rule.confidence)
        if not all(map(_is_text, (*rule.arguments, *rule.arguments.values()))):
            continue
        if hints(listed[rule.tool]).read is None or not is_possible(tool, rule, listed):
            continue
        yield ""
        times = f"{flow.used} of {flow.offered} such calls were made, in {flow.sessions} sessions"
        yield from _prose(f"Measured: {times}. It counts only while {_plain(rule.tool, NAME_CHARS)} is a read.")
        yield f"[[tools.{_key(str(tool['name']))}.followed_by]]"
        yield f"tool = {_quoted(rule.tool)}"
        yield from (f"arguments.{_key(name)} = {_quoted(text)}" for name, text in rule.arguments.items())
        yield f"confidence = {rule.confidence:g}"


def _doubts(found: Hints) -> Iterator[str]:
    if found.read is not None and found.read.doubts:
        yield from _prose(f"But {', and '.join(found.read.doubts)}.")


def _resources(found: Hints) -> Iterator[str]:
    if not found.touches:
        return
    arguments = ", ".join(_plain(argument, NAME_CHARS) for argument in found.touches.values())
    yield from _prose(f"REVIEW touches: made from {arguments}. Without it: everything of the server, always safe.")
    yield f"#touches = [{', '.join(_quoted(template) for template in found.touches)}]"
    if found.file is not None and found.read is not None:
        yield from _prose("REVIEW fresh: only if its answer shows that one file, on this machine, and nothing else.")
        yield f"#fresh = {{ file = {_quoted(f'{{{found.file}}}')} }}"


def _prose(text: str) -> Iterator[str]:
    """A comment. After its `#` comes a space, which tells it from a line that is switched off."""
    for line in textwrap.wrap(text, WIDTH - 2, break_on_hyphens=False):
        yield f"# {line}"


def _plain(text: object, limit: int) -> str:
    """A server's words for a comment: on one line, without what TOML or a terminal would not bear."""
    if not isinstance(text, str):
        return ""
    # a description may have megabytes, of which this reads no more than it may need
    clean = " ".join("".join(letter if letter.isprintable() else " " for letter in text[: 4 * limit]).split())
    return clean if len(clean) <= limit else clean[: limit - 1] + "…"


def _key(name: str) -> str:
    return tomlkit.key(name).as_string()


def _quoted(text: str) -> str:
    return tomlkit.string(text).as_string()


def _can_be_listed(name: str) -> bool:
    return len(name) <= NAME_CHARS and _is_text(name)


def _is_text(text: str) -> bool:
    """Can a file hold it? JSON knows halves of characters, which UTF-8 does not."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
