"""The TOML of a manifest, as its author writes it. Nothing here decides: `check` judges it and `build` compiles it.

Every key that an author may write is a field here; the descriptions become the JSON Schema's.
"""

from __future__ import annotations

import datetime
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from spec_mcp.engine.effects import Effect

LONGEST_S = 31_536_000.0
"""A year. No session lasts as long: a larger number of seconds is one of milliseconds."""

TRUSTED_READ_TTL_S = 3.0
"""How old a result may be for which nobody has thought about its age."""

Seconds = Annotated[float, Meta(ge=0, le=LONGEST_S)]
OF_ARGUMENTS = "JMESPath expressions by the names of the arguments that they give"

Expressions = dict[str, str]
"""Argument names and the JMESPath expressions that give their values."""


class Form(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A table of which every key is known."""


class Head(Form, frozen=True, kw_only=True):
    """The table `[manifest]`."""

    version: Annotated[int, Meta(description="of this format: 1")]
    server: Annotated[str, Meta(description="the serverInfo.name that the manifest speaks for")]
    reviewed: Annotated[datetime.date | None, Meta(description="when somebody last read what the tools do")] = None
    stateless: Annotated[bool, Meta(description="speculations may use a second connection of their own")] = False
    concurrent: Annotated[
        bool | None, Meta(description="the server works on several calls at once; without it: where measured")
    ] = None
    cancel: Annotated[bool, Meta(description="the server bears notifications/cancelled")] = False
    open_world: Annotated[bool, Meta(description="whether its tools reach outside, where they do not say")] = True
    hosts: Annotated[
        list[str], Meta(description="where its open-world tools may be speculated to, where they do not say")
    ] = []
    named: Annotated[
        bool, Meta(description="used only where it is named: other servers give themselves the same name")
    ] = False
    varies: Annotated[
        bool, Meta(description="which tools it lists depends on how it is started: one that it lacks is no news")
    ] = False


class Fresh(Form, frozen=True, kw_only=True):
    """A cheap proof that the answer is still the same: a local file, or a tool whose result must be unchanged."""

    file: Annotated[str | None, Meta(description="a local file, such as {path}: its inode, size, mtime, ctime")] = None
    tool: Annotated[str | None, Meta(description="a cheap read whose result must be the same")] = None
    arguments: Annotated[Expressions, Meta(description=OF_ARGUMENTS)] = {}


class Call(Form, frozen=True, kw_only=True):
    """A tool to call, with expressions for its arguments."""

    tool: Annotated[str, Meta(description="a tool of the same server")]
    arguments: Annotated[Expressions, Meta(description=OF_ARGUMENTS)] = {}


class UndoForm(Call, frozen=True, kw_only=True):
    """The tool that takes back what the call did."""

    idempotent: Annotated[bool, Meta(description="it may run twice")] = False


class ProbeForm(Call, frozen=True, kw_only=True):
    """The tool that tells whether the call took effect."""

    done: Annotated[str, Meta(description="JMESPath over its result: true where the call took effect")]


class FollowForm(Call, frozen=True, kw_only=True):
    """A call that often comes next."""

    confidence: Annotated[float, Meta(ge=0, le=1, description="how many of the calls that it foretells are made")] = 0.5


class SurrogateForm(Call, frozen=True, kw_only=True):
    """A cheap tool that guesses this one's answer."""

    k: Annotated[int, Meta(ge=1, le=16, description="guesses")] = 1


class Verify(Form, frozen=True, kw_only=True):
    """The table `[verify]`: how the server is started on a state of its own, made for a proof and thrown away.

    `{scratch}` stands for the temporary folder, in which the server is started too.
    """

    files: Annotated[dict[str, str], Meta(description="files to make there first, and their text")] = {}
    prepare: Annotated[list[list[str]], Meta(description="commands to run there before the server starts")] = []
    args: Annotated[list[str], Meta(description="arguments that are added to the server's command")] = []
    env: Annotated[dict[str, str], Meta(description="environment variables of the server")] = {}
    writes: Annotated[list[str], Meta(description="unsafe tools that may be called there to make states")] = []
    values: Annotated[
        dict[str, list[str | int | float | bool]],
        Meta(description="all values that arguments of a name are tried with"),
    ] = {}


class ToolForm(Form, frozen=True, kw_only=True):
    """A table `[tools.NAME]`."""

    effect: Annotated[Effect, Meta(description="what the tool does to the world")] = Effect.UNSAFE
    touches: Annotated[list[str] | None, Meta(description="its resources; without it, everything of the server")] = None
    ttl_s: Annotated[Seconds | None, Meta(description="how old a read's result may be when it is used")] = None
    fresh: Annotated[Fresh | None, Meta(description="a cheap proof that the answer is still the same")] = None
    exclusive: Annotated[bool, Meta(description="its resources change through us alone")] = False
    cost_s: Annotated[Seconds, Meta(description="extra cost of a wasted call")] = 0.0
    open_world: Annotated[bool | None, Meta(description="reaches outside; default: [manifest] open_world")] = None
    hosts: Annotated[
        list[str] | None, Meta(description="where an open-world tool may be speculated to; default: [manifest] hosts")
    ] = None
    open_world_per_minute: Annotated[
        float, Meta(ge=0, le=6000, description="bound on early calls that reach outside")
    ] = 10.0
    adopt_errors: Annotated[bool, Meta(description="an isError result is an answer")] = False
    reuse_s: Annotated[Seconds, Meta(description="how long one result may answer several calls")] = 0.0
    settle_s: Annotated[Seconds, Meta(description="how long after its answer it may still take effect")] = 0.0
    fingerprint: Annotated[str | None, Meta(description="of the definition that was reviewed")] = None
    proved: Annotated[str | None, Meta(description="written by `manifest verify`: what it has seen to hold")] = None
    equal: Annotated[
        dict[str, str | list[str]],
        Meta(
            description="values that mean the same: posix-path, trim, casefold, unordered, ignore; by argument, or "
            "by a place in the result such as result.items[*].age, where two results may differ and count as the same"
        ),
    ] = {}
    followed_by: Annotated[list[FollowForm], Meta(description="calls that often come next")] = []
    surrogate: Annotated[SurrogateForm | None, Meta(description="a cheap read that guesses this slow one's answer")] = (
        None
    )
    before: Annotated[Call | None, Meta(description="a read that shows all that the tool changes")] = None
    undo: Annotated[UndoForm | None, Meta(description="the call that takes back exactly what this one did")] = None
    unless: Annotated[str | None, Meta(description="do not speculate when true")] = None
    probe: Annotated[ProbeForm | None, Meta(description="whether it took effect, where its answer was lost")] = None
    undo_wait_s: Annotated[Seconds | None, Meta(description="how long a conflicting call waits for the undo")] = None
    lossy: Annotated[
        Literal["last-write-wins"] | None, Meta(description="not lossless: of several writes the last one counts")
    ] = None

    @property
    def equal_arguments(self) -> list[str]:
        """The keys of `equal` that are arguments."""
        return [key for key in self.equal if not names_result(key)]


def names_result(key: str) -> bool:
    """Is a key of `equal` a place in the result, and no argument?"""
    return key.startswith(("result.", "result[", "answer.", "answer["))


class ManifestForm(Form, frozen=True, kw_only=True):
    """A whole manifest."""

    manifest: Annotated[Head, Meta(description="whom the manifest speaks for")]
    verify: Annotated[Verify | None, Meta(description="how `manifest verify` gets a state of its own")] = None
    tools: Annotated[dict[str, ToolForm], Meta(description="by name; a tool that is not listed is unsafe")] = {}
