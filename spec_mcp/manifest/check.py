"""What can be said of a manifest without its server: each fault is one line with its mend."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import PurePosixPath

from spec_mcp.engine.calls import Equivalence
from spec_mcp.engine.effects import Effect
from spec_mcp.engine.results import BadPath, parse_path
from spec_mcp.manifest.faults import ManifestError, ToolFault
from spec_mcp.manifest.forms import ManifestForm, ToolForm, names_result
from spec_mcp.manifest.uses import calls, expressions
from spec_mcp.tables import bare, nearest

FINGERPRINT = re.compile(r"sha256:[0-9a-f]{64}")

HOST = re.compile(r"(\*\.)?[a-z0-9]([a-z0-9.:-]*[a-z0-9])?")

Fault = tuple[str, str, str]
"""Key, fault, mend."""

_UNDONE = ("before", "undo", "unless", "probe", "undo_wait_s", "lossy")
_ANSWERED = ("ttl_s", "fresh", "adopt_errors", "reuse_s")


def faults(tools: Mapping[str, ToolForm], open_world: bool) -> Iterator[ToolFault]:
    """The faults of all tools' tables, in the order of the file; `open_world` is `[manifest]`'s."""
    for name, form in tools.items():
        for check in _CHECKS:
            yield from (ToolFault(name, *fault) for fault in check(form))
        yield from (ToolFault(name, *fault) for fault in _called_tools(form, tools))
        yield from (ToolFault(name, *fault) for fault in _own_surrogate(name, form))
        if form.hosts and not (open_world if form.open_world is None else form.open_world):
            yield ToolFault(name, "hosts", "means nothing for a tool that reaches nowhere", "add open_world = true")


def head_faults(form: ManifestForm, file: str) -> Iterator[ManifestError]:
    """The faults of `[manifest]`."""
    for key, fault, mend in _hosts(form.manifest.hosts):
        yield ManifestError(file, f"[manifest] {key}", fault, mend)
    if (
        form.manifest.hosts
        and not form.manifest.open_world
        and not any(tool.open_world for tool in form.tools.values())
    ):
        fault = "means nothing where no tool reaches outside"
        yield ManifestError(file, "[manifest] hosts", fault, "remove it, or say open_world = true")


def scratch_faults(form: ManifestForm, file: str) -> Iterator[ManifestError]:
    """The faults of `[verify]`: nothing may be made outside the temporary folder, no tool called that is not listed."""
    verify = form.verify
    if verify is None:
        return
    for name in verify.files:
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts or not path.name:
            mend = "name it relative to the temporary folder, below it"
            yield ManifestError(file, f"[verify] files.{bare(name)}", "does not lie in the temporary folder", mend)
    for index, command in enumerate(verify.prepare):
        if not command:
            yield ManifestError(file, f"[verify] prepare[{index}]", "is empty", 'write ["command", "argument"]')
    for index, name in enumerate(verify.writes):
        tool = form.tools.get(name)
        if tool is None or tool.effect is not Effect.UNSAFE:
            near = None if tool else nearest(name, form.tools)
            mend = f"did you mean {near}?" if near else "name listed tools with effect = 'unsafe'"
            yield ManifestError(file, f"[verify] writes[{index}]", f"{name} is no listed unsafe tool", mend)


def meaningless(effect: Effect) -> tuple[str, ...]:
    """The keys that mean nothing for a tool of this effect."""
    return {
        Effect.READ: (*_UNDONE, "settle_s"),
        Effect.REVERSIBLE: (),
        Effect.UNSAFE: (*_UNDONE, *_ANSWERED),
    }[effect]


def _effect(form: ToolForm) -> Iterator[Fault]:
    given = {key for key in (*_UNDONE, *_ANSWERED) if _is_given(form, key)}
    if form.effect is not Effect.REVERSIBLE:
        for key in _UNDONE:
            if key in given:
                yield key, f"means nothing for effect = {form.effect.value!r}", "remove it, or say 'reversible'"
    if form.effect is Effect.UNSAFE:
        for key in _ANSWERED:
            if key in given:
                yield key, "means nothing for an unsafe tool", "remove it, or say 'read'"
    if form.effect is Effect.READ:
        if form.ttl_s is None and not form.exclusive:
            yield "ttl_s", "required for a read whose resources are not exclusive", "add e.g. ttl_s = 5"
        if form.settle_s:
            yield "settle_s", "means nothing for a read", "remove it, or say effect = 'unsafe'"


def _is_given(form: ToolForm, key: str) -> bool:
    return bool(getattr(form, key)) or (key in ("ttl_s", "undo_wait_s") and getattr(form, key) is not None)


def _reversible(form: ToolForm) -> Iterator[Fault]:
    if form.effect is not Effect.REVERSIBLE:
        return
    if form.lossy and form.undo:
        yield "lossy", "a tool with an undo loses nothing", "remove lossy, or remove undo"
    if not form.lossy and not form.undo:
        yield "undo", "required for a reversible tool", 'add undo = { tool = "…", arguments = { … } }, or say "unsafe"'
    if form.undo and not form.exclusive:
        yield "exclusive", "required for a reversible tool", "add exclusive = true only if nobody else changes them"
    if form.undo and form.touches is None:
        yield "touches", "required for a reversible tool", 'add touches = ["…"]: what it changes'


def _resources(form: ToolForm) -> Iterator[Fault]:
    for index, template in enumerate(form.touches or ()):
        if fault := _template_fault(template):
            yield f"touches[{index}]", *fault
        elif not re.match(r"[^{}*]", template):
            yield f"touches[{index}]", f"{template!r} has no kind of resource", "begin with one: file:{path}"
        elif "*" in template[:-1]:
            yield f"touches[{index}]", f"{template!r} has a * within", "a * may stand at the end alone"
    fresh = form.fresh
    if fresh is None:
        return
    if (fresh.file is None) == (fresh.tool is None):
        yield "fresh", "must name a file or a tool", 'write { file = "{path}" } or { tool = "…", arguments = { … } }'
    if fresh.file is not None:
        if fresh.arguments:
            yield "fresh.arguments", "means nothing for a file", "remove it"
        if fault := _template_fault(fresh.file):
            yield "fresh.file", *fault
        elif "{" not in fresh.file and not fresh.file.startswith("/"):
            yield "fresh.file", f"{fresh.file!r} names no argument", 'write { file = "{path}" } or an absolute path'


def _template_fault(template: str) -> tuple[str, str] | None:
    if not template:
        return "an empty template", "write a resource, such as file:{path}"
    rest = re.sub(r"\{[^{}]+\}", "", template)
    if "{}" in rest:
        return f"{template!r} has a placeholder that names no argument", "write the argument's name, such as {path}"
    if "{" in rest or "}" in rest:
        return f"{template!r} has a brace without its other half", "write placeholders as {argument}"
    return None


def _equal(form: ToolForm) -> Iterator[Fault]:
    known = [equivalence.value for equivalence in Equivalence]
    for argument, given in form.equal.items():
        if names_result(argument):
            yield from _place(form, argument)
        for word in [given] if isinstance(given, str) else given:
            if word not in known:
                near = nearest(word, known)
                mend = f"did you mean {near}?" if near else f"use one of: {', '.join(known)}"
                yield f"equal.{bare(argument)}", f"unknown equivalence {word!r}", mend


def _place(form: ToolForm, place: str) -> Iterator[Fault]:
    try:
        parse_path(place)
    except BadPath as error:
        yield f"equal.{bare(place)}", str(error), 'write "result.timestamp", "result.items[*].age" or "answer._meta"'
    if form.effect is not Effect.READ:
        yield f"equal.{bare(place)}", "only results of reads are compared", "remove it"


def _words(form: ToolForm) -> Iterator[Fault]:
    if form.fingerprint is not None and not FINGERPRINT.fullmatch(form.fingerprint):
        yield "fingerprint", "must be sha256: and 64 hexadecimal digits", "let `spec-mcp manifest lock` write it"
    if form.proved is not None and not FINGERPRINT.fullmatch(form.proved):
        yield "proved", "must be sha256: and 64 hexadecimal digits", "let `spec-mcp manifest verify` write it"
    yield from _hosts(form.hosts or ())


def _hosts(hosts: Iterable[str]) -> Iterator[Fault]:
    for index, host in enumerate(hosts):
        if not HOST.fullmatch(host.lower()):
            yield f"hosts[{index}]", f"{host!r} is no host", 'write names alone: "api.example.com" or "*.example.com"'


def _expressions(form: ToolForm) -> Iterator[Fault]:
    uses = list(expressions(form))
    if not uses:
        return
    from spec_mcp.manifest.expressions import BadExpression, parse  # jmespath, only where there are expressions

    for use in uses:
        try:
            expression = parse(use.text)
        except BadExpression as error:
            yield use.key, f"no valid JMESPath in {use.text!r}: {error}", "mend it (a literal is `1` or 'text')"
            continue
        for root in sorted(expression.roots - use.at_hand):
            choices = ", ".join(sorted(use.at_hand))
            literal = f"; a literal is written '{root}'" if use.text == root else ""
            yield use.key, f"nothing is named {root} there", f"begin with one of: {choices}{literal}"
        if "before" in expression.roots and form.before is None:
            yield use.key, "before is read nowhere", 'add before = { tool = "…", arguments = { … } }'


def _shown(form: ToolForm) -> Iterator[Fault]:
    if form.effect is Effect.REVERSIBLE and form.undo and not form.before:
        yield "before", "required for a reversible tool", "name a read that shows what the tool changes"


def _called_tools(form: ToolForm, tools: Mapping[str, ToolForm]) -> Iterator[Fault]:
    for use in calls(form):
        called = tools.get(use.tool)
        if use.must_read and (called is None or called.effect is not Effect.READ):
            near = None if called else nearest(use.tool, tools)
            table = f"[tools.{bare(use.tool)}]"
            mend = f"did you mean {near}?" if near else f"say effect = 'read' in {table}, if it only reads"
            yield f"{use.key}.tool", f"{use.tool} is not stated to be a read", mend


def _own_surrogate(name: str, form: ToolForm) -> Iterator[Fault]:
    if form.surrogate is not None and form.surrogate.tool == name:
        yield "surrogate.tool", "a tool cannot guess its own answer", "name another, cheaper read"


_CHECKS: tuple[Callable[[ToolForm], Iterator[Fault]], ...] = (
    _effect,
    _reversible,
    _resources,
    _equal,
    _words,
    _expressions,
    _shown,
)
