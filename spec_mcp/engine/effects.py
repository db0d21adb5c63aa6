"""What a manifest says of a server and of each of its tools, in the form that the engine decides by.

The manifest package reads the author's file and compiles it to these values; the engine never sees the file.
A tool that is not listed is `UNLISTED`: unsafe, and touching everything of its server.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from enum import StrEnum
from typing import cast

from spec_mcp.engine.calls import Equivalence
from spec_mcp.engine.results import Path


class Effect(StrEnum):
    """What a tool does to the world."""

    READ = "read"
    REVERSIBLE = "reversible"
    UNSAFE = "unsafe"


@dataclass(frozen=True, slots=True)
class FileValidator:
    """A local file whose inode, size, mtime and ctime must be the same at adoption as before launch."""

    path: str
    """A template over the arguments, such as `{path}`."""


@dataclass(frozen=True, slots=True)
class ToolValidator:
    """A cheap tool whose result must be the same at adoption as before launch."""

    tool: str
    arguments: Mapping[str, str]
    """JMESPath expressions over `arguments`."""


@dataclass(frozen=True, slots=True)
class FollowRule:
    """The author's word that one call is often followed by another."""

    tool: str
    arguments: Mapping[str, str]
    """JMESPath expressions over `arguments`, `result` and `before`; a list fans out."""
    confidence: float


@dataclass(frozen=True, slots=True)
class Surrogate:
    """A cheap tool that guesses the answer of a slow one that is still running."""

    tool: str
    arguments: Mapping[str, str]
    k: int


@dataclass(frozen=True, slots=True)
class Before:
    """A tool to read first, for the undo or to check it."""

    tool: str
    arguments: Mapping[str, str]
    """JMESPath expressions over `arguments`."""


@dataclass(frozen=True, slots=True)
class Undo:
    """The tool that takes back what a reversible call did."""

    tool: str
    arguments: Mapping[str, str]
    """JMESPath expressions over `arguments`, `result` and `before`."""
    idempotent: bool = False
    """May run again where it is unknown whether it ran."""


@dataclass(frozen=True, slots=True)
class Probe:
    """A tool to read, where it is unknown whether a reversible call took effect."""

    tool: str
    arguments: Mapping[str, str]
    """JMESPath expressions over `arguments` and `before`."""
    done: str
    """A JMESPath expression over `arguments`, `before` and the probe's `result`: true where the effect is there."""


@dataclass(frozen=True, slots=True)
class ToolPolicy:
    """What the manifest says of one tool. Durations are seconds."""

    effect: Effect
    touches: tuple[str, ...] | None = None
    """Templates of resource names; None: everything of its server."""
    ttl_s: float | None = None
    """How old a read's result may be when it is adopted; None only where `exclusive`."""
    fresh: FileValidator | ToolValidator | None = None
    exclusive: bool = False
    cost_s: float = 0.0
    open_world: bool = True
    hosts: tuple[str, ...] = ()
    open_world_per_minute: float = 10.0
    adopt_errors: bool = False
    reuse_s: float = 0.0
    settle_s: float = 0.0
    fingerprint: str | None = None
    equal: Mapping[str, tuple[Equivalence, ...]] = field(default_factory=dict[str, tuple[Equivalence, ...]])
    equal_results: Mapping[Path, tuple[Equivalence, ...]] = field(default_factory=dict[Path, tuple[Equivalence, ...]])
    """Where two results of the same call may differ and still count as the same, when they are compared."""
    followed_by: tuple[FollowRule, ...] = ()
    surrogate: Surrogate | None = None
    before: Before | None = None
    undo: Undo | None = None
    """Stated for every reversible tool that is not `lossy`."""
    unless: str | None = None
    """A JMESPath expression over `arguments` and `before`: where it is true, the tool is not speculated."""
    probe: Probe | None = None
    undo_wait_s: float = 10.0
    """How long a conflicting call waits for the undo before it fails with a clear error."""
    lossy: bool = False
    """The last write wins and nothing is undone: only where the user accepts losing what was there."""
    proved: bool = False
    """`manifest verify` has seen the undo restore the state, with this entry and these definitions of its tools."""


UNLISTED = ToolPolicy(effect=Effect.UNSAFE)
"""What holds for a tool of which no manifest speaks."""


def entry_of(policy: ToolPolicy) -> str:
    """A digest of what is said of a tool: another one where any of it has changed, the same in every version of ours.

    Keys of which the author says nothing are not part of it, so that a key that is new to us changes none.
    """
    unsaid = ToolPolicy(policy.effect)
    told: dict[str, object] = {"effect": policy.effect}
    for name in (member.name for member in fields(policy)):
        if (said := getattr(policy, name)) != getattr(unsaid, name):
            told[name] = _plain(said)
    told["equal_results"] = [[list(path), list(words)] for path, words in policy.equal_results.items()]
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:ENTRY_CHARS]


ENTRY_CHARS = 16


def _plain(said: object) -> object:
    """A member of a policy as JSON can hold it."""
    if isinstance(said, tuple):
        return [_plain(item) for item in cast("tuple[object, ...]", said)]
    return asdict(said) if is_dataclass(said) and not isinstance(said, type) else said


def reads(policy: ToolPolicy) -> bool:
    """Is a call of this tool known to be a read?"""
    return policy.effect is Effect.READ


@dataclass(frozen=True, slots=True)
class ServerPolicy:
    """What the manifest says of one server."""

    server: str
    """`serverInfo.name` that it speaks for."""
    tools: Mapping[str, ToolPolicy] = field(default_factory=dict[str, ToolPolicy])
    stateless: bool = False
    concurrent: bool | None = None
    """Works on several calls at once; None: unknown, so serial until measured otherwise."""
    cancel: bool = False
    """Bears `notifications/cancelled`."""
    source: str = ""
    """The file it came from, for messages."""
    rate_per_minute: float = 0.0
    """The user's bound on speculations there; 0: none."""

    def tool(self, name: str) -> ToolPolicy:
        """The policy of a tool, `UNLISTED` where the manifest does not name it."""
        return self.tools.get(name, UNLISTED)


NO_MANIFEST = ServerPolicy(server="")
"""A plain proxy: every tool is unlisted."""
